# SPDX-License-Identifier: Apache-2.0
"""Opening ports through pyserial URLs: local devices, `socket://`, `rfc2217://`, `virtual://`."""

from __future__ import annotations

import errno
import sys
import time
from urllib.parse import urlsplit

from esptool.errors import PortError, UsageError
from esptool.transport.adapters import RAISED, SerialPort, adapt, reason
from esptool.transport.port import Port
from esptool.transport.port import check_baud as check_baud


def open_port(
    url: str,
    baud: int = 115200,
    *,
    exclusive: bool = True,
    attempts: int = 1,
    keep_all: bool = False,
) -> Port:
    """Open `url` at `baud` without moving DTR or RTS where the system allows.

    Attempts are a second apart; a negative number tries for ever. With `keep_all` nothing is
    dropped of what a server sends while it is being opened.

    Raises:
        UsageError: no port is named, or a URL lacks host or number.
        PortError: the port does not exist, is busy, or is not permitted.
    """
    from esptool import virtual

    check_url(url)
    check_baud(baud)
    virtual.register()
    while True:
        try:
            return _open_once(url, baud, exclusive, keep_all)
        except PortError:
            if attempts > 0:
                attempts -= 1
            if attempts == 0:
                raise
        time.sleep(1)


def check_url(url: str) -> None:
    """Refuse a name that cannot be one.

    Raises:
        UsageError: it is empty, or a URL lacks host or number.
    """
    if not url.strip() or "\0" in url:
        raise UsageError(
            "The name of the port is empty." if not url.strip() else f"{url!r} is not a port.",
            remedy="Name a device such as /dev/ttyUSB0 or COM3, or leave --port out.",
        )
    scheme, colon, _rest = url.partition("://")
    if scheme == "gdb" and colon:
        from esptool.transport.gdb import parse_url

        parse_url(url)
    if not colon or scheme not in ("socket", "rfc2217"):
        return
    try:
        parts = urlsplit(url)
        complete = bool(parts.hostname) and bool(parts.port)
    except ValueError:
        complete = False
    if not complete:
        raise UsageError(
            f"The port '{url}' does not say where to connect.",
            remedy=f"Write {scheme}://HOST:PORT with a number from 1 to 65535; "
            f"{scheme}://[ADDRESS]:PORT for IPv6.",
        )


def _open_once(url: str, baud: int, exclusive: bool, keep_all: bool) -> Port:
    import serial

    try:
        inner = serial.serial_for_url(url, do_not_open=True)
        port = adapt(inner)
        if isinstance(port, SerialPort):
            port.prepare()
            port.keeps_all = keep_all
        inner.baudrate = baud
        if exclusive and sys.platform != "win32" and "://" not in url:
            inner.exclusive = True
        if sys.platform == "win32":
            # Windows would pulse the lines on opening, which resets the board.
            inner.rts = inner.dtr = False
        port.open()
    except PortError as e:
        raise _described(url, e.__cause__ or e) from e
    except RAISED as e:
        raise _described(url, e) from e
    return port


def _described(url: str, e: BaseException) -> PortError:
    return PortError(
        f"Could not open {url}, {_why(e)}",
        remedy=_open_remedy(url, e),
        code=_code(e),
        operands={"port": url},
    )


def _code(e: BaseException) -> str | None:
    """The kind of failure, where the system tells."""
    if _number(e) in (errno.EAGAIN, errno.EBUSY) or "exclusively lock" in reason(e):
        return "port_busy"
    return {
        errno.EACCES: "port_permission",
        errno.EPERM: "port_permission",
        errno.ENOENT: "port_not_found",
        errno.ENODEV: "port_not_found",
        errno.ENXIO: "port_not_found",
    }.get(_number(e) or 0)


def _why(e: BaseException) -> str:
    text = reason(e)
    if _number(e) == errno.EAGAIN or "exclusively lock" in text:
        return "the port is busy or doesn't exist: another program has it open."
    return f"the port is busy or doesn't exist.\n({text})"


def _number(e: BaseException) -> int | None:
    return e.errno if isinstance(e, OSError) else None


def _open_remedy(url: str, e: BaseException) -> str | None:
    if url.startswith("rfc2217:") and "not seem to support" in str(e):
        return "Hint: such a server serves one client at a time; another may be connected."
    if _number(e) == errno.EACCES:
        return "Hint: add yourself to the port's group (often 'dialout'), then log in again."
    if _number(e) == errno.ENOENT and url.startswith("/dev/"):
        return "Hint: check the cable and the name of the port."
    return None

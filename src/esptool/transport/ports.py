# SPDX-License-Identifier: Apache-2.0
"""Opening ports through pyserial URLs: local devices, `socket://`, `rfc2217://`, `virtual://`."""

from __future__ import annotations

import errno
import os
import select
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from esptool.errors import PortError

if TYPE_CHECKING:
    from serial import Serial

#: Reads the bytes that are there, or waits up to so many seconds for the first of them.
Reader = Callable[[float], bytes]

_CHUNK = 65536
_SLICE_S = 0.1
_SHORTEST_S = 0.001


def open_port(url: str, baud: int = 115200, *, exclusive: bool = True, attempts: int = 1) -> Serial:
    """Open `url` at `baud` without moving DTR or RTS where the system allows.

    Attempts are a second apart; a negative number tries for ever.

    Raises:
        PortError: the port does not exist, is busy, or is not permitted.
    """
    from esptool import virtual

    virtual.register()
    while True:
        try:
            return _open_once(url, baud, exclusive)
        except PortError:
            if attempts > 0:
                attempts -= 1
            if attempts == 0:
                raise
        time.sleep(1)


def _open_once(url: str, baud: int, exclusive: bool) -> Serial:
    import serial

    try:
        port = serial.serial_for_url(url, do_not_open=True)
        port.baudrate = baud
        if exclusive and sys.platform != "win32" and "://" not in url:
            port.exclusive = True
        if sys.platform == "win32":
            # Windows would pulse the lines on opening, which resets the board.
            port.rts = port.dtr = False
        port.open()
    except (OSError, ValueError) as e:
        raise PortError(f"Could not open {url}, {_why(e)}", remedy=_open_remedy(url, e)) from e
    return port


def _why(e: Exception) -> str:
    text = str(e)
    if getattr(e, "errno", None) == errno.EAGAIN or "exclusively lock" in text:
        return "the port is busy or doesn't exist: another program has it open."
    return f"the port is busy or doesn't exist.\n({text})"


def _open_remedy(url: str, e: Exception) -> str | None:
    if getattr(e, "errno", None) == errno.EACCES:
        return "Hint: add yourself to the port's group (often 'dialout'), then log in again."
    if getattr(e, "errno", None) == errno.ENOENT and url.startswith("/dev/"):
        return "Hint: check the cable and the name of the port."
    return None


def reader(port: Serial) -> Reader:
    """The quickest way to read whatever has arrived on this kind of port.

    pyserial's own `read(n)` waits for n bytes and reconfigures the device when the timeout is
    changed; a local device and a socket are read through their descriptor instead. The reader
    raises OSError when the port is gone.
    """
    module = type(port).__module__
    if module == "serial.serialposix":
        return _fd_reader(port, lambda fd: os.read(fd, _CHUNK))
    if module == "serial.urlhandler.protocol_socket":
        return _fd_reader(port, lambda _fd: port._socket.recv(_CHUNK))  # type: ignore[attr-defined]
    return _generic_reader(port)


def _fd_reader(port: Serial, receive: Callable[[int], bytes]) -> Reader:
    def read(timeout_s: float) -> bytes:
        if not port.is_open:
            raise OSError(errno.EBADF, "the port is closed")
        fd = port.fileno()
        ready, _, _ = select.select([fd], [], [], max(0.0, timeout_s))
        if not ready:
            return b""
        try:
            data = receive(fd)
        except BlockingIOError:
            return b""
        if not data:
            raise OSError(errno.ENODEV, "the device reports data but gives none: it is gone")
        return data

    return read


def _generic_reader(port: Serial) -> Reader:
    # The timeout is set once: a change of it costs a reconfiguration on some kinds of port.
    def read(timeout_s: float) -> bytes:
        waiting = port.in_waiting
        if waiting:
            return bytes(port.read(waiting))
        if timeout_s <= 0:
            return b""
        wanted = min(max(timeout_s, _SHORTEST_S), _SLICE_S)
        present = port.timeout
        # A much shorter one than wanted would make a busy loop of the caller's.
        if present is None or present > wanted or present * 8 < wanted:
            port.timeout = wanted
        first = bytes(port.read(1))
        waiting = port.in_waiting if first else 0
        return first + bytes(port.read(waiting)) if waiting else first

    return read

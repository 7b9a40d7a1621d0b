# SPDX-License-Identifier: Apache-2.0
"""Taking a lost chip up again: after garbage, after a reset of the chip, after the port vanished.

The session stays the same object; what answers at the end is what answered before (ROM or stub,
at the same baud rate, with the flash attached).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from esptool.device.connect import Caller
from esptool.errors import FatalError, LinkTimeoutError, PortError, ProtocolError
from esptool.events import ignore
from esptool.transport.discovery import PortInfo, all_ports

if TYPE_CHECKING:
    from esptool.device.session import Session

ROM_BAUD = 115200
#: How long a USB device may take to come back under the same or another name.
REAPPEAR_S = 10.0
RECONNECT_ATTEMPTS = 3
QUIET_S = 0.05
#: A chip that talks without end is not waited for any longer.
MAX_NOISE_S = 3.0


def resync(session: Session, attempts: int = 5) -> None:
    """Get in step again with a loader that is still there, after garbage or silence.

    Raises:
        LinkTimeoutError: it does not answer.
    """
    for _ in range(attempts):
        _until_quiet(session)
        try:
            answer = session.link.sync_once(session.settings.sync_timeout * 3)
        except (LinkTimeoutError, ProtocolError):
            continue
        _until_quiet(session)
        if session.is_stub and answer.value != 0:
            raise LinkTimeoutError("The chip was reset: its ROM loader answers, not the stub.")
        if not session.is_stub:
            _attach_again(session, session.attached_pins, session.flash_size)
        return
    raise LinkTimeoutError("The chip does not answer any more.")


def recover(session: Session) -> None:
    """Bring a lost chip back to where the session was: reset it, load the stub, attach the flash.

    Raises:
        PortError: the port did not come back.
        ConnectError: the chip does not answer, or may not be reset.
    """
    was_stub, baud = session.is_stub, session.link.baud
    size = session.flash_size
    pins = session.attached_pins
    if not _alive(session):
        reopen(session)
    session.link.set_baud(ROM_BAUD)
    session.left_stub()
    caller = Caller(session.link, session.settings, ignore, session.spec)
    stub_runs = caller.call("default-reset", RECONNECT_ATTEMPTS, warnings=False)
    if stub_runs:
        session.sync_stub_detected = True
    session.prepare()
    if was_stub:
        session.run_stub(session.loaded_stub)
    if baud != session.link.baud:
        session.change_baud(baud)
    _attach_again(session, pins, size)


def _attach_again(session: Session, pins: int, size: int | None) -> None:
    """What `attach` and the setting of the size did once; a reset has undone it."""
    if not session.is_stub and not session.spec.rom.flash_ops:
        session.flash_begin(0, 0)
        return
    if not session.is_stub or pins:
        session.spi_attach(pins)
    if size is not None:
        session.set_flash_params(size)


def reopen(session: Session) -> None:
    """Open the port again, under a new name where its USB device came back as another one.

    Raises:
        PortError: nothing came back in time.
    """
    port = session.link.port
    wanted = session.usb_place
    with contextlib.suppress(OSError):
        port.close()
    link = session.link
    deadline = link.now() + REAPPEAR_S
    while True:
        name = _find_again(wanted)
        try:
            if name is not None and name != port.port:
                port.port = name
            port.open()
            session.link.reattach()
            return
        except (OSError, ValueError) as e:
            if link.now() > deadline:
                raise PortError(
                    f"The port {port.port} is gone and did not come back within "
                    f"{REAPPEAR_S:.0f} s: {e}.",
                    remedy="Check cable and power, then start again.",
                ) from e
            link.sleep(0.2)


def usb_place(port_name: str | None) -> PortInfo | None:
    """What identifies the USB device behind a port name, None where there is none."""
    if not port_name or "://" in port_name:
        return None
    return next((p for p in all_ports() if p.device == port_name and p.vid is not None), None)


def _find_again(wanted: PortInfo | None) -> str | None:
    """The present name of a USB device: by serial number, else by the socket it is plugged in."""
    if wanted is None:
        return None
    ports = all_ports()
    if wanted.serial_number:
        for port in ports:
            if (port.vid, port.serial_number) == (wanted.vid, wanted.serial_number):
                return port.device
    if wanted.location:
        for port in ports:
            if port.location == wanted.location:
                return port.device
    return None


def _alive(session: Session) -> bool:
    """The port still takes and gives bytes."""
    try:
        session.link.discard_input()
        session.link.write(b"\xc0")
        session.link.pump(0)
    except FatalError:
        return False
    return bool(session.link.port.is_open)


def _until_quiet(session: Session) -> None:
    """Drop what comes until nothing comes for a moment."""
    deadline = session.link.now() + MAX_NOISE_S
    while session.link.pump(QUIET_S) and session.link.now() < deadline:
        session.link.discard_input()
    session.link.discard_input()


def regain(session: Session, cause: FatalError, on_lost: Callable[[], None] = lambda: None) -> None:
    """Get back to a loader that answers: in step with it, or by resetting the chip.

    `on_lost` is called before the chip is connected to again.

    Raises:
        FatalError: it is lost for good.
    """
    if not isinstance(cause, PortError):
        try:
            resync(session)
            return
        except LinkTimeoutError:
            pass
    if not session.may_reset:
        raise LinkTimeoutError("The chip does not answer any more, and may not be reset.")
    on_lost()
    recover(session)

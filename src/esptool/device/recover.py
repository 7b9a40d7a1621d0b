# SPDX-License-Identifier: Apache-2.0
"""Taking a lost chip up again: after garbage, after a reset of the chip, after the port vanished.

The session stays the same object; what answers at the end is what answered before (ROM or stub,
at the same baud rate, with the flash attached).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from esptool.device.connect import Caller
from esptool.errors import (
    ChipResponseError,
    ConnectError,
    FatalError,
    LineLossError,
    LinkTimeoutError,
    NoAnswerError,
    PortError,
    UnsupportedCommandError,
)
from esptool.events import ignore
from esptool.transport.discovery import PortInfo, all_ports

if TYPE_CHECKING:
    from esptool.device.session import Session

#: What a bad line or a lost chip looks like. A ROM says "unknown command" of a damaged one too.
LOSSES = (LineLossError, ChipResponseError, UnsupportedCommandError)

ROM_BAUD = 115200
REAPPEAR_PAUSE_S = 0.2
RECONNECT_ATTEMPTS = 3
#: How often bringing a chip back may itself fail.
RECOVERIES = 3
QUIET_S = 0.05
#: Each question waits so much longer for its answer than the one before.
GROWTH = 1.5
#: A chip that talks without end is not waited for any longer.
MAX_NOISE_S = 3.0


class PortGoneError(PortError):
    """The port vanished and did not come back in time."""


class RomAnswersError(LinkTimeoutError):
    """The ROM's loader answers where a stub did."""


def resync(session: Session, attempts: int = 5) -> None:
    """Get in step again with a loader that is still there, after garbage or silence.

    Raises:
        LinkTimeoutError: it does not answer.
    """
    wait = session.settings.sync_timeout * 3
    for attempt in range(attempts):
        _until_quiet(session)
        try:
            answer = session.link.sync_once(wait * GROWTH**attempt)
        except NoAnswerError:
            continue
        _until_quiet(session)
        if session.is_stub and answer.value != 0:
            raise RomAnswersError("The chip was reset: its ROM loader answers, not the stub.")
        if not session.is_stub:
            _attach_again(session, session.attached_pins, session.flash_size)
        return
    raise LinkTimeoutError("The chip does not answer any more.")


@dataclass(frozen=True, slots=True)
class _Former:
    """What answered before the chip was lost."""

    stub: bool
    baud: int
    flash_size: int | None
    pins: int


def recover(session: Session, before: str = "default-reset") -> None:
    """Bring a lost chip back to where the session was: reset it, load the stub, attach the flash.

    Raises:
        PortError: the port did not come back.
        ConnectError: the chip does not answer, or another one does.
        FatalError: it was lost again on the way, several times.
    """
    former = _Former(session.is_stub, session.link.baud, session.flash_size, session.attached_pins)
    session.recovering = True
    try:
        _recover(session, former, before)
    finally:
        session.recovering = False


def _recover(session: Session, former: _Former, before: str) -> None:
    for left in reversed(range(RECOVERIES)):
        try:
            if not _alive(session):
                reopen(session)
            _start_anew(session, former, before)
            return
        except PortGoneError:
            raise
        except LOSSES:
            # The line that lost the chip may well spoil this, too.
            if not left:
                raise


def _start_anew(session: Session, former: _Former, before: str) -> None:
    session.link.set_baud(ROM_BAUD)
    session.left_stub()
    caller = Caller(session.link, session.settings, ignore, session.spec)
    if caller.call(before, RECONNECT_ATTEMPTS, warnings=False):
        session.sync_stub_detected = True
    session.prepare()
    _refuse_another_chip(session)
    if former.stub:
        session.run_stub(session.loaded_stub)
    if former.baud != session.link.baud:
        session.change_baud(former.baud)
    _attach_again(session, former.pins, former.flash_size)


def _refuse_another_chip(session: Session) -> None:
    """Go on only with the chip that was there before, where its MAC address was read.

    Raises:
        ConnectError: another one answers, as when boards were changed or share a serial number.
    """
    known = session.facts.known_mac_words()
    if known is None or session.secure_download:
        return
    found = session.read_regs(list(known))
    if found != list(known.values()):
        # A damaged answer of a ROM looks the same, so ask once more.
        found = session.read_regs(list(known))
    if found != list(known.values()):
        raise ConnectError(
            "Another chip answers than the one that was lost.",
            remedy="Plug the first one in again, and start again.",
        )


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
    port.release()
    link = session.link
    patience = session.settings.reappear_timeout
    deadline = link.now() + patience
    while True:
        name = find_again(wanted)
        try:
            port.open(name)
            session.link.reattach()
            return
        except PortError as e:
            port.release()
            if link.now() > deadline:
                raise PortGoneError(
                    f"The port {port.url} is gone and did not come back within "
                    f"{patience:g} s: {e.message.rstrip('.')}.",
                    remedy="Check cable and power, then start again.",
                ) from e
            link.sleep(REAPPEAR_PAUSE_S)


def usb_place(port_name: str | None) -> PortInfo | None:
    """What identifies the USB device behind a port name, None where there is none."""
    if not port_name or port_name.startswith(("socket:", "rfc2217:")):
        return None
    names = (port_name, os.path.realpath(port_name))
    return next((p for p in all_ports() if p.device in names and p.vid is not None), None)


def find_again(wanted: PortInfo | None) -> str | None:
    """The present name of a USB device: by serial number, else by the socket it is plugged in."""
    if wanted is None:
        return None
    ports = all_ports()
    if wanted.serial_number:
        same = [p for p in ports if (p.vid, p.serial_number) == (wanted.vid, wanted.serial_number)]
        # Many bridges are made with one and the same number: then the socket tells them apart.
        for port in same:
            if len(same) == 1 or port.location == wanted.location:
                return port.device
        if same:
            return None
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

    `on_lost` is called before the chip is connected to again. A port that vanished is waited for;
    the chip behind it may have noticed nothing.

    Raises:
        FatalError: it is lost for good.
    """
    vanished = isinstance(cause, PortError)
    in_loader = False
    try:
        if vanished:
            on_lost()
            reopen(session)
        resync(session)
        return
    except RomAnswersError:
        in_loader = True
    except NoAnswerError:
        pass
    except PortGoneError:
        raise
    except PortError:
        pass
    if not session.may_reset and not in_loader:
        raise LinkTimeoutError("The chip does not answer any more, and may not be reset.")
    if not vanished:
        on_lost()
    recover(session, "default-reset" if session.may_reset else "no-reset")

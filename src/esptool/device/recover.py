# SPDX-License-Identifier: Apache-2.0
"""Taking a lost chip up again: after garbage, after a reset of the chip, after the port vanished.

The session stays the same object; what answers at the end is what answered before (ROM or stub,
at the same baud rate, with the flash attached).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from esptool.device.caller import IDENTIFY_ATTEMPTS, Caller, identify
from esptool.device.requests import LOSSES
from esptool.errors import (
    ConnectError,
    FatalError,
    LineLossError,
    LinkTimeoutError,
    NoAnswerError,
    PortError,
    RateError,
)
from esptool.events import Level, ignore
from esptool.transport.discovery import find_again
from esptool.transport.port import PortClosedError

if TYPE_CHECKING:
    from esptool.chips.spec import ChipSpec
    from esptool.device.debugger import Debugger
    from esptool.device.requests import Tries
    from esptool.device.session import Session

ROM_BAUD = 115200
REAPPEAR_PAUSE_S = 0.2
RECONNECT_ATTEMPTS = 3
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
    _sync_again(session, attempts)
    if not session.is_stub:
        _attach_again(session, session.flash.pins, session.flash.size)


def _sync_again(session: Session, attempts: int = 5) -> None:
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
        FatalError: it was lost again on the way, and the budget of the job is used up.
    """
    if session.debugger is not None:
        _by_debugger(session, session.debugger)
        return
    former = _Former(session.is_stub, session.link.baud, session.flash.size, session.flash.pins)
    session.recovering = True
    try:
        with session.one_job() as tries:
            _recover(session, former, before, tries)
    finally:
        session.recovering = False


def _by_debugger(session: Session, debugger: Debugger) -> None:
    pins, size = session.flash.pins, session.flash.size
    from esptool.device.debugger import DebuggerGoneError

    session.recovering = True
    try:
        with session.one_job() as tries:
            while True:
                try:
                    debugger.take_up()
                    session.adopt_stub()
                    session.run_steps(debugger.quiet_steps)
                    _attach_again(session, pins, size)
                    return
                except DebuggerGoneError:
                    raise
                except LineLossError:
                    if not tries.spend():
                        raise
    finally:
        session.recovering = False


def _recover(session: Session, former: _Former, before: str, tries: Tries) -> None:
    while True:
        try:
            if not _alive(session):
                reopen(session)
            _start_anew(session, former, before)
            return
        except PortGoneError:
            raise
        except RateError as e:
            if not tries.spend():
                raise
            # A line that bore this rate before does not any more.
            former = replace(former, baud=ROM_BAUD)
            session.note(f"{e.message} Going on at {ROM_BAUD} baud.", Level.WARNING)
        except LOSSES:
            # The line that lost the chip may well spoil this, too.
            if not tries.spend():
                raise


def _start_anew(session: Session, former: _Former, before: str) -> None:
    session.link.set_baud(ROM_BAUD)
    session.left_stub()
    caller = Caller(session.link, session.settings, ignore, session.spec)
    stub = caller.call(before, RECONNECT_ATTEMPTS, warnings=False)
    session.sync_stub_detected = stub
    _refuse_another_chip(session, stub)
    session.power.prepare()
    if former.stub:
        session.run_stub(session.loaded_stub, baud=former.baud)
    if former.baud != session.link.baud:
        session.power.change_baud(former.baud)
    _attach_again(session, former.pins, former.flash_size)


def _refuse_another_chip(session: Session, stub: bool) -> None:
    """Go on only with the chip that was there before: of the same type, with the same MAC address.

    In secure download mode, where that cannot be read, with the same security information. Only
    reads; nothing on a chip that turns out to be another one is changed.

    Raises:
        ConnectError: another one answers, as when boards were changed or share a serial number.
    """
    for _ in range(IDENTIFY_ATTEMPTS):
        # A damaged answer of a ROM looks the same, so ask more than once.
        found, secure, _seen = identify(session.link, session.settings, ignore, stub)
        if _same_type(session, found) and secure == session.secure_download:
            break
    else:
        name = found.name if found is not None else "an unknown chip"
        raise _another(session, f"{name} where {session.spec.name} was")
    for _ in range(IDENTIFY_ATTEMPTS):
        if _same_identity(session):
            return
    raise _another(session, "one with another MAC address")


def _same_type(session: Session, found: ChipSpec | None) -> bool:
    if session.recognised is None:
        # It was taken for what the user says that it is.
        return found is None or found is session.spec
    return found is session.recognised


def _same_identity(session: Session) -> bool:
    """What was read of MAC address or security information still stands there."""
    facts = session.facts
    if session.secure_download:
        known = facts.known_security_info()
        if known is None:
            return True
        return facts.ask_security_info() == known.raw
    words = facts.known_mac_words()
    return words is None or {a: session.read_reg(a) for a in words} == words


def _another(session: Session, what: str) -> ConnectError:
    """The error, with the port left, so that not even a reset made for the first chip is tried."""
    session.link.port.release()
    return ConnectError(
        f"Another chip answers than the one that was lost: {what}.",
        remedy="Plug the first one in again, and start again.",
    )


def _attach_again(session: Session, pins: int, size: int | None) -> None:
    """What `attach` and the setting of the size did once; a reset has undone it."""
    if not session.is_stub and not session.spec.rom.flash_ops:
        session.flash.begin(0, 0)
        return
    if not session.is_stub or pins:
        session.flash.attach(pins)
    if size is not None:
        session.flash.set_size(size)
    if session.is_stub and session.attach_again is not None:
        session.attach_again()


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
        name = port.url if wanted is None else find_again(wanted)
        failure = "its USB device is not there"
        try:
            if name is not None:
                port.open(name)
                session.link.reattach()
                # Whatever stub answers now may have done batches of any number.
                session.batch_number = None
                return
        except PortClosedError as e:
            raise PortGoneError(e.message, remedy=e.remedy) from e
        except PortError as e:
            failure = e.message.rstrip(".")
            port.release()
        if link.now() > deadline:
            raise PortGoneError(
                f"The port {port.url} is gone and did not come back within "
                f"{patience:g} s: {failure}.",
                remedy="Check cable and power, then start again.",
            )
        link.sleep(REAPPEAR_PAUSE_S)


def _alive(session: Session) -> bool:
    """The port still takes and gives bytes."""
    try:
        session.link.discard_input()
        session.link.port.send(b"\xc0")
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
    if session.debugger is not None:
        on_lost()
        _by_debugger(session, session.debugger)
        return
    vanished = isinstance(cause, PortError)
    in_loader = False
    try:
        if vanished:
            on_lost()
            reopen(session)
            _sync_again(session)
            # Another board may have taken the port, even one with a stub of ours.
            _refuse_another_chip(session, session.is_stub)
        resync(session)
        return
    except RomAnswersError:
        in_loader = True
    except PortGoneError:
        raise
    except LOSSES:
        pass
    if not session.may_reset and not in_loader:
        raise LinkTimeoutError("The chip does not answer any more, and may not be reset.")
    if not vanished:
        on_lost()
    recover(session, "default-reset" if session.may_reset else "no-reset")

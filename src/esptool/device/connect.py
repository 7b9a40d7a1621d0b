# SPDX-License-Identifier: Apache-2.0
"""Getting from a port to a session: call the chip, recognise it, get it ready."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from esptool import chips
from esptool.chips.spec import ChipSpec
from esptool.device.caller import IDENTIFY_ATTEMPTS, Caller, identify
from esptool.device.link import Link, Trace
from esptool.device.recover import recover
from esptool.device.session import Session
from esptool.errors import ConnectError, UsageError
from esptool.events import Level, Listener, Message, ignore
from esptool.nearest import checks_keywords
from esptool.protocol.ext import Ext
from esptool.protocol.opcodes import Cmd
from esptool.protocol.packets import Response
from esptool.transport import reset
from esptool.transport.port import Adapted, Port
from esptool.transport.settings import Settings

if TYPE_CHECKING:
    from serial import Serial

#: URLs that lead to the chip through a debugger.
DEBUGGERS = ("gdb://", "jtag://")


@checks_keywords()
def connect(
    port: str | Serial | Port,
    *,
    chip: str | ChipSpec | None = None,
    baud: int = 115200,
    before: str = "default-reset",
    attempts: int | None = None,
    trace: Trace | None = None,
    settings: Settings | None = None,
    listener: Listener = ignore,
    warnings: bool = True,
) -> Session:
    """Connect to the chip on `port` (a URL, an open pyserial port, or one that is adapted).

    Args:
        chip: the chip expected; None or "auto" recognises it.
        baud: the rate to call the ROM at.
        before: one of `caller.BEFORE`: how to bring the chip into download mode.
        attempts: resets to try, 0 or less for ever; None takes it from the settings.
        warnings: say that no reset is made, and that an unexpected chip answers.

    Raises:
        UsageError: a reset sequence of the settings is none.
        PortError: the port cannot be opened or is lost.
        ConnectError: nothing answered, or another chip than expected.
    """
    settings = settings or Settings()
    reset.check_custom(settings)
    expected = None if chip in (None, "auto") else _spec(chip)
    if isinstance(port, str) and port.startswith(DEBUGGERS):
        return _by_debugger(port, expected, before, trace, settings, listener)
    if before == "attach":
        raise UsageError(
            "A program can be paused by a debugger only.",
            remedy="Leave '--before attach' away, or name a debugger: --port gdb://HOST:PORT.",
        )
    opened = isinstance(port, str)
    link_port = _port(port, baud, settings.open_port_attempts)
    try:
        link = Link(link_port, trace)
        if not opened and link_port.baud != baud:
            link.set_baud(baud)
        link_port.limit_sending(settings.serial_write_timeout)
        caller = Caller(link, settings, listener, expected)
        stub = caller.call(before, attempts, warnings)
        session = recognise(link, settings, listener, expected, stub, warnings, caller.answers)
        session.may_reset = before in ("default-reset", "usb-reset")
        session.recover = recover
        session.power.prepare()
        return session
    except BaseException:
        if opened:
            link_port.close()
        raise


def _port(port: str | Serial | Port, baud: int, attempts: int) -> Port:
    """The port, opened where a name stands for it. Ours need nothing that a web page lacks."""
    if isinstance(port, Adapted):
        return cast("Port", port)
    from esptool.transport import adapt, open_port

    return open_port(port, baud, attempts=attempts) if isinstance(port, str) else adapt(port)


def _by_debugger(
    url: str,
    expected: ChipSpec | None,
    before: str,
    trace: Trace | None,
    settings: Settings,
    listener: Listener,
) -> Session:
    """A session with our stub in the memory of a debugger's target."""
    from esptool.device.debugger import Debugger

    debugger = Debugger(url, settings, listener, trace, before=before, chip=expected)
    try:
        debugger.begin()
        session = Session(debugger.spec, debugger.link, settings, listener)
        session.debugger = debugger
        session.recognised = debugger.spec
        session.recover = recover
        session.adopt_stub()
        # Some servers write no registers of peripherals, so that the stub does it once more.
        session.run_steps(debugger.quiet_steps)
        return session
    except BaseException:
        debugger.close()
        raise


def _spec(chip: str | ChipSpec | None) -> ChipSpec:
    assert chip is not None
    return chips.get(chip) if isinstance(chip, str) else chip


def recognise(
    link: Link,
    settings: Settings,
    listener: Listener,
    expected: ChipSpec | None,
    stub: bool,
    warnings: bool,
    answers: Mapping[int, Response],
) -> Session:
    """The session for the chip that answers, checked against the one expected.

    `answers` are those that a stub has given already.

    Raises:
        ConnectError: unknown, unsupported or other than expected.
    """
    early = answers.get(Cmd.GET_SECURITY_INFO)
    for _ in range(IDENTIFY_ATTEMPTS):
        # Answers carry no checksum: what looks like an unknown chip may be a flipped bit.
        found, secure, seen = identify(link, settings, listener, stub, early)
        early = None
        if found is not None and (expected is None or found is expected):
            break
    if expected is None:
        if found is None:
            raise ConnectError(
                f"{seen} Failed to autodetect chip type.",
                remedy="Probably it is unsupported by this version of esptool.",
            )
        spec = found
    else:
        spec = expected
        if found is not None and found.key != spec.key:
            raise ConnectError(
                f"This chip is {found.name}, not {spec.name}. Wrong chip argument?",
                code="wrong_chip",
            )
        if found is None and warnings:
            text = (
                f"This chip doesn't appear to be an {spec.name} ({seen.rstrip('.')}). "
                "Probably it is unsupported by this version of esptool. "
                "Will attempt to continue anyway."
            )
            listener(Message(text, Level.WARNING))
    session = Session(spec, link, settings, listener)
    session.secure_download = secure
    session.recognised = found
    if stub:
        session.sync_stub_detected = True
        session.adopt_stub(answers.get(Ext.INFO))
    return session

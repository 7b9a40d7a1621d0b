# SPDX-License-Identifier: Apache-2.0
"""Getting from a port to a session: reset into download mode, synchronise, recognise the chip."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from esptool import chips
from esptool.chips.spec import ChipSpec, RomBaud
from esptool.device.facts import USB_JTAG_SERIAL_PID
from esptool.device.link import Link, Trace
from esptool.device.recognise import IDENTIFY_ATTEMPTS, identify
from esptool.device.session import Session
from esptool.errors import ConnectError, FatalError, NoAnswerError
from esptool.events import Connecting, Level, Listener, Message, ignore
from esptool.protocol.opcodes import Cmd
from esptool.transport import Port, Settings, adapt, open_port, reset
from esptool.transport.discovery import usb_ids

if TYPE_CHECKING:
    from serial import Serial

SYNC_PER_RESET = 5
SYNC_PAUSE_S = 0.05
SYNC_EXTRA_ANSWERS = 7
BEFORE = ("default-reset", "usb-reset", "no-reset", "no-reset-no-sync")
TROUBLESHOOTING = "See the troubleshooting page of the documentation for what else to try."

_BOOT_LINE = re.compile(rb"boot:(0x[0-9a-fA-F]+)")
_DOWNLOAD = b"waiting for download"
_PANIC = re.compile(rb"Guru Meditation Error|abort\(\) was called|rst:0x\w+ \(\w*PANIC")


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
        before: one of `BEFORE`: how to bring the chip into download mode.
        attempts: resets to try, 0 or less for ever; None takes it from the settings.
        warnings: say that no reset is made, and that an unexpected chip answers.

    Raises:
        UsageError: a reset sequence of the settings is none.
        PortError: the port cannot be opened or is lost.
        ConnectError: nothing answered, or another chip than expected.
    """
    settings = settings or Settings()
    for sequence in (settings.custom_reset_sequence, settings.custom_hard_reset_sequence):
        if sequence:
            reset.parse_custom(sequence)  # a mistake is not to show after the work is done
    expected = None if chip in (None, "auto") else _spec(chip)
    opened = isinstance(port, str)
    link_port: Port = (
        open_port(port, baud, attempts=settings.open_port_attempts)
        if isinstance(port, str)
        else adapt(port)
    )
    try:
        link = Link(link_port, trace)
        if not opened and link_port.baud != baud:
            link.set_baud(baud)
        link_port.limit_sending(settings.serial_write_timeout)
        caller = Caller(link, settings, listener, expected)
        stub = caller.call(before, attempts, warnings)
        session = caller.recognise(stub, detect=expected is None, warnings=warnings)
        session.may_reset = before in ("default-reset", "usb-reset")
        session.prepare()
        return session
    except BaseException:
        if opened:
            link_port.close()
        raise


def _spec(chip: str | ChipSpec | None) -> ChipSpec:
    assert chip is not None
    return chips.get(chip) if isinstance(chip, str) else chip


class Caller:
    """Calls a chip until it answers, and finds out which one it is."""

    def __init__(
        self,
        link: Link,
        settings: Settings,
        listener: Listener,
        expected: ChipSpec | None,
        sleep: Callable[[float], None] | None = None,
    ) -> None:
        self.link = link
        self.settings = settings
        self.listener = listener
        self.expected = expected
        self.sleep = sleep or link.sleep
        self._no_lines = False

    @property
    def name(self) -> str:
        """Whom we call, in words."""
        return self.expected.name if self.expected else "Espressif device"

    # --- synchronise -----------------------------------------------------------------------------

    def call(self, before: str, attempts: int | None, warnings: bool) -> bool:
        """Reset and synchronise until it works; True when a stub answered.

        Raises:
            ConnectError: all attempts failed; the text says what was seen on the line.
        """
        url = self.link.port.url
        if warnings and before in ("no-reset", "no-reset-no-sync"):
            self._note(
                f'Pre-connection option "{before}" was selected. Connection may fail if the '
                "chip is not in bootloader or flasher stub mode."
            )
        if url.startswith("socket:") and before not in ("no-reset", "no-reset-no-sync"):
            before = "no-reset"
            self._note(
                "It's not possible to reset the chip over a TCP socket. Automatic resetting to "
                "bootloader has been disabled, reset the chip manually."
            )
        if before == "no-reset-no-sync":
            self.listener(Connecting(1, done=True))
            return False
        wanted = self.settings.connect_attempts if attempts is None else attempts
        rounds: Iterable[int] = range(1, wanted + 1) if wanted > 0 else itertools.count(1)
        sequences: Iterable[reset.Sequence] = ((),)
        if before != "no-reset":
            sequences = self._sequences(url, before)
        flow_control = reset.flow_control_bridge(self.link.port)
        failure: FatalError = ConnectError("no attempt was made")
        attempt = 0
        try:
            for attempt, sequence in zip(rounds, itertools.cycle(sequences)):
                self.listener(Connecting(attempt))
                try:
                    return self._attempt(sequence, flow_control)
                except (NoAnswerError, ConnectError) as e:
                    failure = e
        finally:
            self.listener(Connecting(attempt, done=True))
        raise ConnectError(
            f"Failed to connect to {self.name}: {failure.message}", remedy=self._advice(failure)
        )

    def _sequences(self, url: str, before: str) -> tuple[reset.Sequence, ...]:
        usb_jtag = before == "usb-reset" or usb_ids(self.link.port)[1] == USB_JTAG_SERIAL_PID
        return reset.download_strategies(
            url=url,
            usb_jtag=usb_jtag,
            delay_s=self.settings.reset_delay,
            custom=self.settings.custom_reset_sequence,
        )

    def _advice(self, failure: FatalError) -> str:
        lines = [failure.remedy] if failure.remedy else []
        chip = self.expected
        if chip is not None and chip.rom.baud is RomBaud.C2_26MHZ and self.link.baud < 115200:
            lines.append(f"Use at least --baud 115200: {chip.name} may not answer below.")
        return "\n".join([*lines, TROUBLESHOOTING])

    def _attempt(self, sequence: reset.Sequence, flow_control: bool) -> bool:
        self.link.discard_input()
        log = b""
        if sequence:
            self._reset(sequence, flow_control)
            self.link.pump(0)
            log = self.link.stray
        failure: FatalError = ConnectError("no answer")
        for _ in range(SYNC_PER_RESET):
            try:
                self.link.discard_input()
                return self._sync()
            except NoAnswerError as e:
                failure = e
                log += self.link.stray
                self.sleep(SYNC_PAUSE_S)
        raise self._diagnose(log, failure)

    def _reset(self, sequence: reset.Sequence, flow_control: bool) -> None:
        """Play a sequence; a port without lines may lead to a chip that waits all the same."""
        if self._no_lines:
            return
        try:
            reset.play(self.link.port, sequence, flow_control=flow_control, sleep=self.sleep)
        except reset.NoLinesError as e:
            self._no_lines = True
            self._note(e.message)

    def _sync(self) -> bool:
        """Synchronise once; True when all answers say that a stub runs."""
        first = self.link.sync_once(self.settings.sync_timeout)
        stub = first.value == 0
        for _ in range(SYNC_EXTRA_ANSWERS):
            try:
                answer = self.link.read_response(Cmd.SYNC, self.settings.sync_timeout)
            except NoAnswerError:
                # A lossy line swallowed some: the chip is in step all the same.
                break
            stub = stub and answer.value == 0
        return stub

    @staticmethod
    def _diagnose(log: bytes, failure: FatalError) -> FatalError:
        """What the boot log seen in this attempt says about the failure."""
        boots = _BOOT_LINE.findall(log)
        if boots:
            if _DOWNLOAD in log:
                return ConnectError(
                    "Download mode successfully detected, but getting no sync reply: "
                    "The serial TX path seems to be down.",
                    remedy="Check the wire from the computer's TX to the chip's RX.",
                )
            mode = boots[-1].decode()
            text = f"Wrong boot mode detected ({mode})! The chip needs to be in download mode."
            if _PANIC.search(log):
                text += " Its application has crashed."
            return ConnectError(
                text, remedy="Hold the BOOT button (IO0 low) while resetting the board."
            )
        if _PANIC.search(log):
            return ConnectError(
                "The chip runs an application that has crashed; it is not in download mode.",
                remedy="Hold the BOOT button (IO0 low) while resetting the board.",
            )
        return failure

    # --- recognise -------------------------------------------------------------------------------

    def recognise(self, stub: bool, *, detect: bool, warnings: bool) -> Session:
        """The session for the chip that answers, checked against the one expected.

        Raises:
            ConnectError: unknown, unsupported or other than expected.
        """
        for _ in range(IDENTIFY_ATTEMPTS):
            # Answers carry no checksum: what looks like an unknown chip may be a flipped bit.
            found, secure, seen = identify(self.link, self.settings, self.listener, stub)
            if found is not None and (detect or found is self.expected):
                break
        if detect:
            if found is None:
                raise ConnectError(
                    f"{seen} Failed to autodetect chip type.",
                    remedy="Probably it is unsupported by this version of esptool.",
                )
            spec = found
        else:
            assert self.expected is not None
            spec = self.expected
            if found is not None and found.key != spec.key:
                raise ConnectError(
                    f"This chip is {found.name}, not {spec.name}. Wrong chip argument?"
                )
            if found is None and warnings:
                self._note(
                    f"This chip doesn't appear to be an {spec.name} ({seen.rstrip('.')}). "
                    "Probably it is unsupported by this version of esptool. "
                    "Will attempt to continue anyway.",
                    Level.WARNING,
                )
        session = Session(spec, self.link, self.settings, self.listener)
        session.secure_download = secure
        session.recognised = found
        if stub:
            session.sync_stub_detected = True
            session.adopt_stub()
        return session

    def _note(self, text: str, level: Level = Level.NOTE) -> None:
        self.listener(Message(text, level))

# SPDX-License-Identifier: Apache-2.0
"""Calling a chip until it answers, and finding out which one it is, before its data are known."""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Callable, Iterable, Sequence

from esptool import chips
from esptool.chips.spec import ChipSpec, RomBaud
from esptool.device import adapters
from esptool.device.facts import USB_JTAG_SERIAL_PID
from esptool.device.link import Link
from esptool.device.requests import STUB_STATUS_BYTES, Requester
from esptool.errors import (
    ConnectError,
    FatalError,
    NoAnswerError,
    PortError,
    UnsupportedCommandError,
)
from esptool.events import Connecting, Level, Listener, Message
from esptool.protocol import packets, security
from esptool.protocol.ext import Ext
from esptool.protocol.opcodes import Cmd
from esptool.protocol.packets import Response
from esptool.protocol.security import SecurityFlag
from esptool.transport import reset
from esptool.transport.discovery import usb_ids
from esptool.transport.settings import Settings

MAGIC_REG = 0x40001000
#: Answers carry no checksum: what looks like an unknown chip may be a flipped bit.
IDENTIFY_ATTEMPTS = 3
ASK_ATTEMPTS = 3


def identify(
    link: Link,
    settings: Settings,
    listener: Listener,
    stub: bool,
    early: Response | None = None,
) -> tuple[ChipSpec | None, bool, str]:
    """The chip, whether it is in secure download mode, and what was seen, in words.

    Args:
        stub: a stub answers, not the ROM.
        early: its answer to GET_SECURITY_INFO, where that was asked for already.

    Raises:
        ConnectError: a chip that was never sold.
        NoAnswerError: no good answer came.
    """
    # Any chip's data will do for talking to a chip that is not known yet.
    anyone = Requester(chips.get("esp32s3"), link, settings, listener)
    info = _security_info(anyone, stub, early)
    if info is not None and info.chip_id is not None:
        retired = chips.RETIRED_IDS.get(info.chip_id)
        if retired:
            raise ConnectError(f"{retired} is not supported: it is a pre-production chip.")
        secure = info.has(SecurityFlag.SECURE_DOWNLOAD_ENABLE)
        return chips.by_chip_id(info.chip_id), secure, f"Unexpected chip ID {info.chip_id}."
    try:
        word = anyone.request(
            "read the chip's magic value",
            Cmd.READ_REG,
            packets.words(MAGIC_REG),
            attempts=ASK_ATTEMPTS,
        ).value
    except UnsupportedCommandError:
        # Only ESP32-S2 has neither a chip id nor, in secure download mode, registers.
        return chips.get("esp32s2"), True, ""
    return chips.by_magic(word), False, f"Unexpected chip magic value {word:#010x}."


def _security_info(
    anyone: Requester, stub: bool, early: Response | None
) -> security.SecurityInfo | None:
    for attempt in range(ASK_ATTEMPTS):
        try:
            body = early.data if early else anyone.command(Cmd.GET_SECURITY_INFO)[1]
        except NoAnswerError:
            if attempt == ASK_ATTEMPTS - 1:
                raise
            anyone.link.discard_input()
            continue
        for length in (security.FULL_LEN, security.SHORT_LEN):
            tail = body[length:]
            if len(tail) in (STUB_STATUS_BYTES, 4) and not tail[0]:
                return security.parse(body[:length])
        break
    # Refused: the ROM repeats that a few times, a stub says it once.
    if not stub:
        anyone.drain_refusals()
    anyone.link.discard_input()
    return None


SYNC_PER_RESET = 5
SYNC_PAUSE_S = 0.05
SYNC_EXTRA_ANSWERS = 7
#: The first attempt is over soon where it does not work.
QUICK_SYNCS = 2
#: Between a ROM's word that it waits for a download and its reading of the first byte.
READY_S = 0.003
#: At which a stub may have been left running: tried when the first call was in vain, and at the
#: end. A ROM that is reset meanwhile measures its rate by what it hears; those of the first are
#: good for any.
LIKELY_RATES = (921_600, 460_800, 230_400)
RARE_RATES = (2_000_000, 1_500_000, 3_000_000, 1_000_000)
LEFT_ELSEWHERE = (
    "Nothing answers at other usual rates either. A stub that was left running at an unusual one "
    "is reached with --before no-reset-no-sync and that --baud."
)
BEFORE = ("default-reset", "usb-reset", "no-reset", "no-reset-no-sync")
TROUBLESHOOTING = "See the troubleshooting page of the documentation for what else to try."

_BOOT_LINE = re.compile(rb"boot:(0x[0-9a-fA-F]+)")
#: ROMs of C2 and later say which ports they listen to where the straps choose some.
_DOWNLOAD = re.compile(rb"waiting for download|wait (?:uart|usb)[\w/]* download")
_PANIC = re.compile(rb"Guru Meditation Error|abort\(\) was called|rst:0x\w+ \(\w*PANIC")


class Caller:
    """Calls a chip until it answers.

    Attributes:
        answers: what a stub that was there already has answered besides, by opcode.
    """

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
        self._elsewhere = ""
        self.answers: dict[int, Response] = {}

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
        if before == "no-reset" and (found := self._at_former_rate()) is not None:
            self.listener(Connecting(1, done=True))
            return found
        sequences: Iterable[reset.Sequence] = ((),)
        quick: reset.Sequence | None = None
        if before != "no-reset":
            quick, sequences = self._sequences(url, before)
        flow_control = reset.flow_control_bridge(self.link.port)
        failure: FatalError = ConnectError("no attempt was made")
        attempt, stays = 0, False
        try:
            for attempt, sequence in zip(rounds, itertools.cycle(sequences)):
                self.listener(Connecting(attempt))
                try:
                    if quick:
                        first, quick = quick, None
                        with contextlib.suppress(NoAnswerError, ConnectError):
                            return self._attempt(first, flow_control, QUICK_SYNCS)
                    return self._attempt(sequence, flow_control)
                except (NoAnswerError, ConnectError) as e:
                    failure = e
                stays = self._may_stay_elsewhere(before, failure)
                if stays and attempt == 1:
                    found = self._at_rates(LIKELY_RATES)
                    if found is not None:
                        return found
            if stays:
                found = self._at_rates(RARE_RATES)
                if found is not None:
                    return found
        finally:
            self.listener(Connecting(attempt, done=True))
            if self._elsewhere:
                self._note(self._elsewhere)
        raise ConnectError(
            f"Failed to connect to {self.name}: {failure.message}",
            remedy=self._advice(failure, LEFT_ELSEWHERE if stays else ""),
            code="boot_mode" if failure.error_code == "boot_mode" else None,
            operands={"port": self.link.port.url},
        )

    def _sequences(
        self, url: str, before: str
    ) -> tuple[reset.Sequence | None, tuple[reset.Sequence, ...]]:
        """The quick sequence, if one is to be tried, and those of all later attempts."""
        usb_jtag = before == "usb-reset" or usb_ids(self.link.port)[1] == USB_JTAG_SERIAL_PID
        delay_s, custom = self.settings.reset_delay, self.settings.custom_reset_sequence
        times = chips.QUICK_RESET
        if self.expected is not None:
            known = self.expected.reset.quick
            times = known.low_ms, known.strap_ms, known.arm_ms
        return (
            reset.quick_strategy(times, url=url, usb_jtag=usb_jtag, delay_s=delay_s, custom=custom),
            reset.download_strategies(url=url, usb_jtag=usb_jtag, delay_s=delay_s, custom=custom),
        )

    def _advice(self, failure: FatalError, more: str) -> str:
        lines = [line for line in (failure.remedy, more) if line]
        chip = self.expected
        if chip is not None and chip.rom.baud is RomBaud.C2_26MHZ and self.link.baud < 115200:
            lines.append(f"Use at least --baud 115200: {chip.name} may not answer below.")
        return "\n".join([*lines, TROUBLESHOOTING])

    def _attempt(
        self, sequence: reset.Sequence, flow_control: bool, syncs: int = SYNC_PER_RESET
    ) -> bool:
        self.link.discard_input()
        log = b""
        if sequence:
            self._reset(sequence, flow_control)
            self.link.pump(0)
            log = self.link.stray
        failure: FatalError = ConnectError("no answer")
        if syncs < SYNC_PER_RESET and _BOOT_LINE.search(log) and not _DOWNLOAD.search(log):
            raise self._diagnose(log, failure)  # it has started its application
        for _ in range(syncs):
            try:
                self.link.discard_input()
                return self._sync()
            except NoAnswerError as e:
                failure = e
                log += self.link.stray
                self.sleep(SYNC_PAUSE_S)
        raise self._diagnose(log, failure)

    def _reset(self, sequence: reset.Sequence, flow_control: bool) -> None:
        """Play a sequence; a port without lines may lead to a chip that waits without it."""
        if self._no_lines:
            return
        try:
            reset.play(
                self.link.port,
                sequence,
                flow_control=flow_control,
                sleep=self.sleep,
                listen=self._await_loader,
            )
        except reset.NoLinesError as e:
            self._no_lines = True
            self._note(e.message)

    # --- a stub that is there already ------------------------------------------------------------

    def _at_former_rate(self) -> bool | None:
        """Call at the rate that a stub had which was left running on this adapter.

        True when it answers, False when the ROM does (the chip was reset and took to this rate).
        """
        rate = adapters.recall(self.link.port).stub_at
        if not rate:
            return None
        found = self._at_rate(rate)
        if found is None:
            adapters.learn(self.link.port, stub_at=0)
        return found

    def _may_stay_elsewhere(self, before: str, failure: FatalError) -> bool:
        """Nothing was reset and nothing heard: what was left running may have another rate."""
        port = self.link.port
        return (
            (before == "no-reset" or self._no_lines)
            and isinstance(failure, NoAnswerError)
            and not port.url.startswith("socket:")
            and usb_ids(port)[1] != USB_JTAG_SERIAL_PID
        )

    def _at_rates(self, rates: Sequence[int]) -> bool | None:
        """As `_at_former_rate`, where nobody has noted the rate."""
        for rate in rates:
            if rate != self.link.baud and (found := self._at_rate(rate)) is not None:
                whose = "stub" if found else "loader"
                self._elsewhere = f"The {whose} that was left running answers at {rate} baud."
                return found
        return None

    def _at_rate(self, rate: int) -> bool | None:
        """Call a chip that is not reset: a stub answers, or the ROM (False), or nothing (None)."""
        baud = self.link.baud
        with contextlib.suppress(PortError, NoAnswerError):
            self.link.set_baud(rate)
            self.link.discard_input()
            self.link.send_request(Cmd.SYNC, packets.SYNC_PAYLOAD)
            if self._ask_stub():
                return True
            self.answers.clear()
            self.sleep(SYNC_PAUSE_S)
            self.link.discard_input()
            return self._sync()
        self.link.set_baud(baud)
        return None

    def _ask_stub(self) -> bool:
        """Ask at once for all that is wanted of a stub; False where it does not answer to SYNC."""
        asked = (Ext.INFO, Cmd.GET_SECURITY_INFO)
        for opcode in asked:
            self.link.send_request(opcode)
        try:
            while asked[-1] not in self.answers:
                answer = self.link.read_response(None, self.settings.sync_timeout)
                if answer.opcode == Cmd.SYNC and answer.value:
                    return False
                self.answers[answer.opcode] = answer
        except NoAnswerError:
            pass
        return Cmd.SYNC in self.answers

    def _await_loader(self, seconds: float) -> None:
        """Wait until the ROM says that its loader waits, at most so long."""
        link = self.link
        deadline = link.now() + seconds
        while not _DOWNLOAD.search(link.stray):
            left = deadline - link.now()
            if left <= 0:
                return
            link.pump(left)
        self.sleep(READY_S)

    def _sync(self) -> bool:
        """Synchronise once; True when all answers say that a stub runs."""
        first = self.link.sync_once(self.settings.sync_timeout)
        stub = first.value == 0
        for _ in range(SYNC_EXTRA_ANSWERS):
            try:
                answer = self.link.read_response(Cmd.SYNC, self.settings.sync_timeout)
            except NoAnswerError:
                # The line lost some of them; the chip is in step even so.
                break
            stub = stub and answer.value == 0
        if stub:
            self._ask_stub()
        return stub

    @staticmethod
    def _diagnose(log: bytes, failure: FatalError) -> FatalError:
        """What the boot log seen in this attempt says about the failure."""
        boots = _BOOT_LINE.findall(log)
        if boots:
            if _DOWNLOAD.search(log):
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

    def _note(self, text: str, level: Level = Level.NOTE) -> None:
        self.listener(Message(text, level))

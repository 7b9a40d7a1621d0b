# SPDX-License-Identifier: Apache-2.0
"""The first half of an examination: is there a port, does a chip answer, and if not, why."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from esptool.device.connect import connect
from esptool.errors import FatalError, PortError
from esptool.events import ignore
from esptool.ops.doctor.boot_log import BootLog, read_log
from esptool.ops.doctor.words import Finding, boot_pin
from esptool.ops.ports import PortReport
from esptool.transport import reset
from esptool.transport.discovery import named, usb_ids
from esptool.transport.port import NoLinesError

if TYPE_CHECKING:
    from esptool.device import Session
    from esptool.transport.port import Port
    from esptool.transport.settings import Settings

Tell = Callable[[Finding], None]

RATE = 115200
#: Rates at which ROMs print where the crystal has 26 MHz in place of 40.
OTHER_RATES = (74880, 57600, 9600)
#: How long a board is listened to after a reset; a loop of resets shows within it.
LISTEN_S = 2.5
#: A board that says nothing at all for so long says nothing.
SILENCE_S = 1.0
#: So many starts within that time are a loop.
LOOP = 3
CONNECT_ATTEMPTS = 3


def check_port(port: str, known: Sequence[PortReport], report: PortReport, tell: Tell) -> bool:
    """See whether a port can be opened at all; False where it cannot, which has been told."""
    listed = {r.info.device for r in known}
    if report.permitted is False:
        tell(Finding("port_permission", {"port": port, "group": report.group or "dialout"}))
        return False
    if report.holders:
        names = ", ".join(f"{h.name} (process {h.pid})" for h in report.holders)
        tell(Finding("port_busy", {"port": port, "holder": names}))
        return False
    from esptool.transport import open_port  # a page in a browser has its port already

    try:
        open_port(port, RATE).close()
    except PortError as e:
        tell(_port_failure(port, listed, e))
        return False
    what = report.what or report.info.product or "a serial port"
    tell(Finding("port_ok", {"port": port, "what": what}))
    return True


def _port_failure(port: str, listed: set[str], e: PortError) -> Finding:
    if e.error_code == "port_not_found":
        return Finding(
            "port_not_found", {"port": port, "ports": ", ".join(sorted(listed)) or "none"}
        )
    if e.error_code == "port_permission":
        return Finding("port_permission", {"port": port, "group": "dialout"})
    if e.error_code == "port_busy":
        return Finding("port_busy", {"port": port, "holder": "another program"})
    return Finding("port_fails", {"port": port, "reason": e.message.replace("\n", " ")})


class Examiner:
    """Brings a chip to answer, and tells why it does not.

    Args:
        port: an open port.
        settings: how long to wait for what.
        before: "no-reset" leaves the lines alone.
        tell: told what was found.
    """

    def __init__(self, port: Port, settings: Settings, before: str, tell: Tell) -> None:
        self.port = port
        self.settings = settings
        self.before = before
        self.tell = tell
        self.lines = before != "no-reset"
        self.log = BootLog()

    # --- what it says by itself ------------------------------------------------------------------

    def listen(self) -> None:
        """Reset the chip into its application, hear what it says, and tell what that means."""
        data = self._booted(RATE)
        self.log = read_log(data)
        if self.log.garbled:
            for rate in OTHER_RATES:
                log = read_log(self._booted(rate))
                if log.text and log.resets:
                    self.log = log
                    self.tell(Finding("log_at_other_rate", {"rate": rate}))
                    break
        self._tell_log(self.log)

    def _booted(self, rate: int) -> bytes:
        port = self.port
        port.baud = rate
        port.discard_received()
        if self.lines:
            try:
                uses_usb = usb_ids(port)[0] == 0x303A
                # A system may open a port with DTR asserted, which keeps RTS from the chip.
                sequence = reset.hard_strategy(port, self.settings, uses_usb)
                reset.play(port, (reset.Dtr(False), *sequence))
            except NoLinesError:
                self.lines = False
        return self._heard()

    def _heard(self) -> bytes:
        """What comes within `LISTEN_S`; less where nothing comes, or where it has had its say."""
        port = self.port
        start = last = port.now()
        data = b""
        with contextlib.suppress(PortError):
            while port.now() - start < LISTEN_S:
                if came := port.receive(0.1):
                    data += came
                    last = port.now()
                elif port.now() - last > SILENCE_S:
                    break
        return data

    def _tell_log(self, log: BootLog) -> None:
        if log.brown_out:
            self.tell(Finding("brown_out"))
        elif log.no_program:
            self.tell(Finding("no_program"))
        elif log.checksum:
            self.tell(Finding("checksum"))
        elif log.panic:
            self.tell(Finding("panic", {"reason": log.panic}))
        elif len(log.resets) >= LOOP:
            operands = {"count": len(log.resets), "seconds": LISTEN_S, "cause": log.resets[-1][0]}
            self.tell(Finding("reset_loop", operands))
        elif log.waits:
            self.tell(Finding("held_in_download", boot_pin(log.chip)))
        elif log.resets:
            self.tell(Finding("boots"))
        elif not log.garbled:
            self.tell(Finding("quiet"))

    # --- getting it to answer --------------------------------------------------------------------

    def call(self, chip: str | None) -> Session | None:
        """The session of a chip that answers; None where none does, which has been told."""
        found = self._tried(chip, self.before, CONNECT_ATTEMPTS)
        if isinstance(found, FatalError):
            self.tell(self._why(found))
            return None
        if not self.lines:
            self.tell(Finding("manual"))
        return found

    def _tried(self, chip: str | None, before: str, attempts: int) -> Session | FatalError:
        port = self.port
        try:
            if not port.is_open:
                port.open()
            port.baud = RATE
            return connect(
                port,
                chip=chip,
                before=before,
                attempts=attempts,
                settings=self.settings,
                listener=ignore,
                warnings=False,
            )
        except FatalError as e:
            return e

    def _why(self, failure: FatalError) -> Finding:
        if failure.error_code == "wrong_chip":
            return Finding("wrong_chip", {"reason": failure.message.partition(".")[0]})
        log = self._in_download_mode()
        name = log.chip or self.log.chip
        if log.garbled or self.log.garbled:
            return Finding("garbled")
        if log.waits:
            return Finding("deaf")
        if log.resets and self.lines and not log.by_lines:
            return Finding("no_reset")
        if log.resets:
            return Finding("boot_mode", {**boot_pin(name), "mode": log.resets[-1][1]})
        if self.log.size or log.size:
            return Finding("no_reset")
        if self.lines and not isinstance(failure, PortError):
            return Finding("silent")
        return Finding("no_answer", {"reason": failure.message.replace("\n", " ")})

    def _in_download_mode(self) -> BootLog:
        """What the chip says when it is brought into download mode."""
        port = self.port
        with contextlib.suppress(PortError):
            port.baud = RATE
            port.discard_received()
            if self.lines:
                sequences = reset.download_strategies(
                    url=port.url,
                    usb_jtag=False,
                    delay_s=self.settings.reset_delay,
                    custom=self.settings.custom_reset_sequence,
                )
                reset.play(port, sequences[0])
            return read_log(self._heard())
        return BootLog()


def report_of(port: str) -> PortReport:
    """What the system knows of the port that was named."""
    from esptool.ops.ports import look

    return look(named(port))

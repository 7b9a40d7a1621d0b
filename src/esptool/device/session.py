# SPDX-License-Identifier: Apache-2.0
"""A live chip on a port: everything that can be asked of it, with what is known about it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING

from esptool import stubs
from esptool.chips.spec import ChipSpec
from esptool.device import adapters, ext, late, stub_loader
from esptool.device.facts import Facts
from esptool.device.flash import Flash
from esptool.device.link import Link
from esptool.device.power import Power
from esptool.device.ram import Ram
from esptool.device.requests import LOSSES, Requester, StubKind
from esptool.device.spi_bus import SpiBus
from esptool.errors import (
    FatalError,
    LineLossError,
    NotSupportedError,
    RateError,
)
from esptool.events import Level, Listener, ignore
from esptool.protocol import rates
from esptool.protocol.ext import LATE, Capability
from esptool.protocol.packets import Response
from esptool.transport.discovery import usb_device
from esptool.transport.port import check_baud
from esptool.transport.settings import Settings

if TYPE_CHECKING:
    from esptool.stubs import Stub
    from esptool.transport.discovery import PortInfo

#: Taken for "auto" where patterns cannot tell the best rate: what nearly every adapter bears.
LIKELY_BAUD = 460_800
#: A line that is bad at any rate is not left at the slowest.
MOST_STEPS_DOWN = 2

__all__ = ["Session", "StubKind"]


class Session(Requester):
    """One chip on one port, from connecting to closing. Not shared between threads.

    It takes requests and registers itself; its parts do what is made of them.

    Attributes:
        facts: what is known about the chip, read on demand and kept.
        bus: commands to the flash chip.
        flash: flash requests.
        ram: loading programs.
        power: resets, rates and supply.
        recognised: the chip that answered when the connection was made, None where it was not
            known or not looked at.
        stub_disabled: no stub may be started on this chip.
        loaded_stub: what `run_stub` uploaded last.
        loaded: how that went, None before.
        wanted_baud: the rate that a stub is loaded at and left running, where its first stage can
            do so: a number, `rates.AUTO`, or None for the present one.
        rate_afresh: the best rate is looked for from the start, not from what is remembered.
        refused_rates: rates that the line did not bear.
        rom_only_upload: stubs are loaded by the ROM alone, as a first stage failed.
        recover: brings the chip back where it is lost; None where nobody can.
        recovering: it is being taken up again after a loss.
        may_reset: the chip may be reset to take it up again when it is lost.
        usb_place: the USB device of the port, once `remember` was called.
        attach_again: attaches what a plug-in drives, where the stub was loaded anew; None where no
            plug-in is in use.
    """

    def __init__(
        self,
        spec: ChipSpec,
        link: Link,
        settings: Settings | None = None,
        listener: Listener = ignore,
    ) -> None:
        super().__init__(spec, link, settings or Settings(), listener)
        self.facts = Facts(self)
        self.bus = SpiBus(self)
        self.flash = Flash(self, self.bus)
        self.ram = Ram(self)
        self.power = Power(self, self.facts, self.flash)
        self.recognised: ChipSpec | None = None
        self.stub_disabled = False
        self.may_reset = True
        self.recover: Callable[[Session], None] | None = None
        self.recovering = False
        self.loaded_stub: Stub | None = None
        self.loaded: stub_loader.Loaded | None = None
        self.wanted_baud: int | str | None = None
        self.rate_afresh = False
        self.refused_rates: set[int] = set()
        self.rom_only_upload = False
        self.usb_place: PortInfo | None = None
        self.attach_again: Callable[[], object] | None = None
        self._port_seen = False
        self._left_rates: list[int] = []
        link.before = self._before

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the port. The chip is left as it is."""
        if self.debugger is not None:
            self.debugger.close()
        self.link.port.close()

    def remember(self) -> None:
        """Note which chip this is and on which USB device.

        So it is found again should its port vanish, and told from another board there.
        """
        self._remember_port()
        if not self.secure_download:
            self.facts.remember_mac()
        elif self.spec.rom.security_info:
            _ = self.facts.security_info

    def _remember_port(self) -> None:
        if not self._port_seen:
            self.usb_place = usb_device(self.link.port.url)
            self._port_seen = True

    # --- rate ----------------------------------------------------------------------------------

    @property
    def rate_matters(self) -> bool:
        """The line is a UART whose rate can be set here: no USB of the chip's own, no socket."""
        if self.debugger is not None or self.link.port.url.startswith("socket:"):
            return False
        return self.facts.usb_mode == "uart"

    def change_baud(self, baud: int) -> None:
        """Set chip and port to `baud`; where that does not work, go on as before with a warning.

        Raises:
            UsageError: it is not a rate.
            NotSupportedError: this ROM cannot change its rate.
            RateError: the line does not bear it, and the chip would have to be reset and may not.
        """
        refused = self._try_rate(baud)
        if refused is not None:
            self._warn_refused(refused)

    def _try_rate(self, baud: int, *, told: bool = True) -> RateError | None:
        """Go to a rate; what is wrong with it, after which all is as before."""
        try:
            self.power.change_baud(baud, told=told)
        except RateError as e:
            self.refused_rates.add(baud)
            if e.lost:
                if not self.may_reset or self.recover is None:
                    raise
                self.recover(self)
            return e
        return None

    def _warn_refused(self, refused: RateError) -> None:
        self.note(f"{refused.message} Going on at {self.link.baud} baud.", Level.WARNING)

    def settle_rate(self, wanted: int | str) -> bool:
        """Go to the rate asked for where loading the stub has not; True when something was said.

        Raises:
            NotSupportedError: this ROM cannot change its rate.
            RateError: as `change_baud`.
        """
        if self.debugger is not None:
            return False
        if isinstance(wanted, str):
            return self._choose_rate()
        if wanted <= self.link.baud or wanted in self.refused_rates:
            return False
        self._settle_below(wanted)
        return True

    def _settle_below(self, wanted: int) -> None:
        """Go to `wanted`, or to the next lower rate that the line bears, with one warning."""
        refused = self._try_rate(wanted)
        if refused is None:
            return
        between = rates.lower(wanted, self.link.baud)
        while between > self.link.baud and self._try_rate(between, told=False) is not None:
            between = rates.lower(between, self.link.baud)
        self._warn_refused(refused)

    def _choose_rate(self) -> bool:
        """For `rates.AUTO`, where no first stage has found the best rate: a likely one."""
        if not self.rate_matters or (self.loaded is not None and self.loaded.staged):
            return False
        likely = self.remembered_rate().rate or LIKELY_BAUD
        if likely <= self.link.baud:
            return False
        with contextlib.suppress(NotSupportedError):
            self._settle_below(likely)
            return True
        return False

    def remembered_rate(self) -> adapters.Adapter:
        """What is known of the line; nothing where it is to be tried afresh."""
        return adapters.Adapter() if self.rate_afresh else adapters.recall(self.link.port)

    @property
    def may_go_slower(self) -> bool:
        """The rate was chosen for `rates.AUTO`, and may be left for a lower one."""
        if self.wanted_baud != rates.AUTO or not self.rate_matters:
            return False
        lower = rates.lower(self.link.baud) < self.link.baud
        return lower and len(self._left_rates) < MOST_STEPS_DOWN

    def go_slower(self) -> bool:
        """Leave a rate that was chosen for `rates.AUTO` and at which data are damaged now.

        False where the rate is the user's, or a lower one has not helped before.
        """
        old = self.link.baud
        lower = rates.lower(old)
        if not self.may_go_slower:
            return False
        self._left_rates.append(old)
        try:
            self.power.change_baud(lower)
        except LineLossError as e:
            # A port that is gone shows at the next request, which may be tried again.
            if isinstance(e, RateError) and e.lost and self.may_reset and self.recover is not None:
                self.recover(self)
        self.note(
            f"Data are damaged at {old} baud. Going on at {self.link.baud} baud.", Level.WARNING
        )
        adapters.learn(self.link.port, rate=self.link.baud)
        return True

    def _tell_rate(self, loaded: stub_loader.Loaded, before: int, asked: int | str | None) -> None:
        """Say at which rate the stub was left running, and which ones did not work."""
        self.refused_rates.update(loaded.refused)
        for rate in loaded.refused:
            self.note(
                f"The line does not bear {rate} baud. Going on at {loaded.baud} baud.",
                Level.WARNING,
            )
        if asked == rates.AUTO and self.rate_matters:
            best = "the best found in time" if loaded.cut else "the best that the line bears"
            self.note(f"Baud rate: {loaded.baud}, {best}.", Level.INFO)
            adapters.learn(self.link.port, rate=loaded.baud, cut=int(loaded.cut))
        elif loaded.baud != before:
            self.note(f"Changing baud rate to {loaded.baud}...", Level.INFO)
            self.note("Changed.", Level.INFO)

    # --- stub ----------------------------------------------------------------------------------

    def run_stub(self, stub: Stub | None = None, baud: int | str | None = None) -> None:
        """Upload and start a stub (ours, unless one is given), and ask what it can do.

        Where none may run, `stub_disabled` is set and a note is made. With `baud`, else
        `wanted_baud`, the stub is loaded and left running at that rate where its first stage can do
        so and the line bears it; `loaded` and the rate of the link tell.

        Raises:
            UsageError: `baud` is neither a rate nor "auto"; nothing was sent.
            LineLossError: the stub did not start, however often it was sent.
        """
        baud = self.wanted_baud if baud is None else baud
        if baud is not None and baud != rates.AUTO:
            check_baud(baud)
        if self.debugger is not None and self.is_stub:
            return
        if self.sync_stub_detected or self.is_stub:
            self.note("Stub flasher is already running. No upload is necessary.", Level.INFO)
            if not self.is_stub:
                self.adopt_stub()
            self._say_which()
            if baud == rates.AUTO and self.rate_matters:
                text = f"Baud rate: {self.link.baud}, at which the stub was left running."
                self.note(text, Level.INFO)
            return
        reason = stub_loader.why_no_stub(self)
        if reason is not None and not self.secure_download:
            # Registers come without a checksum: what rules a stub out is believed when read twice.
            self.facts.forget()
            reason = stub_loader.why_no_stub(self)
        if reason is not None:
            self.stub_disabled = True
            self.note(
                f"Stub flasher is {reason}, it has been disabled. "
                "Set --no-stub to suppress this warning.",
                Level.WARNING,
            )
            return
        if stub is None:
            try:
                stub = stubs.load(stub_loader.stub_name(self))
            except FatalError as e:
                self.stub_disabled = True
                self.note(f"Stub flasher is not used: {e.message}", Level.WARNING)
                return
        self.note("Uploading stub flasher...", Level.INFO)
        self.flash.known_id = None
        self.loaded_stub = stub
        before = self.link.baud
        try:
            self.loaded = loaded = self._upload(stub, baud)
        finally:
            self.tell_remarks()
        self.note("Running stub flasher...", Level.INFO)
        self.adopt_stub()
        if self.ext is not None:
            # Its own word for that has no seal.
            self.late_missing = loaded.missing
        # This one has done no batch yet.
        self.batch_number = 0
        self.note("Stub flasher running.", Level.INFO)
        if loaded.staged and not self.recovering:
            self._tell_rate(loaded, before, baud)

    def _before(self, opcode: int) -> None:
        """Have the part of our stub that answers this request."""
        if self.late_missing and opcode in LATE:
            late.load(self)

    def complete_stub(self) -> None:
        """Have all of our stub in the chip, as others who find it there do not know of parts."""
        late.load(self)

    def _say_which(self) -> None:
        """Say where a stub that was there already is not the one that would be loaded."""
        if self.ext is None:
            self.note("The stub that runs is another tool's. It is used as it is.")
        elif not self.ext.has(Capability.all()):
            self.note("The stub that runs is an older one of this tool. It is used as it is.")

    def tell_remarks(self) -> None:
        """Hand on what a virtual chip has to say of the code that was started."""
        for remark in self.link.port.remarks:
            self.listener(remark)

    def _upload(self, stub: Stub, baud: int | str | None) -> stub_loader.Loaded:
        """Upload and greet; from the start again where the line or the chip was lost."""
        if self.recovering:
            return stub_loader.upload(self, stub, baud)
        # Nothing is written yet, and through the stub the MAC address costs no request of its own.
        self._remember_port()
        refused = ""
        with self.one_job() as tries:
            while True:
                try:
                    return stub_loader.upload(self, stub, baud)
                except LOSSES as e:
                    # A damaged answer may look like a refusal: one that comes twice is believed.
                    meant = not isinstance(e, LineLossError) and e.message == refused
                    refused = e.message
                    if meant or not self.may_reset or self.recover is None or not tries.spend():
                        remedy = "With --no-stub the chip's ROM does the work, slowly."
                        raise e.saying("The stub flasher did not start", remedy) from e
                    self.note(f"The upload was cut short ({e.message}) Trying again...")
                    self.recover(self)

    def adopt_stub(self, early: Response | None = None) -> None:
        """From now on a stub answers; find out which, unless it has said so already (`early`)."""
        self.stub_kind = StubKind.PUBLIC
        self.batch_number = None
        self.ext = ext.probe(self, early)
        self.late_missing = 0 if self.ext is None else self.ext.missing
        if self.ext is not None:
            self.stub_kind = StubKind.OURS
            self.read_many = partial(ext.read_regs, self, info=self.ext)

# SPDX-License-Identifier: Apache-2.0
"""A live chip on a port: everything that can be asked of it, with what is known about it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING

from esptool import stubs
from esptool.chips.spec import ChipSpec
from esptool.device import ext, stub_loader
from esptool.device.facts import Facts
from esptool.device.flash import Flash
from esptool.device.link import Link
from esptool.device.power import Power
from esptool.device.ram import Ram
from esptool.device.requests import Requester, StubKind
from esptool.device.spi_bus import SpiBus
from esptool.errors import FatalError, LineLossError, RateError
from esptool.events import Level, Listener, ignore
from esptool.protocol.ext import Capability
from esptool.protocol.packets import Response
from esptool.transport.discovery import usb_device
from esptool.transport.settings import Settings

if TYPE_CHECKING:
    from esptool.stubs import Stub
    from esptool.transport.discovery import PortInfo

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
        rom_only_upload: stubs are loaded by the ROM alone, as a first stage failed.
        recover: brings the chip back where it is lost; None where nobody can.
        recovering: it is being taken up again after a loss.
        may_reset: the chip may be reset to take it up again when it is lost.
        usb_place: the USB device of the port, once `remember` was called.
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
        self.rom_only_upload = False
        self.usb_place: PortInfo | None = None
        self._port_seen = False

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

    def change_baud(self, baud: int) -> None:
        """Set chip and port to `baud`; where that does not work, go on as before with a warning.

        Raises:
            UsageError: it is no rate.
            NotSupportedError: this ROM cannot change its rate.
            RateError: the line does not bear it, and the chip would have to be reset and may not.
        """
        try:
            self.power.change_baud(baud)
        except RateError as e:
            if e.lost:
                if not self.may_reset or self.recover is None:
                    raise
                self.recover(self)
            self.note(f"{e.message} Going on at {self.link.baud} baud.", Level.WARNING)

    # --- stub ----------------------------------------------------------------------------------

    def run_stub(self, stub: Stub | None = None, baud: int | None = None) -> None:
        """Upload and start a stub (ours, unless one is given), and ask what it can do.

        Where none may run, `stub_disabled` is set and a note is made. With `baud` the stub is
        loaded and left running at that rate where its first stage can do so and the line bears it;
        `loaded` and the rate of the link tell.
        """
        if self.sync_stub_detected or self.is_stub:
            self.note("Stub flasher is already running. No upload is necessary.", Level.INFO)
            if not self.is_stub:
                self.adopt_stub()
            self._say_which()
            return
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
        try:
            self.loaded = self._upload(stub, baud)
        finally:
            self.tell_remarks()
        self.note("Running stub flasher...", Level.INFO)
        self.adopt_stub()
        # This one has done no batch yet.
        self.batch_number = 0
        self.note("Stub flasher running.", Level.INFO)

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

    def _upload(self, stub: Stub, baud: int | None) -> stub_loader.Loaded:
        """Upload and greet; from the start again where the line or the chip was lost."""
        if self.recovering:
            return stub_loader.upload(self, stub, baud)
        # Nothing is written yet, and through the stub the MAC address costs no request of its own.
        self._remember_port()
        with self.one_job() as tries:
            while True:
                try:
                    return stub_loader.upload(self, stub, baud)
                except LineLossError as e:
                    if not self.may_reset or self.recover is None or not tries.spend():
                        raise
                    self.note(f"The upload was cut short ({e.message}) Trying again...")
                    self.recover(self)

    def adopt_stub(self, early: Response | None = None) -> None:
        """From now on a stub answers; find out which, unless it has said so already (`early`)."""
        self.stub_kind = StubKind.PUBLIC
        self.batch_number = None
        self.ext = ext.probe(self, early)
        if self.ext is not None:
            self.stub_kind = StubKind.OURS
            self.read_many = partial(ext.read_regs, self, info=self.ext)

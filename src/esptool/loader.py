# SPDX-License-Identifier: Apache-2.0
"""The documented loader object: `ESPLoader`, put together of the parts in `esptool.faces`.

Nothing is decided here; each method hands on to `self.session` (an `esptool.device.Session`).
"""

from __future__ import annotations

from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any

from esptool import chips
from esptool.config import load_config_file as load_config_file
from esptool.config import load_settings
from esptool.device import Link, Session
from esptool.device import connect as _connect
from esptool.device.connect import DEBUGGERS
from esptool.device.mailbox import MailboxPort
from esptool.device.stub_loader import stub_name
from esptool.errors import FatalError as FatalError
from esptool.errors import UnsupportedCommandError as UnsupportedCommandError
from esptool.faces import constants
from esptool.faces.base import print_trace
from esptool.faces.chip import ChipFace
from esptool.faces.constants import *  # noqa: F403
from esptool.faces.constants import DEFAULT_CONNECT_ATTEMPTS, ESP_ROM_BAUD
from esptool.faces.flash import FlashFace
from esptool.faces.nand import DebugFace, NandFace
from esptool.faces.stub import StubFlasher as StubFlasher
from esptool.faces.stub import StubMixin as StubMixin
from esptool.faces.stub import run_foreign_stub, with_stub
from esptool.render import to_log
from esptool.transport import adapt, open_port
from esptool.transport.gdb import GdbClient
from esptool.util import NotImplementedInROMError as NotImplementedInROMError
from esptool.util import NotSupportedError as NotSupportedError
from esptool.util import borrowed

if TYPE_CHECKING:
    from collections.abc import Callable

    from serial import Serial

    from esptool.events import Listener
    from esptool.stubs import Stub
    from esptool.transport.port import Port
    from esptool.transport.settings import Settings

#: Constants of this module that are settings, too: a program that changes one means the setting.
_SETTINGS = {
    "DEFAULT_TIMEOUT": "timeout",
    "CHIP_ERASE_TIMEOUT": "chip_erase_timeout",
    "MAX_TIMEOUT": "max_timeout",
    "SYNC_TIMEOUT": "sync_timeout",
    "MD5_TIMEOUT_PER_MB": "md5_timeout_per_mb",
    "ERASE_REGION_TIMEOUT_PER_MB": "erase_region_timeout_per_mb",
    "ERASE_WRITE_TIMEOUT_PER_MB": "erase_write_timeout_per_mb",
    "MEM_END_ROM_TIMEOUT": "mem_end_rom_timeout",
    "WRITE_BLOCK_ATTEMPTS": "write_block_attempts",
}


def settings_in_force() -> Settings:
    """The settings of the configuration file, and over them what a program changed here.

    Programs for slow lines raise `esptool.loader.SYNC_TIMEOUT` (idftool does over a network).
    """
    changed: dict[str, Any] = {
        field: globals()[name]
        for name, field in _SETTINGS.items()
        if globals()[name] != getattr(constants, name)
    }
    return replace(load_settings(), **changed)


class ESPLoader(FlashFace, NandFace, ChipFace, DebugFace):
    """A chip on a serial port.

    Args:
        port: a device name or URL, or an open pyserial port.
        baud: the rate to call the chip at.
        trace_enabled: show the traffic.
        listener: told what goes on; without one, messages go to `esptool.logger.log`.

    Attributes:
        session: the live chip underneath; everything goes through it.

    Raises:
        FatalError: the port cannot be opened.
    """

    def __init__(
        self,
        port: str | Serial = ChipFace.DEFAULT_PORT,
        baud: int = ESP_ROM_BAUD,
        trace_enabled: bool = False,
        *,
        listener: Listener = to_log,
    ) -> None:
        self._trace_enabled = trace_enabled
        link = Link(_opened(port, baud), print_trace if trace_enabled else None)
        spec = self.SPEC or chips.get("esp32")
        self._take(Session(spec, link, settings_in_force(), listener))

    @classmethod
    def from_session(cls, session: Session) -> ESPLoader:
        """The loader object for a session that is connected."""
        esp = cls.__new__(cls)
        esp._trace_enabled = session.link.trace is not None
        esp._take(session)
        return esp

    def __enter__(self) -> ESPLoader:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.session.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} on {self.serial_port}>"

    def connect(
        self,
        mode: str = "default-reset",
        attempts: int = DEFAULT_CONNECT_ATTEMPTS,
        detecting: bool = False,
        warnings: bool = True,
    ) -> None:
        """Bring the chip into download mode and synchronise with it.

        Raises:
            FatalError: no answer, or from another chip.
        """
        old = self.session
        port: Port | str = old.link.port
        if isinstance(port, MailboxPort):
            # A debugger is connected to anew: it resets the chip, and brings the stub along.
            old.close()
            port = port.url
        session = _connect(
            port,
            chip=self.SPEC,
            baud=old.link.baud,
            before=mode.replace("_", "-"),
            attempts=attempts,
            trace=old.link.trace,
            settings=old.settings,
            listener=old.listener,
            warnings=warnings and not detecting,
        )
        self._take(session)

    def sync(self) -> None:
        """Synchronise once with a chip that is in download mode."""
        self.session.link.sync_once(self.session.settings.sync_timeout)

    def _connect_attempt(
        self, reset_strategy: Callable[[], object], mode: str = "default-reset"
    ) -> FatalError | None:
        """Reset and synchronise once; the error where that failed (a flasher overrides it)."""
        try:
            reset_strategy()
            self.sync()
        except FatalError as e:
            return e
        return None

    def run_stub(
        self, stub: Stub | StubFlasher | None = None, *, baud: int | str | None = None
    ) -> ESPLoader:
        """Upload and start the flasher stub; returns the object to go on with.

        Args:
            baud: the rate to go to, or "auto" for the best that the line bears; None stays.

        Raises:
            FatalError: it did not start.
        """
        if baud is not None:
            self.session.wanted_baud = baud
        if stub is None and StubFlasher.is_built_in():
            self.session.run_stub()
        elif stub is None:
            self.session.run_stub(StubFlasher.find(stub_name(self.session)))
        elif isinstance(stub, StubFlasher) and "session" in self.__dict__:
            self.session.run_stub(stub.stub)
        else:
            run_foreign_stub(self, stub)
        if baud is not None and self.IS_STUB:
            self.session.settle_rate(baud)
        return with_stub(self) if self.IS_STUB else self


def _opened(port: str | Serial, baud: int) -> Port:
    """The port; one of a debugger stays closed until `connect`, which needs to know how."""
    if not isinstance(port, str):
        return adapt(port)
    if port.startswith(DEBUGGERS):
        return MailboxPort(port, GdbClient("", 0), 0)
    return open_port(port, baud)


#: Names that programs import from here as well.
_borrowed = borrowed(
    __name__,
    {
        **dict.fromkeys(
            (
                "ClassicReset",
                "CustomReset",
                "HardReset",
                "USBJTAGSerialReset",
                "UnixTightReset",
                "DEFAULT_RESET_DELAY",
            ),
            "esptool.reset",
        ),
        **dict.fromkeys(
            (
                "NANDEraseFailed",
                "NANDProgramFailed",
                "PrintOnce",
                "byte",
                "get_key_from_value",
                "hexify",
                "mask_to_shift",
                "pad_to",
                "strip_chip_name",
            ),
            "esptool.util",
        ),
        **dict.fromkeys(
            (
                "HexFormatter",
                "check_supported_function",
                "slip_reader",
                "stub_and_esp32_function_only",
                "stub_function_only",
            ),
            "esptool.faces.old",
        ),
    },
)


def __getattr__(name: str) -> Any:
    if name == "cfg":  # forks read settings of their own from the configuration file
        return load_config_file()[0]["esptool"]
    return _borrowed(name)

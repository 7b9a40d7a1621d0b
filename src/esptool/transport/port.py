# SPDX-License-Identifier: Apache-2.0
"""What the rest of the tool knows of a port: one interface, whatever is behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from esptool.errors import PortError, UsageError

if TYPE_CHECKING:
    from serial import Serial

    from esptool.events import Message


#: No UART, and no clock that feeds one, comes near this.
MAX_BAUD = 100_000_000


class NoLinesError(PortError):
    """The port has no control lines at all: a pseudo-terminal, for example."""


class PortClosedError(PortError):
    """Whoever owns the port has closed it for good: nobody else is to open it again."""


@dataclass(frozen=True, slots=True)
class PortInfo:
    """A port of this machine; the USB facts are None where it is not a USB device."""

    device: str
    vid: int | None = None
    pid: int | None = None
    product: str | None = None
    serial_number: str | None = None
    location: str | None = None


class Adapted:
    """A port of ours, which is a `Port` already: base class of all that are."""

    __slots__ = ()


class Port(Protocol):
    """A way to a chip. Whatever goes wrong in it is a `PortError`, also where none is named here.

    Attributes:
        serial: the pyserial object underneath, for programs that know nothing else.
    """

    @property
    def serial(self) -> Serial:
        """The pyserial port itself."""

    @property
    def url(self) -> str:
        """Name or URL under which it is opened; empty where it has none."""

    # --- opening -----------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Bytes can be moved."""

    def open(self, url: str | None = None) -> None:
        """Open it after `release`, under another name if one is given.

        Raises:
            PortError: it is not there.
            PortClosedError: whoever owns it has closed it for good.
        """

    def release(self) -> None:
        """Close it for the moment: `open` takes it again."""

    def close(self) -> None:
        """Close it for good."""

    # --- bytes -------------------------------------------------------------------------------

    def receive(self, timeout_s: float) -> bytes:
        """What has arrived; where nothing has, what comes first within so many seconds."""

    def send(self, data: bytes) -> None:
        """Send all of it, within the limit of `limit_sending` where one can be set."""

    def discard_received(self) -> None:
        """Forget what has arrived. Returns also where more comes all the time."""

    def limit_sending(self, seconds: float) -> None:
        """Let `send` fail after so long, unless a limit is set already."""

    # --- rate and lines ----------------------------------------------------------------------

    @property
    def baud(self) -> int:
        """Bits a second."""

    @baud.setter
    def baud(self, value: int) -> None: ...

    @property
    def lines(self) -> tuple[bool, bool]:
        """(DTR, RTS) as last set; True is asserted."""

    def set_dtr(self, on: bool) -> None:
        """Set DTR.

        Raises:
            NoLinesError: there is none.
        """

    def set_rts(self, on: bool) -> None:
        """Set RTS; as `set_dtr`."""

    def set_lines(self, dtr: bool, rts: bool) -> None:
        """Set both at the same moment where the system can; as `set_dtr`."""

    # --- time, and what is behind it -----------------------------------------------------------

    def now(self) -> float:
        """The clock of deadlines and rates in seconds; a virtual line has its own."""

    def sleep(self, seconds: float) -> None:
        """Wait by that clock."""

    @property
    def usb(self) -> PortInfo | None:
        """The USB device that it is, None where it is none or not known to be one."""

    @property
    def remarks(self) -> tuple[Message, ...]:
        """What a simulated chip has to say, oldest first; each remark is given out once."""


def check_baud(baud: object) -> None:
    """Refuse what is not a rate.

    Raises:
        UsageError: it is none.
    """
    if isinstance(baud, bool) or not isinstance(baud, int) or not 0 < baud <= MAX_BAUD:
        remedy = "Common ones are 115200 and 921600."
        if baud == "auto":
            remedy = "The best rate is found while the stub is loaded: run_stub(baud='auto')."
        raise UsageError(f"{baud!r} is not a baud rate.", remedy=remedy)

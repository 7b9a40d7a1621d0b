# SPDX-License-Identifier: Apache-2.0
"""A port that a web page lends: Web Serial, or a simulated board inside the page.

The page's calls are asynchronous; whoever makes a `Channel` of them lets each return when it is
done. Nothing here knows how, so that the same class is tested without a browser.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from esptool.errors import PortError
from esptool.transport.port import Adapted, PortClosedError, PortInfo

if TYPE_CHECKING:
    from serial import Serial

    from esptool.events import Message

#: In front of the name of every port of a page, which is not a device that the system knows.
SCHEME = "browser:"

#: Espressif's own USB Serial/JTAG has no UART whose rate could be set.
_RATELESS = (0x303A, 0x1001)


class Channel(Protocol):
    """What a page lends. Every call returns when it is done, and raises OSError where it fails.

    Attributes:
        name: how a person would call it.
        vid: USB vendor id, None where it is not a USB device.
        pid: USB product id, likewise.
        remarks: what a simulated chip has to say, each once.
    """

    name: str
    vid: int | None
    pid: int | None

    @property
    def remarks(self) -> tuple[Message, ...]:
        """See `esptool.transport.port.Port`."""

    def open(self, baud: int) -> None:
        """Open it, or the device that has come back in its place, at `baud` bits a second."""

    def close(self) -> None:
        """Close it; nothing where it is closed."""

    def receive(self, timeout_s: float) -> bytes:
        """What has arrived, or what comes first within so many seconds."""

    def send(self, data: bytes) -> None:
        """Send all of it."""

    def discard(self) -> None:
        """Forget what has arrived."""

    def set_rate(self, baud: int) -> None:
        """Go on at `baud` bits a second."""

    def set_lines(self, dtr: bool, rts: bool) -> None:
        """Set DTR and RTS; True is asserted."""

    def now(self) -> float:
        """A clock in seconds."""

    def sleep(self, seconds: float) -> None:
        """Wait, and let the page work meanwhile."""


class BrowserPort(Adapted):
    """`Port` over what a page lends."""

    def __init__(self, channel: Channel, baud: int = 115200) -> None:
        self._channel = channel
        self._baud = baud
        self._lines = (False, False)
        self._open = False
        self._closed = False

    def __repr__(self) -> str:
        return f"<BrowserPort {self.url}>"

    @contextmanager
    def _speaking(self) -> Iterator[None]:
        if not self._open:
            raise PortError(f"The port {self._channel.name} is closed.", remedy="Connect anew.")
        try:
            yield
        except OSError as e:
            raise PortError(
                f"Lost the connection to {self._channel.name}: {str(e).rstrip('.')}.",
                remedy="Check cable and power; another program may have taken the port.",
            ) from e

    @property
    def serial(self) -> Serial:
        """A page has no such object.

        Raises:
            PortError: always.
        """
        raise PortError("A port of a web page has no pyserial object.")

    @property
    def url(self) -> str:
        """See `Port`; a name to show, not one to open."""
        return SCHEME + self._channel.name.removeprefix("the ").replace(" ", "-")

    # --- opening -----------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """See `Port`."""
        return self._open

    def open(self, url: str | None = None) -> None:
        """See `Port`; `url` can only be its own."""
        if self._closed:
            raise PortClosedError(f"The port {self._channel.name} was closed.")
        try:
            self._channel.open(self._baud)
        except OSError as e:
            raise PortError(
                f"Could not open {self._channel.name}: {str(e).rstrip('.')}.",
                remedy="Close other programs and tabs that use it, and check the cable.",
            ) from e
        self._open = True

    def release(self) -> None:
        """See `Port`."""
        self._open = False
        try:
            self._channel.close()
        except OSError:
            pass  # it is gone already

    def close(self) -> None:
        """See `Port`."""
        self._closed = True
        self.release()

    # --- bytes -------------------------------------------------------------------------------

    def receive(self, timeout_s: float) -> bytes:
        """See `Port`."""
        with self._speaking():
            return self._channel.receive(max(0.0, timeout_s))

    def send(self, data: bytes) -> None:
        """See `Port`."""
        with self._speaking():
            self._channel.send(bytes(data))

    def discard_received(self) -> None:
        """See `Port`."""
        with self._speaking():
            self._channel.discard()

    def limit_sending(self, seconds: float) -> None:
        """Nothing: a page's stream has no such limit, and says itself when the device is gone."""

    # --- rate and lines ----------------------------------------------------------------------

    @property
    def baud(self) -> int:
        """See `Port`."""
        return self._baud

    @baud.setter
    def baud(self, value: int) -> None:
        if value == self._baud:
            return
        if self._open and (self._channel.vid, self._channel.pid) != _RATELESS:
            # Web Serial has no way to set a rate but to open the port anew.
            try:
                self._channel.set_rate(value)
            except OSError as e:
                raise PortError(
                    f"Failed to set baud rate {value}: {str(e).rstrip('.')}.",
                    remedy="Choose another baud rate, for example 460800.",
                ) from e
        self._baud = value

    @property
    def lines(self) -> tuple[bool, bool]:
        """See `Port`."""
        return self._lines

    def set_dtr(self, on: bool) -> None:
        """See `Port`."""
        self.set_lines(on, self._lines[1])

    def set_rts(self, on: bool) -> None:
        """See `Port`."""
        self.set_lines(self._lines[0], on)

    def set_lines(self, dtr: bool, rts: bool) -> None:
        """See `Port`."""
        with self._speaking():
            self._channel.set_lines(dtr, rts)
        self._lines = (dtr, rts)

    # --- time, and what is behind it -----------------------------------------------------------

    def now(self) -> float:
        """See `Port`."""
        return self._channel.now()

    def sleep(self, seconds: float) -> None:
        """See `Port`."""
        self._channel.sleep(seconds)

    @property
    def usb(self) -> PortInfo | None:
        """See `Port`."""
        channel = self._channel
        return None if channel.vid is None else PortInfo(self.url, channel.vid, channel.pid)

    @property
    def remarks(self) -> tuple[Message, ...]:
        """See `Port`."""
        return self._channel.remarks

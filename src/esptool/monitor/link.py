# SPDX-License-Identifier: Apache-2.0
"""A port that is listened to for long: it may vanish, and is taken up again where it comes back."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

from esptool.errors import PortError
from esptool.transport.discovery import ESPRESSIF_VID, find_again, usb_device
from esptool.transport.port import NoLinesError, Port, PortClosedError
from esptool.transport.reset import (
    LineStep,
    check_custom,
    download_strategies,
    flow_control_bridge,
    hard_strategy,
    play,
)
from esptool.transport.settings import Settings

_PAUSE_S = 0.2
#: Pieces shorter than this are waited on for a moment, so that fewer of them are dealt with.
_SHORT = 4096
_GATHER_S = 0.004


class Link:
    """The way to a chip that is listened to.

    Args:
        settings: reset sequences and pauses.
        restart: resets the chip, where that is not done by the port's lines.

    Raises:
        UsageError: a reset sequence of the settings is none.

    Attributes:
        on_lost: told why, when the port vanishes.
        on_back: told the name, when it is there again.
    """

    def __init__(
        self,
        port: Port,
        *,
        on_lost: Callable[[str], None] = lambda _why: None,
        on_back: Callable[[str], None] = lambda _name: None,
        settings: Settings | None = None,
        restart: Callable[[], None] | None = None,
    ) -> None:
        self._settings = settings or Settings()
        check_custom(self._settings)
        self._port = port
        self._restart = restart
        self._place = usb_device(port.url)
        self._lock = threading.Lock()
        self._here = True
        self._busy = False
        self.on_lost, self.on_back = on_lost, on_back

    @property
    def port(self) -> Port:
        """The port as it is now."""
        return self._port

    @property
    def here(self) -> bool:
        """The port is open."""
        return self._here

    def now(self) -> float:
        """The clock of deadlines: the port's own."""
        return self._port.now()

    def receive(self, timeout_s: float) -> bytes:
        """What comes within so many seconds. A port that is away is looked for meanwhile."""
        if not self._here:
            self._look(timeout_s)
            return b""
        try:
            data = self._port.receive(timeout_s)
        except PortError as e:
            self._lost(e)
            return b""
        if data and self._busy and len(data) < _SHORT:
            self._port.sleep(_GATHER_S)
            # What ends the port now will do so again.
            with suppress(PortError):
                data += self._port.receive(0)
        # One short piece comes at once; in a stream it pays to wait for more.
        self._busy = bool(data)
        return data

    def send(self, data: bytes) -> bool:
        """Send, from any thread; False where the port is away."""
        with self._lock:
            if not self._here:
                return False
            try:
                self._port.send(data)
            except PortError:
                return False  # `receive` notices the same, and says so
            return True

    def _lost(self, error: PortError) -> None:
        if isinstance(error, PortClosedError):
            raise error
        with self._lock:
            self._here = False
            self._port.release()
        self.on_lost(error.message)

    def _look(self, timeout_s: float) -> None:
        """Try to open the port, under whatever name its device has now."""
        name = self._port.url if self._place is None else find_again(self._place)
        try:
            if name is not None:
                with self._lock:
                    self._port.open(name)
                    self._here = True
                self.on_back(self._port.url)
                return
        except PortClosedError:
            raise
        except PortError:
            self._port.release()
        self._port.sleep(min(timeout_s, _PAUSE_S) or _PAUSE_S)

    def close(self) -> None:
        """Close it for good."""
        try:
            self._port.close()
        except PortError:
            pass  # it has gone by itself

    # --- the chip ------------------------------------------------------------------------------

    def reset(self) -> None:
        """Start the application again.

        Raises:
            PortError: the port has no reset lines, or is away.
        """
        if self._restart is not None and self._here:
            with self._lock:
                self._restart()
            return
        usb = self._port.usb
        native = usb is not None and usb.vid == ESPRESSIF_VID
        sequence = hard_strategy(self._port, self._settings, native)
        self._play(sequence, flow_control_bridge(self._port))

    def to_boot_loader(self) -> None:
        """Put the chip into download mode.

        Raises:
            PortError: the port has no reset lines, or is away.
        """
        usb = self._port.usb
        native = usb is not None and usb.vid == ESPRESSIF_VID
        sequences = download_strategies(
            url=self._port.url,
            usb_jtag=native,
            delay_s=self._settings.reset_delay,
            custom=self._settings.custom_reset_sequence,
        )
        self._play(sequences[0], flow_control_bridge(self._port))

    def _play(self, sequence: tuple[LineStep, ...], flow_control: bool) -> None:
        if not self._here:
            raise PortError("The port is not there.", remedy="Plug the board in.")
        with self._lock:
            try:
                play(self._port, sequence, flow_control=flow_control)
            except NoLinesError as e:
                raise PortError(
                    f"The port {self._port.url} has no reset lines.",
                    remedy="Press the button on the board.",
                ) from e

    def lend(self, use: Callable[[], None]) -> None:
        """Let somebody else have the port for a while, and take it up again.

        Raises:
            FatalError: what `use` raises.
        """
        with self._lock:
            self._here = False
            self._port.release()
        try:
            use()
        finally:
            self._look(_PAUSE_S)

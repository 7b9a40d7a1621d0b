# SPDX-License-Identifier: Apache-2.0
"""Keeps the timing of reset lines that a client moves from afar. Knows no sockets.

A network brings a client's line changes late, in bunches or torn apart. What a board needs is
restored here: reset is held long enough, the boot strap is held after reset is released, and both
lines change at once where a step between would let the chip start its application.
"""

from __future__ import annotations

import logging
from typing import Any

from esptool.errors import PortError
from esptool.transport import NoLinesError, Port
from esptool.transport.adapters import NO_LINES
from esptool.transport.reset import DEFAULT_RESET_DELAY_S, ENTER_BOOT_DELAY_S, DtrRts, play

LOG = logging.getLogger("esp_rfc2217_server")

Lines = tuple[bool, bool]
RESET: Lines = (False, True)  # (DTR, RTS): EN low, boot strap high
STRAPPED: Lines = (True, False)  # EN high, boot strap low
BOTH: Lines = (True, True)  # the board's transistors cancel out: as if nothing were asserted
#: So long may the second half of a change from RESET to STRAPPED be on its way.
MAX_SPLIT_S = 1.0


class LineKeeper:
    """Moves DTR and RTS of `port` as the client asks, but never faster than a board can follow.

    Args:
        extra_delay_s: hold the boot strap so much longer after a reset.
    """

    def __init__(
        self,
        port: Port,
        *,
        extra_delay_s: float = 0.0,
    ) -> None:
        self.port = port
        self._hold_s = {
            RESET: ENTER_BOOT_DELAY_S,
            STRAPPED: DEFAULT_RESET_DELAY_S + extra_delay_s,
        }
        self._wanted: Lines = (False, False)
        self._actual: Lines | None = None
        self._since = port.now()
        self._due: float | None = None
        self._told = False

    @property
    def wanted(self) -> Lines:
        """(DTR, RTS) as the client last asked for."""
        return self._wanted

    def set(self, *, dtr: bool | None = None, rts: bool | None = None) -> None:
        """The client moves one line or both."""
        old = self._wanted
        self._wanted = (old[0] if dtr is None else dtr, old[1] if rts is None else rts)
        if self._actual == RESET and self._wanted == BOTH:
            # Half of RESET -> STRAPPED: releasing reset now would start the application.
            self._due = self.port.now() + MAX_SPLIT_S
            return
        self._apply()

    def pending_s(self) -> float | None:
        """Seconds until a change held back must be made after all; None when there is none."""
        return None if self._due is None else max(0.0, self._due - self.port.now())

    def settle(self) -> None:
        """Make the change held back: data follows, or it has waited long enough."""
        if self._due is not None:
            self._apply()

    def _apply(self) -> None:
        self._due = None
        if self._wanted == self._actual:
            return
        if self._actual is not None:
            left = self._since + self._hold_s.get(self._actual, 0.0) - self.port.now()
            if left > 0:
                self.port.sleep(left)
        try:
            play(self.port, (DtrRts(*self._wanted),))
        except NoLinesError as e:
            # The client's own tool would go on without a reset, too.
            LOG.log(logging.DEBUG if self._told else logging.WARNING, "%s", e.message)
            self._told = True
        self._actual = self._wanted
        self._since = self.port.now()


class KeptPort:
    """A port as pyserial's RFC 2217 `PortManager` wants it, its lines given to a `LineKeeper`."""

    def __init__(self, port: Port, keeper: LineKeeper) -> None:
        object.__setattr__(self, "_port", port)
        object.__setattr__(self, "_keeper", keeper)

    def __getattr__(self, name: str) -> Any:
        if name in ("dtr", "rts"):
            return self._keeper.wanted[name == "rts"]
        if name in ("cts", "dsr", "ri", "cd"):
            return self._modem_line(name)
        return getattr(self._port.serial, name)

    def _modem_line(self, name: str) -> bool:
        try:
            return bool(getattr(self._port.serial, name))
        except OSError as e:
            if e.errno not in NO_LINES:
                raise
            # A pseudo-terminal has none: as on a board, nothing is wired and all is ready.
            return name != "ri"

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "dtr":
            self._keeper.set(dtr=bool(value))
        elif name == "rts":
            self._keeper.set(rts=bool(value))
        elif name == "baudrate":
            try:
                self._port.baud = value
            except PortError as e:
                raise ValueError(e.message) from e  # the manager answers with the old rate then
        else:
            setattr(self._port.serial, name, value)

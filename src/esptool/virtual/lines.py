# SPDX-License-Identifier: Apache-2.0
"""What DTR and RTS do to a board: two transistors on a dev board, or the USB block of the chip."""

from __future__ import annotations

import time
from collections.abc import Callable

#: How long EN takes to rise behind its capacitor (10 kOhm and 1 uF); IO0 is sampled then.
EN_RISE_S = 0.012


class AutoReset:
    """The usual pair of cross-coupled transistors: both lines asserted pull neither pin.

    EN is low while RTS alone is asserted, IO0 is low while DTR alone is. The strap is sampled
    when EN has risen, so a host may set the two lines one after the other.

    `slow_s` is for lines that are set over a network, which takes longer than EN's rise: within
    it a late IO0 still counts, as a bridge that understands reset sequences would see to.
    """

    def __init__(
        self,
        boot: Callable[[bool], None],
        hold: Callable[[], None],
        slow_s: float = 0.0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._boot = boot
        self._now = now
        self._hold = hold
        self._slow_s = slow_s
        self._io0_low = False
        self._en_low = False
        self._rising_since: float | None = None

    def change(self, dtr: bool, rts: bool) -> None:
        """The host has set the lines (True is asserted, electrically low)."""
        self.settle()
        self._io0_low = dtr and not rts
        en_low = rts and not dtr
        if en_low and not self._en_low:
            self._rising_since = None
            self._hold()
        elif self._en_low and not en_low:
            self._rising_since = self._now()
        self._en_low = en_low
        if self._slow_s and self._io0_low and self._rising_since is not None:
            self._rising_since = None
            self._boot(True)

    def settle(self) -> None:
        """Let the chip start if EN has risen by now."""
        if self._rising_since is not None and self.pending_s() <= 0:
            self._rising_since = None
            self._boot(self._io0_low)

    def pending_s(self) -> float:
        """Seconds until the chip starts, or infinity when no start is due."""
        if self._rising_since is None:
            return float("inf")
        return self._rising_since + (self._slow_s or EN_RISE_S) - self._now()


class UsbJtagReset:
    """The reset of the USB-Serial/JTAG block, by the table in the technical reference manuals.

    DTR alone arms download mode, neither line disarms it, RTS alone resets, both do nothing.
    """

    def __init__(
        self,
        boot: Callable[[bool], None],
        hold: Callable[[], None],
        slow_s: float = 0.0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._boot = boot
        self._armed = False
        self._lines = (False, False)

    def change(self, dtr: bool, rts: bool) -> None:
        """The host has set the lines."""
        if (dtr, rts) == self._lines:
            return
        self._lines = (dtr, rts)
        if rts and not dtr:
            self._boot(self._armed)
        elif not rts:
            self._armed = dtr

    def settle(self) -> None:
        """Nothing is ever due."""

    def pending_s(self) -> float:
        """Nothing is ever due."""
        return float("inf")

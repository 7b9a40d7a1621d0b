# SPDX-License-Identifier: Apache-2.0
"""The RTC watchdog and the super watchdog beside it, as far as hosts use them.

They reset a chip by it whose reset pin they cannot reach, and quiet both while they work with it.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from esptool.virtual.bus import Bus, Registers
from esptool.virtual.silicon import spec

#: Longer than the few milliseconds of a real recipe, so that a slow host can end its requests.
_BITE_AFTER_S = 0.1
_WINDOW = 0x100


class Watchdog(Registers):
    """The registers of the window that holds the watchdogs; others in it are storage.

    Without the key in its lock register, writes to a watchdog's other registers have no effect.
    After a reset over USB-Serial/JTAG both run (`guards`); here they do not bite before they are
    enabled again, since programs may take as long as they like.
    """

    def __init__(
        self,
        layout: spec.Watchdog,
        bite: Callable[[], None],
        now: Callable[[], float] = time.monotonic,
        *,
        guards: bool = False,
    ) -> None:
        super().__init__()
        self.base = layout.config0 & -_WINDOW
        self._layout = layout
        self._config = layout.config0 - self.base
        #: Register to (its lock, the key that opens it).
        self._locks = dict.fromkeys(
            range(self._config, layout.feed - self.base + 4, 4),
            (layout.wprotect - self.base, layout.key),
        )
        if layout.swd_conf is not None and layout.swd_wprotect is not None:
            assert layout.swd_key is not None
            self._locks[layout.swd_conf - self.base] = (
                layout.swd_wprotect - self.base,
                layout.swd_key,
            )
        self._bite = bite
        self._now = now
        self._guards = guards
        self._bites_at: float | None = None

    def attach(self, bus: Bus) -> None:
        """Put it over its window."""
        bus.attach(self.base, _WINDOW, self)

    def write(self, offset: int, value: int) -> None:
        """Keep the word; enabling starts the time, disabling stops it."""
        lock = self._locks.get(offset)
        if lock is not None and self.words.get(lock[0]) != lock[1]:
            return
        self.words[offset] = value
        if offset == self._config:
            enabled = value >> self._layout.enable.shift & 1
            self._bites_at = self._now() + _BITE_AFTER_S if enabled else None

    @property
    def quiet(self) -> bool:
        """Neither watchdog would reset the chip: one is off, the other feeds itself."""
        feeds = self._layout.swd_auto_feed
        return not self._is_set(self._layout.enable) and (feeds is None or self._is_set(feeds))

    def _is_set(self, bit: spec.Bit) -> bool:
        return bool(self.words.get(bit.address - self.base, 0) >> bit.shift & 1)

    def pending_s(self) -> float:
        """Seconds until it bites, or infinity."""
        if self._bites_at is None:
            return float("inf")
        return self._bites_at - self._now()

    def settle(self) -> None:
        """Bite if it is time."""
        if self._bites_at is not None and self.pending_s() <= 0:
            self._bites_at = None
            self._bite()

    def reset(self) -> None:
        """As after any reset."""
        self.words.clear()
        self._bites_at = None
        if self._guards:
            self.words[self._config] = 1 << self._layout.enable.shift

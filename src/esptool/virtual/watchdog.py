# SPDX-License-Identifier: Apache-2.0
"""The RTC watchdog, as far as hosts use it: to reset a chip whose reset pin they cannot reach."""

from __future__ import annotations

import time
from collections.abc import Callable

from esptool.chips.spec import Op, WatchdogReset
from esptool.virtual.bus import Bus, Registers

_ENABLE = 1 << 31
#: Longer than the few milliseconds of a real recipe, so that a slow host can end its requests.
_BITE_AFTER_S = 0.1


class Watchdog(Registers):
    """The registers of the window that holds the watchdog; others in it are storage.

    A recipe unlocks by writing a key to one register, sets a time, and enables by bit 31 of the
    configuration register. Without the key, configuration writes have no effect.
    """

    def __init__(
        self,
        recipe: WatchdogReset,
        bite: Callable[[], None],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        writes = [s for s in recipe.steps if s.op is Op.WRITE]
        self.base = min(s.address for s in writes) & ~0xFF
        self._lock = writes[0].address - self.base
        self._key = writes[0].value
        self._config = next(s.address for s in writes[1:] if s.value & _ENABLE) - self.base
        self._guarded = {s.address - self.base for s in writes} - {self._lock}
        self._bite = bite
        self._now = now
        self._bites_at: float | None = None

    def attach(self, bus: Bus) -> None:
        """Put it over its window."""
        bus.attach(self.base, 0x100, self)

    def write(self, offset: int, value: int) -> None:
        """Keep the word; enabling starts the time, disabling stops it."""
        if offset in self._guarded and self.words.get(self._lock) != self._key:
            return
        self.words[offset] = value
        if offset == self._config:
            self._bites_at = self._now() + _BITE_AFTER_S if value & _ENABLE else None

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
        """Off, as after any reset."""
        self.words.clear()
        self._bites_at = None

# SPDX-License-Identifier: Apache-2.0
"""What the processor of an emulated chip runs at, as the clock registers say."""

from __future__ import annotations

from collections.abc import Callable

from esptool.virtual.silicon import spec


class ClockTree:
    """The root clock and the bus behind it, on chips whose stub may raise it.

    Attributes:
        slow_hz: what the ROM leaves.
        hz: what the processor runs at now.
    """

    def __init__(
        self,
        data: spec.ClockTree | None,
        slow_hz: int,
        read: Callable[[int], int],
        note: Callable[[str], None],
    ) -> None:
        self._data = data
        self._read = read
        self._note = note
        self.slow_hz = self.hz = slow_hz

    @property
    def raised(self) -> bool:
        """The processor runs faster than the ROM has set it."""
        return self.hz != self.slow_hz

    def is_update(self, address: int, value: int) -> bool:
        """The store lets new settings come into force."""
        data = self._data
        return (
            data is not None and address == data.update.address and bool(_bits(value, data.update))
        )

    def update(self) -> None:
        """What the registers say by now comes into force."""
        data = self._data
        assert data is not None
        fast = _bits(self._read(data.select.address), data.select) == data.pll
        self.hz = data.mhz * 1_000_000 if fast else self.slow_hz
        bus = self.hz // (_bits(self._read(data.divider.address), data.divider) + 1)
        if bus != self.slow_hz:
            self._note(f"the bus runs at {bus} Hz, not at {self.slow_hz}")


def _bits(value: int, field: spec.Bit) -> int:
    return value >> field.shift & ((1 << field.width) - 1)

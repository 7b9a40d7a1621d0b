# SPDX-License-Identifier: Apache-2.0
"""What can go wrong on purpose: bytes on the line, cells in the flash. Seeded, so repeatable."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field

from esptool.errors import UsageError

_RATES = ("lose", "flip", "repeat", "delay")
_ADDRESSES = ("erase", "program", "brownout")

#: What `fault=` understands, for help texts and messages.
SYNTAX = (
    "lose:RATE, flip:RATE, repeat:RATE, delay:RATE, drop:BYTES, erase:ADDRESS, "
    "program:ADDRESS, protect, brownout:ADDRESS, seed:NUMBER"
)


@dataclass(slots=True)
class FaultPlan:
    """The faults asked for. Rates are per byte and direction; addresses are flash offsets.

    Attributes:
        rates: chance per byte of each of "lose", "flip", "repeat", "delay".
        seed: start of the random sequence.
        delay_s: how long a delayed byte (and all behind it) is held back.
        drop_at: the link breaks after so many bytes in both directions together.
        erase_at: sectors holding one of these cannot be erased.
        program_at: pages holding one of these cannot be programmed.
        brownout_at: programming this address resets the chip, once, in mid-page.
        protect: the flash's block-protect bits are set and cannot be cleared.
    """

    rates: dict[str, float] = field(default_factory=dict)
    seed: int = 0
    delay_s: float = 0.05
    drop_at: int | None = None
    erase_at: tuple[int, ...] = ()
    program_at: tuple[int, ...] = ()
    brownout_at: tuple[int, ...] = ()
    protect: bool = False

    def add(self, text: str) -> None:
        """Take in one or more comma-separated faults such as `lose:1e-5,seed:3`.

        Raises:
            UsageError: an unknown fault, or a value that is no number.
        """
        for item in filter(None, text.split(",")):
            name, _, value = item.partition(":")
            try:
                self._add_one(name.strip().lower(), value.strip())
            except ValueError:
                raise UsageError(
                    f"The fault '{item}' is not understood.", remedy=f"Faults are: {SYNTAX}."
                ) from None

    def _add_one(self, name: str, value: str) -> None:
        if name in _RATES:
            rate = float(value)
            if not 0 <= rate <= 1:
                raise ValueError(value)
            self.rates[name] = rate
        elif name == "drop":
            self.drop_at = int(value, 0)
        elif name in _ADDRESSES:
            key = f"{name}_at"
            setattr(self, key, (*getattr(self, key), int(value, 0)))
        elif name == "seed":
            self.seed = int(value, 0)
        elif name == "protect" and not value:
            self.protect = True
        else:
            raise ValueError(name)


class LineNoise:
    """Damages one direction of the line. The gap to the next fault is drawn, not each byte."""

    def __init__(self, plan: FaultPlan, direction: str) -> None:
        self._random = random.Random(f"{plan.seed}/{direction}")
        self._kinds = [k for k in _RATES if plan.rates.get(k)]
        self._weights = [plan.rates[k] for k in self._kinds]
        self._rate = min(1.0, sum(self._weights))
        self._gap = self._draw()

    def _draw(self) -> int:
        if not self._rate:
            return -1
        if self._rate >= 1.0:
            return 0
        return int(math.log(1.0 - self._random.random()) / math.log(1.0 - self._rate))

    def apply(self, data: bytes) -> tuple[bytes, bool]:
        """The bytes that come through, and whether they are late."""
        if not self._rate or self._gap >= len(data):
            self._gap -= len(data) if self._rate else 0
            return data, False
        out = bytearray()
        done = 0
        late = False
        while 0 <= self._gap < len(data) - done:
            at = done + self._gap
            out += data[done:at]
            byte = data[at]
            match self._random.choices(self._kinds, self._weights)[0]:
                case "flip":
                    out.append(byte ^ (1 << self._random.randrange(8)))
                case "repeat":
                    out += bytes((byte, byte))
                case "delay":
                    out.append(byte)
                    late = True
                case _:
                    pass
            done = at + 1
            self._gap = self._draw()
        self._gap -= len(data) - done
        out += data[done:]
        return bytes(out), late

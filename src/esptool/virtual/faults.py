# SPDX-License-Identifier: Apache-2.0
"""What can go wrong on purpose: bytes on the line, cells in the flash. Seeded, so repeatable."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field

from esptool.errors import UsageError

_RATES = ("lose", "flip", "repeat", "delay", "log")
_ADDRESSES = ("erase", "program", "brownout", "powercut")
_BYTES = ("drop", "reset")

#: What is wrong with a board for good.
BOARD_FAULTS = frozenset(
    (
        *("strap-high", "strap-low", "no-reset", "no-lines", "mute", "deaf"),
        *("dead-flash", "no-stub", "reset-loop", "brownout-loop", "panic-loop"),
    )
)

#: How far above its limit a line is at its edge: up to the next rate that is in use.
EDGE = 2.2

#: What `fault=` understands, for help texts and messages.
SYNTAX = (
    "lose:RATE, flip:RATE, repeat:RATE, delay:RATE, log:RATE, baud:LIMIT, edge:RATE, "
    "drop:BYTES, away:SECONDS, rename, reset:BYTES, erase:ADDRESS, program:ADDRESS, protect, "
    "brownout:ADDRESS, powercut:ADDRESS, strap-high, strap-low, no-reset, no-lines, mute, deaf, "
    "dead-flash, no-stub, reset-loop, brownout-loop, panic-loop, "
    "seed:NUMBER"
)

#: What firmware prints when it should not.
_LOG_LINE = b"\r\nE (%d) flash: unexpected interrupt \xdb\xc0 at 0x4008%04x\r\n"


@dataclass(slots=True)
class FaultPlan:
    """The faults asked for. Rates are per byte and direction; addresses are flash offsets.

    Attributes:
        rates: chance per byte of each of "lose", "flip", "repeat", "delay", and, from the chip
            only, "log": a line of text that has no business there.
        seed: start of the random sequence.
        most_baud: what is sent faster arrives as garbage, 0 for no limit.
        edge: chance per byte of damage in place of garbage where the rate is above `most_baud` by
            no more than `EDGE`.
        delay_s: how long a delayed byte (and all behind it) is held back.
        drop_at: the link breaks after so many bytes in both directions together.
        away_s: so long a port whose link broke cannot be opened.
        rename: a named board comes back under another name, as a USB device that is enumerated
            anew; the list of ports shows it.
        reset_at: the chip resets by itself after so many bytes.
        erase_at: sectors holding one of these cannot be erased.
        program_at: pages holding one of these cannot be programmed.
        brownout_at: programming this address resets the chip, once, in mid-page.
        powercut_at: erasing this address resets the chip, once, with the block erased in part.
        protect: the flash's block-protect bits are set and cannot be cleared.
        board: those of `BOARD_FAULTS`: IO0 is held ("strap-high", "strap-low"), RTS does not reach
            EN ("no-reset"), nor DTR IO0 ("no-lines"), nothing comes from the chip ("mute") or gets
            to it ("deaf"), the flash does not answer ("dead-flash"), code in RAM does not start
            ("no-stub"), and the application never gets far ("reset-loop", "brownout-loop",
            "panic-loop").
    """

    rates: dict[str, float] = field(default_factory=dict)
    seed: int = 0
    most_baud: int = 0
    edge: float = 0.0
    delay_s: float = 0.05
    drop_at: tuple[int, ...] = ()
    away_s: float = 0.0
    rename: bool = False
    reset_at: tuple[int, ...] = ()
    erase_at: tuple[int, ...] = ()
    program_at: tuple[int, ...] = ()
    brownout_at: tuple[int, ...] = ()
    powercut_at: tuple[int, ...] = ()
    protect: bool = False
    board: set[str] = field(default_factory=set)

    def add(self, text: str) -> None:
        """Take in one or more comma-separated faults such as `lose:1e-5,seed:3`.

        Raises:
            UsageError: an unknown fault, or a value that is not a number.
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
            self.rates[name] = _chance(value)
        elif name == "edge":
            self.edge = _chance(value)
        elif name == "baud":
            self.most_baud = int(value)
            if self.most_baud <= 0:
                raise ValueError(value)
        elif name == "away":
            self.away_s = float(value)
            if not 0 <= self.away_s < math.inf:
                raise ValueError(value)
        elif name == "rename" and not value:
            self.rename = True
        elif name in _ADDRESSES + _BYTES:
            key = f"{name}_at"
            at = int(value, 0)
            if at < 0:
                raise ValueError(value)
            setattr(self, key, (*getattr(self, key), at))
        elif name == "seed":
            self.seed = int(value, 0)
        elif name == "protect" and not value:
            self.protect = True
        elif name in BOARD_FAULTS and not value:
            self.board.add(name)
        else:
            raise ValueError(name)


def _chance(value: str) -> float:
    chance = float(value)
    if not 0 <= chance <= 1:
        raise ValueError(value)
    return chance


class RateLimit:
    """What one direction of a line that does not bear every rate makes of bytes."""

    def __init__(self, plan: FaultPlan, direction: str) -> None:
        self._plan = plan
        self._random = random.Random(f"{plan.seed}/{direction}/rate")

    def apply(self, data: bytes, baud: int) -> bytes:
        """The bytes as they arrive when sent at `baud`."""
        plan = self._plan
        if not plan.most_baud or baud <= plan.most_baud:
            return data
        if not plan.edge or baud > EDGE * plan.most_baud:
            return self._random.randbytes(len(data))
        out = bytearray(data)
        for at in range(len(out)):
            if self._random.random() < plan.edge:
                out[at] ^= self._random.randrange(1, 256)
        return bytes(out)


class LineNoise:
    """Damages one direction of the line. The gap to the next fault is drawn, not each byte."""

    def __init__(self, plan: FaultPlan, direction: str) -> None:
        self._random = random.Random(f"{plan.seed}/{direction}")
        kinds = _RATES if direction == "to host" else _RATES[:-1]
        self._kinds = [k for k in kinds if plan.rates.get(k)]
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
                case "log":
                    out.append(byte)
                    numbers = (self._random.randrange(99999), self._random.randrange(1 << 16))
                    out += _LOG_LINE % numbers
                case _:
                    pass
            done = at + 1
            self._gap = self._draw()
        self._gap -= len(data) - done
        out += data[done:]
        return bytes(out), late

# SPDX-License-Identifier: Apache-2.0
"""Steps that listen to a program: `boot` starts the one in flash, `test-ram` one in RAM."""

from __future__ import annotations

import contextlib
import math
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from esp_station.steps.base import Env, Step
from esp_station.tomlfile import Table
from esptool import ops
from esptool.errors import FatalError, ImageError, PortError, VerifyError
from esptool.image import app
from esptool.image.sources import read_source

if TYPE_CHECKING:
    from esp_station.board import Board
    from esptool.device import Session

#: What tells that a program has crashed or a chip starts over, whatever a job expects.
CRASHES = (
    r"Guru Meditation",
    r"abort\(\) was called",
    r"invalid header: 0x",
    r"Checksum failure",
    r"Brownout detector was triggered",
    r"Backtrace:0x",
)
_SLICE_S = 0.05
#: So much of what a program says is kept for a line that does not end.
_LONGEST_LINE = 4096


@dataclass(frozen=True, slots=True)
class Measure:
    """A value that is taken out of what a program says.

    Attributes:
        name: how the records call it.
        pattern: its first group is the value.
        low, high: bounds of a number, None where there are none.
    """

    name: str
    pattern: re.Pattern[str]
    low: float | None
    high: float | None

    def judge(self, text: str) -> None:
        """
        Raises:
            VerifyError: the value is out of its bounds.
        """
        if self.low is None and self.high is None:
            return
        try:
            value = float(text)
        except ValueError:
            raise VerifyError(f"'{self.name}' is '{text}', which is not a number.") from None
        # "nan" is neither less nor more than a bound, and no value that is good.
        fits = (self.low is None or value >= self.low) and (self.high is None or value <= self.high)
        if not fits or not math.isfinite(value):
            raise VerifyError(f"'{self.name}' is {text}; it must be {self._between}.")

    @property
    def _between(self) -> str:
        if self.low is None:
            return f"{self.high:g} or less"
        return f"{self.low:g} or more" if self.high is None else f"{self.low:g} to {self.high:g}"


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a program has to say.

    Attributes:
        lines: patterns, each of which a line of its own must match, in this order.
        never: patterns that no line may match.
        values: what is taken out of the lines.
        seconds: until all of it has come.
        baud: the rate of its console.
    """

    lines: tuple[re.Pattern[str], ...]
    never: tuple[re.Pattern[str], ...]
    values: tuple[Measure, ...]
    seconds: float
    baud: int

    def hear(self, board: Board, session: Session) -> None:
        """Listen until all has come.

        Raises:
            VerifyError: something has not come in time, or a line that must not come.
        """
        waiting = list(self.lines)
        missing = {value.name: value for value in self.values}
        last = ""
        for line in _lines(board, session, self.seconds):
            board.say(f"> {line}")
            last = line or last
            bad = next((p for p in self.never if p.search(line)), None)
            if bad is not None:
                raise VerifyError(
                    f"The program said '{board.without_secrets(line.strip())}'.",
                    remedy="Look at the log of this board.",
                )
            if waiting and waiting[0].search(line):
                waiting.pop(0)
            for value in list(missing.values()):
                if found := value.pattern.search(line):
                    text = (found[1] if found.re.groups else found[0]) or ""
                    board.attempt.measured[value.name] = board.without_secrets(text)
                    value.judge(text)
                    del missing[value.name]
            if not waiting and not missing:
                return
        wanted = f"'{waiting[0].pattern}'" if waiting else f"the value '{next(iter(missing))}'"
        heard = f" The last line was '{board.without_secrets(last.strip())}'." if last else ""
        silent = "" if last else " Nothing was heard."
        raise VerifyError(
            f"{wanted} did not come within {self.seconds:g} s.{heard}{silent}",
            remedy="Is it the right firmware, and the right console?",
        )


def _lines(board: Board, session: Session, seconds: float) -> Iterator[str]:
    """Lines of a console as they come; at the end what has come of the last one.

    The clock is that of the port, and real time as well: a virtual line has its own.
    """
    port = session.link.port
    buffer = bytearray()
    end = port.now() + seconds
    real_end = time.monotonic() + seconds + 60
    while port.now() < end and time.monotonic() < real_end:
        board.check_stop()
        try:
            buffer += port.receive(min(_SLICE_S, max(0.0, end - port.now())))
        except PortError:
            # USB of a chip's own goes with a reset, and comes back.
            board.check_stop()
            with contextlib.suppress(PortError):
                port.release()
            port.sleep(_SLICE_S)
            board.reopened_port()
            with contextlib.suppress(PortError):
                port.open(board.port)
            continue
        while (at := buffer.find(b"\n")) >= 0 or len(buffer) > _LONGEST_LINE:
            at = at if at >= 0 else _LONGEST_LINE
            yield _text(buffer[:at])
            del buffer[: at + 1]
    if buffer:
        yield _text(buffer)


def _text(raw: bytes | bytearray) -> str:
    text = bytes(raw).decode("utf-8", "replace").rstrip("\r")
    # Colours of a console are for terminals.
    text = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text)
    return "".join(c if c >= " " else "." for c in text)


@dataclass(frozen=True, slots=True)
class Boot(Step):
    """Starts the program in flash by a reset and hears what it says."""

    expect: Expectation

    def run(self, board: Board) -> str | None:
        """See `Step.run`."""
        session = board.loader()
        board.refuse_unproven()
        _go_to_rate(session, self.expect.baud)
        ops.reset_chip(session)
        board.leave(session)
        self.expect.hear(board, session)
        return _told(board, self.expect)


def _go_to_rate(session: Session, baud: int) -> None:
    """Have chip and port at the console's rate before the reset, so that no line is missed."""
    if session.link.baud == baud:
        return
    with contextlib.suppress(FatalError):
        session.power.change_baud(baud)
    session.link.set_baud(baud)


def read_boot(table: Table, env: Env, name: str) -> Step | None:
    """The step `boot`: `expect`, `never`, `values`, `timeout`, `baud`."""
    expect = _expectation(table, env, 10.0)
    return None if expect is None else Boot("boot", name, expect)


@dataclass(frozen=True, slots=True)
class TestRam(Step):
    """Loads a program into RAM, starts it and hears what it says. Flash does not change."""

    __test__ = False

    expect: Expectation
    path: str
    image: bytes

    def run(self, board: Board) -> str | None:
        """See `Step.run`."""
        session = board.rom()
        ops.load_ram(session, self.image)
        board.leave(session)
        session.link.set_baud(self.expect.baud)
        self.expect.hear(board, session)
        return _told(board, self.expect)


def read_test_ram(table: Table, env: Env, name: str) -> Step | None:
    """The step `test-ram`: `image`, and what `boot` has."""
    path = env.file(table, "image")
    expect = _expectation(table, env, 10.0)
    if path is None or expect is None:
        return None
    try:
        data, _name = read_source(path)
        program = app.load_for_ram(data, env.identity.chip)
        if not program.segments:
            raise ImageError(f"'{path}' has no segments: there is nothing to load.")
    except FatalError as e:
        table.wrong("image", e.message, e.remedy)
        return None
    return TestRam("test-ram", name, expect, path, bytes(data))


def _told(board: Board, expect: Expectation) -> str | None:
    taken = [f"{v.name} {board.attempt.measured[v.name]}" for v in expect.values]
    return ", ".join(taken) or None


def _expectation(table: Table, env: Env, seconds: float) -> Expectation | None:
    lines = _patterns(table, "expect", table.texts("expect"))
    never = _patterns(table, "never", table.texts("never"))
    values = _measures(table, env)
    timeout = table.number("timeout", seconds, 0.1, 3600)
    baud = table.integer("baud", 115200, 300, 10_000_000)
    if not table.values.get("expect") and not values:
        table.wrong(None, "Nothing is expected of the program.", 'Add: expect = ["ready"]')
    if lines is None or never is None or values is None:
        return None
    crashes = tuple(re.compile(p) for p in CRASHES)
    return Expectation(lines, (*never, *crashes), values, timeout, baud)


def _patterns(table: Table, key: str, texts: tuple[str, ...]) -> tuple[re.Pattern[str], ...] | None:
    found = [_pattern(table, key, text) for text in texts]
    return tuple(p for p in found if p is not None) if None not in found else None


def _pattern(table: Table, key: str, text: str) -> re.Pattern[str] | None:
    try:
        return re.compile(text)
    except re.error as e:
        table.wrong(key, f"'{text}' is not a regular expression: {e}.", "Write \\( for a bracket.")
        return None


def _measures(table: Table, env: Env) -> tuple[Measure, ...] | None:
    inner = table.table("values")
    found: list[Measure] = []
    good = True
    for name in inner.values if inner is not None else ():
        assert inner is not None
        if isinstance(inner.values[name], str):
            text, low, high, at = inner.text(name), None, None, inner
        else:
            at = inner.table(name) or inner
            text = at.text("regex", required=True)
            low, high = at.maybe_number("min"), at.maybe_number("max")
            if at is not inner:
                at.finish()
        if low is not None and high is not None and low > high:
            inner.wrong(name, f"'min' is {low:g} and 'max' is {high:g}: no value is between.", None)
            good = False
        pattern = _pattern(inner, name, text) if text else None
        if pattern is None:
            good = False
            continue
        if pattern.groups > 1:
            inner.wrong(name, f"'{text}' has more than one group: which is the value?", "Use (?:)")
            good = False
        found.append(Measure(name, pattern, low, high))
        env.measured.append(name)
    return tuple(found) if good else None

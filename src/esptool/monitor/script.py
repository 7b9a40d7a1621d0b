# SPDX-License-Identifier: Apache-2.0
"""What is sent to a chip and waited for, one after the other."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from esptool.errors import UsageError
from esptool.records import dataclass

_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|.|$)", re.DOTALL)
_CONTROLS = {"n": b"\n", "r": b"\r", "t": b"\t", "0": b"\0", "e": b"\x1b", "\\": b"\\"}


@dataclass(frozen=True, slots=True)
class Send:
    """Bytes to send."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Expect:
    """A regular expression that a line must match somewhere."""

    pattern: re.Pattern[str]


Step = Send | Expect


def expected(text: str) -> Expect:
    """A step that waits for a line.

    Raises:
        UsageError: it is not a regular expression.
    """
    try:
        return Expect(re.compile(text))
    except re.error as e:
        raise UsageError(
            f"'{text}' is not a regular expression: {e}.",
            remedy="Put a backslash in front of characters such as ( and [.",
        ) from None


def sent(text: str, ending: str) -> Send:
    r"""A step that sends a text and what Enter sends.

    `\n`, `\r`, `\t`, `\0`, `\e` and `\xNN` stand for bytes, `\\` for a backslash.

    Raises:
        UsageError: another escape, or a backslash at the end.
    """

    data, done = b"", 0
    for found in _ESCAPE.finditer(text):
        data += text[done : found.start()].encode("utf-8") + _escaped(found, text)
        done = found.end()
    return Send(data + (text[done:] + ending).encode("utf-8"))


def _escaped(found: re.Match[str], text: str) -> bytes:
    name = found[1]
    if len(name) == 3:
        return bytes.fromhex(name[1:])
    if name not in _CONTROLS:
        raise UsageError(
            f"'{found[0]}' in '{text}' is not an escape that can be sent.",
            remedy=r"There are \n, \r, \t, \0, \e, \xNN, and \\ for a backslash.",
            operands={"text": text, "escape": found[0]},
        )
    return _CONTROLS[name]


class Script:
    """Steps, and how far they are.

    Attributes:
        matched: what the expectations have matched so far.
    """

    def __init__(self, steps: Iterable[Step], send: Callable[[bytes], object]) -> None:
        self._steps = list(steps)
        self._send = send
        self._at = 0
        self.matched: list[str] = []

    @property
    def waits(self) -> bool:
        """There is an expectation that is not met yet."""
        return any(isinstance(step, Expect) for step in self._steps[self._at :])

    @property
    def expects(self) -> bool:
        """There is, or was, any."""
        return any(isinstance(step, Expect) for step in self._steps)

    @property
    def next(self) -> str:
        """The pattern that is waited for, empty where none is."""
        step = self._steps[self._at] if self._at < len(self._steps) else None
        return step.pattern.pattern if isinstance(step, Expect) else ""

    def go(self) -> None:
        """Send what comes before the next expectation."""
        while self._at < len(self._steps):
            step = self._steps[self._at]
            if not isinstance(step, Send):
                return
            self._send(step.data)
            self._at += 1

    def see(self, line: str) -> bool:
        """A line, or the beginning of one; whether it was waited for."""
        if self._at >= len(self._steps):
            return False
        step = self._steps[self._at]
        if not isinstance(step, Expect) or not step.pattern.search(line):
            return False
        self.matched.append(line)
        self._at += 1
        self.go()
        return True

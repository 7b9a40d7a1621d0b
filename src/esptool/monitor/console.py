# SPDX-License-Identifier: Apache-2.0
"""From bytes to lines with explanations; what they look like is decided by who listens.

Whole chunks are passed through where nothing in them needs to be looked at: a chip may send
300 kB in a second.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from typing import Protocol

from esptool.monitor.decoder import Decoder, Note
from esptool.monitor.log_lines import Filter, plain
from esptool.monitor.reasons import TRIGGERS

#: Of a line that is longer, no more than its end is looked at.
_LONGEST = 4096
#: One that is longer is dealt with as if it had ended.
_ENDLESS = 1 << 20
#: So many characters show whether what comes is text, and so much of it may be none.
_SAMPLE, _MOST_ODD = 400, 0.3
_ODD = re.compile("[\ufffd\x00-\x08\x0e-\x1a\x1c-\x1f]")


class Output(Protocol):
    """Who is told."""

    def text(self, text: str, *, begins: bool) -> None:
        """A piece of output as the chip sent it, with "\\n" for ends of lines.

        Args:
            text: whole lines, or a part of one.
            begins: its first character is the first of a line.
        """

    def line(self, line: str, shown: bool) -> None:
        """A line is complete; without its end and without colours, also if it was hidden."""

    def notes(self, notes: Sequence[Note]) -> None:
        """Explanations of the line that was last."""


class Console:
    """Takes bytes of a chip, and tells an `Output` lines and explanations.

    Attributes:
        lines_wanted: every line is told of, also where nothing needs to be looked at.
    """

    def __init__(self, decoder: Decoder, output: Output, shown: Filter | None = None) -> None:
        self._decoder, self._output = decoder, output
        self._filter = shown or Filter()
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._tail = ""
        self._printed = 0
        self._carriage = False
        self.lines_wanted = False
        self._sampled = self._odd = 0

    def feed(self, data: bytes) -> None:
        """Bytes have come."""
        text = self._decode(data)
        if self._carriage:
            text = "\r" + text
        self._carriage = text.endswith("\r")
        if self._carriage:
            text = text[:-1]
        if "\r" in text:
            text = text.replace("\r\n", "\n")
        if not text:
            return
        if self._odd >= 0:
            self._sample(text)
        at_once = not self.lines_wanted and self._filter.shows_all
        if at_once and not self._decoder.listening and not TRIGGERS.search(self._tail + text):
            self._output.text(text, begins=not self._printed)
            _, newline, rest = text.rpartition("\n")
            self._tail = rest if newline else self._tail + text
            self._printed = len(self._tail)
            self._shorten()
            return
        *lines, tail = (self._tail + text).split("\n")
        for line in lines:
            self._complete(line)
        self._tail = tail
        if at_once:
            self._show_tail()
            self._shorten()
        elif len(self._tail) > _ENDLESS:
            self._complete(self._tail)
            self._tail = ""

    def idle(self) -> None:
        """Nothing has come for a moment: show what has begun, as it may be a prompt."""
        if self._tail and (self._printed or self._filter.shows(plain(self._tail))):
            self._show_tail()
        if notes := self._decoder.end():
            self._output.notes(notes)

    def end(self) -> None:
        """Nothing comes any more: what has begun is a line."""
        if self._carriage:
            self._carriage = False
        if self._tail:
            self._complete(self._tail)
            self._tail = ""
        self.idle()

    def _show_tail(self) -> None:
        if not self._decoder.muted and len(self._tail) > self._printed:
            self._output.text(self._tail[self._printed :], begins=not self._printed)
            self._printed = len(self._tail)

    def _shorten(self) -> None:
        if len(self._tail) > _LONGEST:
            self._show_tail()
            self._tail, self._printed = self._tail[-_LONGEST // 2 :], _LONGEST // 2

    def _sample(self, text: str) -> None:
        """At another rate than the chip's, hardly anything that comes is text."""
        self._sampled += len(text)
        self._odd += len(_ODD.findall(text))
        if self._sampled < _SAMPLE:
            return
        if self._odd > _MOST_ODD * self._sampled:
            words = "What comes is not text: the chip's console may have another rate."
            remedy = "Try --monitor-baud 115200, 74880 (boot log of ESP8266) or 921600."
            self._output.notes([Note("hint", (words, remedy), {"hint": "baud-rate"})])
            self._odd = -1
        else:
            self._sampled = self._odd = 0

    def _complete(self, line: str) -> None:
        bare = plain(line)
        muted = self._decoder.muted
        shown = not muted and (bool(self._printed) or self._filter.shows(bare))
        if shown:
            self._output.text(line[self._printed :] + "\n", begins=not self._printed)
        self._printed = 0
        self._output.line(bare, shown)
        if not (self._decoder.listening or TRIGGERS.search(bare)):
            return
        if notes := self._decoder.feed(bare.rstrip("\r")):
            self._output.notes(notes)

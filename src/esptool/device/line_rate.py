# SPDX-License-Identifier: Apache-2.0
"""The best rate of a line, found by patterns that the first stage of the stub sends back.

What is tried, and what is made of it, is decided in `esptool.protocol.rates`.
"""

from __future__ import annotations

import contextlib
import random
import struct
from collections import deque
from typing import TYPE_CHECKING

from esptool.device.first_stage import ANSWER_S, GARBAGE_ON_TRIAL
from esptool.errors import LinkTimeoutError, PortError
from esptool.protocol import rates, slip, stage
from esptool.protocol.packets import BITS_A_BYTE
from esptool.protocol.rates import AROUND, SHORT, Heard, RateSearch, Trial
from esptool.protocol.stage import StageOp

if TYPE_CHECKING:
    from esptool.device.first_stage import FirstStageLink

#: A UART's moment after a change of its rate.
SETTLE_S = 0.002
#: Answers come within so many round trips, and this.
ROUND_TRIPS, SLACK_S = 2.0, 0.008
#: A rate at which patterns take longer than line and round trips explain, by so much, is none.
LATE_S = 0.05
#: How often a chip is asked to come back, with how many copies.
WAYS_BACK, COPIES = 4, 3
#: How often a rate is asked for on a line that hardly bears the present one.
ASKS = 4
#: Patterns of which one must pass at a rate that was asked for: a few bytes may well be damaged.
ASKED_FRAMES = 2
#: Damaged blocks among those of the stub that send an automatic rate down, and how often all of
#: them are sent before one that was asked for is given up.
TOO_MANY, HOPELESS = 3, 3


class LineRate:
    """Looks for the best rate with a first stage that runs, and keeps chip and port at one rate.

    Attributes:
        given_up: rates at which blocks of the stub were damaged too often.
        cut: the search had no time for higher rates.
    """

    def __init__(self, stage_link: FirstStageLink, automatic: bool) -> None:
        self._stage = stage_link
        self.link = stage_link.link
        self.base = stage_link.base
        self._info = stage_link.info
        self._round_trip_s = 0.02
        #: Something was lost at the present rate: an answer may not come through.
        self._shaky = False
        self._random = random.Random(0)
        self.automatic = automatic
        self.given_up: list[int] = []
        self.cut = False

    def find(self, remembered: int | None, *, further: bool = False) -> None:
        """Leave chip and port at the best rate.

        Args:
            remembered: a rate that was good before, in bits a second.
            further: higher rates were not tried then.

        Raises:
            LinkTimeoutError: the first stage is lost, at the rate that it was started at as well.
            PortError: the port is gone.
        """
        began = self.link.now()
        self._measure_round_trip()
        search = RateSearch(
            self.base,
            remembered=remembered,
            further=further,
            spent_s=self.link.now() - began,
            round_trip_s=self._round_trip_s,
        )
        while (trial := search.next()) is not None:
            search.took(trial, self._tried(trial))
        if search.best == self.base != self.link.baud:
            self._home(heard=True)
        elif search.best != self.link.baud:
            self._settled(search.best)
        self.cut = search.cut

    def go(self, baud: int) -> bool:
        """Go to a rate that was asked for; False, at the former one, where hardly anything passes.

        Raises:
            LinkTimeoutError, PortError: as `find`.
        """
        if baud == self.link.baud:
            return True
        self._measure_round_trip()
        if not self._switch(baud):
            return False
        # Nothing is chosen here: a rate that was asked for is not refused for being slow to answer.
        if self._patterns(Trial(baud, ASKED_FRAMES, SHORT, 1), ANSWER_S):
            return True
        self._home(heard=False)
        return False

    def below(self, baud: int) -> None:
        """Go to the best rate below one that the line does not bear."""
        wanted = rates.lower(baud, self.base)
        while wanted > self.base and not self._settled(wanted):
            wanted = rates.lower(wanted, self.base)

    def worn(self, again: int, blocks: int) -> bool:
        """Go down where so many of the stub's blocks had to be sent again."""
        if self.link.baud == self.base:
            return False
        self._shaky = True
        if self.automatic:
            if again < TOO_MANY:
                return False
        elif again <= HOPELESS * blocks:
            # A rate that was asked for is kept to for as long as anything comes through.
            return False
        wanted = rates.lower(self.link.baud, self.base)
        self.given_up.append(self.link.baud)
        if wanted == self.base or not self._settled(wanted):
            self._home(heard=True)
        return True

    # --- trials ----------------------------------------------------------------------------------

    def _measure_round_trip(self) -> None:
        began = self.link.now()
        if self._stage.hello(1):
            line_s = 2 * 24 * BITS_A_BYTE / self.link.baud
            self._round_trip_s = max(0.0, self.link.now() - began - line_s)

    def _tried(self, trial: Trial) -> Heard:
        began = self.link.now()
        new = trial.rate != self.link.baud
        if new and not self._switch(trial.rate):
            return Heard(0, self.link.now() - began, refused=True)
        # A chip gives a new rate up in the middle of a first pattern that is long.
        first = new and trial.size > SHORT
        asked = self.link.now()
        # A rate that passed a short trial is not given up for a single pattern.
        tries = 2 if trial.thorough else 1
        short = Trial(trial.rate, 1, SHORT, 1)
        passed = not first or any(self._patterns(short) for _ in range(tries))
        good = self._patterns(trial, began=began) if passed else 0
        self._shaky = good < trial.frames
        # A change of the rate may take several round trips of a network: not the rate's fault.
        took = self.link.now() - asked
        explained = trial.line_s + (trial.frames / trial.window + 4) * self._round_trip_s
        if good < trial.frames - 1:
            # A chip that has sent a pattern back at this rate does not give it up by itself.
            self._home(heard=good > 0 or not new or (first and passed))
        return Heard(good, self.link.now() - began, late=took > explained + LATE_S)

    def _settled(self, baud: int) -> bool:
        """Chip and port are at `baud`, and a pattern passes."""
        for _ in range(2):
            if baud != self.link.baud and not self._switch(baud):
                break
            if any(self._patterns(Trial(baud, 1, SHORT, 1)) for _ in range(2)):
                return True
            self._home(heard=True)
        return False

    def _switch(self, baud: int) -> bool:
        """Go to `baud`; False where the port, or the chip's UART, cannot go at that rate.

        Raises:
            PortError: the port is gone.
        """
        try:
            self._go_together(baud)
        except (ValueError, PortError):
            if not self.link.port.is_open:
                raise
            return False
        return True

    def _go_together(self, baud: int) -> None:
        """Have the chip go to `baud`, and follow it, also where it was not heard to agree.

        Raises:
            ValueError: no divider of the chip's UART gives that rate.
            PortError: the port cannot be set to it; the chip was not told.
        """
        divider = stage.divider_for(self._info, self.base, baud)
        old = self.link.baud
        try:
            self.link.set_baud(baud)
        finally:
            self.link.set_baud(old)
        if self._shaky and self.link.baud != self.base:
            # Its answer might be lost, and further requests would come at a rate that it has left.
            self._home(heard=True)
        self._shaky = False
        with contextlib.suppress(LinkTimeoutError):
            # Its answer may be lost although it is there; if not, the patterns show that.
            fields = struct.pack("<I", divider)
            self._stage.ask(StageOp.RATE, fields, attempts=ASKS, wait_s=self._wait_s)
        self.link.set_baud(baud)
        self.link.sleep(SETTLE_S)
        self.link.discard_input()

    @property
    def _wait_s(self) -> float:
        """What a short answer may take, besides its time on the line."""
        return ROUND_TRIPS * self._round_trip_s + SLACK_S

    def _patterns(self, trial: Trial, patience_s: float = 0.0, began: float | None = None) -> int:
        """Send the patterns of a trial; how many came back whole. Two that are lost end it.

        Args:
            patience_s: what an answer may take at least, on a machine that is busy.
            began: when the trial began; now without it.
        """
        link = self.link
        waiting: deque[tuple[int, bytes]] = deque()
        sent = good = lost = 0
        answer_s = max(patience_s, self._wait_s)
        answer_s += (trial.window + 1) * (trial.size + AROUND) * BITS_A_BYTE / link.baud
        until = (link.now() if began is None else began) + trial.patience_s
        while good + lost < trial.frames and lost < 2 and not (lost and link.now() > until):
            burst = b""
            while sent < trial.frames and len(waiting) < trial.window:
                number, pattern = self._stage.next_number(), self._random.randbytes(trial.size)
                waiting.append((number, pattern))
                burst += slip.encode(stage.request(StageOp.ECHO, number, pattern))
                sent += 1
            if burst:
                link.port.send(burst)
            came = False
            for payload in link.frames_within(answer_s):
                came = True
                answer = stage.parse(payload)
                if answer is None or answer.op != StageOp.ECHO:
                    lost += 1
                    if waiting:
                        waiting.popleft()
                    continue
                while waiting and waiting[0][0] != answer.number:
                    if answer.number not in [number for number, _ in waiting]:
                        break  # of an earlier trial
                    waiting.popleft()
                    lost += 1
                if waiting and waiting[0][0] == answer.number:
                    good += waiting.popleft()[1] == answer.fields
            if not came:
                lost += max(1, len(waiting))
                waiting.clear()
        return good

    # --- the way back ----------------------------------------------------------------------------

    def _home(self, *, heard: bool) -> None:
        """Have the chip come back to the rate that it was started at, and follow it.

        A chip on whose new rate nothing whole has come gives it up after some bytes, be they sent
        at that rate or, where the line does not carry it, at the old one. One that has heard
        anything is asked, also where its answers do not come through.

        Args:
            heard: it was heard at the present rate.

        Raises:
            LinkTimeoutError: it is lost.
        """
        rate = self.link.baud
        if rate != self.base:
            for round_ in range(WAYS_BACK):
                if heard or round_:
                    self._send_home(rate)
                else:
                    self._stage.unheard()
                    self.link.sleep(self._round_trip_s / 2)
                if self._at_base():
                    return
                if round_ == 1 and not heard:
                    self._stage.unheard()
                    if self._at_base():
                        return
        elif self._at_base():
            return
        self._stage.back_to_base(GARBAGE_ON_TRIAL)

    def _send_home(self, rate: int) -> None:
        """Ask for the first rate, and do not wait for an answer that may not come through."""
        self.link.set_baud(rate)
        fields = struct.pack("<I", self._info.divider)
        frame = slip.encode(stage.request(StageOp.RATE, self._stage.next_number(), fields))
        self.link.port.send(frame * COPIES)
        line_s = COPIES * 2 * len(frame) * BITS_A_BYTE / rate
        self.link.sleep(line_s + self._round_trip_s / 2 + SETTLE_S)

    def _at_base(self) -> bool:
        """The chip answers at the rate that it was started at."""
        self.link.set_baud(self.base)
        self.link.sleep(SETTLE_S)
        self.link.discard_input()
        return self._stage.hello(1, self._wait_s)

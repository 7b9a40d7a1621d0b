# SPDX-License-Identifier: Apache-2.0
"""Sending what is too large to be held in memory: piece by piece, each a write of its own.

While one piece is on its way the next is read and deflated, so two are in memory at most.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from esptool.image.content import joined
from esptool.ops import packing
from esptool.ops.model import SECTOR
from esptool.ops.plan import AnyStretch, LargeStretch, Stretch
from esptool.ops.report import Report
from esptool.ops.send import Sent, send_stretch
from esptool.ops.write_pace import WritePace
from esptool.protocol.ext import Capability
from esptool.protocol.packets import BITS_A_BYTE

if TYPE_CHECKING:
    from esptool.device import Session


def send(
    session: Session, stretch: AnyStretch, report: Report, retries: int, after_s: float = 0.0
) -> Sent:
    """Erase the sectors of a stretch and write it; see `esptool.ops.send.send_stretch`.

    Raises:
        FatalError: the chip refused, or did not answer any more; names the offset reached.
        ImageError: the file changed meanwhile.
    """
    numbered = session.can(Capability.WRITE)
    if isinstance(stretch, Stretch) or not (numbered or stretch.pack):
        # Blocks that go out as they are can be read one by one.
        return send_stretch(session, stretch, report, retries, after_s)
    if numbered and stretch.address % SECTOR:
        head = stretch.address % SECTOR
        data = joined(b"\xff" * head, stretch.data)
        stretch = LargeStretch(stretch.address - head, data, stretch.encrypted, stretch.pack)
    pace = WritePace.of(session, stretch, after_s)
    whole = Sent()
    upcoming = stretch.pieces()
    piece = next(upcoming, None)
    place = _Place(session, stretch, report, pace)
    while piece is not None:
        following = next(upcoming, None)
        if following is not None and following.pack:
            packing.prepare(following.data)
        place.enter(piece)
        sent = send_stretch(session, piece, place, retries, pace=place, end=stretch.end)
        packing.forget(piece.data)
        whole.add(sent)
        piece = following
    return whole


class _Place(Report):
    """Where in the whole a piece stands: its progress and its pace in terms of the whole."""

    def __init__(
        self, session: Session, stretch: LargeStretch, report: Report, pace: WritePace
    ) -> None:
        super().__init__(session, report.listener)
        self._whole = stretch
        self._of_whole = pace
        self._byte_s = BITS_A_BYTE / session.link.baud
        self._before = 0
        self._size = 0
        self._line_bytes = 0
        self._rest_s: float | None = None

    def enter(self, piece: Stretch) -> None:
        """The next piece begins."""
        self._before = piece.address - self._whole.address
        self._size = len(piece.data)
        self._line_bytes += piece.line_bytes
        used = self._of_whole.used
        pages = used[min(len(used) - 1, -(-(self._before + self._size) // SECTOR))]
        # What is to come packs as what was packed so far.
        line_bytes = (used[-1] - pages) * self._line_bytes / max(1, pages)
        rest_s = line_bytes * self._byte_s
        if self._rest_s is not None:
            self._of_whole.revise(piece.line_bytes * self._byte_s + rest_s - self._rest_s)
        self._rest_s = rest_s

    def step(
        self,
        action: str,
        address: int | None,
        done: int,
        total: int,
        seconds_left: float | None,
    ) -> None:
        """A step in the piece, told as one in the plain bytes of the whole."""
        reached = self._before + (self._size * done // total if total else self._size)
        super().step(action, address, reached, len(self._whole.data), seconds_left)

    # --- the pace of the whole -------------------------------------------------------------------

    def begin_at(self, done: int, line_left_s: float) -> None:
        """See `WritePace`."""
        self._of_whole.begin_at(self._before + done, line_left_s + (self._rest_s or 0.0))

    def left(self, done: int, line_left_s: float) -> float | None:
        """See `WritePace`."""
        return self._of_whole.left(self._before + done, line_left_s + (self._rest_s or 0.0))

    def stop(self) -> None:
        """See `WritePace`."""
        self._of_whole.stop()

# SPDX-License-Identifier: Apache-2.0
"""Settling what is done with each region: what the chip says of its flash, and what follows of it.

A dry run and the write itself ask and decide here, so that one shows what the other does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING

from esptool.chips.nor import SECTOR, sector_range
from esptool.device import ext
from esptool.errors import FatalError
from esptool.events import Event, Message
from esptool.image.content import Data, joined, md5
from esptool.ops.plan import Action, Decision, RegionPlan, Step, Way, WritePlan
from esptool.protocol.ext import Capability, Ext, HashKind, hash_of, seal, unseal
from esptool.protocol.packets import BITS_A_BYTE, words
from esptool.transfer.pace import flash_seconds
from esptool.transfer.receive import flash_md5, receive_bytes
from esptool.transfer.recovery import Recovery
from esptool.transfer.report import Report
from esptool.transfer.segments import (
    AnySegment,
    Segment,
    begin_deflating,
    forget_deflated,
    segment_of,
)

if TYPE_CHECKING:
    from esptool.device import Session

#: Up to so many sectors all are hashed at once; with more, a few first.
FEW = 16
#: Sectors hashed first, and where they begin: at the start, the middle and the end. The numbers
#: are unlike, so that answers tell apart.
SAMPLES: dict[int, Callable[[int], int]] = {
    4: lambda _count: 0,
    3: lambda count: count // 2,
    2: lambda count: count - 2,
}
#: Equal sectors between two changed ones that are sent along, since a new write costs more.
BRIDGE = 2
#: What each write costs besides: beginning, ending, waiting for the last page.
SECONDS_A_WRITE = 0.02


def can_compare_hashes(session: Session) -> bool:
    """The running stub can hash sectors and write."""
    return session.can(Capability.HASHES | Capability.WRITE)


def changed_parts(session: Session, whole: Segment) -> list[Segment] | None:
    """The parts of an aligned segment that must be sent; None when asking on does not pay.

    An empty list means that all of it is in flash.
    """
    kind = ext.hash_kind(session)
    wanted = sector_hashes(whole.data, kind)
    count = len(wanted)
    found = _samples(session, whole.address, count, kind) if count > FEW else {}
    if found and not any(wanted[at] == have for at, have in found.items()):
        return None
    have = _all_hashes(session, whole.address, count, kind, found)
    differs = [there != want for there, want in zip(have, wanted, strict=True)]
    runs = _runs(differs)
    parts = [
        Segment(
            whole.address + start * SECTOR,
            whole.data[start * SECTOR : end * SECTOR],
            whole.encrypted,
            whole.pack,
        )
        for start, end in runs
    ]
    if sum(len(part.data) for part in parts) == len(whole.data):
        return None
    baud = session.link.baud
    if count > FEW and sum(_seconds(p, baud) for p in parts) > _seconds(whole, baud):
        # Many small erases take longer than few large ones.
        return None
    return parts


def _seconds(segment: Segment, baud: int) -> float:
    """About how long it takes to send a segment and to bring it into flash."""
    line = segment.line_bytes * BITS_A_BYTE / baud
    return max(line, flash_seconds(segment)) + SECONDS_A_WRITE


def sector_hashes(data: bytes, kind: HashKind) -> list[bytes]:
    """The hash of each sector of some whole ones."""
    view = memoryview(data)
    return [hash_of(kind, view[at : at + SECTOR]) for at in range(0, len(data), SECTOR)]


def stands(session: Session, part: Segment) -> bool:
    """Whole sectors are in flash as they should be, by hashes made on the chip."""
    kind = HashKind.MD5_8
    found = ext.hashes(session, part.address, len(part.data), kind=kind)
    return found == sector_hashes(part.data, kind)


def _runs(differs: list[bool]) -> list[tuple[int, int]]:
    """Ranges of sectors to send, small gaps between them included."""
    runs: list[tuple[int, int]] = []
    for at, different in enumerate(differs):
        if not different:
            continue
        if runs and at - runs[-1][1] <= BRIDGE:
            runs[-1] = (runs[-1][0], at + 1)
        else:
            runs.append((at, at + 1))
    return runs


def _samples(session: Session, address: int, count: int, kind: HashKind) -> dict[int, bytes]:
    """The hashes of a few sectors, by number; none where the line was bad.

    The questions go out together, and none is asked again: hashing everything is the safe answer.
    """
    asked = {size: place(count) for size, place in SAMPLES.items()}
    for size, first in asked.items():
        fields = words(address + first * SECTOR, size * SECTOR, SECTOR, kind)
        session.link.send_request(Ext.HASHES, seal(Ext.HASHES, fields))
    found: dict[int, bytes] = {}
    whole = True
    for _ in asked:
        try:
            response = session.link.read_response(Ext.HASHES, session.settings.timeout)
        except FatalError:
            session.link.discard_input()
            return {}
        answer = unseal(response)
        if answer is None or answer.status or answer.value not in asked:
            whole = False
            continue
        first = asked[answer.value]
        found.update(enumerate(ext.split_hashes(answer, kind), first))
    return found if whole else {}


def _all_hashes(
    session: Session, address: int, count: int, kind: HashKind, known: dict[int, bytes]
) -> list[bytes]:
    """The hashes of all sectors, of which some are known."""
    found = dict(known)
    at = 0
    while at < count:
        end = next((n for n in range(at, count) if n in known), count)
        if end > at:
            asked = ext.hashes(session, address + at * SECTOR, (end - at) * SECTOR, kind=kind)
            found.update(enumerate(asked, at))
        at = end
        while at in known:
            at += 1
    return [found[n] for n in range(count)]


_WHY = {
    Action.SKIP: "in flash already",
    Action.PROGRAM: "flash is blank there",
    Action.ERASE: "something else is in flash",
}


@dataclass(frozen=True, slots=True)
class FlashState:
    """What the chip says of the flash of one region; None where it was not asked.

    Attributes:
        same: a hash of all of it is that of the content.
        changed: what differs by the hashes of the sectors; None also where sending all is no worse.
        blank: for each sector whether it is blank.
    """

    same: bool | None = None
    changed: tuple[AnySegment, ...] | None = None
    blank: tuple[bool, ...] | None = None


def decide(plan: RegionPlan, flash: FlashState) -> Decision:
    """What is done with a region whose flash is so; asks and changes nothing."""
    if not plan.content:
        return Decision(Way.EMPTY)
    if flash.same:
        return Decision(Way.SKIP, (), _steps(plan, (), flash.blank))
    differences = plan.differences
    if differences:
        return Decision(Way.FORMER, differences, _steps(plan, differences, flash.blank))
    if differences is not None and plan.trust:
        return Decision(Way.TRUST)
    if flash.changed is not None:
        return Decision(Way.CHANGED, flash.changed, _steps(plan, flash.changed, flash.blank))
    whole = (plan.segment,)
    return Decision(Way.WHOLE, whole, _steps(plan, whole, flash.blank))


def look(session: Session, plan: RegionPlan, report: Report, recovery: Recovery) -> FlashState:
    """Ask the chip what `decide` needs to know, and no more."""
    if not plan.content:
        return FlashState()
    same = None
    differences = plan.differences
    if plan.compare:
        report.line("Comparing flash contents against new data...")
        same = matches(session, plan, recovery)
    elif differences == () and not plan.trust:
        report.line("No changed sectors found, verifying if data is in flash...")
        same = matches(session, plan, recovery)
        if not same:
            report.note("Data not found in flash, flashing the whole image...")
    if same or differences or (differences == () and plan.trust) or not plan.by_hashes:
        return FlashState(same)
    found = recovery.persist("comparing", lambda: _changed(session, plan.segment.aligned()))
    recovery.advanced()
    return FlashState(same, None if found is None else tuple(found))


def hashes(session: Session, plan: RegionPlan, recovery: Recovery) -> tuple[str, str]:
    """MD5 of what should stand in flash for a region, and of what does."""
    wanted = md5(plan.content)
    return wanted, flash_md5(session, plan.address, len(plan.content), recovery, wanted)


def matches(session: Session, plan: RegionPlan, recovery: Recovery) -> bool:
    """All of a region is in flash, by a hash made on the chip."""
    wanted, found = hashes(session, plan, recovery)
    return wanted == found


def decide_plan(session: Session, plan: WritePlan) -> WritePlan:
    """The plan with the decision for each region, as `write_flash` would make it now.

    Nothing is changed in flash. Where the running stub can tell blank sectors, each decision says
    what is done with each sector. The plan's remarks grow by what is found.
    """
    found: list[Message] = []

    def note(event: Event) -> None:
        if isinstance(event, Message):
            found.append(event)

    report = Report(session, note)
    tell_size(session, plan)
    regions = tuple(_decided(session, r, plan, report) for r in plan.regions)
    return replace(plan, regions=regions, remarks=(*plan.remarks, *found))


def _decided(session: Session, region: RegionPlan, whole: WritePlan, report: Report) -> RegionPlan:
    recovery = Recovery(session, report)
    region = with_neighbours(session, region, report, recovery)
    flash = look(session, region, report, recovery)
    if region.by_hashes and session.can(Capability.BLANK):
        all_of_it = region.segment.aligned()
        blank = recovery.persist(
            "comparing", lambda: ext.blank_map(session, all_of_it.address, len(all_of_it.data))
        )
        flash = replace(flash, blank=tuple(blank))
    return replace(region, decision=decide(region, flash))


def tell_size(session: Session, plan: WritePlan) -> None:
    """Tell the loader how large the flash is, where the plan says so."""
    if plan.told_size is not None:
        session.flash.set_size(plan.told_size)


def with_neighbours(
    session: Session, plan: RegionPlan, report: Report, recovery: Recovery
) -> RegionPlan:
    """Fill the first and last sector up with what stands there, where it is to be kept."""
    if not plan.keep:
        return plan
    address, content = plan.address, plan.content
    start, end = sector_range(address, len(content))
    head, tail = address - start, end - address - len(content)

    def found(at: int, size: int) -> bytes:
        return receive_bytes(session, at, size, report, recovery) if size else b""

    before = found(start, head)
    after = found(address + len(content), tail)
    if head or tail:
        report.line(
            f"Keeping {head} bytes before and {tail} bytes after {address:#010x} "
            "in sectors that are only partly written."
        )
    return with_content(plan, start, joined(before, content, after))


def with_content(plan: RegionPlan, address: int, content: Data) -> RegionPlan:
    """The plan with its final content, which begins to be deflated beside other work."""
    segment = segment_of(address, content, plan.encrypted, plan.segment.pack)
    if segment.pack and isinstance(segment, Segment):
        begin_deflating(segment.data)
    return replace(plan, address=address, content=content, segment=segment, keep=False)


def _changed(session: Session, whole: AnySegment) -> Sequence[AnySegment] | None:
    """As `changed_parts`; a large segment is compared in chunks, and sent where it pays."""
    if isinstance(whole, Segment):
        return changed_parts(session, whole)
    runs: list[tuple[int, int]] = []
    for chunk in whole.chunks():
        found = changed_parts(session, chunk)
        for part in [chunk] if found is None else found:
            if runs and runs[-1][1] == part.address:
                runs[-1] = (runs[-1][0], part.end)
            else:
                runs.append((part.address, part.end))
        forget_deflated(chunk.data)
    if runs == [(whole.address, whole.end)]:
        return None
    return [whole.part(start, end - start) for start, end in runs]


def _steps(
    plan: RegionPlan, sent: Sequence[AnySegment], blank: Sequence[bool] | None
) -> tuple[Step, ...] | None:
    """What sending these segments means for each sector of the region."""
    if blank is None:
        return None
    first, _ = plan.segment.sectors
    actions = [Action.SKIP] * len(blank)
    for part in sent:
        start, end = part.sectors
        for at in range((start - first) // SECTOR, (end - first) // SECTOR):
            actions[at] = Action.PROGRAM if blank[at] else Action.ERASE
    steps = []
    at = first
    for action, run in groupby(actions):
        size = len(list(run)) * SECTOR
        steps.append(Step(at, size, action, _WHY[action]))
        at += size
    return tuple(steps)

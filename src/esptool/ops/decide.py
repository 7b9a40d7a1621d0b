# SPDX-License-Identifier: Apache-2.0
"""Settling what is done with each region: what the chip says of its flash, and what follows of it.

A dry run and the write itself ask and decide here, so that one shows what the other does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING

from esptool.chips.nor import SECTOR, sector_range
from esptool.device import ext
from esptool.events import ignore
from esptool.image.content import Data, joined, md5
from esptool.ops import delta
from esptool.ops.plan import Action, Decision, RegionPlan, Step, Way, WritePlan
from esptool.protocol.ext import Capability
from esptool.transfer import packing
from esptool.transfer.hashes import flash_md5
from esptool.transfer.receive import receive_bytes
from esptool.transfer.recovery import Recovery
from esptool.transfer.report import Report
from esptool.transfer.segments import AnySegment, Segment, segment_of

if TYPE_CHECKING:
    from esptool.device import Session

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
    what is done with each sector.
    """
    report = Report(session, ignore)
    tell_size(session, plan)
    return replace(plan, regions=tuple(_decided(session, r, plan, report) for r in plan.regions))


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
        packing.prepare(segment.data)
    return replace(plan, address=address, content=content, segment=segment, keep=False)


def _changed(session: Session, whole: AnySegment) -> Sequence[AnySegment] | None:
    """As `delta.changed`; a large segment is compared in chunks, and sent where it pays."""
    if isinstance(whole, Segment):
        return delta.changed(session, whole)
    runs: list[tuple[int, int]] = []
    for chunk in whole.chunks():
        found = delta.changed(session, chunk)
        for part in [chunk] if found is None else found:
            if runs and runs[-1][1] == part.address:
                runs[-1] = (runs[-1][0], part.end)
            else:
                runs.append((part.address, part.end))
        packing.forget(chunk.data)
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

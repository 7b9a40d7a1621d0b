# SPDX-License-Identifier: Apache-2.0
"""What a write would find in flash, sector by sector, so that a plan says what it does and why.

Only a dry run asks: the write itself decides as it goes (`esptool.ops.delta`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING

from esptool.chips.nor import SECTOR
from esptool.device import ext
from esptool.ops import delta
from esptool.ops.model import WriteOptions
from esptool.ops.plan import Action, RegionPlan, Step, WritePlan
from esptool.protocol.ext import Capability
from esptool.transfer import packing
from esptool.transfer.segments import AnySegment, Segment

if TYPE_CHECKING:
    from esptool.device import Session

_WHY = {
    Action.SKIP: "in flash already",
    Action.PROGRAM: "flash is blank there",
    Action.ERASE: "something else is in flash",
}


def survey(session: Session, plan: WritePlan, options: WriteOptions) -> WritePlan:
    """The plan with the steps of each region, where the running stub can look at the flash."""
    if plan.erase_all or not options.delta or not delta.possible(session):
        return plan
    if not session.can(Capability.BLANK):
        return plan
    regions = tuple(
        region if region.encrypted or not region.content else _look(session, region)
        for region in plan.regions
    )
    return replace(plan, regions=regions)


def changed_parts(session: Session, whole: AnySegment) -> Sequence[AnySegment] | None:
    """As `delta.changed`; a large segment is compared piece by piece, and sent where it pays."""
    if isinstance(whole, Segment):
        return delta.changed(session, whole)
    runs: list[tuple[int, int]] = []
    for piece in whole.chunks():
        found = delta.changed(session, piece)
        for part in [piece] if found is None else found:
            if runs and runs[-1][1] == part.address:
                runs[-1] = (runs[-1][0], part.end)
            else:
                runs.append((part.address, part.end))
        packing.forget(piece.data)
    if runs == [(whole.address, whole.end)]:
        return None
    return [whole.part(start, end - start) for start, end in runs]


def _look(session: Session, region: RegionPlan) -> RegionPlan:
    whole = region.segment.aligned()
    changed = changed_parts(session, whole)
    sent = (whole,) if changed is None else tuple(changed)
    blank = ext.blank_map(session, whole.address, len(whole.data))
    actions = [Action.SKIP] * len(blank)
    for part in sent:
        first = (part.address - whole.address) // SECTOR
        for at in range(first, first + len(part.data) // SECTOR):
            actions[at] = Action.PROGRAM if blank[at] else Action.ERASE
    # A region that is sent whole goes as it is, not filled up to sectors.
    parts = (region.segment,) if changed is None else sent
    return replace(region, parts=parts, steps=_steps(whole, actions))


def _steps(whole: AnySegment, actions: list[Action]) -> tuple[Step, ...]:
    steps = []
    at = whole.address
    for action, run in groupby(actions):
        size = len(list(run)) * SECTOR
        steps.append(Step(at, size, action, _WHY[action]))
        at += size
    return tuple(steps)

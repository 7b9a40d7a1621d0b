# SPDX-License-Identifier: Apache-2.0
"""A dry run says what the write then does: sector by sector, bytes and time."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from esptool import ops
from esptool.chips.nor import SECTOR
from esptool.device import Session, connect
from esptool.errors import FatalError
from esptool.events import Message
from esptool.ops.decide import FlashState, decide
from esptool.ops.plan import Action, RegionPlan, Way, WritePlan
from esptool.transfer.segments import Segment
from esptool.virtual.board import NAMED
from tests.ops.support import Log, placeholder

BASE = 0x10000
RANDOM = random.Random(11)
OLD = RANDOM.randbytes(20 * SECTOR)


def decided(session: Session, data: bytes) -> WritePlan:
    plan = ops.plan_write(session, [ops.Region(BASE, data)])
    return ops.decide_plan(session, plan)


def changed(*sectors: int) -> bytes:
    new = bytearray(OLD)
    for sector in sectors:
        new[sector * SECTOR + 5] ^= 0x40
    return bytes(new)


CASES = {
    "same": (OLD, [(20, Action.SKIP)]),
    "one sector": (changed(7), [(7, Action.SKIP), (1, Action.ERASE), (12, Action.SKIP)]),
    "a gap too small to leave out": (
        changed(3, 5),
        [(3, Action.SKIP), (3, Action.ERASE), (14, Action.SKIP)],
    ),
    "longer than before": (
        OLD + RANDOM.randbytes(3 * SECTOR),
        [(20, Action.SKIP), (3, Action.PROGRAM)],
    ),
    "nothing alike": (RANDOM.randbytes(4 * SECTOR), [(4, Action.ERASE)]),
}


@pytest.mark.parametrize("case", CASES)
def test_what_a_dry_run_says_is_what_the_write_then_does(case: str) -> None:
    data, expected = CASES[case]
    name = f"dry-run-{case}"
    with connect(f"virtual://esp32c3?name={name}&timing=virtual", chip="esp32c3") as session:
        session.run_stub()
        session.power.change_baud(921600)
        ops.attach_flash(session)
        ops.write_flash(session, [ops.Region(BASE, OLD)])
        board = NAMED.pop(name)
        before = board.nor.read(BASE, 32 * SECTOR)
        plan = decided(session, data)
        assert board.nor.read(BASE, 32 * SECTOR) == before
        [region] = plan.regions
        assert region.steps is not None
        assert [(s.size // SECTOR, s.action) for s in region.steps] == expected
        start = session.link.now()
        [result] = ops.write_flash(session, [ops.Region(BASE, data)])
        took = session.link.now() - start
        assert result.sent == plan.line_bytes
        assert board.nor.read(BASE, len(data)) == data
        # Looking, greeting and verifying come on top of what line and flash need.
        assert plan.seconds <= took <= 1.6 * plan.seconds + 0.25


def test_a_blank_flash_is_programmed_only_and_an_old_rom_is_not_asked() -> None:
    data = bytes(range(256)) * 64
    with connect("virtual://esp32s3", chip="esp32s3") as session:
        ops.attach_flash(session)
        assert decided(session, data).regions[0].steps is None
        session.run_stub()
        ops.attach_flash(session)
        [region] = decided(session, data).regions
        assert region.steps is not None
        assert [s.action for s in region.steps] == [Action.PROGRAM]


OPTIONS = {
    "skip flashed": (OLD, {"skip_flashed": True}, Way.SKIP),
    "skip flashed, changed": (changed(7), {"skip_flashed": True}, Way.CHANGED),
    "former": (changed(7, 12), {"diff_with": (OLD,)}, Way.FORMER),
    "former, not in flash": (changed(7), {"diff_with": (changed(7),)}, Way.CHANGED),
    "former, trusted": (OLD, {"diff_with": (OLD,), "trust_flash_content": True}, Way.TRUST),
    "former, the same": (OLD, {"diff_with": (OLD,)}, Way.SKIP),
    "all of it": (changed(7), {"delta": False}, Way.WHOLE),
    "neighbours kept": (OLD[100:9000], {"preserve": True}, Way.CHANGED),
    "neighbours kept, no hashes": (OLD[:9000], {"preserve": True, "delta": False}, Way.WHOLE),
    "nothing": (b"", {}, Way.EMPTY),
}


@pytest.mark.parametrize("case", OPTIONS)
def test_a_dry_run_decides_as_the_write_does_whatever_was_asked_for(case: str) -> None:
    data, words, way = OPTIONS[case]
    options = ops.WriteOptions(**words)  # type: ignore[arg-type]
    address = BASE + (100 if "kept" in case else 0)
    name = f"dry-run-{case}"
    where = f"virtual://esp32c3?name={name}&timing=virtual&stub=model"
    with connect(where.replace(" ", "%20"), chip="esp32c3") as session:
        session.run_stub(placeholder(session.spec))
        ops.attach_flash(session)
        board = NAMED.pop(name)
        board.nor.cells.program(BASE, OLD)
        before = board.nor.read(0, 0x100000)
        regions = [ops.Region(address, data)]
        plan = ops.decide_plan(session, ops.plan_write(session, regions, options))
        assert board.nor.read(0, 0x100000) == before
        [region] = plan.regions
        assert region.decision is not None
        assert region.decision.way is way
        kept = [r.text for r in plan.remarks if r.text.startswith("Keeping 100 bytes before")]
        assert len(kept) == options.preserve
        [result] = ops.write_flash(session, regions, options)
        assert result.sent == plan.line_bytes
        assert result.sent == 0 or way not in (Way.SKIP, Way.TRUST, Way.EMPTY)
        assert board.nor.read(address, len(data)) == data
        if options.preserve:
            assert board.nor.read(BASE, 100) == OLD[:100]


def test_planning_tells_nobody_and_changes_nothing_on_the_chip() -> None:
    log = Log()
    with connect("virtual://esp32c3?stub=model", chip="esp32c3", listener=log) as session:
        session.run_stub(placeholder(session.spec))
        ops.attach_flash(session)
        said, size = len(log.events), session.flash.size
        plan = ops.plan_write(session, [ops.Region(0x10001, OLD)])
        assert len(log.events) == said
        assert session.flash.size == size
        assert "Configuring flash size..." in [r.text for r in plan.remarks]
        remarks: list[Message] = []
        with pytest.raises(FatalError):
            ops.plan_write(session, [ops.Region(0x3FFFFF, OLD)], remarks=remarks)
        assert len(log.events) == said
        assert remarks


@pytest.mark.parametrize(
    ("flash", "way"),
    [
        (FlashState(), Way.WHOLE),
        (FlashState(same=True), Way.SKIP),
        (FlashState(same=False), Way.WHOLE),
        (FlashState(changed=()), Way.CHANGED),
        (FlashState(same=True, changed=()), Way.SKIP),
    ],
)
def test_a_decision_follows_from_what_the_chip_says_alone(flash: FlashState, way: Way) -> None:
    plan = RegionPlan(ops.Region(BASE, OLD), BASE, OLD, Segment(BASE, OLD))
    assert decide(plan, flash).way is way
    assert decide(replace(plan, content=b""), flash).way is Way.EMPTY

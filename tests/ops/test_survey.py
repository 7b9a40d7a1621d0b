# SPDX-License-Identifier: Apache-2.0
"""A dry run says what the write then does: sector by sector, bytes and time."""

from __future__ import annotations

import random

import pytest

from esptool import ops
from esptool.chips.nor import SECTOR
from esptool.device import Session, connect
from esptool.ops.plan import Action, WritePlan
from esptool.virtual.board import NAMED

BASE = 0x10000
RANDOM = random.Random(11)
OLD = RANDOM.randbytes(20 * SECTOR)


def surveyed(session: Session, data: bytes) -> WritePlan:
    plan = ops.plan_write(session, [ops.Region(BASE, data)])
    return ops.survey(session, plan, ops.WriteOptions())


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
    name = f"survey-{case}"
    with connect(f"virtual://esp32c3?name={name}&timing=virtual", chip="esp32c3") as session:
        session.run_stub()
        session.power.change_baud(921600)
        ops.attach_flash(session)
        ops.write_flash(session, [ops.Region(BASE, OLD)])
        board = NAMED.pop(name)
        before = board.nor.read(BASE, 32 * SECTOR)
        plan = surveyed(session, data)
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
        assert surveyed(session, data).regions[0].steps is None
        session.run_stub()
        ops.attach_flash(session)
        [region] = surveyed(session, data).regions
        assert region.steps is not None
        assert [s.action for s in region.steps] == [Action.PROGRAM]

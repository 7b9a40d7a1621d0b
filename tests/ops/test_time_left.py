# SPDX-License-Identifier: Apache-2.0
"""The time left that progress promises, against what the work then took by a virtual clock."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from esptool import ops
from esptool.device import Session
from esptool.events import Event, Listener, Progress
from tests.ops.support import firmware, placeholder, session

KB = 1024
MB = 1024 * KB
SHARES = (0.1, 0.25, 0.5, 0.75)
#: A promise may be wrong by this share of what the work then took, and by this many seconds.
WRONG, WRONG_S = 0.3, 0.2
#: Two promises in a row may contradict each other by so much of what was left.
JUMP = 0.35

Work = Callable[[Listener], object]
Promise = tuple[float, float, float | None]


def promises(s: Session, work: Work) -> tuple[list[Promise], float]:
    """(moment, share done, seconds left) of every progress event, and the moment of the end."""
    seen: list[Promise] = []

    def listen(event: Event) -> None:
        if isinstance(event, Progress):
            seen.append((s.link.now(), event.done / event.total, event.seconds_left))

    work(listen)
    return seen, s.link.now()


def hold_to_them(s: Session, work: Work) -> None:
    """Do the work and compare."""
    seen, end = promises(s, work)
    if seen[0][1] < 0.01:
        assert seen[0][2] is None, "nothing was measured yet"
    for share in SHARES:
        at, _, left = next(p for p in seen if p[1] >= share)
        took = end - at
        assert left is not None, f"no promise at {share:.0%}"
        assert abs(left - took) <= WRONG * took + WRONG_S, (
            f"at {share:.0%} {left:.2f} s were promised, and it took {took:.2f} s"
        )
    told = [(at, left) for at, _, left in seen if left is not None]
    for (at, left), (then, later) in pairwise(told):
        moved = later - (left - (then - at))
        assert abs(moved) <= JUMP * left + (then - at) + WRONG_S, "a promise jumped"


def writing(s: Session, data: bytes, **options: Any) -> Work:
    regions = [ops.Region(0x10000, data)]
    wanted = ops.WriteOptions(delta=False, **options)
    return lambda listener: ops.write_flash(s, regions, wanted, listener=listener)


def ready(s: Session, baud: int, dirty: int = 0) -> None:
    """Our stub at a rate, over flash of which so many bytes hold something."""
    s.run_stub(placeholder(s.spec))
    s.power.change_baud(baud)
    ops.attach_flash(s)
    if dirty:
        ops.write_flash(s, [ops.Region(0x10000, bytes(dirty))])


TIMED: dict[str, Any] = {"timing": "virtual", "latency": "1ms", "part": "W25Q64JV"}
HALF_EMPTY = firmware(256 * KB) + b"\xff" * 256 * KB + firmware(256 * KB, 2) + b"\xff" * 256 * KB


@pytest.mark.parametrize("dirty", [False, True])
@pytest.mark.parametrize("half_empty", [False, True])
@pytest.mark.parametrize("baud", [115200, 921600, 3_000_000])
def test_a_write_takes_as_long_as_promised(baud: int, half_empty: bool, dirty: bool) -> None:
    data = HALF_EMPTY if half_empty else firmware(MB)
    for compress in (True, False):
        with session("esp32s3", **TIMED) as s:
            ready(s, baud, len(data) if dirty else 0)
            hold_to_them(s, writing(s, data, compress=compress))


@pytest.mark.parametrize("side", ["rom", "public"])
def test_a_write_through_another_loader_takes_as_long_as_promised(side: str) -> None:
    options = {**TIMED, "stub": "public"} if side == "public" else TIMED
    with session("esp32s3", **options) as s:
        if side == "public":
            s.run_stub(placeholder(s.spec))
            s.power.change_baud(921600)
        ops.attach_flash(s)
        hold_to_them(s, writing(s, firmware(256 * KB)))


def test_what_follows_the_first_of_many_parts_is_counted() -> None:
    old = firmware(MB)
    new = bytearray(old)
    for sector in range(0, 256, 8):
        new[sector * 4096 + 99] ^= 0x55
    with session("esp32s3", **TIMED) as s:
        ready(s, 921600)
        ops.write_flash(s, [ops.Region(0x10000, old)])
        seen, end = promises(
            s, lambda heard: ops.write_flash(s, [ops.Region(0x10000, bytes(new))], listener=heard)
        )
    at, _, left = next(p for p in seen if p[2] is not None)
    assert left is not None
    assert abs(left - (end - at)) <= 0.6 * (end - at)


@pytest.mark.parametrize("baud", [115200, 921600, 3_000_000])
def test_a_read_takes_as_long_as_promised(baud: int) -> None:
    with session("esp32s3", **TIMED) as s:
        ready(s, baud)
        ops.write_flash(s, [ops.Region(0x10000, firmware(512 * KB))])
        hold_to_them(s, lambda heard: ops.read_flash(s, 0x10000, 512 * KB, listener=heard))


@pytest.mark.parametrize("region", [True, False])
def test_an_erase_takes_as_long_as_promised(region: bool) -> None:
    def erase(heard: Listener) -> object:
        if region:
            return ops.erase_region(s, 0, 7 * MB, listener=heard)
        return ops.erase_flash(s, listener=heard)

    with session("esp32s3", **TIMED) as s:
        ready(s, 921600)
        for block in range(0, 8 * MB, 128 * KB):
            ops.write_flash(s, [ops.Region(block, bytes(8 * KB))], ops.WriteOptions(delta=False))
        hold_to_them(s, erase)


def test_time_without_a_chip_does_not_spoil_the_promise() -> None:
    data = firmware(MB)
    with session("esp32s3", **TIMED, fault="drop:200000") as s:
        ready(s, 921600)
        seen, end = promises(s, writing(s, data))
    at, _, left = next(p for p in seen if p[1] >= 0.75)
    assert left is not None
    assert abs(left - (end - at)) <= WRONG * (end - at) + WRONG_S

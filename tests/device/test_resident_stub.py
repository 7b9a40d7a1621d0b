# SPDX-License-Identifier: Apache-2.0
"""A stub that another program has left running answers a new one with what is true now."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from esptool.device import Session, StubKind, connect, ext
from esptool.errors import FatalError, LinkTimeoutError
from esptool.protocol.ext import Batch, Ext
from tests.ops.support import placeholder, url

RAM = 0x3FC80000
SIDES = ["model", "emulated"]


@pytest.fixture(params=SIDES)
def place(request: pytest.FixtureRequest) -> str:
    if request.param == "emulated":
        pytest.importorskip("icicle", reason="needs the extra 'emulator'")
    return url("esp32c3", stub=request.param, timing="virtual", boot="download")


def first(where: str) -> Session:
    """A program that starts the stub."""
    s = connect(where, chip="esp32c3")
    s.run_stub(placeholder(s.spec) if "model" in where else None)
    return s


def second(where: str) -> Session:
    """Another one that finds it running."""
    s = connect(where, chip="esp32c3", before="no-reset")
    assert s.stub_kind is StubKind.OURS
    assert s.sync_stub_detected
    return s


def batches(s: Session, count: int) -> None:
    """Do some batches of two words each."""
    for _ in range(count):
        s.read_regs([RAM, RAM + 4])


@pytest.mark.parametrize("before", [0, 1, 2, 3])
def test_registers_are_read_and_not_remembered(place: str, before: int) -> None:
    with first(place) as s:
        batches(s, before)
        s.write_reg(RAM, 0x11111111)
        s.write_reg(RAM + 4, 0x22222222)
    for round_ in range(1, 4):
        with second(place) as s:
            value = round_ * 0x01010101
            s.write_reg(RAM, value)
            assert s.read_regs([RAM, RAM + 4]) == [value, 0x22222222]
            assert s.read_regs([RAM + 4, RAM]) == [0x22222222, value]


@pytest.mark.parametrize("number", [1, 2, 77, 0xFFFF])
def test_no_number_that_it_may_remember_is_taken_for_a_repetition(
    place: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever number the new program happens to begin with."""
    with first(place) as s:
        s.batch_number = number - 1
        s.write_reg(RAM, 1)
        assert s.read_regs([RAM, RAM]) == [1, 1]
    monkeypatch.setattr(random, "randrange", lambda _end: number - 1)
    with second(place) as s:
        s.write_reg(RAM, 2)
        assert s.read_regs([RAM, RAM]) == [2, 2]
        assert s.batch_number == number


def test_one_program_after_the_other_sees_the_same_chip(place: str) -> None:
    with first(place) as s:
        mac, jedec = s.facts.macs.base, s.flash.id()
    for _ in range(3):
        with second(place) as s:
            assert s.facts.macs.base == mac
            s.facts.prefetch()
            assert s.flash.id() == jedec


class Stale:
    """Lets a batch through, and gives the answer to another one for it."""

    def __init__(self, s: Session, answers: Iterator[bytes]) -> None:
        self.link = s.link
        self.answers = answers
        self.taken = s.link._taken

    def __call__(self, came: bool) -> bytes:
        frame = self.taken(came)
        if frame[1] != Ext.BATCH:
            return frame
        return next(self.answers, frame)


def _frames(s: Session, addresses: list[int]) -> bytes:
    """What the stub answers to a batch that reads these."""
    seen: list[bytes] = []
    read = s.link._taken

    def note(came: bool) -> bytes:
        seen.append(read(came))
        return seen[-1]

    s.link._taken = note  # type: ignore[method-assign]
    s.read_regs(addresses)
    s.link._taken = read  # type: ignore[method-assign]
    return seen[-1]


@pytest.mark.parametrize("count", [1, 3, 4])
def test_an_answer_of_another_length_is_not_taken(count: int) -> None:
    with first(url("esp32c3", stub="model", timing="virtual")) as s:
        other = Batch()
        for _ in range(count):
            other.read(RAM)
        s.write_reg(RAM, 5)
        frame = _frames(s, [RAM] * count) if count > 1 else None
        if frame is None:
            ext.batch(s, other)
            frame = _frames(s, [RAM] * 3)
        s.link._taken = Stale(s, iter([frame]))  # type: ignore[method-assign]
        assert s.read_regs([RAM, RAM]) == [5, 5]


def test_nothing_but_wrong_answers_is_an_error_and_no_value() -> None:
    with first(url("esp32c3", stub="model", timing="virtual")) as s:
        frame = _frames(s, [RAM] * 3)

        def always(_came: bool) -> bytes:
            return frame

        s.link._taken = always  # type: ignore[assignment]
        with pytest.raises(FatalError):
            s.read_regs([RAM, RAM])


def test_an_answer_that_comes_late_is_not_taken_for_the_next_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A request that was sent twice is answered twice, perhaps much later."""
    with first(url("esp32c3", stub="model", timing="virtual")) as s:
        s.write_reg(RAM, 1)
        s.write_reg(RAM + 4, 2)
        read = s.link._taken
        held: list[bytes] = []

        def slow(came: bool) -> bytes:
            if not held:
                held.append(read(came))
                raise LinkTimeoutError("late")
            if len(held) == 1 and held[0]:
                held[0], frame = b"", held[0]
                return frame
            return read(came)

        monkeypatch.setattr(s.link, "_taken", slow)
        assert s.read_regs([RAM, RAM]) == [1, 1]
        assert s.read_regs([RAM + 4, RAM + 4]) == [2, 2]


def test_an_old_erase_does_not_end_a_new_one() -> None:
    with first(url("esp32c3", stub="model", timing="virtual", flash="1MB")) as s:
        board: Any = s.link.port.serial.board  # type: ignore[attr-defined]
        board.nor.cells.program(0, bytes(0x20000))
        frames: list[bytes] = []
        read = s.link._taken

        def note(came: bool) -> bytes:
            frames.append(read(came))
            return frames[-1]

        s.link._taken = note  # type: ignore[method-assign]
        ext.erase(s, 0, 0x1000)
        old = iter([f for f in frames if f[1] == Ext.ERASE])
        s.link._taken = lambda t: next(old, None) or read(t)  # type: ignore[assignment]
        ext.erase(s, 0x8000, 0x8000)
        assert board.nor.cells.read(0x8000, 0x8000) == b"\xff" * 0x8000

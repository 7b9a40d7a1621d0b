# SPDX-License-Identifier: Apache-2.0
"""The late part of every stub: missing at first, sent when it is needed, never half there."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

import esptool
from esptool import chips, ops
from esptool.device import Session, connect, ext, late
from esptool.errors import FatalError, LineLossError
from esptool.protocol.ext import LATE, Ext, HashKind, hash_of, seal
from esptool.protocol.opcodes import Cmd
from esptool.stubs import Stub
from esptool.stubs.first import FirstStage, first_stage
from esptool.virtual.board import NAMED
from esptool.virtual.faults import FaultPlan

STUBS = [name for key in chips.KEYS for name in chips.get(key).stub.layouts]
SIDES = ("emulated", "model")
NOT_LOADED = 0xCD
#: Restart, code in RAM, or a program's end: nothing answers behind them.
LAST = {0x06, 0xD3}
DATA = bytes(range(256)) * 64


def url(name: str, side: str, more: str = "") -> str:
    chip, _, revision = name.partition("-")
    older = "&rev=v1.0" if revision else "&rev=v3.0" if chips.get(chip).stub.variants else ""
    return f"virtual://{chip}?stub={side}&timing=virtual&latency=1{older}{more}"


@contextmanager
def running(name: str, side: str, more: str = "") -> Iterator[Session]:
    """A session whose stub has just been started."""
    if side == "emulated":
        pytest.importorskip("icicle")
    with connect(url(name, side, more)) as session:
        session.run_stub(baud=921_600)
        yield session


def statuses(session: Session) -> dict[int, int]:
    """What each request that asks for nothing is answered with."""
    found = {}
    session.link.before = lambda _opcode: None
    for opcode in sorted({*range(0x02, 0x15), *range(0xD0, 0xEE)} - LAST):
        sealed = opcode in Ext.__members__.values() and opcode != Ext.INFO
        body = seal(opcode, b"") if sealed else b""
        data = session.link.command(opcode, body, timeout_s=0.5).data
        found[opcode] = data[-2]
        if opcode == Cmd.SYNC:
            session.link.sleep(0.05)
            session.link.discard_input()
    return found


@pytest.mark.parametrize("name", STUBS)
def test_what_is_missing_is_refused_and_all_else_works(name: str) -> None:
    with running(name, "model") as model:
        expected = statuses(model)
    with running(name, "emulated") as session:
        info, stub = session.ext, session.loaded_stub
        assert info is not None
        assert stub is not None
        assert info.missing == zlib.crc32(stub.text + stub.data) != 0
        got = statuses(session)
        assert {opcode for opcode, status in got.items() if status == NOT_LOADED} == LATE
        assert got == expected
        session.complete_stub()
        # It is the whole stub, as its file has it.
        assert ext.probe(session) == replace(info, missing=0)
        first = first_stage(stub)
        assert first is not None
        board = session.link.port.serial.board  # type: ignore[attr-defined]
        program = board.soc.program
        code = program._engine.do(lambda _: program.cpu.read(stub.text_start, len(stub.text)))
        assert code == stub.text


@pytest.mark.parametrize(
    ("name", "side"), [*((name, "model") for name in STUBS[:4]), ("esp32", "emulated")]
)
def test_it_is_sent_when_it_is_needed(name: str, side: str) -> None:
    with running(name, side) as session:
        board = session.link.port.serial.board  # type: ignore[attr-defined]
        board.nor.cells.load(DATA)
        ops.attach_flash(session)
        session.flash.id()
        session.read_regs([session.spec.uart.date_reg])
        assert session.late_missing
        assert ext.hashes(session, 0, 0x1000, kind=HashKind.CRC32_SUM) == [
            hash_of(HashKind.CRC32_SUM, DATA[:0x1000])
        ]
        assert not session.late_missing
        assert ops.read_flash(session, 0x100, 0x3000) == DATA[0x100:0x3100]


@pytest.mark.parametrize(
    ("side", "chance", "seeds"), [("emulated", 1e-3, 1), ("model", 1e-3, 6), ("model", 3e-3, 6)]
)
def test_a_bad_line_gets_it_whole_or_not_at_all(side: str, chance: float, seeds: int) -> None:
    """Bytes that are flipped, lost and repeated: what runs in the end is what was sent."""
    whole = 0
    for seed in range(seeds):
        with running("esp32c3", side) as session:
            faults = session.link.port.serial.board  # type: ignore[attr-defined]
            noise = type(faults.cable.noise_in)
            rates = dict.fromkeys(("flip", "lose", "repeat"), chance / 3)
            made = FaultPlan(rates=rates)
            made.seed = seed
            faults.cable.noise_in = noise(made, "to chip")
            faults.cable.noise_out = noise(made, "to host")
            try:
                session.complete_stub()
            except LineLossError:
                assert session.late_missing
                continue
            whole += 1
            faults.cable.noise_in = faults.cable.noise_out = noise(FaultPlan(), "to chip")
            session.link.sleep(0.5)
            session.link.discard_input()
            assert ops.read_flash(session, 0, 0x100) == b"\xff" * 0x100
    assert whole


def test_something_else_than_what_was_sent_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    for side in SIDES:
        with running("esp32c3", side) as session:
            stub = session.loaded_stub
            assert stub is not None
            first = first_stage(stub)
            assert first is not None
            order = bytearray(first.late.order())
            struct.pack_into("<I", order, 24, first.late.crc ^ 1)
            for address, data in first.late.parts:
                for at in range(0, len(data), 1024):
                    block = struct.pack("<I", address + at) + data[at : at + 1024]
                    ext.request(session, "load", Ext.LOAD, block)
            with pytest.raises(FatalError):
                ext.request(session, "unpack", Ext.CALL, bytes(order))
            with pytest.raises(FatalError):
                ext.request(session, "load", Ext.LOAD, b"12345")
            found = ext.probe(session)
            assert found is not None
            assert found.missing


def test_a_stub_that_is_left_running_is_whole(tmp_path: Any) -> None:
    board = url("esp32c3", "model", "&name=late")
    try:
        esptool.main(["--port", board, "--after", "no-reset-stub", "flash-id"])
        with connect(board, before="no-reset") as session:
            session.run_stub()
            assert session.ext is not None
            assert not session.ext.missing
    finally:
        NAMED.pop("late", None)


def test_a_part_of_another_build_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    def other(stub: Stub) -> FirstStage:
        first = first_stage(stub)
        assert first is not None
        return replace(first, build=1)

    monkeypatch.setattr(late, "first_stage", other)
    with running("esp32c3", "model") as session:
        with pytest.raises(FatalError, match="another build") as caught:
            session.complete_stub()
        assert "before no-reset" in (caught.value.remedy or "")


def test_a_damaged_word_on_what_is_missing_is_asked_for_again() -> None:
    with running("esp32c3", "model") as session:
        session.late_missing ^= 1
        session.complete_stub()
        assert ops.read_flash(session, 0, 16) == b"\xff" * 16

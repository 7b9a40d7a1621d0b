# SPDX-License-Identifier: Apache-2.0
"""The first stage of every stub: machine code and model answer alike; no damage gets through."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from bench.lib.forked_faults import Fault, OneFault
from bench.stages import KINDS, WAYS, run

from esptool import chips, stubs
from esptool.device import Session, connect, first_stage, stub_loader
from esptool.device.first_stage import FirstStageLink
from esptool.device.line_rate import LineRate
from esptool.errors import FatalError, NotSupportedError
from esptool.protocol import slip, stage
from esptool.protocol.stage import StageOp
from esptool.stubs.first import FirstStage
from esptool.virtual.emulator import Program as Emulated

STUBS = [name for key in chips.KEYS for name in chips.get(key).stub.layouts]
SIDES = ("emulated", "model")


def url(name: str, side: str, more: str = "") -> str:
    chip, _, revision = name.partition("-")
    older = "&rev=v1.0" if revision else "&rev=v3.0" if chips.get(chip).stub.variants else ""
    return f"virtual://{chip}?stub={side}&timing=virtual&latency=1{older}{more}"


@contextmanager
def running(name: str, side: str, more: str = "") -> Iterator[tuple[Session, FirstStageLink]]:
    """A chip whose first stage has greeted."""
    if side == "emulated":
        pytest.importorskip("icicle")
    with connect(url(name, side, more)) as session:
        first = own(session)
        session.ram.load(first.text, first.text_start)
        session.ram.finish(first.entry)
        here = first_stage.greeted(session.link, 1.0)
        assert here is not None
        yield session, here


def own(session: Session) -> FirstStage:
    stub = stubs.load(stub_loader.stub_name(session))
    first = stub_loader.stage_for(session, stub)
    assert first is not None
    return first


def start(first: FirstStage, **other: int) -> bytes:
    """Fields of START, with some of them changed."""
    order = first.image.order()
    words = list(struct.unpack(f"<{len(order) // 4}I", order))
    for name, value in other.items():
        words[("code", "entry", "packed", "length", "plain", "size", "crc").index(name)] = value
    return struct.pack(f"<{len(words)}I", *words)


def conversation(first: FirstStage) -> list[bytes]:
    """Payloads that a first stage is sent, right and wrong ones."""
    image = first.image
    longest = 1028
    good = stage.request(StageOp.HELLO, 7)
    at = struct.pack("<I", image.packed_at)
    return [
        good,
        good[:-1] + bytes((good[-1] ^ 1,)),
        good[:-1],
        good + b"\0",
        b"\x01\x02\x03",
        stage.request(StageOp.HELLO, 0xFFFF, b"\xc0\xdb\xdc\xdd"),
        stage.request(StageOp.ECHO, 8, bytes(range(64))),
        stage.request(StageOp.ECHO, 9, bytes((0xC0, 0xDB)) * 32),
        stage.request(StageOp.ECHO, 10, bytes(longest + 4)),
        stage.request(StageOp.WRITE, 11, at + b"\x11\x22\x33\x44"),
        stage.request(StageOp.WRITE, 11, at + b"\x11\x22\x33\x44"),
        stage.request(StageOp.WRITE, 12, at),
        stage.request(StageOp.WRITE, 13, at + b"\x01\x02\x03"),
        stage.request(StageOp.DAMAGED, 14),
        struct.pack("<BBHI", 0x55, 9, 15, 0) + zlib_seal(struct.pack("<BBHI", 0x55, 9, 15, 0)),
        b"\x00\x08\x24\x00\x00\x00\x00\x00\x07\x07\x12\x20" + b"U" * 32,
    ]


def zlib_seal(body: bytes) -> bytes:
    return struct.pack("<I", zlib.crc32(body))


def starts(first: FirstStage) -> list[bytes]:
    """Starts of something else than what was sent, with the unpacker in its place."""
    image = first.image
    return [
        start(first, crc=image.crc ^ 1),
        start(first, size=image.size - 1),
        start(first, size=image.size + 1),
        start(first, length=len(image.packed) - 1),
        start(first, length=0),
        start(first, packed=image.packed_at + 1),
        start(first)[:32],
    ]


def talk(name: str, side: str, *, whole: bool) -> list[bytes]:
    """All answers of one side; `whole` with the start of a stub, right and wrong."""
    out: list[bytes] = []
    with running(name, side) as (session, here):
        first, link = own(session), session.link

        def ask(payload: bytes) -> None:
            link.port.send(slip.encode(payload))
            out.append(link.read_frame(2.0))

        for payload in conversation(first):
            ask(payload)
        if not whole:
            return out
        assert LineRate(here, False).go(921_600)
        here.send(*first.image.parts)
        for number, fields in enumerate(starts(first)):
            ask(stage.request(StageOp.START, number, fields))
        # It is none the worse for all that.
        ask(stage.request(StageOp.START, 99, start(first)))
        assert link.read_frame(2.0) == stub_loader.GREETING
    return out


@pytest.mark.parametrize("name", STUBS)
def test_machine_code_and_model_give_the_same_answers(name: str) -> None:
    emulated, model = (talk(name, side, whole=False) for side in SIDES)
    assert emulated == model
    assert all(stage.parse(frame) is not None for frame in emulated)


@pytest.mark.parametrize("name", ["esp8266", "esp32s3", "esp32c3"])
def test_only_what_was_sent_is_started(name: str) -> None:
    emulated, model = (talk(name, side, whole=True) for side in SIDES)
    assert emulated == model
    answers = [stage.parse(frame) for frame in emulated]
    statuses = [answer.status for answer in answers if answer is not None][-8:]
    assert statuses[-1] == 0
    assert all(statuses[:-1])


@pytest.mark.parametrize("name", STUBS)
def test_the_first_stage_is_small(name: str) -> None:
    stub = stubs.load(name)
    with connect(url(name, "model")) as session:
        first = own(session)
    assert len(first.text) < 1000
    taken = [*stubs.memory(stub), range(first.image.packed_at, first.image.plain_at)]
    code = range(first.text_start, first.image.unpacker_at + len(first.image.unpacker))
    for part in taken[:2]:
        assert part.stop <= code.start or code.stop <= part.start
        assert part.stop <= first.image.packed_at or part.start >= first.ram.stop
    assert first.image.plain_at + first.image.size <= first.ram.start


@pytest.mark.parametrize("name", STUBS)
@pytest.mark.parametrize("seed", range(1))
def test_a_damaged_byte_ends_in_a_running_stub(name: str, seed: int) -> None:
    """A sample; `python -m bench.stages` takes every offset."""
    pytest.importorskip("icicle")
    rng = random.Random(f"{name}{seed}")
    kind, way = rng.choice(KINDS), rng.choice(WAYS)
    at = rng.randrange(340 if way == "to host" else 2600)
    options = url(name, "emulated").partition("?")[2]
    end, _ = run(name.partition("-")[0], way, OneFault(Fault(kind, at)), options)
    assert end.startswith("runs")


@pytest.mark.parametrize("chip", ["esp32", "esp8266"])
def test_a_damaged_size_is_not_taken_for_that_of_the_emulators_memory(chip: str) -> None:
    """The highest byte of the size in the first MEM_BEGIN: a quarter of a gigabyte is announced."""
    pytest.importorskip("icicle")
    end, _ = run(chip, "to chip", OneFault(Fault("flip", 12)), "stub=emulated")
    assert end.startswith("runs")


@pytest.mark.parametrize(
    ("name", "side", "fault"),
    [
        ("esp8266", "model", "baud:460800"),
        ("esp32", "model", "baud:460800,edge:0.05"),
        ("esp32c3", "emulated", "baud:460800"),
        ("esp8266", "emulated", "baud:460800,edge:0.05"),
    ],
)
def test_a_rate_that_the_line_does_not_bear_is_given_up(name: str, side: str, fault: str) -> None:
    if side == "emulated":
        pytest.importorskip("icicle")
    with connect(url(name, side, f"&fault={fault}")) as session:
        session.run_stub(baud=921_600)
        loaded = session.loaded
        assert loaded is not None
        assert loaded.staged
        assert 921_600 in loaded.refused
        assert loaded.baud == session.link.baud <= 460_800
        assert session.ext is not None
        assert session.link.now() < 4


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("crystal", [("esp32c2", 26), ("esp32", 26), ("esp8266", 40)])
def test_rates_need_no_known_crystal(crystal: tuple[str, int], side: str) -> None:
    with running(crystal[0], side, f"&crystal={crystal[1]}") as (_, here):
        rate, pattern = LineRate(here, False), bytes(range(256))
        for baud in (921_600, 115_200, 460_800, 230_400):
            assert rate.go(baud)
            assert here.ask(StageOp.ECHO, pattern).fields == pattern


@pytest.mark.parametrize("side", SIDES)
def test_a_rate_without_a_good_frame_is_given_up_by_itself(side: str) -> None:
    with running("esp32c3", side) as (session, here):
        divider = stage.divider_for(here.info, 115_200, 2_000_000)
        here.ask(StageOp.RATE, struct.pack("<I", divider))
        here.back_to_base(first_stage.GARBAGE_ON_TRIAL)
        assert session.link.baud == 115_200
        assert here.hello()


@pytest.mark.parametrize("side", SIDES)
def test_a_new_rate_waits_for_a_host_that_takes_its_time(side: str) -> None:
    """An emulated chip may be much faster than its host, and the line may be a network."""
    with running("esp32c3", side) as (session, here):
        divider = stage.divider_for(here.info, 115_200, 2_000_000)
        here.ask(StageOp.RATE, struct.pack("<I", divider))
        session.link.set_baud(2_000_000)
        session.link.sleep(3.0)
        assert here.hello(1)


@pytest.mark.parametrize("side", SIDES)
def test_a_rate_that_the_line_does_not_carry_at_all_is_given_up_by_bytes_at_the_old_one(
    side: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running("esp32c3", side) as (session, here):
        send = session.link.port.send
        monkeypatch.setattr(
            session.link.port,
            "send",
            lambda data: send(data) if session.link.baud == 115_200 else None,
        )
        assert not LineRate(here, False).go(2_000_000)
        assert session.link.baud == 115_200
        assert here.hello(1)


def test_a_program_that_has_ended_hears_nothing_and_the_clock_goes_on() -> None:
    """As a damaged one does that calls what is not modelled; the host waits in vain."""
    with running("esp32c3", "emulated") as (session, here):
        program = session.link.port.serial.board.soc.program  # type: ignore[attr-defined]
        program._ended = True
        assert not here.hello(1)


def test_an_emulated_chip_looks_seldom_while_it_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting for bytes, or for its FIFO to run empty, time jumps: looks cost the host some."""
    pytest.importorskip("icicle")
    looks = 0
    load = Emulated.load

    def counted(program: Emulated, address: int, size: int) -> int:
        nonlocal looks
        looks += 1
        return load(program, address, size)

    monkeypatch.setattr(Emulated, "load", counted)
    with connect(url("esp32c3", "emulated")) as session:
        before = session.link.port.serial.board.moved  # type: ignore[attr-defined]
        session.run_stub(baud=921_600)
        moved = session.link.port.serial.board.moved - before  # type: ignore[attr-defined]
    # One for the status and one for each byte, and few beside them.
    assert 1.5 * moved < looks < 3 * moved


def test_a_rate_beyond_the_divider_is_not_tried() -> None:
    with running("esp32c3", "model") as (session, here):
        assert not LineRate(here, False).go(80_000_000)
        assert session.link.baud == 115_200


def test_an_unknown_operation_is_told() -> None:
    with running("esp32c3", "model") as (_, here), pytest.raises(NotSupportedError):
        here.ask(StageOp.DAMAGED)


def test_a_first_stage_that_says_nothing_is_replaced_by_the_rom(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(first_stage, "greeted", lambda *_: None)
    monkeypatch.setattr(first_stage, "called", lambda *_: None)
    with connect(url("esp32c3", "model")) as session:
        session.run_stub(baud=921_600)
        assert session.loaded is not None
        assert not session.loaded.staged
        assert session.link.baud == 115_200
        assert session.ext is not None


def test_over_usb_otg_the_rom_loads_it() -> None:
    with connect("virtual://esp32s3?stub=model&link=usb-otg") as session:
        session.run_stub()
        assert session.loaded is not None
        assert not session.loaded.staged


def test_a_stub_of_others_goes_the_old_way(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "esp32c3.json").write_bytes((stubs.DATA / "esp32c3.json").read_bytes())
    monkeypatch.setenv(stubs.ENV_DIR, str(tmp_path))
    with connect(url("esp32c3", "model")) as session:
        session.run_stub()
        assert session.loaded is not None
        assert not session.loaded.staged


def test_no_way_to_start_over_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_stage, "greeted", lambda *_: None)
    monkeypatch.setattr(first_stage, "called", lambda *_: None)
    with connect(url("esp32c3", "model")) as session:
        session.may_reset = False
        with pytest.raises(FatalError, match="first stage"):
            session.run_stub()

# SPDX-License-Identifier: Apache-2.0
"""No job reaches past the end of flash, whoever does it: there the flash begins again at 0."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from esptool import chips, cmds, ops
from esptool.chips.nor import SECTOR
from esptool.device import Session, connect
from esptool.errors import FatalError, UsageError
from esptool.events import ignore
from esptool.loader import ESPLoader
from esptool.ops.model import FlashParams, Region, WriteOptions
from esptool.virtual.board import Board

from .support import Log, placeholder, url

MB = 1 << 20
SIZE = 4 * MB
BOOT = random.Random(4).randbytes(2 * SECTOR)
LAST = SIZE - SECTOR

Job = Callable[[Session, int, int], object]


def write(s: Session, address: int, size: int, **options: object) -> object:
    """Write that many bytes there."""
    regions = [Region(address, bytes(size), "app.bin")]
    return ops.write_flash(s, regions, WriteOptions(**options))  # type: ignore[arg-type]


#: What a person may ask for with an address and a size.
JOBS: dict[str, Job] = {
    "write": write,
    "write plain": lambda s, a, n: write(s, a, n, compress=False),
    "write, 8MB stated": lambda s, a, n: write(s, a, n, params=FlashParams("8MB")),
    "write, keeping neighbours": lambda s, a, n: write(s, a, n, preserve=True),
    "dry run": lambda s, a, n: ops.plan_write(s, [Region(a, bytes(n))]),
    "erase": ops.erase_region,
    "read": ops.read_flash,
    "read, 8MB stated": lambda s, a, n: ops.read_flash(s, a, n, flash_size="8MB"),
    "verify": lambda s, a, n: ops.verify_flash(s, [Region(a, bytes(n))]),
    "verify, 8MB stated": lambda s, a, n: ops.verify_flash(
        s, [Region(a, bytes(n))], FlashParams("8MB")
    ),
    "cmds.erase_region": lambda s, a, n: cmds.erase_region(ESPLoader.from_session(s), a, n),
    "cmds.read_flash": lambda s, a, n: cmds.read_flash(ESPLoader.from_session(s), a, n),
    "cmds.write_flash": lambda s, a, n: cmds.write_flash(
        ESPLoader.from_session(s), [(a, bytes(n))]
    ),
    "cmds.verify_flash": lambda s, a, n: cmds.verify_flash(
        ESPLoader.from_session(s), [(a, bytes(n))]
    ),
}
#: (address, size) that no flash of 4 MB has, all of whole sectors.
RANGES = [
    (SIZE, SECTOR),
    (LAST, 2 * SECTOR),
    (8 * MB, SECTOR),
    (16 * MB, SECTOR),
    (0xFFFFF000, SECTOR),
    (0xFFFFF000, 2 * SECTOR),
    (1 << 32, SECTOR),
    ((1 << 32) + SECTOR, SECTOR),
    (-SECTOR, SECTOR),
]
#: Sizes that need no such many bytes in memory.
SIZED_JOBS = ("erase", "read", "read, 8MB stated", "cmds.erase_region", "cmds.read_flash")
SIZES = [(0, 5 * MB), (0, 1 << 31), (0, 1 << 32), (SECTOR, 1 << 32), (0, 1 << 40), (0, -2 * SECTOR)]


@contextmanager
def flashed(chip: str, side: str, log: Log | None = None) -> Iterator[tuple[Session, Board]]:
    """A chip with a boot loader; `side` is what answers: the ROM, a stub's model or its code."""
    stub = "public" if side == "public" else "emulated" if side == "code" else "model"
    where = url(chip, stub=stub, timing="virtual", flash="4MB")
    with connect(where, chip=chip, listener=log or ignore) as s:
        if side == "code":
            s.run_stub()
        elif side != "rom":
            s.run_stub(placeholder(s.spec))
        ops.attach_flash(s)
        board = s.link.port.serial.board  # type: ignore[attr-defined]
        board.nor.cells.program(0, BOOT)
        yield s, board


def _sides() -> Iterator[tuple[str, str]]:
    for chip in chips.KEYS:
        yield chip, "rom"
        if chips.get(chip).stub.available:
            yield chip, "ours"
    for chip in ("esp8266", "esp32", "esp32c3"):
        yield chip, "code"
    yield "esp32s3", "public"


@pytest.mark.parametrize(("chip", "side"), list(_sides()))
def test_what_lies_outside_the_flash_is_refused_by_every_job(chip: str, side: str) -> None:
    if side == "code":
        pytest.importorskip("icicle", reason="needs the extra 'emulator'")
    with flashed(chip, side) as (s, board):
        for name, job in JOBS.items():
            for address, size in RANGES + (SIZES if name in SIZED_JOBS else []):
                before = dict(board.nor.log)
                with pytest.raises(FatalError) as refusal:
                    job(s, address, size)
                if side != "rom" or chip != "esp8266":
                    assert isinstance(refusal.value, UsageError), (name, hex(address), hex(size))
                after = dict(board.nor.log)
                assert after["erase"] == before["erase"], name
                assert after["program"] == before["program"], name
        assert board.nor.cells.read(0, len(BOOT)) == BOOT


@pytest.mark.parametrize("side", ["ours", "rom", "public", "code"])
def test_the_last_sector_belongs_to_the_flash(side: str) -> None:
    if side == "code":
        pytest.importorskip("icicle", reason="needs the extra 'emulator'")
    with flashed("esp32c3", side) as (s, board):
        write(s, LAST, SECTOR)
        ops.verify_flash(s, [Region(LAST, bytes(SECTOR))])
        assert ops.read_flash(s, LAST, SECTOR) == bytes(SECTOR)
        assert ops.read_flash(s, LAST, -1) == bytes(SECTOR)
        ops.erase_region(s, LAST, -1)
        assert ops.read_flash(s, SIZE - 5, 5) == b"\xff" * 5
        # Bytes that fill up a word would lie past the end.
        write(s, SIZE - 3, 3)
        ops.verify_flash(s, [Region(SIZE - 3, bytes(3))])
        assert ops.read_flash(s, SIZE, 0) == b""
        assert board.nor.cells.read(0, len(BOOT)) == BOOT
        if side != "code":  # which would look for blank flash for long
            ops.erase_region(s, 0, -1)
            assert board.nor.cells.read(0, SIZE) == b"\xff" * SIZE


@pytest.mark.parametrize("address", [SIZE, 5 * MB, 1 << 32])
@pytest.mark.parametrize("job", [ops.erase_region, ops.read_flash])
def test_all_from_the_end_on_is_nothing_and_refused(job: Job, address: int) -> None:
    with flashed("esp32c3", "ours") as (s, board):
        with pytest.raises(UsageError, match=r"There is no flash|32-bit"):
            job(s, address, -1)
        assert board.nor.cells.read(0, len(BOOT)) == BOOT


def test_the_words_are_those_of_the_public_tool() -> None:
    with flashed("esp32c3", "ours") as (s, _board):
        for job in (ops.erase_region, ops.read_flash):
            with pytest.raises(UsageError) as e:
                job(s, LAST, 2 * SECTOR)
            assert e.value.message == (
                "Can't access flash regions larger than detected flash size "
                "(set size 0x2000 from address 0x003ff000 goes past 4MB by 0x1000 bytes)."
            )
        with pytest.raises(UsageError) as e:
            write(s, LAST, 2 * SECTOR)
        assert e.value.message.startswith(
            "File 'app.bin' (length 8192) at offset 0x003ff000 will not fit in "
            "4194304 bytes of flash. Change the flash_size argument or flashing address."
        )


def test_a_stated_size_that_is_smaller_bounds_too_and_only_for_that_job() -> None:
    for side in ("ours", "rom"):
        with flashed("esp32c3", side) as (s, _board):
            small = FlashParams("1MB")
            with pytest.raises(UsageError, match="1048576"):
                write(s, MB, SECTOR, params=small)
            with pytest.raises(UsageError, match="stated flash size"):
                ops.verify_flash(s, [Region(MB, bytes(4))], small)
            with pytest.raises(UsageError, match="goes past 1MB"):
                ops.read_flash(s, MB, 4, flash_size="1MB")
            write(s, 0x10000, SECTOR, params=small)
            write(s, 2 * MB, SECTOR)
            assert ops.read_flash(s, 2 * MB, SECTOR) == bytes(SECTOR)
            write(s, 0x10000, SECTOR, params=small)
            ops.erase_region(s, 2 * MB, SECTOR)
            assert ops.read_flash(s, 2 * MB, SECTOR) == b"\xff" * SECTOR


def test_where_the_size_is_unknown_that_is_said_and_the_stated_one_counts() -> None:
    log = Log()
    with flashed("esp32c3", "ours", log) as (s, _board):
        s.flash.known_id = 0x0140C8
        ops.read_flash(s, 0, 4)
        assert "The size of the flash is unknown (its id 0x0140c8 is not known)" in log.text
        with pytest.raises(UsageError, match="stated flash size"):
            ops.read_flash(s, 2 * MB, 4, flash_size="2MB")
        with pytest.raises(FatalError, match="ALL needs the size of the flash"):
            ops.erase_region(s, 0, -1)


#: What the documented loader object does by itself.
REQUESTS: dict[str, Callable[[ESPLoader, int, int], object]] = {
    "erase_region": ESPLoader.erase_region,
    "flash_begin": lambda esp, a, n: esp.flash_begin(n, a),
    "flash_defl_begin": lambda esp, a, n: esp.flash_defl_begin(n, n, a),
    "flash_md5sum": ESPLoader.flash_md5sum,
    "read_flash": ESPLoader.read_flash,
}


@pytest.mark.parametrize("side", ["ours", "public", "code"])
def test_single_requests_are_bounded_too(side: str) -> None:
    with flashed("esp32c3", side) as (s, board):
        esp = ESPLoader.from_session(s)
        for name, request in REQUESTS.items():
            for address, size in RANGES:
                with pytest.raises(UsageError):
                    request(esp, address, size)
                assert board.nor.cells.read(0, len(BOOT)) == BOOT, name


@pytest.mark.parametrize("stub", [False, True])
@pytest.mark.parametrize(
    ("address", "size"),
    [(0xFFFFFFF0, 64), (0xFFFFFFFF, 16), (0, 1 << 32 | 4), (1 << 32, 4), (-4, 4), (0, -4)],
)
def test_memory_ends_at_32_bits(stub: bool, address: int, size: int) -> None:
    with flashed("esp32c3", "ours" if stub else "rom") as (s, _board):
        sent = s.link.requests
        with pytest.raises(UsageError, match="memory"):
            ops.dump_mem(s, address, size)
        assert s.link.requests == sent


@pytest.mark.parametrize("value", [-1, 1 << 32])
def test_words_have_32_bits(value: int) -> None:
    with flashed("esp32c3", "rom") as (s, _board):
        calls: list[Callable[[], object]] = [
            lambda: ops.read_mem(s, value),
            lambda: ops.write_mem(s, value, 0),
            lambda: ops.write_mem(s, 0x3FC80000, value),
            lambda: ops.write_mem(s, 0x3FC80000, 0, value),
            lambda: s.read_reg(value),
            lambda: s.write_reg(0x3FC80000, value),
            lambda: s.flash.erase_region(value, SECTOR),
            lambda: s.flash.begin(SECTOR, value),
            lambda: s.flash.md5(value, SECTOR),
            lambda: s.ram.begin(4, 1, 4, value),
        ]
        sent = s.link.requests
        for call in calls:
            with pytest.raises(UsageError):
                call()
        assert s.link.requests == sent

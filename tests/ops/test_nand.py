# SPDX-License-Identifier: Apache-2.0
"""Commands on SPI NAND flash, against one with bad blocks that answers as the plug-in does."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from esptool import cmds, detect_chip
from esptool.errors import (
    FatalError,
    LinkTimeoutError,
    NANDEraseFailed,
    NANDProgramFailed,
    UsageError,
    VerifyError,
)
from esptool.loader import ESPLoader, StubFlasher
from esptool.protocol.opcodes import Cmd
from esptool.virtual.board import Board
from esptool.virtual.faults import FaultPlan, LineNoise

BLOCK = cmds.NAND_BLOCK_SIZE
SPARE_BLOCKS = 8


class Nand(ESPLoader):
    """A loader object whose requests end in a NAND flash of a few blocks.

    Attributes:
        worn: blocks that can be neither programmed nor erased.
        misread: how many reads of a block come back wrong.
    """

    IS_STUB = True
    FLASH_WRITE_SIZE = 0x4000

    def __init__(self) -> None:
        self.blocks: dict[int, bytes] = {}
        self.bad: set[int] = set()
        self.worn: set[int] = set()
        self.misread: dict[int, int] = {}
        self._trace_enabled = False
        self._answers: list[bytes] = []
        self._at = 0
        self.lost = 0

    def check_command(  # type: ignore[override]
        self, op_description: str, op: int, data: bytes = b"", chk: int = 0, **_: Any
    ) -> int:
        words = [int.from_bytes(data[i : i + 4], "little") for i in range(0, min(len(data), 16), 4)]
        block = words[0] // BLOCK if words else 0
        if op == Cmd.SPI_NAND_READ_SPARE:
            return 0xFFFFFF00 | (0 if words[0] // 64 in self.bad else 0xFF)
        if op == Cmd.SPI_NAND_WRITE_SPARE:
            (self.bad.add if data[4] else self.bad.discard)(words[0] // 64)
        elif op == Cmd.SPI_NAND_WRITE_FLASH_BEGIN:
            self._at = block
            self.blocks[block] = b""
        elif op == Cmd.SPI_NAND_WRITE_FLASH_DATA:
            if self.lost:
                self.lost -= 1
                raise LinkTimeoutError("The frame was lost.")
            if self._at in self.worn:
                raise FatalError.WithResult("no", b"\xca\x00")
            self.blocks[self._at] += data[16:]
        elif op == Cmd.SPI_NAND_ERASE_REGION:
            if block in self.worn:
                raise FatalError.WithResult("no", b"\xcb\x00")
            self.blocks.pop(block, None)
        elif op == Cmd.SPI_NAND_READ_FLASH:
            self._read(words[0], words[1])
        return 0

    def _read(self, offset: int, size: int) -> None:
        from hashlib import md5

        block = offset // BLOCK
        found = self.blocks.get(block, b"").ljust(BLOCK, b"\xff")[offset % BLOCK :][:size]
        if self.misread.get(block, 0):
            self.misread[block] -= 1
            found = bytes([found[0] ^ 1]) + found[1:]
        self._answers = [found[i : i + 4096] for i in range(0, len(found), 4096)]
        self._answers.append(md5(found).digest())

    def read(self) -> bytes:
        return self._answers.pop(0)

    def write(self, packet: bytes) -> None:
        del packet


def content(blocks: float) -> bytes:
    size = int(blocks * BLOCK)
    return (bytes(range(251)) * (size // 251 + 1))[:size]


def test_what_is_written_around_bad_blocks_is_read_back(tmp_path: Path) -> None:
    esp = Nand()
    esp.bad = {0, 2}
    data = content(2.5)
    cmds.write_flash(esp, [(0, data)], flash_type="nand")
    assert sorted(esp.blocks) == [1, 3, 4]
    assert cmds.read_flash(esp, 0, len(data), flash_type="nand") == data
    cmds.verify_flash(esp, [(0, data)], flash_type="nand")
    cmds.dump_bbm(esp, str(tmp_path / "bbm"), 5)
    assert (tmp_path / "bbm").read_bytes() == bytes([1, 0, 1, 0, 0])


def test_a_worn_block_is_marked_and_the_next_one_taken() -> None:
    esp = Nand()
    esp.worn = {1}
    data = content(2)
    cmds.write_flash(esp, [(0, data)], flash_type="nand")
    assert esp.bad == {1}
    assert cmds.read_flash(esp, 0, len(data), flash_type="nand") == data


@pytest.mark.parametrize(("wrong", "bad"), [(1, set()), (2, {0})])
def test_a_block_that_reads_back_wrong_twice_is_bad(wrong: int, bad: set[int]) -> None:
    esp = Nand()
    esp.misread = {0: wrong}
    cmds.write_flash(esp, [(0, content(1))], flash_type="nand")
    assert esp.bad == bad


def test_a_lost_frame_is_sent_again_and_condemns_no_block() -> None:
    esp = Nand()
    esp.lost = 2
    cmds.write_flash(esp, [(0, content(1))], flash_type="nand")
    assert esp.bad == set()
    esp.lost = 3
    with pytest.raises(FatalError, match="lost"):
        cmds.write_flash(esp, [(0, content(1))], flash_type="nand")
    assert esp.bad == set()


def test_nothing_is_written_where_good_blocks_are_too_few() -> None:
    esp = Nand()
    esp.bad = set(range(SPARE_BLOCKS - 1))
    with pytest.raises(FatalError, match="need 2, found 1"):
        cmds.write_flash(
            esp, [(0, content(2))], flash_type="nand", nand_end_address=SPARE_BLOCKS * BLOCK
        )
    assert esp.blocks == {}


def test_an_image_pushed_into_the_next_one_is_an_overlap() -> None:
    esp = Nand()
    esp.bad = {0}
    with pytest.raises(FatalError, match="overlap"):
        cmds.write_flash(esp, [(0, content(1)), (BLOCK, content(1))], flash_type="nand")


def test_erasing_marks_what_cannot_be_erased() -> None:
    esp = Nand()
    esp.worn = {1}
    esp.blocks = {0: b"old", 1: b"old", 2: b"old"}
    cmds.erase_region(esp, 0, 2 * BLOCK, flash_type="nand")
    assert esp.bad == {1}
    assert sorted(esp.blocks) == [1, 2]


def test_a_marked_block_keeps_its_mark_unless_force_says_otherwise() -> None:
    esp = Nand()
    esp.bad = {1}
    esp.blocks = {0: b"old", 1: b"old", 2: b"old"}
    cmds.erase_flash(esp, flash_type="nand")
    assert sorted(esp.blocks) == [1]
    cmds.erase_flash(esp, force=True, flash_type="nand")
    assert esp.blocks == {}


TOTAL = cmds.NAND_TOTAL_SIZE
PAGES = TOTAL // BLOCK * 64


@pytest.mark.parametrize(
    "job",
    [
        lambda e: cmds.erase_region(e, TOTAL, BLOCK, flash_type="nand"),
        lambda e: cmds.erase_region(e, TOTAL - BLOCK, 2 * BLOCK, flash_type="nand"),
        lambda e: cmds.erase_region(e, -BLOCK, BLOCK, flash_type="nand"),
        lambda e: cmds.erase_region(e, 0, -BLOCK, flash_type="nand"),
        lambda e: cmds.read_flash(e, TOTAL - 4, 8, flash_type="nand"),
        lambda e: cmds.read_flash(e, 0, 8, flash_type="nand", nand_end_address=TOTAL + BLOCK),
        lambda e: cmds.read_flash(e, 1 << 32, 8, flash_type="nand"),
        lambda e: cmds.write_flash(e, [(0, b"a"), (TOTAL, b"a")], flash_type="nand"),
        lambda e: cmds.write_flash(e, [(TOTAL - BLOCK, bytes(BLOCK + 1))], flash_type="nand"),
        lambda e: cmds.verify_flash(e, [(TOTAL, b"a")], flash_type="nand"),
        lambda e: cmds.read_nand_spare(e, PAGES),
        lambda e: cmds.write_nand_spare(e, -1, 1),
        lambda e: cmds.dump_bbm(e, "never", TOTAL // BLOCK + 1),
    ],
)
def test_what_lies_outside_the_flash_is_refused(job: Any) -> None:
    esp = Nand()
    esp.blocks = {0: b"boot"}
    with pytest.raises(UsageError):
        job(esp)
    assert esp.blocks == {0: b"boot"}
    assert esp.bad == set()


def test_a_difference_is_found() -> None:
    esp = Nand()
    esp.blocks = {0: content(1)}
    with pytest.raises(VerifyError, match="Verification failed"):
        cmds.verify_flash(esp, [(0, content(1)[:-1] + b"!")], diff=True, flash_type="nand")


@pytest.mark.parametrize("code", [b"\xca\x00", b"\xcb\x00", b"\xc4\x00"])
def test_status_bytes_become_their_exception(code: bytes) -> None:
    kinds = {0xCA: NANDProgramFailed, 0xCB: NANDEraseFailed}
    error = FatalError.WithResult("writing failed", code)
    assert type(error) is kinds.get(code[0], FatalError)
    assert f"result was {code.hex().upper()}" in str(error)


def test_a_chip_without_the_controller_says_that_it_has_no_plug_in() -> None:
    with pytest.raises(FatalError, match="does not support plugins"):
        StubFlasher("esp32", plugins=["nand"])


# --- over a bad line -----------------------------------------------------------------------------

NAND_FAULTS = [
    "flip:3e-5",
    "lose:1e-4",
    "repeat:1e-4",
    "log:1e-4",
    "drop:60000,away:2",
    "reset:60000,reset:110000",
]


@contextmanager
def on_nand(fault: str = "", serial: str = "1") -> Iterator[tuple[ESPLoader, Board]]:
    """A loader object on a NAND flash whose block 1 is bad, behind a line with a fault."""
    options = f"nand=W25N01GV&nand_bad=1&stub=model&timing=virtual&latency=1&serial={serial}"
    with detect_chip(f"virtual://esp32s3?{options}&fault={fault}") as rom:
        esp = cmds.run_stub(rom, ["nand"])
        esp.change_baud(921_600)
        cmds.attach_flash(esp, "SPI", "nand")
        yield esp, esp._port.board  # type: ignore[attr-defined]


@pytest.mark.parametrize("fault", NAND_FAULTS)
def test_every_job_gets_through_what_a_line_can_do(fault: str, tmp_path: Path) -> None:
    data = random.Random(1).randbytes(BLOCK * 3 // 2)
    with on_nand(fault, serial=f"nand-{NAND_FAULTS.index(fault)}") as (esp, board):
        nand = board.soc.nand
        assert nand is not None
        cmds.write_flash(esp, [(0, data)], flash_type="nand")
        assert (nand.contents(0) + nand.contents(2))[: len(data)] == data
        assert cmds.read_flash(esp, 0, len(data), flash_type="nand") == data
        cmds.verify_flash(esp, [(0, data)], flash_type="nand")
        cmds.dump_bbm(esp, str(tmp_path / "bbm"))
        assert (tmp_path / "bbm").read_bytes() == bytes([0, 1]) + bytes(1022)
        cmds.erase_region(esp, 0, 4 * BLOCK, flash_type="nand")
        assert nand.contents(0) + nand.contents(2) == b"\xff" * 2 * BLOCK
        assert nand.marked() == [1]


@pytest.mark.parametrize("fault", ["lose:4e-3", "flip:2e-3", "repeat:4e-3"])
def test_a_line_that_is_too_bad_ends_each_job_in_one_error_and_condemns_no_block(
    fault: str,
) -> None:
    jobs: dict[str, Callable[[ESPLoader], object]] = {
        "2 of 2 blocks of the image for 0x0 are not written, and the one at 0x0": lambda esp: (
            cmds.write_flash(esp, [(0, content(2))], flash_type="nand")
        ),
        "nothing is kept": lambda esp: cmds.read_flash(esp, 0, 2 * BLOCK, flash_type="nand"),
    }
    for said, job in jobs.items():
        with on_nand() as (esp, board):
            plan = FaultPlan()
            plan.add(fault)
            board.cable.noise_in = LineNoise(plan, "to chip")
            board.cable.noise_out = LineNoise(plan, "to host")
            with pytest.raises(FatalError, match=said) as stopped:
                job(esp)
            assert "again. A lower baud rate or a shorter cable may help." in str(stopped.value)
            assert board.soc.nand is not None
            assert board.soc.nand.marked() == [1]


def test_what_is_read_at_another_place_than_was_asked_is_not_taken() -> None:
    data = random.Random(2).randbytes(BLOCK)
    with on_nand() as (esp, _board):
        cmds.write_flash(esp, [(0, data)], flash_type="nand")
        own, seen = esp.session.link.send_frame, []

        def damaged(payload: bytes) -> None:
            # The first request to read is lost, and the second comes with another address.
            if payload[1] == Cmd.SPI_NAND_READ_FLASH and len(payload) > 20:
                seen.append(payload)
                if len(seen) == 1:
                    payload = payload[:4]
                elif len(seen) == 2:
                    payload = payload[:9] + bytes([payload[9] ^ 0x10]) + payload[10:]
            own(payload)

        esp.session.link.send_frame = damaged  # type: ignore[method-assign]
        assert cmds.read_flash(esp, 0, len(data), flash_type="nand") == data
        assert len(seen) > 2

# SPDX-License-Identifier: Apache-2.0
"""The power goes at a step of flash, inside a secure run of a station; the board comes again.

One step of each chip is taken here; all of them with `ESPTOOL_RECIPE_SWEEP=1 pytest
tests/esp_station/test_power_cut.py`.
"""

from __future__ import annotations

import os
import random
import threading
from itertools import count
from pathlib import Path

import pytest

from esp_station.attempt import BoardsInWork, Place, run_attempt
from esp_station.job import read_job
from esp_station.records import PASS, Attempt, Records
from espefuse.recipe import read, status
from espefuse.recipe.sealing import make_owner, unseal
from esptool import chips
from esptool.virtual.board import Board, open_board
from tests.espefuse.support import ControllerDevice, commands_on, controller_of
from tests.support.programs import program

from .support import APP_AT
from .test_encrypted import CHIPS, END, KEYS, REST, WRITE, make_job, slot

WHOLE_SWEEP = bool(os.environ.get("ESPTOOL_RECIPE_SWEEP"))
#: Tests that all steps of a chip are dealt to, so that they can run side by side.
SHARES = 4 if WHOLE_SWEEP else 1
#: A recipe with all of it: signed programs only, and doors shut.
RECIPE = """
recipe = 1
jtag = "closed"
[secure-boot]
digests = ["digest.bin"]
[flash-encryption]
mode = "release"
key = "each board"
[owner]
public-key = "owner.pub"
folder = "keys"
"""
_names = count()


class PowerCutError(BaseException):
    """Nothing that a program could catch."""


def signed(chip: str) -> bytes:
    """A boot loader with what the ROM's model looks for of a signature."""
    image = program(chip)
    return image + b"\xff" * (-len(image) % 0x1000) + b"\xe7\x02" + bytes(0x1000 - 2)


class Bench:
    """A line with one board, which can be cut off at a step of its flash."""

    def __init__(self, folder: Path, chip: str) -> None:
        self.chip, self.folder = chip, folder
        self.job_path = make_job(folder, chip, KEYS + WRITE + REST + END)
        private, public = make_owner()
        (folder / "owner.pem").write_bytes(private)
        (folder / "owner.pub").write_bytes(public)
        (folder / "digest.bin").write_bytes(bytes(range(32)))
        (folder / "product.toml").write_text(RECIPE)
        (folder / "boot.bin").write_bytes(signed(chip))
        (folder / "app.bin").write_bytes(program(chip) + random.Random(2).randbytes(400))
        self.number = next(_names) % 20 + 1
        self.job = read_job(str(self.job_path), [slot(chip, self.number, "cut")])
        self.book = Records(self.job.records)

    def new_board(self, like: Board | None = None) -> tuple[str, Board]:
        """A board; with flash and eFuses of another one, whose power came back."""
        url = str(slot(self.chip, self.number, f"cut-{next(_names)}").port)
        board = open_board(url)
        if like is None:
            # Not blank, so that it has to be erased.
            board.nor.cells.load(random.Random(3).randbytes(0x14000))
        else:
            assert board.soc.efuse is not None
            assert like.soc.efuse is not None
            for index, data in like.soc.efuse.burned.items():
                board.soc.efuse.burn(index, bytes(data))
            board.soc.efuse.refresh()
            board.nor.cells.load(like.nor.cells.read(0, 0x40000))
        return url, board

    def run(self, url: str) -> Attempt:
        """One attempt."""
        assert self.job.rows is not None
        self.job.rows.bind(self.book.engine, "here")
        place = Place(1, "here", "1", url)
        stop = threading.Event()
        return run_attempt(
            self.job, place, self.book, BoardsInWork(), listener=lambda _e: None, stop=stop
        )

    def forget(self) -> None:
        """Begin new records: the next board has the same address, and is another one."""
        self.book.close()
        for path in self.folder.glob("station.db*"):
            path.unlink()
        self.book = Records(self.job.records)

    def close(self) -> None:
        """Let go of the databases."""
        self.book.close()
        if self.job.rows is not None:
            self.job.rows.close()


def watch(board: Board, last: int | None = None) -> list[str]:
    """Note a board's steps of flash. In the last one the power goes, when half of it is done."""
    steps: list[str] = []
    cells = board.nor.cells
    erase, burn = cells.erase, cells.program

    def erased(address: int, length: int) -> None:
        steps.append(f"erase {address:#x}")
        erase(address, length // 2 if len(steps) == last else length)
        cut()

    def programmed(address: int, data: bytes) -> None:
        steps.append(f"program {address:#x}")
        burn(address, data[: len(data) // 2] if len(steps) == last else data)
        cut()

    def cut() -> None:
        if len(steps) == last:
            raise PowerCutError

    cells.erase, cells.program = erased, programmed  # type: ignore[method-assign]
    return steps


def pieces_that_hold(bench: Bench, board: Board) -> set[str]:
    """What the board's eFuses say."""
    controller = controller_of(bench.chip)
    for index, data in burned(board).items():
        controller.burn(index, data)
    controller.refresh()
    device = ControllerDevice(bench.chip, controller)
    lines = status(commands_on(device), read(bench.folder / "product.toml"))
    return {line.text for line in lines if line.state == "done"}


def burned(board: Board) -> dict[int, bytes]:
    """All eFuses."""
    assert board.soc.efuse is not None
    return {index: bytes(data) for index, data in board.soc.efuse.burned.items()}


def judge(bench: Bench, board: Board, done: Attempt) -> None:
    """The right end: eFuses, the owner's key, and plain data behind the chip's decryption."""
    assert done.result == PASS, done.log
    boot = chips.get(bench.chip).flash.bootloader_offset
    for at, name in ((boot, "boot.bin"), (APP_AT, "app.bin")):
        plain = (bench.folder / name).read_bytes()
        assert board.soc.flash_encryption
        assert board.soc.read_program(at, len(plain)) == plain
        assert board.nor.read(at, len(plain)) != plain
    [sealed] = (bench.folder / "keys").glob("*.sealed.json")
    key = unseal(sealed, (bench.folder / "owner.pem").read_bytes())
    assert key[::-1] in burned(board).values()


@pytest.mark.timeout(0 if WHOLE_SWEEP else 120)
@pytest.mark.parametrize("share", range(SHARES))
@pytest.mark.parametrize("chip", CHIPS)
def test_after_a_power_cut_at_a_step_of_flash_a_board_comes_to_the_same_end(
    tmp_path: Path, chip: str, share: int
) -> None:
    bench = Bench(tmp_path, chip)
    url, whole = bench.new_board()
    steps = watch(whole)
    judge(bench, whole, bench.run(url))
    assert {step.split()[0] for step in steps} == {"erase", "program"}
    numbers = range(1 + share, len(steps) + 1, SHARES)
    for last in numbers if WHOLE_SWEEP else [random.Random(chip).choice(numbers)]:
        for sealed in (tmp_path / "keys").glob("*"):
            sealed.unlink()
        bench.forget()
        url, board = bench.new_board()
        watch(board, last)
        with pytest.raises(PowerCutError):
            bench.run(url)
        if WHOLE_SWEEP:
            print(f"{chip}: cut at step {last} of {len(steps)}, {steps[last - 1]}")
        held, before = pieces_that_hold(bench, board), burned(board)
        assert held
        [sealed] = (tmp_path / "keys").glob("*")
        kept = sealed.read_bytes()
        url, board = bench.new_board(board)
        done = bench.run(url)
        judge(bench, board, done)
        assert sealed.read_bytes() == kept
        assert held.isdisjoint(done.fuses), (last, steps[last - 1])
        for index, data in burned(board).items():
            assert all(old & ~new == 0 for old, new in zip(before[index], data, strict=True))
    bench.close()

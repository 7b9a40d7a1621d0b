# SPDX-License-Identifier: Apache-2.0
"""Reading and programming on four lines by the stub's machine code, on flash that has it or not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from esptool import ops
from esptool.device import Session, connect
from esptool.virtual import spi_mem
from esptool.virtual.board import NAMED, Board
from tests.ops.support import Log, firmware

pytestmark = pytest.mark.emulator

KB = 1024


@contextmanager
def running(chip: str, part: str) -> Iterator[tuple[Session, Board]]:
    """Our stub's code on a chip with this flash, and the commands that its flash gets."""
    name = f"four-{chip}-{part}"
    url = f"virtual://{chip}?name={name}&part={part}&stub=emulated&boot=download"
    with connect(url, chip=chip) as session:
        session.run_stub()
        ops.attach_flash(session)
        yield session, NAMED[name]
    NAMED.pop(name, None)


def commands(board: Board, monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """Filled with the flash commands from here on."""
    seen: set[int] = set()
    transfer = board.nor.transfer

    def note(command: int, *args: object, **more: object) -> bytes:
        seen.add(command)
        return transfer(command, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(board.nor, "transfer", note)
    return seen


@pytest.mark.parametrize("chip", ["esp32", "esp32c3", "esp32s3"])
@pytest.mark.parametrize(
    ("part", "reads", "programs"),
    [
        pytest.param("W25Q64JV", 0x6B, 0x32, id="quad mode on"),
        pytest.param("GD25Q64C", 0x3B, 0x02, id="quad mode off"),
    ],
)
def test_as_many_lines_are_used_as_the_flash_has(
    chip: str, part: str, reads: int, programs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = firmware(60 * KB)
    with running(chip, part) as (session, board):
        seen = commands(board, monkeypatch)
        [result] = ops.write_flash(session, [ops.Region(0x10000, data)])
        assert result.verified
        assert board.nor.read(0x10000, len(data)) == data
        assert ops.read_flash(session, 0x10000, len(data)) == data
        assert {reads, programs} <= seen
        assert 0x32 not in seen or programs == 0x32


@pytest.mark.parametrize("chip", ["esp32", "esp32c3"])
def test_a_page_that_does_not_take_four_lines_is_written_again_on_one(
    chip: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading on four lines works, programming does not: its first page comes out wrong."""
    data = firmware(60 * KB)
    log = Log()
    with running(chip, "W25Q64JV") as (session, board):
        monkeypatch.setattr(
            spi_mem.SpiController,
            "_lanes",
            lambda self, _usr, out: 1 if out else _lanes_in(self),
        )
        seen = commands(board, monkeypatch)
        [result] = ops.write_flash(session, [ops.Region(0x10000, data)], listener=log)
        assert result.verified
        assert board.nor.read(0x10000, len(data)) == data
        assert {0x32, 0x02} <= seen
        seen.clear()
        ops.write_flash(session, [ops.Region(0x40000, data)])
        assert 0x32 not in seen
        assert board.nor.read(0x40000, len(data)) == data


def _lanes_in(controller: spi_mem.SpiController) -> int:
    ctrl = controller.words.get(8, 0)
    if ctrl >> 13 & 1:
        return 4 if ctrl >> 20 & 1 else 2 if ctrl >> 14 & 1 else 1
    return 1

# SPDX-License-Identifier: Apache-2.0
"""The file that keeps a board between runs: a page of JSON (who, eFuses), then the flash."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from esptool.errors import UsageError

if TYPE_CHECKING:
    from esptool.virtual.board import Board

_HEADER = 0x1000
_FORMAT = "esptool virtual board 1"


def save_state(board: Board, path: Path) -> None:
    """Write the board's flash and eFuses, by way of a temporary file.

    The flash image starts at byte 4096 of the file and ends with its last 64 KiB in use.
    """
    from esptool.files import write_atomic

    efuse = board.soc.efuse
    blocks = {str(i): b.hex() for i, b in efuse.burned.items()} if efuse is not None else {}
    head = {
        "format": _FORMAT,
        "chip": board.silicon.key,
        "part": board.nor.part.name,
        "status": board.nor.status.hex(),
        "efuses": blocks,
        "checks": {str(i): b.hex() for i, b in efuse.check.items()} if efuse is not None else {},
    }
    text = json.dumps(head).encode()
    flash = board.nor.cells.read(0, board.nor.cells.used())
    write_atomic(path, text.ljust(_HEADER - 1) + b"\n" + flash)


def load_state(board: Board, path: Path) -> None:
    """Take flash and eFuses from a file; a file that does not exist is a new board.

    Raises:
        UsageError: the file is no state of this chip and flash.
    """
    if not path.exists():
        return
    if not path.is_file():
        raise UsageError(f"{path} is no file, so it is no state of a virtual board.")
    data = path.read_bytes()
    efuse = board.soc.efuse
    try:
        head = json.loads(data[:_HEADER])
        if head["format"] != _FORMAT:
            raise ValueError(head["format"])
        owner = str(head["chip"]), str(head["part"])
        status = bytes.fromhex(head["status"])
        burned = {int(i): bytes.fromhex(b) for i, b in head["efuses"].items()}
        checks = {int(i): bytearray.fromhex(b) for i, b in head.get("checks", {}).items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise UsageError(f"{path} is no state of a virtual board.") from None
    if owner != (board.silicon.key, board.nor.part.name):
        raise UsageError(
            f"{path} belongs to {owner[0]} with a {owner[1]} flash, not to "
            f"{board.silicon.key} with {board.nor.part.name}.",
            remedy="Give the same chip and flash, or another file.",
        )
    blocks = {} if efuse is None else {i: len(b) for i, b in efuse.burned.items()}
    if len(status) != len(board.nor.status) or any(
        blocks.get(i) != len(b) for i, b in burned.items()
    ):
        raise UsageError(f"{path} is a damaged state of a virtual board.")
    board.nor.cells.load(data[_HEADER:])
    board.nor.status[:] = status
    if efuse is not None:
        for index, bits in burned.items():
            efuse.burned[index][:] = bits
        efuse.check = checks
        efuse.refresh()

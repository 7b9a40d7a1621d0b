# SPDX-License-Identifier: Apache-2.0
"""The file that keeps a board between runs: a page of JSON (who, eFuses), then the flash, then a
NAND flash where the board has one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from esptool.errors import UsageError
from esptool.locking import FileLock
from esptool.virtual.factory import burn_options

if TYPE_CHECKING:
    from esptool.virtual.board import Board
    from esptool.virtual.nand import Nand

_HEADER = 0x1000
_FORMAT = "esptool virtual board 1"


def hold_state(board: Board, path: Path) -> FileLock:
    """Keep the file for this board alone until the lock is released, and take its state from it.

    Raises:
        FatalError: another board has it, it cannot be written, or is none of this chip.
    """
    lock = FileLock(str(path), "state file")
    try:
        made = path.exists()
        load_state(board, path)
        if made:
            _refuse_late_options(board, path)
    except BaseException:
        lock.release()
        raise
    return lock


def _refuse_late_options(board: Board, path: Path) -> None:
    """eFuses are burned where a board is made: one that is there already keeps its own.

    Raises:
        UsageError: the options ask for bits that are not burned.
    """
    efuse = board.soc.efuse
    if efuse is None or not (board.options.secure_download or board.options.efuses):
        return
    kept = {index: bytes(bits) for index, bits in efuse.burned.items()}
    checks = {index: bytearray(bits) for index, bits in efuse.check.items()}
    burn_options(board.soc)
    same = kept == {index: bytes(bits) for index, bits in efuse.burned.items()}
    for index, bits in kept.items():
        efuse.burned[index][:] = bits
    efuse.check = checks
    efuse.refresh()
    if same:
        return
    raise UsageError(
        f"{path} is a board whose eFuses are not as efuse= and secure_download= say.",
        remedy="They count for a new board: name another file, or burn them with espefuse.",
    )


def save_state(board: Board, path: Path) -> None:
    """Write the board's flash and eFuses, by way of a temporary file.

    The flash image starts at byte 4096 of the file and ends with its last 64 KiB in use. Behind it
    come a NAND flash's blocks in use: a line of JSON, then their pages with spare areas.
    """
    from esptool.files import write_atomic

    efuse = board.soc.efuse
    blocks = {str(i): b.hex() for i, b in efuse.burned.items()} if efuse is not None else {}
    head: dict[str, object] = {
        "format": _FORMAT,
        "chip": board.silicon.key,
        "part": board.nor.part.name,
        "status": board.nor.status.hex(),
        "efuses": blocks,
        "checks": {str(i): b.hex() for i, b in efuse.check.items()} if efuse is not None else {},
    }
    flash = board.nor.cells.read(0, board.nor.cells.used())
    nand = board.soc.nand
    behind = b""
    if nand is not None:
        head["nand_at"] = _HEADER + len(flash)
        behind = _nand_bytes(nand)
    text = json.dumps(head).encode()
    write_atomic(path, text.ljust(_HEADER - 1) + b"\n" + flash + behind)


def _nand_bytes(nand: Nand) -> bytes:
    """A NAND flash's own head, and the raw pages that it names."""
    pages = sorted(nand.pages)
    spans: list[list[int]] = []
    for page in pages:
        if spans and spans[-1][1] == page:
            spans[-1][1] += 1
        else:
            spans.append([page, page + 1])
    head = {"part": nand.part.name, "bad": sorted(nand.factory_bad), "pages": spans}
    return json.dumps(head).encode() + b"\n" + b"".join(nand.pages[page] for page in pages)


def _nand_pages(nand: Nand, data: bytes) -> None:
    """Take a NAND flash's contents from `_nand_bytes`.

    Raises:
        ValueError, KeyError, TypeError: they are none, or another part's.
    """
    line, _, body = data.partition(b"\n")
    head = json.loads(line)
    part = nand.part
    if head["part"] != part.name:
        raise ValueError(f"the NAND flash is a {head['part']}")
    raw = part.page + part.spare
    pages = [page for start, end in head["pages"] for page in range(int(start), int(end))]
    in_part = all(0 <= page < part.pages * part.blocks for page in pages)
    if len(body) != raw * len(pages) or not in_part:
        raise ValueError("pages are missing")
    nand.pages = {page: body[i * raw : (i + 1) * raw] for i, page in enumerate(pages)}
    nand.factory_bad = {int(block) for block in head["bad"]}


def load_state(board: Board, path: Path) -> None:
    """Take flash and eFuses from a file; a file that does not exist is a new board.

    Raises:
        UsageError: the file is no state of this chip and flash.
    """
    if not path.exists():
        return
    if not path.is_file():
        raise UsageError(f"{path} is not a file, so it is not a state of a virtual board.")
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
        raise UsageError(f"{path} is not a state of a virtual board.") from None
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
    nand, nand_at = board.soc.nand, head.get("nand_at")
    end = len(data) if nand_at is None else int(nand_at)
    if (nand is None) != (nand_at is None):
        has, not_has = ("a", "none") if nand_at is not None else ("no", "one")
        raise UsageError(
            f"{path} belongs to a board with {has} NAND flash, and this one has {not_has}.",
            remedy="Give the same nand=PART as when it was made, or another file.",
        )
    if nand is not None:
        try:
            _nand_pages(nand, data[end:])
        except (ValueError, KeyError, TypeError) as e:
            raise UsageError(f"{path} does not suit the board's NAND flash: {e}.") from None
    board.nor.cells.load(data[_HEADER:end])
    board.nor.status[:] = status
    if efuse is not None:
        for index, bits in burned.items():
            efuse.burned[index][:] = bits
        efuse.check = checks
        efuse.refresh()

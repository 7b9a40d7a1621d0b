# SPDX-License-Identifier: Apache-2.0
"""What `esptool.cmds` does with SPI NAND flash: whole blocks, and around those that are bad.

The chip's part is done by a plug-in of the stub, which a folder of stub files may bring
(`ESPTOOL_STUB_DIR`); the built-in stubs have none. A block whose first page has another mark than
0xFF is bad: data that should lie there lies in the next good block.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from esptool import ops
from esptool.errors import (
    FatalError,
    NANDEraseFailed,
    NANDProgramFailed,
    UsageError,
    VerifyError,
)
from esptool.files import write_atomic
from esptool.loader import NAND_BLOCK_SIZE, NAND_PAGES_PER_BLOCK
from esptool.logger import log
from esptool.util import ImageSource

if TYPE_CHECKING:
    from esptool.loader import ESPLoader

NAND_BLOCK_COUNT = 1024
NAND_TOTAL_SIZE = NAND_BLOCK_COUNT * NAND_BLOCK_SIZE
GOOD = 0xFF
ERASED = b"\xff"

ProgressFn = Callable[[int, int, int], None]


def is_good(esp: ESPLoader, address: int) -> bool:
    """Whether the block at `address` carries no bad-block mark."""
    page = address // NAND_BLOCK_SIZE * NAND_PAGES_PER_BLOCK
    return esp.read_nand_spare(page) & 0xFF == GOOD


def mark_bad(esp: ESPLoader, address: int, why: str) -> None:
    """Mark the block bad; where even that fails, there is no more to be done."""
    log.warning(f"{why} at {address:#010x}: the block is marked bad.")
    try:
        esp.write_nand_spare(address // NAND_BLOCK_SIZE * NAND_PAGES_PER_BLOCK, 1)
    except FatalError as e:
        log.warning(f"The block at {address:#010x} could not be marked bad: {e}")


def _blocks(start: int, end: int) -> Iterator[int]:
    return iter(range(start, end, NAND_BLOCK_SIZE))


def _whole_blocks(what: str, value: int) -> None:
    if value % NAND_BLOCK_SIZE:
        raise UsageError(f"{what} must be a multiple of the NAND block size ({NAND_BLOCK_SIZE}).")


# --- reading and comparing -----------------------------------------------------------------------


def read(
    esp: ESPLoader,
    address: int,
    size: int,
    progress_fn: ProgressFn | None = None,
    nand_end_address: int | None = None,
) -> bytes:
    """`size` bytes from `address` on, bad blocks left out.

    Raises:
        FatalError: there are not so many bytes in good blocks before the end address.
    """
    end = NAND_TOTAL_SIZE if nand_end_address is None else nand_end_address
    data = bytearray()
    at = address
    while len(data) < size:
        if at >= end:
            raise FatalError(
                f"The NAND's end address {end:#x} came after {len(data)} of {size} bytes: "
                "there are no more good blocks."
            )
        following = (at // NAND_BLOCK_SIZE + 1) * NAND_BLOCK_SIZE
        if is_good(esp, at):
            wanted = min(following - at, size - len(data))
            data += esp.read_flash_nand(at, wanted, None)[:wanted]
            if progress_fn is not None:
                progress_fn(len(data), size, address)
        else:
            log.print(f"Skipping bad block at {at:#010x}.")
        at = following
    return bytes(data)


def read_flash(
    esp: ESPLoader,
    address: int,
    size: int,
    output: str | None,
    no_progress: bool,
    nand_end_address: int | None,
) -> bytes | None:
    """`read_flash` for NAND."""
    begun = time.monotonic()
    show = None if no_progress else _bar("Reading from")
    data = read(esp, address, size, show, nand_end_address)
    took = max(time.monotonic() - begun, 1e-6)
    log.print(
        f"Read {size} bytes from {address:#010x} in {took:.1f} seconds "
        f"({size * 8 / took / 1000:.1f} kbit/s)" + (f" to '{output}'." if output else ".")
    )
    if output is None:
        return data
    write_atomic(output, data)
    return None


def verify_flash(
    esp: ESPLoader, addr_data: Sequence[tuple[int, ImageSource]], diff: bool = False
) -> None:
    """`verify_flash` for NAND.

    Raises:
        VerifyError: it differs.
    """
    for address, _source in addr_data:
        _whole_blocks("The address of what is verified", address)
    differing = 0
    for address, source in addr_data:
        content, name = ops.load_source(source)
        log.print(
            f"Verifying {len(content):#x} ({len(content)}) bytes at {address:#010x} "
            f"against {name or 'input bytes'}..."
        )
        differing += _compare(esp, address, content, diff)
    if differing:
        raise VerifyError("Verification failed.")
    log.print("Verification successful.")


def _compare(esp: ESPLoader, address: int, content: bytes, diff: bool) -> int:
    """Number of blocks that differ from the content."""
    bad = position = 0
    for at in _blocks(address, NAND_TOTAL_SIZE):
        if position >= len(content):
            return bad
        if not is_good(esp, at):
            log.print(f"Skipping bad block at {at:#010x}.")
            continue
        wanted = content[position : position + NAND_BLOCK_SIZE]
        found = esp.read_flash_nand(at, NAND_BLOCK_SIZE)[: len(wanted)]
        position += len(wanted)
        if found == wanted:
            continue
        bad += 1
        note = "does not match"
        if diff:
            places = [i for i, (a, b) in enumerate(zip(found, wanted, strict=False)) if a != b]
            first = f", the first at {at + places[0]:#010x}" if places else ""
            note = f"has {len(places)} bytes that differ{first}"
        log.print(f"  The block at {at:#010x} {note}.")
    if position < len(content):
        raise FatalError(f"The NAND ends after {position} of {len(content)} bytes.")
    return bad


# --- erasing -------------------------------------------------------------------------------------


def erase(esp: ESPLoader, address: int, size: int) -> None:
    """Erase whole blocks, also those that are marked bad; mark those that refuse.

    Raises:
        UsageError: not whole blocks.
        FatalError: the link failed; that is no reason to call a block bad.
    """
    _whole_blocks("The offset to erase from", address)
    _whole_blocks("The size to erase", size)
    log.print("Erasing NAND flash...")
    begun = time.monotonic()
    failed = 0
    for at in _blocks(address, address + size):
        try:
            esp.erase_nand_region(at, NAND_BLOCK_SIZE)
        except NANDEraseFailed:
            failed += 1
            mark_bad(esp, at, "The NAND could not erase")
    done = size // NAND_BLOCK_SIZE - failed
    log.print(
        f"NAND erase completed in {time.monotonic() - begun:.1f} seconds: "
        f"{done} blocks erased, {failed} failed and marked bad."
    )


# --- writing -------------------------------------------------------------------------------------


def write(
    esp: ESPLoader,
    addr_data: Sequence[tuple[int, ImageSource]],
    nand_end_address: int | None = None,
    no_progress: bool = False,
) -> None:
    """Write sources, each from the start of a block, and compare every block once written.

    Raises:
        UsageError: an address is not that of a block.
        FatalError: not enough good blocks, or an image was pushed into the next one.
    """
    log.note("NAND flash support is experimental.")
    end = NAND_TOTAL_SIZE if nand_end_address is None else nand_end_address
    for address, _source in addr_data:
        if address % NAND_BLOCK_SIZE:
            raise UsageError(
                f"{address:#x} is not the start of a NAND block: "
                f"addresses are multiples of the block size {NAND_BLOCK_SIZE:#x}."
            )
    free_from = 0
    for address, source in addr_data:
        content, _name = ops.load_source(source)
        if address < free_from:
            raise FatalError(
                f"The images overlap: what was written before reaches up to {free_from:#x}, past "
                f"{address:#x}. Blocks that are bad push data on; leave room for them."
            )
        if content:
            free_from = _write_image(esp, address, content, end, no_progress)


def _write_image(esp: ESPLoader, address: int, content: bytes, end: int, quiet: bool) -> int:
    """Write one image; returns the address behind its last block."""
    chunks = [
        content[i : i + NAND_BLOCK_SIZE].ljust(NAND_BLOCK_SIZE, ERASED)
        for i in range(0, len(content), NAND_BLOCK_SIZE)
    ]
    _look_for_room(esp, address, end, len(chunks))
    begun = time.monotonic()
    at = address
    for number, chunk in enumerate(chunks):
        while True:
            if at >= end:
                raise FatalError(
                    f"Not enough good blocks before {end:#x}: {len(chunks) - number} blocks are "
                    "still to be written."
                )
            here, at = at, at + NAND_BLOCK_SIZE
            if not is_good(esp, here):
                log.print(f"Skipping bad block at {here:#010x}.")
            elif _write_block(esp, here, chunk):
                break
        if not quiet:
            _bar("Writing at")(number + 1, len(chunks), here)
    took = max(time.monotonic() - begun, 1e-6)
    log.print(
        f"Wrote {len(content)} bytes at {address:#010x} in {took:.1f} seconds "
        f"({len(content) * 8 / took / 1000:.1f} kbit/s)."
    )
    return at


def _look_for_room(esp: ESPLoader, address: int, end: int, needed: int) -> None:
    """Count good blocks before anything is erased."""
    found = 0
    for at in _blocks(address, end):
        found += is_good(esp, at)
        if found == needed:
            return
    raise FatalError(
        f"Not enough good blocks between {address:#x} and {end:#x}: {needed} are needed, "
        f"there are {found}."
    )


def _write_block(esp: ESPLoader, address: int, chunk: bytes) -> bool:
    """Erase and write one block; False if it turned out bad, and is marked now."""
    try:
        esp.write_flash_nand_begin(NAND_BLOCK_SIZE, address)
        step = esp.FLASH_WRITE_SIZE
        for seq, i in enumerate(range(0, len(chunk), step)):
            esp.write_flash_nand_block(chunk[i : i + step], seq)
    except (NANDProgramFailed, NANDEraseFailed) as e:
        with suppress(FatalError):  # the block is given up; the session of writing may be gone
            esp.write_flash_nand_finish(reboot=False)
        what = "erase" if isinstance(e, NANDEraseFailed) else "program"
        mark_bad(esp, address, f"The NAND could not {what}")
        return False
    esp.write_flash_nand_finish(reboot=False)
    for _attempt in range(2):  # a bit may be misread once
        found = esp.read_flash_nand(address, len(chunk), None)
        if found and found == chunk[: len(found)]:
            return True
    mark_bad(esp, address, "What was written reads back differently")
    return False


# --- bad-block marks -----------------------------------------------------------------------------


def read_spare(esp: ESPLoader, page_number: int) -> None:
    """`read_nand_spare`."""
    word = esp.read_nand_spare(page_number)
    state = "good" if word & 0xFF == GOOD else "bad"
    log.print(f"NAND spare for page {page_number}: {word:#010x} ({state} block)")


def write_spare(esp: ESPLoader, page_number: int, is_bad: int) -> None:
    """`write_nand_spare`."""
    if is_bad not in (0, 1):
        raise UsageError(f"A block is bad (1) or good (0), not {is_bad}.")
    esp.write_nand_spare(page_number, is_bad)
    log.print(f"NAND spare for page {page_number} written: {'bad' if is_bad else 'good'} block.")


def dump_bbm(esp: ESPLoader, output: str, block_count: int) -> None:
    """`dump_bbm`."""
    marks = bytearray()
    show = _bar("Reading bad-block mark at")
    for block in range(block_count):
        marks.append(not is_good(esp, block * NAND_BLOCK_SIZE))
        show(block + 1, block_count, block * NAND_BLOCK_SIZE)
    write_atomic(output, bytes(marks))
    log.print(f"BBM dump: {block_count} blocks scanned, {sum(marks)} bad. Written to '{output}'.")


def _bar(action: str) -> ProgressFn:
    def show(done: int, total: int, address: int) -> None:
        log.progress_bar(done, total, prefix=f"{action} {address:#010x} ", suffix="")

    return show

# SPDX-License-Identifier: Apache-2.0
"""Reading flash into a file or into memory."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from typing import IO, TYPE_CHECKING

from esptool.device.recover import LOSSES
from esptool.errors import FatalError, UnsupportedCommandError, VerifyError
from esptool.events import Listener
from esptool.files import atomic_writer
from esptool.ops import bounds
from esptool.ops.flash_info import require_known_size, set_flash_size, size_word
from esptool.ops.hashes import flash_md5
from esptool.ops.healing import persist, take_up
from esptool.ops.report import Report, Stopwatch
from esptool.ops.window_read import read_range
from esptool.ops.window_read import stopped as _stopped
from esptool.protocol.ext import Capability

if TYPE_CHECKING:
    from esptool.device import Session

ALL = -1
#: Bytes asked for at once, so that a large read needs little memory.
CHUNK = 0x100000
#: The same on a line that damages bytes.
SMALLEST_CHUNK = 0x400


def read_flash(
    session: Session,
    address: int,
    size: int,
    output: str | os.PathLike[str] | IO[bytes] | None = None,
    *,
    flash_size: str = "keep",
    listener: Listener | None = None,
) -> bytes | None:
    """Read `size` bytes of flash from `address`; a size of -1 is all that follows.

    Goes to the file `output` (which appears only when all has been read), to an open file, or,
    without one, comes back as bytes.

    Raises:
        UsageError: the range is not within the flash.
        UnsupportedCommandError: the ROM of ESP8266 cannot read flash.
        VerifyError: what arrived is not what the chip sent.
    """
    report = Report(session, listener)
    bounds.require_32_bits(address, max(size, 0) if size == ALL else size)

    def prepare() -> bounds.Limit:
        session.remember()
        word = set_flash_size(session, flash_size, listener=report.listener)
        return bounds.flash_limit(session, word)

    limit = persist(session, report, "preparing", prepare)
    if size == ALL:
        total = require_known_size(session, "Reading")
        report.line(f"Detected flash size: {size_word(total)}")
        size = bounds.to_the_end(address, limit)
    bounds.require_inside(session, address, size, limit)
    bounds.remark_unknown(report, limit, session)
    if not session.is_stub and not session.spec.rom.flash_ops:
        raise UnsupportedCommandError(
            f"{session.spec.name} ROM does not support reading flash.",
            remedy="Leave out --no-stub: the flasher stub can.",
        )
    watch = Stopwatch(session)
    if output is None:
        pieces: list[bytes] = []
        _read(session, address, size, pieces.append, report)
        _summary(report, watch, address, size, None)
        return b"".join(pieces)
    if isinstance(output, (str, os.PathLike)):
        with atomic_writer(output) as file:
            _read(session, address, size, file.write, report)
        _summary(report, watch, address, size, os.fspath(output))
    else:
        _read(session, address, size, output.write, report)
        name = getattr(output, "name", None)
        _summary(report, watch, address, size, name if isinstance(name, str) else None)
    return None


def _summary(report: Report, watch: Stopwatch, address: int, size: int, name: str | None) -> None:
    target = f" to '{name}'" if name is not None else ""
    report.line(f"Read {size} bytes from {address:#010x} in {watch.summary(size)}{target}.")


def _read(
    session: Session, address: int, size: int, sink: Callable[[bytes], object], report: Report
) -> None:
    """Read in chunks, each handed to `sink` as soon as it is known to be right."""
    report.begin("Reading from", size)
    if session.can(Capability.READ):
        read_range(session, address, size, sink, report, session.settings.retries)
        return
    done = stalled = 0
    chunk = CHUNK
    while done < size:
        count = min(chunk, size - done)
        start = done

        def advance(so_far: int, _all: int, start: int = start) -> None:
            position = start + so_far
            report.progress("Reading from", address + position, position, size)

        where = address + done
        try:
            piece = _checked(session, where, count, advance)
        except (*LOSSES, VerifyError) as e:
            # Whatever is refused of a read was damaged on its way.
            stalled += 1
            if stalled > session.settings.retries:
                raise _stopped(where, e) from e
            report.note(f"Lost contact at {where:#010x} ({e.message}) Trying again...")
            # One damaged byte costs all of a chunk.
            chunk = max(SMALLEST_CHUNK, chunk // 8)
            try:
                take_up(session, e, report)
            except FatalError as silent:
                raise _stopped(where, silent) from e
            continue
        sink(piece)
        done += count
        stalled = 0


def _checked(
    session: Session, address: int, size: int, progress: Callable[[int, int], None]
) -> bytes:
    """Bytes of flash that are right: a stub sends a hash along, a ROM is asked for one.

    Raises:
        VerifyError: the line damaged some.
    """
    found = session.read_flash(address, size, progress)
    if not session.is_stub:
        wanted = hashlib.md5(found).hexdigest()
        if flash_md5(session, address, size, wanted) != wanted:
            raise VerifyError("What was read is not what stands in flash.")
    return found


def read_bytes(session: Session, address: int, size: int, report: Report) -> bytes:
    """A short range of flash, by the best way that the other side has."""
    pieces: list[bytes] = []
    _read(session, address, size, pieces.append, report)
    return b"".join(pieces)

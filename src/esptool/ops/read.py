# SPDX-License-Identifier: Apache-2.0
"""Reading flash into a file or into memory."""

from __future__ import annotations

import os
from typing import IO, TYPE_CHECKING

from esptool.errors import UnsupportedCommandError
from esptool.events import Listener
from esptool.files import atomic_writer, name_of
from esptool.ops import bounds
from esptool.ops.flash_info import require_known_size, set_flash_size, size_word
from esptool.transfer.receive import receive
from esptool.transfer.recovery import Recovery
from esptool.transfer.report import Report, Stopwatch

if TYPE_CHECKING:
    from esptool.device import Session

ALL = -1


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
    recovery = Recovery(session, report)
    bounds.require_32_bits(address, max(size, 0) if size == ALL else size)

    def prepare() -> bounds.Limit:
        session.remember()
        word = set_flash_size(session, flash_size, listener=report.listener)
        return bounds.flash_limit(session, word)

    what = f"Reading at {address:#010x}"
    limit = recovery.prepare(what, prepare)
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
    recovery.complete_stub(what)
    report.began("reading", address=address, size=size)
    watch = Stopwatch(session)
    if output is None:
        found: list[bytes] = []
        receive(session, address, size, found.append, report, recovery)
        _summary(report, watch, address, size, None)
        return b"".join(found)
    if isinstance(output, (str, os.PathLike)):
        with atomic_writer(output) as file:
            receive(session, address, size, file.write, report, recovery)
        _summary(report, watch, address, size, os.fspath(output))
    else:
        receive(session, address, size, output.write, report, recovery)
        _summary(report, watch, address, size, name_of(output))
    return None


def _summary(report: Report, watch: Stopwatch, address: int, size: int, name: str | None) -> None:
    target = f" to '{name}'" if name is not None else ""
    report.result(address=address, size=size, file=name, seconds=round(watch.seconds, 3))
    report.line(f"Read {size} bytes from {address:#010x} in {watch.summary(size)}{target}.")

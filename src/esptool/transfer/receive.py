# SPDX-License-Identifier: Apache-2.0
"""Reading a range of flash in order, by the best way that the other side has, or its MD5 alone."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from esptool.device.requests import LOSSES
from esptool.errors import ChipResponseError, FatalError, VerifyError
from esptool.protocol.ext import Capability
from esptool.protocol.status import DOUBTFUL
from esptool.transfer.recovery import Recovery
from esptool.transfer.report import Report
from esptool.transfer.windowed import WindowedRead

if TYPE_CHECKING:
    from esptool.device import Session

_BLANK = b"\xff" * 0x10000


def md5_of_blank(size: int) -> str:
    """MD5 of so many erased bytes, in hex digits."""
    digest = hashlib.md5()
    for at in range(0, size, len(_BLANK)):
        digest.update(_BLANK[: size - at])
    return digest.hexdigest()


def flash_md5(
    session: Session, offset: int, size: int, recovery: Recovery, wanted: str | None = None
) -> str:
    """MD5 of a range as 32 hex digits. An answer other than `wanted` is asked for twice.

    Raises:
        FatalError: no good answer came; names the range.
    """
    last = None
    while True:
        try:
            found = session.flash.md5(offset, size, attempts=1)
        except LOSSES as e:
            try:
                recovery.after(e, "while verifying", harmless=True)
            except FatalError as lost:
                if last is not None:
                    return last
                raise FatalError(
                    f"Flash from {offset:#010x} to {offset + size:#010x} could not be verified: "
                    f"{lost.message}"
                ) from lost
            continue
        if wanted is None or found in (wanted, last):
            return found
        if last is not None and not recovery.spend():
            return found
        last = found


Sink = Callable[[bytes], object]

#: Asked for at once of our stub, which numbers its frames anew for each.
LARGEST = 0x1000000
#: The same without it: what is held until it is known to be right.
CHUNK = 0x100000
#: The same on a line that damages bytes.
SMALLEST_CHUNK = 0x400


def smaller(chunk: int) -> int:
    """What is asked for at once after a chunk of that size was damaged."""
    return max(SMALLEST_CHUNK, chunk // 8)


def receive(
    session: Session, address: int, size: int, sink: Sink, report: Report, recovery: Recovery
) -> None:
    """Read a range of flash into `sink`, which gets it in order and as soon as it is right.

    Raises:
        FatalError: the chip refused, or was lost for good; names the offset reached.
    """
    report.begin("Reading from", size)
    done, chunk, frame = 0, CHUNK, CHUNK

    def progress(so_far: int) -> None:
        report.progress("Reading from", address + done + so_far, done + so_far, size)

    while done < size:
        read: WindowedRead | _CheckedRead
        if session.can(Capability.READ):
            part = min(LARGEST, size - done)
            read = WindowedRead(session, address + done, part, sink, progress, frame)
        else:
            part = min(chunk, size - done)
            read = _CheckedRead(session, address + done, part, sink, progress, recovery)
        try:
            whole = read.run()
        except (*LOSSES, VerifyError) as e:
            if read.done:
                recovery.advanced()
            elif isinstance(read, _CheckedRead) and read.begun:
                recovery.answered()
            done += read.done
            if done == size:
                return
            if isinstance(read, WindowedRead):
                frame = read.fitting_frame
            else:
                # Without numbered frames, one damaged byte costs all of a chunk.
                chunk = smaller(chunk)
            try:
                recovery.after(e, f"at {address + done:#010x}", harmless=True)
            except FatalError as lost:
                raise _stopped(session, address + done, lost) from e
            continue
        done += read.done
        recovery.advanced()
        if not whole:
            session.go_slower()


def _stopped(session: Session, where: int, e: FatalError) -> FatalError:
    """The failure with how far the read came."""
    remedy = e.remedy
    refused = isinstance(e, ChipResponseError) and e.code in DOUBTFUL
    if remedy is None and refused and not session.is_stub:
        # A ROM gives no reason.
        remedy = "Does the range lie within the flash? State its size with --flash-size."
    return FatalError(
        f"Reading stopped at {where:#010x}: {e.message}",
        remedy=remedy,
        code=e.error_code,
        operands={**e.operands, "address": where},
    )


def receive_bytes(
    session: Session, address: int, size: int, report: Report, recovery: Recovery
) -> bytes:
    """A short range of flash."""
    found: list[bytes] = []
    receive(session, address, size, found.append, report, recovery)
    return b"".join(found)


class _CheckedRead:
    """A range in one go, of a public stub or a ROM: given on when it is known to be right.

    A stub sends a hash along, a ROM is asked for one.

    Attributes:
        done: bytes that were given on.
        begun: some have come.
    """

    def __init__(
        self,
        session: Session,
        address: int,
        size: int,
        sink: Sink,
        progress: Callable[[int], None],
        recovery: Recovery,
    ) -> None:
        self.done = 0
        self.begun = False
        self._session = session
        self._range = address, size
        self._sink = sink
        self._progress = progress
        self._recovery = recovery

    def run(self) -> bool:
        """Read all of it; always True.

        Raises:
            VerifyError: the line damaged some.
        """
        session = self._session
        address, size = self._range

        def progress(so_far: int, _all: int) -> None:
            self.begun = True
            self._progress(so_far)

        found = session.flash.read(address, size, progress)
        if not session.is_stub or self._recovery.losses:
            # A stub's own hash goes with what it was asked for, which the line may have changed.
            wanted = hashlib.md5(found).hexdigest()
            if flash_md5(session, address, size, self._recovery, wanted) != wanted:
                raise VerifyError("What was read is not what is in flash.")
        self._sink(found)
        self.done = size
        return True

# SPDX-License-Identifier: Apache-2.0
"""SPI NAND flash, as a plug-in of the stub serves it: one method a request.

Strategy (bad blocks, comparing) is `ops.nand`'s. The plug-in is ours, or the public one, which
drives one part only and tells nothing of bit errors.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from hashlib import md5

from esptool.device.nand_parts import PARTS, W25N01GV, NandPart, find
from esptool.device.wire import Wire
from esptool.errors import (
    ChipResponseError,
    DamagedRequestError,
    FatalError,
    LineLossError,
    NANDEraseFailed,
    NANDProgramFailed,
    NoAnswerError,
    ProtocolError,
    VerifyError,
)
from esptool.protocol import packets
from esptool.protocol.opcodes import Cmd
from esptool.protocol.status import Status
from esptool.records import dataclass

READ_CHUNK = 0x1000
#: Packets that our plug-in sends ahead: it hears of a host that gave up when they are out.
READ_AHEAD = 8
DIGEST_SIZE = 16
#: What only our plug-in knows, and its sub-commands (docs/serial-protocol.md).
MORE = 0xDF
_GEOMETRY, _TALLY, _DIGEST, _MARKS = range(4)
_TELLS = 1
_NO_PAGE = 0xFFFFFFFF
#: How often the flash is connected to where each answer is another one.
_DOUBTS = 4
#: Blocks of which one answer has the marks.
MOST_MARKS = 512

#: Called with (bytes so far, all bytes, address of the first).
ProgressFn = Callable[[int, int, int], object]


@dataclass(frozen=True, slots=True)
class Attached:
    """The flash that was found.

    Attributes:
        part: which one it is.
        protection: its protection register; what is not 0 may undo writes and erasures.
    """

    part: NandPart
    protection: int


@dataclass(frozen=True, slots=True)
class Tally:
    """What the flash's error correction did since it was last asked.

    Attributes:
        corrected: pages with bits that were put right; `at_limit` of them no more could have been.
        lost: pages that could not be put right.
        first_corrected, first_lost: page numbers, meaningless where there are none.
    """

    corrected: int
    at_limit: int
    first_corrected: int
    lost: int
    first_lost: int

    def with_later(self, later: Tally) -> Tally:
        """Both, `later` being that of what was read afterwards."""
        return Tally(
            self.corrected + later.corrected,
            self.at_limit + later.at_limit,
            self.first_corrected if self.corrected else later.first_corrected,
            self.lost + later.lost,
            self.first_lost if self.lost else later.first_lost,
        )


def _not_attached(status: bytes) -> FatalError:
    """The error of a flash that could not be connected."""
    what = "configure SPI NAND flash pins"
    error = FatalError.WithResult(f"Failed to {what}", status)
    code = int.from_bytes(status, "big")
    if code in (Status.UNKNOWN_COMMAND, Status.NOT_IMPLEMENTED):
        return FatalError(
            f"{error}: the stub that runs has no NAND plug-in.",
            remedy="Reset the chip, so that the stub is loaded anew with it.",
        )
    if code == Status.SPI_FAILED:
        return FatalError(
            f"{error}: no NAND flash answers.",
            remedy="Check --spi-connection (CLK,Q,D,HD,CS), the wiring, and that WP is high.",
        )
    return packets.failure(what, Cmd.SPI_NAND_ATTACH, code)


def worn(e: ChipResponseError) -> FatalError:
    """The error of a block that the flash calls worn out, or `e` itself."""
    kinds: dict[int, type[FatalError]] = {
        Status.NAND_PROGRAM_FAILED: NANDProgramFailed,
        Status.NAND_ERASE_FAILED: NANDEraseFailed,
    }
    kind = kinds.get(e.code)
    return e if kind is None else kind(str(e))


class Nand:
    """The requests of the NAND plug-in.

    Attributes:
        part: the flash that was found; the public plug-in's until one was.
        tells: the plug-in is ours: it has digests, marks of many blocks, and a tally of bit errors.
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self.part: NandPart = W25N01GV
        self.tells = False

    @property
    def page_step(self) -> int:
        """Bytes that one `write` takes."""
        return self._wire.block_size

    def _ask(
        self, what: str, opcode: int, data: bytes, check: int = 0, timeout_s: float | None = None
    ) -> int:
        try:
            reply = self._wire.request(what, opcode, data, check, timeout_s)
        except ChipResponseError as e:
            error = worn(e)
            if error is e:
                raise
            raise error from e
        return reply.value if not reply.data else int.from_bytes(reply.data, "little")

    def attach(self, pins: int) -> Attached:
        """Connect the flash on the pins that the word names, and see which one it is.

        Raises:
            FatalError: none answered, or one that is not known.
        """
        said = None
        for _ in range(_DOUBTS):
            try:
                return self._attach_once(pins)
            except LineLossError:
                raise
            except FatalError as e:
                # Neither request nor answer has a checksum: what comes twice is believed.
                if str(e) == said:
                    raise
                said, last = str(e), e
        raise last

    def _attach_once(self, pins: int) -> Attached:
        # A ROM takes a second word, as with SPI_ATTACH.
        body = packets.words(pins) if self._wire.is_stub else packets.words(pins, 0)
        value, data = self._wire.command(Cmd.SPI_NAND_ATTACH, body)
        if len(data) == 2 and data[0]:
            raise _not_attached(data)
        if len(data) < 3:
            raise ProtocolError(
                f"Failed to configure SPI NAND flash pins: the answer has {len(data)} bytes only."
            )
        # This answer has a data byte, the protection register, before its status.
        protection, status = data[0], data[1:3]
        if status[0]:
            raise _not_attached(status)
        maker, device = value >> 16 & 0xFF, value & 0xFFFF
        self._wire.trace(f"NAND status {value >> 24:#04x}, id {maker:#04x} {device:#06x}")
        part = find(maker, device)
        if part is None:
            raise FatalError(
                f"Unrecognized NAND JEDEC ID (mfr={maker:#04x}, dev={device:#06x}).",
                remedy="Check the wiring and the flash's supply. Known are: "
                f"{', '.join(part.name for part in PARTS)}.",
            )
        self.part, self.tells = part, self._set_geometry(part)
        return Attached(part, protection)

    def _set_geometry(self, part: NandPart) -> bool:
        """Tell our plug-in the flash's geometry; False where it is another one.

        Raises:
            FatalError: another one does not drive this flash.
        """
        geometry = part.page, part.pages, part.blocks, part.plane_bit, part.verdicts
        _value, data = self._wire.command(MORE, packets.words(_GEOMETRY, *geometry, _TELLS))
        if len(data) >= 2 and data[-2] == 0:
            return True
        code = int.from_bytes(data[-2:], "big")
        if code not in (Status.UNKNOWN_COMMAND, Status.NOT_IMPLEMENTED):
            raise packets.failure("tell the NAND flash's geometry", MORE, code)
        if part is not W25N01GV:
            raise FatalError(
                f"The stub's NAND plug-in drives {W25N01GV.name} only, not {part.name}.",
                remedy="Use the built-in stub.",
            )
        return False

    # --- what only our plug-in answers -----------------------------------------------------------

    def tally(self) -> Tally | None:
        """What the error correction did since the last such request; None: nobody knows."""
        if not self.tells:
            return None
        corrected, fields = self._more("read NAND error tally", 16, _TALLY)
        at_limit, first_corrected, lost, first_lost = struct.unpack("<4I", fields)
        told = Tally(corrected, at_limit, first_corrected, lost, first_lost)
        pages = self.part.pages * self.part.blocks
        firsts = (corrected, first_corrected), (lost, first_lost)
        if at_limit > corrected or any(
            first >= pages if count else first != _NO_PAGE for count, first in firsts
        ):
            raise ProtocolError("The NAND error tally contradicts itself.")
        return told

    def digest(self, offset: int, size: int) -> bytes | None:
        """The MD5 of flash as it lies there, made in the chip; None: it has to be read."""
        if not self.tells:
            return None
        return self._more("hash NAND flash", DIGEST_SIZE, _DIGEST, offset, size)[1]

    def marked(self, first: int, count: int) -> list[bool] | None:
        """For each of `count` blocks whether it is marked bad; None: ask for each mark.

        Args:
            count: up to MOST_MARKS.
        """
        if not self.tells:
            return None
        what = "read NAND bad-block marks"
        bad, bits = self._more(what, (count + 7) // 8, _MARKS, first, count)
        if bad != int.from_bytes(bits, "little").bit_count():
            raise ProtocolError("The NAND bad-block marks are not as many as was said.")
        return [bool(bits[i // 8] >> i % 8 & 1) for i in range(count)]

    def _more(self, what: str, size: int, *fields: int) -> tuple[int, bytes]:
        """Value and `size` bytes of data of an answer to what only our plug-in knows."""
        value, data = self._wire.command(MORE, packets.words(*fields))
        if len(data) >= 2 and data[-2]:
            raise packets.failure(what, MORE, int.from_bytes(data[-2:], "big"))
        if len(data) != size + 2:
            raise ProtocolError(f"Failed to {what}: the answer has {len(data)} bytes.")
        return value, data[:size]

    # --- what both answer ------------------------------------------------------------------------

    def read_spare(self, page: int) -> int:
        """The first word of a page's spare area; its low byte is the bad-block mark, 0xFF good."""
        return self._ask("read NAND spare", Cmd.SPI_NAND_READ_SPARE, packets.words(page))

    def write_spare(self, page: int, is_bad: int) -> int:
        """Write the bad-block mark of a page: 1 bad, 0 good."""
        body = packets.words(page) + bytes([is_bad])
        return self._ask("write NAND spare", Cmd.SPI_NAND_WRITE_SPARE, body)

    def read(self, offset: int, size: int, progress: ProgressFn | None = None) -> bytes:
        """Read flash as it lies there, bad blocks too.

        Raises:
            FatalError: no stub runs.
            VerifyError: what came is not what its digest says.
            LinkTimeoutError, ProtocolError: not all of it came.
        """
        if not self._wire.is_stub:
            raise FatalError("NAND flash can only be read through the stub.")
        # Another plug-in takes the last word for the pages of a block.
        unacknowledged = READ_AHEAD if self.tells else self.part.pages
        body = packets.words(offset, size, READ_CHUNK, unacknowledged)
        self._ask("read NAND flash", Cmd.SPI_NAND_READ_FLASH, body)
        data = bytearray()
        while len(data) < size:
            data += self._wire.read_frame()
            self._wire.send_frame(packets.words(len(data)))
            if progress is not None:
                progress(len(data), size, offset)
        if len(data) > size:
            raise ProtocolError(f"Read {len(data)} bytes of NAND flash, but {size} were asked for.")
        digest = self._wire.read_frame()
        if len(digest) != DIGEST_SIZE:
            raise ProtocolError(f"Expected the digest of the data, got {digest.hex()}.")
        found = md5(data, usedforsecurity=False).digest()
        if found != digest:
            raise VerifyError(f"Digest mismatch: expected {digest.hex()}, got {found.hex()}.")
        return bytes(data)

    def begin_write(self, size: int, offset: int) -> None:
        """Prepare to write whole blocks: the stub erases them."""
        body = packets.words(offset, size, self.part.block, self._wire.block_size)
        self._ask("begin to write NAND flash", Cmd.SPI_NAND_WRITE_FLASH_BEGIN, body)

    def write(self, data: bytes, seq: int, timeout_s: float | None = None) -> None:
        """Write pages; those that arrived damaged are sent again.

        So are those without an answer, which may be written, but not within a job: that knows
        how to get in step with the chip again.

        Raises:
            NANDProgramFailed, NANDEraseFailed: the flash says that the block is worn out.
        """
        body, check = packets.data_block(data, seq)
        what = f"write to NAND flash after seq {seq}"
        budget = self._wire.tries.left
        for left in reversed(range(max(1, self._wire.settings.write_block_attempts))):
            try:
                self._ask(what, Cmd.SPI_NAND_WRITE_FLASH_DATA, body, check, timeout_s)
                self._wire.tries.got_through(budget)
                return
            except DamagedRequestError:
                if not left or not self._wire.tries.resend():
                    raise
            except NoAnswerError:
                if not left or self._wire.tries.job:
                    raise
            self._wire.trace(f"NAND page {seq} is sent again")

    def end_write(self, reboot: bool = False, timeout_s: float | None = None) -> None:
        """End a write."""
        body = packets.words(int(not reboot))
        self._ask("end writing NAND flash", Cmd.SPI_NAND_WRITE_FLASH_END, body, timeout_s=timeout_s)

    def erase_all(self) -> None:
        """Erase all of the flash."""
        self._ask(
            "erase NAND flash",
            Cmd.SPI_NAND_ERASE_FLASH,
            b"",
            timeout_s=self._wire.settings.chip_erase_timeout,
        )

    def erase(self, offset: int, size: int) -> None:
        """Erase blocks."""
        s = self._wire.settings
        self._ask(
            "erase NAND region",
            Cmd.SPI_NAND_ERASE_REGION,
            packets.words(offset, size),
            timeout_s=s.scaled(s.erase_region_timeout_per_mb, size),
        )

# SPDX-License-Identifier: Apache-2.0
"""Flash requests, one each: begin, block, end, hash, erase, read. Strategy is left to `ops`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from esptool.chips import nor
from esptool.chips.nor import SECTOR
from esptool.device.requests import Requester
from esptool.device.spi_bus import SpiBus
from esptool.errors import (
    ChipResponseError,
    NotSupportedError,
    ProtocolError,
    UnsupportedCommandError,
    UsageError,
    VerifyError,
)
from esptool.protocol import packets
from esptool.protocol.opcodes import Cmd
from esptool.protocol.status import Status

ROM_WRITE_SIZE = 0x400
ROM_READ_CHUNK = 64
READ_PACKET = 0x1000
READ_UNACKED = 64

#: Called with (bytes so far, all bytes).
ProgressFn = Callable[[int, int], None]


class Flash:
    """The FLASH_*, SPI_* and stub flash requests.

    Attributes:
        size: bytes, as last given to `set_size`; None before.
        pins: argument of the last `attach`.
        block_limit: largest block for a stub: a bad line calls for small ones.
        chosen_write_size: the block size that a program has chosen, None where it has not.
        known_id: the JEDEC id that was read and is kept, None where none is.
    """

    def __init__(self, requests: Requester, bus: SpiBus) -> None:
        self._r = requests
        self._bus = bus
        self.size: int | None = None
        self.pins = 0
        self.block_limit = 0x4000
        self.chosen_write_size: Callable[[], int | None] = lambda: None
        self.known_id: int | None = None

    @property
    def write_size(self) -> int:
        """Bytes a data block holds."""
        chosen = self.chosen_write_size()
        if self._r.is_stub:
            largest = self._r.spec.stub.flash_write_size
            return min(chosen or largest, largest, self.block_limit)
        return chosen or ROM_WRITE_SIZE

    # --- set up --------------------------------------------------------------------------------

    def attach(self, pins: int = 0) -> None:
        """Connect the SPI controller to the flash: 0 default pins, 1 HSPI, else a pin word."""
        self._need_flash_ops("attach the SPI flash")
        data = packets.words(pins)
        if not self._r.is_stub:
            data += packets.words(0)  # is_legacy, then three unused bytes
        self._r.request("configure SPI flash pins", Cmd.SPI_ATTACH, data, attempts=3)
        self.pins = pins
        # Another flash may answer now, or one at all.
        self.known_id = None

    def id(self, cache: bool = True) -> int:
        """The flash's JEDEC id (see `SpiBus.read_jedec_id`), read once unless `cache` is off."""
        if self.known_id is None or not cache:
            self.known_id = self._bus.read_jedec_id()
        return self.known_id

    def set_size(self, size: int) -> None:
        """Tell the loader the flash size in bytes and the usual geometry."""
        self._need_flash_ops("set the flash parameters")
        data = packets.words(0, size, 0x10000, SECTOR, 0x100, 0xFFFF)
        self._r.request("set SPI params", Cmd.SPI_SET_PARAMS, data, attempts=3)
        self.size = size

    def tell_size_again(self) -> None:
        """Tell a stub the size that it was told: the request may have been damaged on the way."""
        if self.size is not None and self._r.is_stub:
            self.set_size(self.size)

    def _need_flash_ops(self, what: str) -> None:
        if not self._r.is_stub and not self._r.spec.rom.flash_ops:
            raise UnsupportedCommandError(f"The {self._r.spec.name} ROM cannot {what}.")

    def require_inside(self, offset: int, size: int) -> None:
        """Refuse a range that ends past the size that the loader was told: it would wrap.

        A stub that was not told the size is told it first.

        Raises:
            UsageError: names the range.
        """
        if offset < 0 or size < 0 or offset + size > 1 << 32:
            raise UsageError(
                f"{size:#x} bytes of flash from address {offset:#x} are not within 32 bits."
            )
        if size and self.size is None and self._r.is_stub and not self._r.secure_download:
            detected = nor.bytes_of(self.id())
            if detected is not None:
                self.set_size(detected)
        if size and self.size is not None and offset + size > self.size:
            raise UsageError(
                f"{size:#x} bytes of flash from address {offset:#010x} go past its end "
                f"({self.size:#x})."
            )

    # --- plain ---------------------------------------------------------------------------------

    def begin(self, size: int, offset: int, encrypted: bool = False) -> int:
        """Prepare to write `size` bytes at `offset`; the ROM erases now. Returns the blocks.

        Raises:
            UsageError: they do not lie within the flash.
        """
        self.require_inside(offset, size)
        block = self.write_size
        blocks = -(-size // block)
        erase = size if self._r.is_stub else self.rom_erase_size(offset, size)
        timeout_s = self._erase_timeout(size)
        data = packets.words(erase, blocks, block, offset) + self._encrypted_word(encrypted)
        self._begin("enter flash download mode", Cmd.FLASH_BEGIN, data, timeout_s, encrypted)
        return blocks

    def _begin(
        self, what: str, opcode: int, data: bytes, timeout_s: float, encrypted: bool
    ) -> None:
        try:
            self._r.request(what, opcode, data, timeout_s=timeout_s)
        except ChipResponseError as e:
            if self._r.is_stub or e.code != Status.FAILED:
                raise
            cause = (
                "Has a flash encryption key been burned, and may this chip encrypt while writing?"
                if encrypted
                else "Does the range lie within the flash? State its size with --flash-size."
            )
            raise type(e)(
                f"{e.message} {cause}", opcode=e.opcode, status=e.status, reason=e.reason
            ) from e

    def rom_erase_size(self, offset: int, size: int) -> int:
        """The erase size to ask a ROM for so that it erases what covers `size` bytes.

        The ESP8266 ROM erases too much: it counts the sectors up to the next 64 KiB boundary
        twice. Asking for less makes it right.
        """
        if self._r.spec.rom.flash_ops:
            return size
        sectors = -(-size // SECTOR)
        head = min(sectors, 16 - (offset // SECTOR) % 16)
        if sectors < 2 * head:
            return (sectors + 1) // 2 * SECTOR
        return (sectors - head) * SECTOR

    def block(
        self, data: bytes, seq: int, timeout_s: float | None = None, *, encrypted: bool = False
    ) -> None:
        """Write block `seq`. Not sent again here: a block may have been written unanswered."""
        body, check = packets.data_block(data, seq)
        opcode = Cmd.FLASH_ENCRYPT_DATA if encrypted else Cmd.FLASH_DATA
        self._r.request(f"write to target flash after seq {seq}", opcode, body, check, timeout_s)

    def finish(self, reboot: bool = False, timeout_s: float | None = None) -> None:
        """Leave flash mode; with `reboot` the chip resets, without it stays in the loader."""
        data = packets.words(int(not reboot))
        self._r.request("leave flash mode", Cmd.FLASH_END, data, timeout_s=timeout_s)

    # --- compressed ----------------------------------------------------------------------------

    def begin_deflated(
        self, size: int, compressed: int, offset: int, encrypted: bool = False
    ) -> int:
        """Prepare to write `size` bytes that come as `compressed` deflated ones.

        Raises:
            UsageError: they do not lie within the flash.
        """
        self.require_inside(offset, size)
        block = self.write_size
        blocks = -(-compressed // block)
        # The ROM takes the size as what it erases, in blocks; the stub as what it must produce.
        write_size = size if self._r.is_stub else -(-size // block) * block
        data = packets.words(write_size, blocks, block, offset) + self._encrypted_word(encrypted)
        self._begin(
            "enter compressed flash mode",
            Cmd.FLASH_DEFL_BEGIN,
            data,
            self._erase_timeout(write_size),
            encrypted,
        )
        return blocks

    def deflated_block(self, data: bytes, seq: int, timeout_s: float | None = None) -> None:
        """Write block `seq` of the deflated stream."""
        body, check = packets.data_block(data, seq)
        what = f"write compressed data to flash after seq {seq}"
        self._r.request(what, Cmd.FLASH_DEFL_DATA, body, check, timeout_s)

    def finish_deflated(self, reboot: bool = False, timeout_s: float | None = None) -> None:
        """Leave compressed flash mode. A ROM would run the application, so it is not asked to."""
        if not reboot and not self._r.is_stub:
            return
        data = packets.words(int(not reboot))
        self._r.request(
            "leave compressed flash mode", Cmd.FLASH_DEFL_END, data, timeout_s=timeout_s
        )

    def _encrypted_word(self, encrypted: bool) -> bytes:
        # All stubs and the ROMs of later chips take a fifth word.
        if self._r.is_stub or self._r.spec.rom.ext_flash_begin:
            return packets.words(int(encrypted))
        if encrypted:
            raise NotSupportedError(f"The {self._r.spec.name} ROM cannot write encrypted.")
        return b""

    def _erase_timeout(self, size: int) -> float:
        if self._r.is_stub:
            return self._r.settings.timeout
        return self._r.settings.scaled(self._r.settings.erase_region_timeout_per_mb, size)

    # --- hash, erase, read -----------------------------------------------------------------------

    def md5(self, offset: int, size: int, attempts: int = 3) -> str:
        """MD5 of a flash range, computed on the chip, as 32 lower-case hex digits.

        Asked for up to `attempts` times where no good answer comes.
        """
        self.require_inside(offset, size)
        self._need_flash_ops("hash the flash")
        timeout_s = self._r.settings.scaled(self._r.settings.md5_timeout_per_mb, size)
        data = packets.words(offset, size, 0, 0)
        digits = 16 if self._r.is_stub else 32
        answer = self._r.request(
            "calculate md5sum", Cmd.SPI_FLASH_MD5, data, 0, timeout_s, attempts, size=digits
        ).data
        if len(answer) == 32:
            return answer.decode("ascii", "replace").lower()
        if len(answer) == 16:
            return answer.hex()
        raise ProtocolError(f"MD5Sum command returned unexpected result: {answer.hex()}.")

    def erase_all(self) -> None:
        """Erase the whole chip (stub only)."""
        timeout_s = self._r.settings.chip_erase_timeout
        self._r.request("erase flash", Cmd.ERASE_FLASH, timeout_s=timeout_s)

    def erase_region(self, offset: int, size: int) -> None:
        """Erase whole sectors (stub only).

        Raises:
            UsageError: they do not lie within the flash.
        """
        self.require_inside(offset, size)
        timeout_s = self._r.settings.scaled(self._r.settings.erase_region_timeout_per_mb, size)
        data = packets.words(offset, size)
        self._r.request("erase region", Cmd.ERASE_REGION, data, timeout_s=timeout_s)

    def read_slow(self, offset: int, size: int, progress: ProgressFn | None = None) -> bytes:
        """Read through the ROM, 64 bytes a request."""
        self._need_flash_ops("read the flash")
        chunks = []
        done = 0
        while done < size:
            wanted = min(ROM_READ_CHUNK, size - done)
            data = packets.words(offset + done, wanted)
            answer = self._r.request(
                "read flash block", Cmd.READ_FLASH_SLOW, data, attempts=3, size=ROM_READ_CHUNK
            ).data
            if len(answer) < wanted:
                raise ProtocolError(
                    f"Reading flash at 0x{offset + done:x}: expected {wanted} bytes, "
                    f"got {len(answer)}."
                )
            chunks.append(answer[:wanted])
            done += wanted
            if progress is not None and (done % 1024 == 0 or done == size):
                progress(done, size)
        return b"".join(chunks)

    def read_by_stub(self, offset: int, size: int, progress: ProgressFn | None = None) -> bytes:
        """Read through a stub: frames, each acknowledged, then an MD5 of all."""
        self.require_inside(offset, size)
        data = packets.words(offset, size, READ_PACKET, READ_UNACKED)
        self._r.request("read flash", Cmd.READ_FLASH, data)
        return self._collect(offset, size, self._r.settings.timeout, progress)

    def _collect(
        self, offset: int, size: int, timeout_s: float, progress: ProgressFn | None
    ) -> bytes:
        chunks: list[bytes] = []
        done = 0
        digest = hashlib.md5()
        while done < size:
            chunk = self._r.link.read_frame(timeout_s)
            done += len(chunk)
            chunks.append(chunk)
            digest.update(chunk)
            if done < size and len(chunk) < READ_PACKET:
                raise ProtocolError(
                    f"Corrupt data, expected 0x{READ_PACKET:x} bytes but received "
                    f"0x{len(chunk):x} bytes at 0x{offset + done - len(chunk):x}."
                )
            self._r.link.send_frame(packets.words(done))
            if progress is not None:
                progress(done, size)
        if done > size:
            raise ProtocolError(f"Read more than expected: {done} bytes of {size}.")
        sent = self._r.link.read_frame(timeout_s)
        if len(sent) != 16:
            raise ProtocolError(f"Expected a digest after the flash data, got: {sent.hex()}.")
        if sent != digest.digest():
            raise VerifyError(
                f"Digest mismatch: expected {sent.hex()}, got {digest.hexdigest()}.",
                remedy="Read again, at a lower baud rate.",
            )
        return b"".join(chunks)

    def read(self, offset: int, size: int, progress: ProgressFn | None = None) -> bytes:
        """Read by the best way that the other side has."""
        if self._r.is_stub:
            return self.read_by_stub(offset, size, progress)
        return self.read_slow(offset, size, progress)

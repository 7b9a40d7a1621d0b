# SPDX-License-Identifier: Apache-2.0
"""Flash: reading, writing, erasing, and commands to the flash chip itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from esptool.errors import FatalError, UnsupportedCommandError
from esptool.faces.base import FaceBase, chosen
from esptool.faces.constants import DEFAULT_TIMEOUT
from esptool.faces.old import with_address
from esptool.ops.attach import connection_word

#: Called with bytes so far, all bytes, and the address of the first.
ProgressFn = Callable[[int, int, int], object]


class FlashFace(FaceBase):
    """Flash, and the flash chip itself."""

    # --- flash -------------------------------------------------------------------------------

    def flash_spi_attach(self, hspi_arg: int) -> None:
        """Connect the flash: 0 default pins, 1 HSPI, or a word of pins."""
        if self.session.is_stub or self.session.spec.rom.flash_ops:
            self.session.flash.attach(hspi_arg)
        else:
            self.session.flash.begin(0, 0)

    def check_spi_connection(self, spi_connection: Sequence[int]) -> None:
        """Refuse five pins (CLK, Q, D, HD, CS) that a flash cannot be wired to.

        Raises:
            FatalError: a pin does not exist, is none for this, or carries the link.
        """
        connection_word(self.session, tuple(spi_connection))

    def flash_set_parameters(self, size: int) -> None:
        """Tell the loader how many bytes the flash has."""
        if self.session.is_stub or self.session.spec.rom.flash_ops:
            self.session.flash.set_size(size)

    def flash_begin(
        self, size: int, offset: int, encrypted_write: bool = False, logging: bool = True
    ) -> int:
        """Prepare to write; the ROM erases now. Returns the number of blocks to send."""
        return self.session.flash.begin(size, offset, encrypted_write)

    def flash_block(
        self, data: bytes, seq: int, timeout: float = DEFAULT_TIMEOUT, encrypted: bool = False
    ) -> None:
        """Write a block."""
        self.session.flash.block(data, seq, chosen(timeout), encrypted=encrypted)

    def flash_finish(self, reboot: bool = False, timeout: float = DEFAULT_TIMEOUT) -> None:
        """Leave flash mode."""
        self.session.flash.finish(reboot, chosen(timeout))

    def flash_defl_begin(
        self, size: int, compsize: int, offset: int, encrypted_write: bool = False
    ) -> int:
        """Prepare to write `size` bytes that come deflated."""
        return self.session.flash.begin_deflated(size, compsize, offset, encrypted_write)

    def flash_defl_block(self, data: bytes, seq: int, timeout: float = DEFAULT_TIMEOUT) -> None:
        """Write a block of the deflated stream."""
        self.session.flash.deflated_block(data, seq, chosen(timeout))

    def flash_defl_finish(self, reboot: bool = False, timeout: float = DEFAULT_TIMEOUT) -> None:
        """Leave compressed flash mode."""
        self.session.flash.finish_deflated(reboot, chosen(timeout))

    def flash_md5sum(self, addr: int, size: int) -> str:
        """MD5 of a range of flash, 32 hex digits."""
        return self.session.flash.md5(addr, size)

    def get_erase_size(self, offset: int, size: int) -> int:
        """The erase size to ask this ROM for."""
        return self.session.flash.rom_erase_size(offset, size)

    def erase_flash(self) -> None:
        """Erase the whole chip (stub only)."""
        self._stub_only("erase_flash")
        self.session.flash.erase_all()

    def erase_region(self, offset: int, size: int) -> None:
        """Erase whole sectors (stub only)."""
        self._stub_only("erase_region")
        if offset % self.FLASH_SECTOR_SIZE:
            raise FatalError("Offset to erase from must be a multiple of 4096")
        if size % self.FLASH_SECTOR_SIZE:
            raise FatalError("Size of data to erase must be a multiple of 4096")
        self.session.flash.erase_region(offset, size)

    def read_flash(self, offset: int, length: int, progress_fn: ProgressFn | None = None) -> bytes:
        """Read flash; `progress_fn` is called with bytes so far, all bytes, and `offset`."""
        return self.session.flash.read(offset, length, _telling(progress_fn, offset))

    def read_flash_slow(
        self, offset: int, length: int, progress_fn: ProgressFn | None = None
    ) -> bytes:
        """Read flash through the ROM; see `read_flash`."""
        return self.session.flash.read_slow(offset, length, _telling(progress_fn, offset))

    def run(self, reboot: bool = False) -> None:
        """Leave the loader and start the application."""
        self.session.flash.begin(0, 0)
        self.session.flash.finish(reboot)

    def _stub_only(self, name: str) -> None:
        if not self.session.is_stub:
            raise UnsupportedCommandError(f"{self.CHIP_NAME} ROM does not support function {name}.")

    # --- the flash chip itself ---------------------------------------------------------------

    def flash_id(self, cache: bool = True) -> int:
        """JEDEC id, manufacturer in the lowest byte."""
        return self.session.flash.id(cache)

    def run_spiflash_command(
        self,
        spiflash_command: int,
        data: bytes = b"",
        read_bits: int = 0,
        addr: int | None = None,
        addr_len: int = 0,
        dummy_len: int = 0,
    ) -> int:
        """Run one SPI-flash command through the controller's registers."""
        return self.session.bus.command(
            spiflash_command, data, read_bits, addr, addr_len, dummy_len
        )

    def read_spiflash_sfdp(self, addr: int, read_bits: int) -> int:
        """Bits of the SFDP tables from byte `addr` on."""
        return self.session.bus.read_sfdp(addr, read_bits)

    def read_status(self, num_bytes: int = 2) -> int:
        """The flash's status registers."""
        return self.session.bus.read_status(num_bytes)

    def write_status(
        self, new_status: int, num_bytes: int = 2, set_non_volatile: bool = False
    ) -> None:
        """Write the flash's status registers."""
        self.session.bus.write_status(new_status, num_bytes, set_non_volatile)

    def flash_type(self) -> int | None:
        """What the eFuses say of the flash: 0 quad, 1 octal, None where they do not (forks)."""
        octal = self.session.facts.octal_flash
        return None if octal is None else int(octal)


def _telling(progress: ProgressFn | None, offset: int) -> Callable[[int, int], None] | None:
    tell = with_address(progress)
    if tell is None:
        return None

    def step(done: int, total: int) -> None:
        tell(done, total, offset)

    return step

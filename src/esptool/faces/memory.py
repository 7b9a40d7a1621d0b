# SPDX-License-Identifier: Apache-2.0
"""Registers and RAM."""

from __future__ import annotations

from esptool.device.stub_loader import ram_block, refuse_overlap
from esptool.faces.base import FaceBase, chosen
from esptool.faces.constants import DEFAULT_TIMEOUT


class MemoryFace(FaceBase):
    """Registers and RAM."""

    # --- registers and memory ----------------------------------------------------------------

    def read_reg(self, addr: int, timeout: float = DEFAULT_TIMEOUT) -> int:
        """The 32-bit word at `addr`."""
        return self.session.read_reg(addr, chosen(timeout))

    def write_reg(
        self,
        addr: int,
        value: int,
        mask: int = 0xFFFFFFFF,
        delay_us: int = 0,
        delay_after_us: int = 0,
    ) -> None:
        """Write the bits of `value` that `mask` names."""
        self.session.write_reg(addr, value, mask, delay_us, delay_after_us)

    def update_reg(self, addr: int, mask: int, new_val: int) -> None:
        """Replace a field: `new_val` is given unshifted."""
        self.session.update_reg(addr, mask, new_val)

    def mem_begin(self, size: int, blocks: int, blocksize: int, offset: int) -> None:
        """Announce data for RAM at `offset`.

        Raises:
            FatalError: it would overwrite the running stub.
        """
        refuse_overlap(self.session, offset, size)
        self.session.ram.begin(size, blocks, blocksize, offset)

    def mem_block(self, data: bytes, seq: int) -> None:
        """Send a block for RAM."""
        self.session.ram.block(data, seq)

    def mem_finish(self, entrypoint: int = 0) -> None:
        """Jump to `entrypoint`, or stay where it is 0."""
        self.session.ram.finish(entrypoint)

    def read_efuse(self, n: int) -> int:
        """Word `n` of the eFuse registers that are read (a flasher)."""
        return self.session.read_reg(self.EFUSE_RD_REG_BASE + 4 * n)

    def _upload_segment(self, data: bytes, offs: int) -> None:
        block = ram_block(self.session)
        count = -(-len(data) // block)
        self.mem_begin(len(data), count, block, offs)
        for seq in range(count):
            self.mem_block(data[seq * block : (seq + 1) * block], seq)

    def get_memory_region(self, name: str) -> tuple[int, int] | None:
        """(start, end) of the first memory range of that kind, or None."""
        for start, end, kind in self.MEMORY_MAP:
            if kind == name:
                return start, end
        return None

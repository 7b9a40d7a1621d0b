# SPDX-License-Identifier: Apache-2.0
"""The v5 name for writing UF2 files; the format itself is in `esptool.image.uf2`."""

from __future__ import annotations

from types import TracebackType

from esptool.image import uf2


class UF2Writer:
    """Writes input files one after the other into a UF2 file. Use it as a context manager."""

    UF2_BLOCK_SIZE = uf2.BLOCK_SIZE
    UF2_DATA_SIZE = uf2.DATA_SIZE
    UF2_MD5_PART_SIZE = uf2.MD5_PART_SIZE
    UF2_FIRST_MAGIC = uf2.FIRST_MAGIC
    UF2_SECOND_MAGIC = uf2.SECOND_MAGIC
    UF2_FINAL_MAGIC = uf2.FINAL_MAGIC
    UF2_FLAG_FAMILYID_PRESENT = uf2.FLAG_FAMILY_ID
    UF2_FLAG_MD5_PRESENT = uf2.FLAG_MD5

    def __init__(
        self,
        chip_id: int,
        output_file: str,
        chunk_size: int | None,
        md5_enabled: bool = True,
    ) -> None:
        self.md5_enabled = md5_enabled
        self.chip_id = chip_id
        self.CHUNK_SIZE = uf2.check_chunk_size(chunk_size, md5=md5_enabled)
        self.f = open(output_file, "wb")  # noqa: SIM115

    def __enter__(self) -> UF2Writer:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        self.f.close()

    def add_file(self, addr: int, image: bytes) -> None:
        """Append the blocks of one input file.

        Raises:
            ImageError: an address needs more than 32 bits.
        """
        blocks = uf2.encode_file(addr, image, self.chip_id, self.CHUNK_SIZE, md5=self.md5_enabled)
        self.f.writelines(blocks)

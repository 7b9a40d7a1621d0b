# SPDX-License-Identifier: Apache-2.0
"""The commands of the serial protocol, by their public names."""

from __future__ import annotations

from enum import IntEnum


class Cmd(IntEnum):
    """Opcodes: 0x02 to 0x1E belong to the ROM (and the stub), 0xD0 up to the stub alone."""

    FLASH_BEGIN = 0x02
    FLASH_DATA = 0x03
    FLASH_END = 0x04
    MEM_BEGIN = 0x05
    MEM_END = 0x06
    MEM_DATA = 0x07
    SYNC = 0x08
    WRITE_REG = 0x09
    READ_REG = 0x0A
    SPI_SET_PARAMS = 0x0B
    SPI_ATTACH = 0x0D
    READ_FLASH_SLOW = 0x0E
    CHANGE_BAUDRATE = 0x0F
    FLASH_DEFL_BEGIN = 0x10
    FLASH_DEFL_DATA = 0x11
    FLASH_DEFL_END = 0x12
    SPI_FLASH_MD5 = 0x13
    GET_SECURITY_INFO = 0x14
    SDC_VERIF_BEGIN = 0x19
    SDC_VERIF_DATA = 0x1A
    SDC_VERIF_END = 0x1B
    SDC_GEN_BEGIN = 0x1C
    SDC_GEN_DATA = 0x1D
    SDC_GEN_END = 0x1E
    ERASE_FLASH = 0xD0
    ERASE_REGION = 0xD1
    READ_FLASH = 0xD2
    RUN_USER_CODE = 0xD3
    FLASH_ENCRYPT_DATA = 0xD4
    SPI_NAND_ATTACH = 0xD5
    SPI_NAND_READ_SPARE = 0xD6
    SPI_NAND_WRITE_SPARE = 0xD7
    SPI_NAND_READ_FLASH = 0xD8
    SPI_NAND_WRITE_FLASH_BEGIN = 0xD9
    SPI_NAND_WRITE_FLASH_DATA = 0xDA
    SPI_NAND_ERASE_FLASH = 0xDB
    SPI_NAND_ERASE_REGION = 0xDC
    SPI_NAND_READ_PAGE_DEBUG = 0xDD
    SPI_NAND_WRITE_FLASH_END = 0xDE


def name_of(opcode: int) -> str:
    """The command's name, or its number where it has none here."""
    try:
        return Cmd(opcode).name
    except ValueError:
        return f"0x{opcode:02x}"

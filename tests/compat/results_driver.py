# SPDX-License-Identifier: Apache-2.0
"""Calls what the public tool has in Python too, and prints what comes back as JSON.

Run by the interpreter of either tool: `python results_driver.py PORT CHIP`. It knows neither of
them beyond the documented names. An error counts as a result: its class, as both document it.
"""

from __future__ import annotations

import io
import json
import os
import struct
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

#: RAM that no loader of these chips uses.
RAM = 0x3FFE8000


def plain(value: Any) -> Any:
    """The value as JSON has it, with the kind where that would be lost."""
    if isinstance(value, bytes | bytearray):
        return {"bytes": bytes(value).hex()}
    if isinstance(value, tuple):
        return {"tuple": [plain(v) for v in value]}
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [plain(v) for v in value]
    return value if isinstance(value, int | float | str | None) else type(value).__name__


def calls(esp: Any, cmds: Any) -> dict[str, Callable[[], object]]:
    """Name to call, in the order in which they are made."""
    word = esp.UART_DATE_REG_ADDR
    data = bytes(range(256)) * 4
    progress: list[Any] = []
    found: dict[str, Callable[[], object]] = {
        "CHIP_NAME": lambda: esp.CHIP_NAME,
        "IS_STUB": lambda: esp.IS_STUB,
        "FLASH_WRITE_SIZE": lambda: esp.FLASH_WRITE_SIZE,
        "secure_download_mode": lambda: esp.secure_download_mode,
        "flash_spi_attach": lambda: esp.flash_spi_attach(0),
        "flash_set_parameters": lambda: esp.flash_set_parameters(4 << 20),
        "flash_id": esp.flash_id,
        "read_reg": lambda: esp.read_reg(word),
        "write_reg": lambda: esp.write_reg(word, 0, 0),
        "update_reg": lambda: esp.update_reg(word, 0xFF, 0x12),
        "check_command": lambda: esp.check_command(
            "read", esp.ESP_CMDS["READ_REG"], struct.pack("<I", word)
        ),
        "command": lambda: (esp.command(esp.ESP_CMDS["READ_REG"], struct.pack("<I", word)) or [0])[
            0
        ],
        "checksum": lambda: esp.checksum(data),
        "mem_begin": lambda: esp.mem_begin(4, 1, 4, 0x3FFE0000),
        "parse_flash_size_arg": lambda: esp.parse_flash_size_arg("4MB"),
        "parse_flash_size_arg wrong": lambda: esp.parse_flash_size_arg("5MB"),
        "parse_flash_freq_arg": lambda: esp.parse_flash_freq_arg(None),
        "get_memory_region": lambda: esp.get_memory_region("DRAM"),
        "get_memory_region none": lambda: esp.get_memory_region("no such"),
        "run_spiflash_command": lambda: esp.run_spiflash_command(0x9F, b"", 24),
        "read_spiflash_sfdp": lambda: esp.read_spiflash_sfdp(0, 32),
        "read_status": lambda: esp.read_status(2),
        "flash_begin": lambda: esp.flash_begin(1024, 0x8000),
        "flash_block": lambda: esp.flash_block(data, 0),
        "flash_md5sum": lambda: esp.flash_md5sum(0x8000, 1024),
        "read_flash": lambda: esp.read_flash(0x8000, 256, lambda *told: progress.append(told)),
        "read_flash progress": lambda: progress[-1:],
        "read_flash_slow": lambda: esp.read_flash_slow(0x8000, 128, lambda *told: None),
        "erase_region": lambda: esp.erase_region(0x8000, 0x1000),
        "erase_region odd": lambda: esp.erase_region(0x8001, 0x1000),
        "erase_flash": esp.erase_flash,
        "detect_flash_size": lambda: cmds.detect_flash_size(esp),
        "_get_flash_info": lambda: cmds._get_flash_info(esp),
        "cmds.read_flash": lambda: cmds.read_flash(esp, 0x8000, 64, no_progress=True),
        "cmds.dump_mem": lambda: cmds.dump_mem(esp, word, 8),
        "cmds.read_mem": lambda: cmds.read_mem(esp, word),
        "cmds.write_flash": lambda: cmds.write_flash(esp, [(0x9000, data)], no_progress=True),
        "cmds.verify_flash": lambda: cmds.verify_flash(esp, [(0x9000, data)]),
        "cmds.verify_flash differs": lambda: cmds.verify_flash(esp, [(0x9000, data[::-1])]),
        "cmds.merge_bin": lambda: cmds.merge_bin([(0, b"ab"), (8, b"cd")], "esp32"),
        "cmds.merge_bin to a file": lambda: cmds.merge_bin([(0, b"ab")], "esp32", os.devnull),
        "cmds.version": cmds.version,
        "cmds.attach_flash": lambda: cmds.attach_flash(esp),
        "cmds.chip_id": lambda: cmds.chip_id(esp),
        "cmds.flash_id": lambda: cmds.flash_id(esp),
        "cmds.read_mac": lambda: cmds.read_mac(esp),
        "cmds.get_security_info": lambda: cmds.get_security_info(esp),
        "cmds.write_mem": lambda: cmds.write_mem(esp, RAM, 5),
        "cmds.read_flash_status": lambda: cmds.read_flash_status(esp),
        "cmds.write_flash_status": lambda: cmds.write_flash_status(esp, 0),
        "cmds.read_flash_sfdp": lambda: cmds.read_flash_sfdp(esp, 0, 4),
        "cmds.read_flash to a file": lambda: cmds.read_flash(
            esp, 0x8000, 64, os.devnull, no_progress=True
        ),
        "cmds.dump_mem to a file": lambda: cmds.dump_mem(esp, word, 8, os.devnull),
        "cmds.erase_region": lambda: cmds.erase_region(esp, 0x8000, 0x1000),
        "cmds.erase_region odd": lambda: cmds.erase_region(esp, 0x8001, 0x1000),
        "cmds.erase_flash": lambda: cmds.erase_flash(esp),
        "cmds.image_info of none": lambda: cmds.image_info(b"no image"),
        "cmds.elf2image of none": lambda: cmds.elf2image(b"no program", "esp32"),
        "cmds.load_ram of none": lambda: cmds.load_ram(esp, b"no image"),
        "cmds.reset_chip none": lambda: cmds.reset_chip(esp, "no such"),
        "get_baud": esp.get_baud,
    }
    for name in (
        *(["get_chip_description", "get_chip_features", "get_crystal_freq", "get_chip_revision"]),
        *(["get_major_chip_version", "get_minor_chip_version", "get_pkg_version", "read_mac"]),
        *(["chip_id", "get_chip_id", "get_security_info", "get_secure_boot_enabled"]),
        *(["get_secure_boot_v1_enabled", "get_flash_encryption_enabled", "get_usb_mode"]),
        *(["get_encrypted_download_disabled", "get_flash_crypt_config", "get_flash_voltage"]),
        *(["is_flash_encryption_key_valid", "uses_key_manager_for_flash_encryption"]),
        *(["uses_usb_otg", "uses_usb_jtag_serial", "flash_type", "get_usb_vid_pid"]),
        *(["get_flash_cap", "get_flash_vendor", "get_psram_cap", "get_psram_vendor"]),
    ):
        if hasattr(esp, name):
            found[name] = getattr(esp, name)
    return found


def main(port: str, chip: str) -> None:
    from esptool import cmds, util
    from esptool.targets import CHIP_DEFS

    results: dict[str, Any] = {}
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        esp = CHIP_DEFS[chip](port)
        esp.connect("no-reset", 30)  # a busy machine may answer late
        for name, call in calls(esp, cmds).items():
            try:
                results[name] = plain(call())
            except util.NotSupportedError:
                results[name] = "NotSupportedError"
            except util.UnsupportedCommandError:
                results[name] = "not in this ROM"
            except util.NotImplementedInROMError:
                results[name] = "not in this ROM"
            except util.FatalError:
                results[name] = "FatalError"
            except (TypeError, AttributeError, KeyError, ValueError) as e:
                results[name] = f"crash: {type(e).__name__}"
        esp._port.close()
    print(json.dumps(results))


if __name__ == "__main__":
    main(*sys.argv[1:])

# SPDX-License-Identifier: Apache-2.0
"""The main job, shown on a simulated ESP32-S3: firmware made, written, verified and read back.

    make demo

Runs the tool as a person would, each command shown before its output. Ends with code 0 only when
what was read back is what was written.
"""

from __future__ import annotations

import hashlib
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
PARTITION_TABLE_AT = 0x8000
APPLICATION_AT = 0x10000
FLASH = "8MB"

ENTRY_MAGIC, MD5_MAGIC = 0x50AA, 0xEBEB
APP, DATA = 0, 1
PARTITIONS = (
    ("nvs", DATA, 0x02, 0x9000, 0x6000),
    ("factory", APP, 0x00, APPLICATION_AT, 0x100000),
)


def partition_table() -> bytes:
    """A partition table of ESP-IDF's format: 32-byte entries, then the MD5 of them."""
    table = b"".join(
        struct.pack("<HBBII16sI", ENTRY_MAGIC, kind, subtype, offset, size, name.encode(), 0)
        for name, kind, subtype, offset, size in PARTITIONS
    )
    table += struct.pack("<H14s", MD5_MAGIC, b"\xff" * 14) + hashlib.md5(table).digest()
    return table.ljust(0xC00, b"\xff")


def run(*words: str | Path) -> None:
    """Show a command line and run it."""
    program = Path(sys.executable).with_name("esptool")
    print("\n\x1b[1m$" if sys.stdout.isatty() else "\n$", "esptool", *words, end="")
    print("\x1b[0m" if sys.stdout.isatty() else "", flush=True)
    subprocess.run([program, *words], check=True)


def main() -> int:
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="esptool-demo-") as folder:
        work = Path(folder)
        port = f"virtual://esp32s3?flash={FLASH}&state={work}/board.bin"
        connection = ("--port", port, "--baud", "921600")
        boot, table, app = (work / n for n in ("bootloader.bin", "partitions.bin", "app.bin"))
        table.write_bytes(partition_table())
        params = ("--flash-mode", "dio", "--flash-size", FLASH)
        run("--chip", "esp32s3", "elf2image", *params, "-o", boot, HERE / "demo" / "boot.elf")
        run("--chip", "esp32s3", "elf2image", *params, "-o", app, HERE / "demo" / "hello.elf")
        run("image-info", app)
        files = {0x0: boot, PARTITION_TABLE_AT: table, APPLICATION_AT: app}
        pairs = [word for at, path in files.items() for word in (hex(at), path)]
        run(*connection, "flash-id")
        run(*connection, "write-flash", *pairs)
        run(*connection, "verify-flash", *pairs)
        size = APPLICATION_AT + app.stat().st_size
        back = work / "back.bin"
        run(*connection, "read-flash", "0", str(size), back)
        content = back.read_bytes()
        print("\nWhat was read back, compared on this computer:")
        good = True
        for at, path in files.items():
            wanted = path.read_bytes()
            same = content[at : at + len(wanted)] == wanted
            good &= same
            verdict = "same" if same else "DIFFERENT"
            print(f"  {path.name:<16}{len(wanted):>7} bytes at {at:#08x}  {verdict}")
        print(f"\n{'All is well' if good else 'FAILED'}, in {time.monotonic() - started:.1f} s.")
        return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

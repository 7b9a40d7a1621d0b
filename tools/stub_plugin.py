# SPDX-License-Identifier: Apache-2.0
"""The plug-in for NAND flash: compiled and linked against a stub that has been built."""

from __future__ import annotations

import base64
import shutil
from pathlib import Path

from stub_toolchain import FIRMWARE, Toolchain, compile_all, link, section, symbols

#: The plug-in "nand": opcode and handler.
NAND_HANDLERS = {
    0xD5: "on_nand_attach",
    0xD6: "on_nand_read_spare",
    0xD7: "on_nand_write_spare",
    0xD8: "on_nand_read",
    0xD9: "on_nand_begin",
    0xDA: "on_nand_data",
    0xDB: "on_nand_erase_all",
    0xDC: "on_nand_erase",
    0xDD: "on_nand_page",
    0xDE: "on_nand_end",
    0xDF: "on_nand_more",
}
FIRST_OPCODE = min(NAND_HANDLERS)


def build_plugin(tools: Toolchain, work: Path) -> None:
    """Compile the NAND plug-in and link it against the stub."""
    shutil.copy(FIRMWARE / "plugin.ld", work)
    files = sorted((FIRMWARE / "nand").glob("*"))
    for source in files:
        shutil.copy(source, work)
    sources = [source.name for source in files if source.suffix == ".c"]
    compile_all(tools, tools.flags, sources, work)
    objects = [Path(s).stem + ".o" for s in sources]
    own = "-Wl,--just-symbols=stub.elf", "-Wl,-e,on_nand_attach"
    link(tools, objects, work, "plugin", *own)


def extent(tools: Toolchain, work: Path) -> tuple[int, int]:
    """Where the plug-in begins, and its size."""
    size = len(section(tools, "plugin.elf", "text", work))
    return symbols(tools, "plugin.elf", work)["PLUGIN_START"], size


def plugin_fields(tools: Toolchain, work: Path) -> dict[str, object]:
    """The plug-in in the public layout."""
    found = symbols(tools, "plugin.elf", work)
    start = found["PLUGIN_START"]
    return {
        "text": base64.b64encode(section(tools, "plugin.elf", "text", work)).decode(),
        "text_start": start,
        "bss_size": 0,
        "handlers": {
            f"{op:#X}".replace("X", "x"): found[name] - start for op, name in NAND_HANDLERS.items()
        },
    }

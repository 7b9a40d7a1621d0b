# SPDX-License-Identifier: Apache-2.0
"""What a boot log says: pure functions from bytes to facts."""

from __future__ import annotations

import re
from dataclasses import dataclass

_RESET = re.compile(rb"rst:0x([0-9a-fA-F]+) \(([^)\r\n]*)\),boot:0x[0-9a-fA-F]+ \(([^)\r\n]*)\)")
_RESET_8266 = re.compile(rb"rst cause:(\d+), boot mode:\((\d+),\d+\)")
_CHIP = re.compile(rb"ESP-ROM:(esp32[a-z]*\d*)")
_PANIC = re.compile(rb"panic'ed \(([^)\r\n]+)\)|(abort\(\) was called)|(Fatal exception \(\d+\))")
_WAITS = re.compile(rb"waiting for download|DOWNLOAD")
#: Less than so many bytes may be noise.
_ENOUGH = 16


@dataclass(frozen=True, slots=True)
class BootLog:
    """What came from a board.

    Attributes:
        size: bytes.
        text: it is text, for the most part.
        resets: cause and boot mode of each start that was announced.
        chip: key of the chip, where its ROM says so.
        waits: it says that it waits for a download.
        brown_out: it says that the supply was too low.
        panic: why the application crashed.
        no_program: the ROM finds no program.
        checksum: the ROM finds a program that is damaged.
    """

    size: int = 0
    text: bool = False
    resets: tuple[tuple[str, str], ...] = ()
    chip: str | None = None
    waits: bool = False
    brown_out: bool = False
    panic: str | None = None
    no_program: bool = False
    checksum: bool = False

    @property
    def by_lines(self) -> bool:
        """One of the starts came of the reset pin or of USB, and not of the chip itself."""
        return any(
            "POWERON" in cause or "USB" in cause or cause in ("cause 2", "cause 0")
            for cause, _mode in self.resets
        )

    @property
    def garbled(self) -> bool:
        """Something came, and it is not text."""
        return self.size >= _ENOUGH and not self.text


def read_log(data: bytes) -> BootLog:
    """What these bytes say."""
    resets = [
        (m[2].decode("ascii", "replace"), m[3].decode("ascii", "replace"))
        for m in _RESET.finditer(data)
    ]
    old = [(f"cause {m[1].decode()}", m[2].decode()) for m in _RESET_8266.finditer(data)]
    chip = _CHIP.search(data)
    panic = _PANIC.search(data)
    name = None if chip is None else chip[1].decode()
    if name is None and old:
        name = "esp8266"
    elif name is None and resets:
        name = "esp32"
    waits = bool(_WAITS.search(data)) or any(mode == "1" for _cause, mode in old)
    low = b"Brownout detector was triggered" in data
    return BootLog(
        size=len(data),
        text=_is_text(data),
        resets=(*resets, *old),
        chip=name,
        waits=waits,
        brown_out=low or any("BROWN" in cause for cause, _mode in resets),
        panic=None if panic is None else next(filter(None, panic.groups())).decode(),
        no_program=b"invalid header" in data,
        checksum=b"Checksum failure" in data or b"csum err" in data,
    )


def _is_text(data: bytes) -> bool:
    good = sum(0x20 <= byte < 0x7F or byte in b"\r\n\t\x1b" for byte in data)
    return bool(data) and good >= 0.75 * len(data)

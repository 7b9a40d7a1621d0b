# SPDX-License-Identifier: Apache-2.0
"""What is around a core dump: base64 of the console, the header, and the checksum at its end.

Source: ESP-IDF `espcoredump` component, `core_dump_header_t`; versions 0.1 to 0.3 hold tasks in a
layout of their own, 1.0 to 1.4 an ELF file.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import struct
import zlib

from esptool.monitor.coredump.model import CHIPS, CoreDumpError
from esptool.monitor.reasons import CORE_DUMP_BEGIN, CORE_DUMP_END
from esptool.records import dataclass

_BINARY = 0
#: (major, minor) -> words in the header, whether SHA-256 stands at the end.
_VERSIONS = {
    (0, 1): (4, False),
    (0, 2): (5, False),
    (0, 3): (6, False),
    (1, 0): (5, False),
    (1, 1): (5, True),
    (1, 2): (6, False),
    (1, 3): (6, True),
    (1, 4): (3, True),
}
_TEXT_LINE = re.compile(rb"^[A-Za-z0-9+/]+={0,2}$")
_CUT_LOG = (
    "Record the log until the line CORE DUMP END; where the chip was reset too early, let it print "
    "the core dump again."
)
_BLANK = (b"", b"\xff" * 16, b"\0" * 16)


@dataclass(frozen=True, slots=True)
class Container:
    """The header of a core dump, and what it holds.

    Attributes:
        chip_id: number of the chip.
        version: (major, minor) of the format.
        task_count, tcb_size, segment_count: of the binary layout; 0 where the header has none.
        revision: of the chip, None where it is not said.
        body: without header and checksum.
        checksum: "crc32" or "sha256".
    """

    chip_id: int
    version: tuple[int, int]
    task_count: int
    tcb_size: int
    segment_count: int
    revision: int | None
    body: bytes
    checksum: str

    @property
    def is_elf(self) -> bool:
        """The body is an ELF file."""
        return self.version[0] != _BINARY


def size_of(head: bytes) -> int | None:
    """How long a core dump is that begins with these 8 bytes or more; None where it is none."""
    if len(head) < 8:
        return None
    size, version = struct.unpack_from("<II", head)
    known = (version >> 8 & 0xFF, version & 0xFF) in _VERSIONS and version >> 16 in CHIPS
    return size if known else None


def from_text(data: bytes) -> bytes | None:
    """The bytes of what a console has printed in base64, line by line; None where it is none.

    The lines around it, and what stands in front of and behind it, may be there; a log that is
    cut gives what is there.
    """
    lines = [line.strip() for line in data.splitlines()]
    begin = next((i for i, line in enumerate(lines) if CORE_DUMP_BEGIN.encode() in line), None)
    if begin is not None:
        lines = lines[begin + 1 :]
        end = next((i for i, line in enumerate(lines) if CORE_DUMP_END.encode() in line), None)
        lines = lines[:end]
    lines = [line for line in lines if line]
    if begin is not None:
        # What is cut or damaged there is missed in the end, by size or checksum.
        return b"".join(_decoded(line) or b"" for line in lines if _TEXT_LINE.match(line))
    if not lines or not all(_TEXT_LINE.match(line) for line in lines):
        return None
    found = [_decoded(line) for line in lines]
    return b"".join(part for part in found if part is not None) if None not in found else None


def _decoded(line: bytes) -> bytes | None:
    try:
        return base64.b64decode(line, validate=True)
    except binascii.Error:
        return None


def unwrap(data: bytes, *, of_console: bool = False) -> Container:
    """Take header and checksum off; what follows behind the dump is not looked at.

    `of_console` tells that the bytes are of what a console printed, for the words of errors.

    Raises:
        CoreDumpError: it is none, it is cut, or its checksum is wrong.
    """
    if of_console and len(data) < 16:
        raise CoreDumpError(
            f"The log ends {len(data)} bytes after the core dump in it began.", remedy=_CUT_LOG
        )
    if len(data) < 16 or data[:16] in _BLANK:
        raise CoreDumpError(
            "There is no core dump: nothing was written there.",
            remedy="The application stores one when it fails, if it was built to do so.",
        )
    size, word = struct.unpack_from("<II", data)
    version = (word >> 8 & 0xFF, word & 0xFF)
    if size_of(data) is None:
        raise CoreDumpError(
            f"This is not a core dump of a known kind (version {version[0]}.{version[1]} of chip "
            f"{word >> 16})."
        )
    words, strong = _VERSIONS[version]
    checksum_size = 32 if strong else 4
    if size < 4 * words + checksum_size or size > len(data):
        raise CoreDumpError(
            f"The core dump says that it has {size} bytes, and {len(data)} are "
            f"{'in the log' if of_console else 'there'}.",
            remedy=_CUT_LOG if of_console else "It was cut; read all of its partition.",
        )
    covered, stored = data[: size - checksum_size], data[size - checksum_size : size]
    made = hashlib.sha256(covered).digest() if strong else struct.pack("<I", zlib.crc32(covered))
    if made != stored:
        raise CoreDumpError(
            f"The core dump is damaged: its {'SHA-256' if strong else 'CRC32'} is {made.hex()}, "
            f"and {stored.hex()} stands there.",
            remedy="Lines of the log are missing or damaged: record it again."
            if of_console
            else None,
        )
    head = struct.unpack_from(f"<{words}I", data)
    return Container(
        chip_id=word >> 16,
        version=version,
        task_count=head[2] if words > 3 else 0,
        tcb_size=head[3] if words > 3 else 0,
        segment_count=head[4] if words > 4 else 0,
        revision=head[-1] if words in (3, 6) else None,
        body=covered[4 * words :],
        checksum="sha256" if strong else "crc32",
    )

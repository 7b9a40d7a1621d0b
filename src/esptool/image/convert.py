# SPDX-License-Identifier: Apache-2.0
"""Makes a firmware image of an ELF file: chooses page size and header values, then has it built."""

from __future__ import annotations

import os
from collections.abc import Sequence

from esptool import chips
from esptool.chips.nor import SECTOR
from esptool.chips.spec import ChipSpec
from esptool.errors import ImageError, UsageError
from esptool.events import Level, Listener, Message, ignore
from esptool.image import esp32, esp8266
from esptool.image.descriptors import app_description
from esptool.image.elf import ElfProgram, read_elf
from esptool.image.header import (
    EXTENDED_HEADER_LEN,
    HEADER_LEN,
    MAX_SEGMENTS,
    REVISION_ANY,
    SEGMENT_HEADER_LEN,
    ExtendedHeader,
    Header,
    flash_freq_code,
    flash_mode_code,
    flash_size_code,
)
from esptool.image.model import ImageKind, Segment
from esptool.image.reader import too_many_segments
from esptool.image.writer import ElfDigest
from esptool.records import dataclass, replace
from esptool.sizes import flash_size

ESP_IDF_ELF_DIGEST_OFFSET = 0xB0
_APP_DESCRIPTOR_ADDRESS_IN_PAGE = HEADER_LEN + EXTENDED_HEADER_LEN + SEGMENT_HEADER_LEN
_LARGEST_PAD = 1 << 30


@dataclass(frozen=True, slots=True)
class ElfOptions:
    """The options of `elf2image`, with the words of its command line."""

    flash_mode: str = "qio"
    flash_freq: str | None = None
    flash_size: str = "1MB"
    version: int = 1
    min_rev: int = 0
    min_rev_full: int = 0
    max_rev_full: int = REVISION_ANY
    secure_pad: bool = False
    secure_pad_v2: bool = False
    elf_sha256_offset: int | None = None
    append_digest: bool = True
    use_segments: bool = False
    flash_mmu_page_size: str | None = None
    pad_to_size: str | None = None
    ram_only_header: bool = False


@dataclass(frozen=True, slots=True)
class BuiltImage:
    """The result: one file, or two for ESP8266 version 1.

    Attributes:
        data: the image that the ROM or boot loader reads.
        irom: ESP8266 version 1: what goes to flash unchanged, None where there is nothing.
        offset: flash offset of `irom` (version 1) or of the IROM part (version 2), else 0.
    """

    kind: ImageKind
    data: bytes
    irom: bytes | None = None
    offset: int = 0

    def default_output(self, source: str) -> str:
        """The output name (for version 1: its beginning) that is derived from the ELF's name."""
        if self.kind is ImageKind.ESP8266_V1:
            return f"{source}-"
        stem = os.path.splitext(source)[0]
        if self.kind is ImageKind.ESP8266_V2:
            return f"{stem}-{self.offset & -SECTOR:#07x}.bin"
        return f"{stem}.bin"

    def files(self, output: str) -> list[tuple[str, bytes]]:
        """Names and contents to write when the user asked for `output`."""
        if self.kind is not ImageKind.ESP8266_V1:
            return [(output, self.data)]
        irom = [] if self.irom is None else [(f"{output}{self.offset:#07x}.bin", self.irom)]
        return [*irom, (f"{output}{0:#07x}.bin", self.data)]


def convert_elf(
    data: bytes,
    chip: ChipSpec | str,
    options: ElfOptions | None = None,
    name: str | None = None,
    notify: Listener = ignore,
) -> BuiltImage:
    """Build the image of an ELF file.

    Raises:
        ImageError: the ELF file is malformed or cannot be laid out for this chip.
        UsageError: an option has a value that the chip does not know.
    """
    spec = chips.get(chip) if isinstance(chip, str) else chip
    chosen = options or ElfOptions()
    elf = read_elf(data, name, sections_needed=not chosen.use_segments)
    return _Conversion(spec, chosen, elf, notify).build()


class _Conversion:
    """One conversion: the chip's rules, the options, the ELF and where to report."""

    def __init__(
        self, chip: ChipSpec, options: ElfOptions, elf: ElfProgram, notify: Listener
    ) -> None:
        self.chip = chip
        self.options = options
        self.elf = elf
        self.notify = notify
        self.kind = self._kind()
        # The RTOS SDK's images follow ESP32 in their flash codes and in which sections may merge.
        self.rules = chips.get("esp32") if self.kind is ImageKind.ESP8266_V3 else chip

    def build(self) -> BuiltImage:
        for warning in self.elf.warnings:
            self._say(warning, Level.WARNING)
        if not self.elf.runs_on(self.chip.arch):
            self._say(
                f"The ELF file holds {self.elf.machine_name} code, "
                f"which {self.chip.name} cannot run.",
                Level.NOTE,
            )
        for name in self._without_effect():
            self._say(f"Option {name} has no effect on this image.", Level.WARNING)
        page = self._page_size()
        segments = self._segments()
        header = self._header()
        digest = self._elf_digest(segments)
        pad_to = self._pad_to()
        segments = self._merged(segments)
        if len(segments) > MAX_SEGMENTS:
            raise ImageError(too_many_segments(len(segments)))

        built = self._built(segments, header, digest, page, pad_to)
        if self.options.elf_sha256_offset is not None and self.elf.sha256 not in built.data:
            # Build systems give it for every image, also those too small to have a descriptor.
            self._say(
                f"--elf-sha256-offset {self.options.elf_sha256_offset:#x} lies in no segment of "
                f"the image, which has {len(built.data):#x} bytes: the ELF's hash is left out.",
                Level.WARNING,
            )
        return built

    def _built(
        self,
        segments: list[Segment],
        header: Header,
        digest: ElfDigest | None,
        page: int,
        pad_to: int,
    ) -> BuiltImage:
        if self.kind is ImageKind.ESP8266_V1:
            two = esp8266.build_v1(segments, self.chip, header, digest)
            return BuiltImage(self.kind, two.main, two.irom, two.irom_offset)
        if self.kind is ImageKind.ESP8266_V2:
            offset = esp8266.irom_offset(segments, self.chip)
            image = esp8266.build_v2(segments, self.chip, header, digest)
            return BuiltImage(self.kind, image, offset=offset)
        if self.kind is ImageKind.ESP8266_V3:
            image = esp8266.build_v3(segments, self.chip, header, page, digest)
            return BuiltImage(self.kind, image)
        layout = esp32.Esp32Layout(
            page=page,
            append_digest=self.options.append_digest,
            secure_pad=self._secure_pad(),
            ram_only=self.options.ram_only_header,
            pad_to=pad_to,
        )
        image = esp32.build_esp32(segments, self.chip, header, self._extended(), layout, digest)
        return BuiltImage(self.kind, image)

    def _kind(self) -> ImageKind:
        if self.chip.image.extended_header:
            return ImageKind.ESP32
        kinds = {
            1: ImageKind.ESP8266_V1,
            2: ImageKind.ESP8266_V2,
            3: ImageKind.ESP8266_V3,
        }
        try:
            return kinds[int(self.options.version)]
        except (KeyError, ValueError):
            raise UsageError(
                f"{self.chip.name} has no image version '{self.options.version}': choose 1, 2 or 3."
            ) from None

    def _without_effect(self) -> list[str]:
        """Options that were given and change nothing of this kind of image."""
        given, esp32 = self.options, self.kind is ImageKind.ESP32
        useless = {
            "--version": esp32 and int(given.version) != 1,
            "--min-rev": not esp32 and given.min_rev,
            "--min-rev-full": not esp32 and given.min_rev_full,
            "--max-rev-full": not esp32 and given.max_rev_full != REVISION_ANY,
            "--pad-to-size": not esp32 and given.pad_to_size,
            "--ram-only-header": not esp32 and given.ram_only_header,
            "--dont-append-digest": not esp32 and not given.append_digest,
            "--secure-pad": given.secure_pad
            and (not self.chip.image.secure_pad_v1 or given.secure_pad_v2),
            "--secure-pad-v2": not esp32 and given.secure_pad_v2,
        }
        return [name for name, found in useless.items() if found]

    def _say(self, text: str, level: Level = Level.INFO) -> None:
        self.notify(Message(text, level))

    # --- what goes in --------------------------------------------------------------------------

    def _segments(self) -> list[Segment]:
        if not self.options.use_segments:
            return list(self.elf.sections)
        if self.elf.segments is None:
            raise ImageError(
                "The ELF file has no program headers, so --use-segments finds nothing. "
                "Leave that option out."
            )
        return list(self.elf.segments)

    def _merged(self, segments: list[Segment]) -> list[Segment]:
        if self.options.ram_only_header and self.kind is not ImageKind.ESP32:
            segments = sorted(segments, key=lambda s: s.addr)  # as the public tool
        elif self.options.ram_only_header:
            self._say(
                "Image has only RAM segments visible. "
                "ROM segments are hidden and SHA256 digest is not appended."
            )
            segments = self._close_alignment_gaps(sorted(segments, key=lambda s: s.addr))
        merged = merge_adjacent(segments, self.rules)
        if gone := len(segments) - len(merged):
            self._say(f"Merged {gone} ELF section{'s' if gone > 1 else ''}.")
        return merged

    def _close_alignment_gaps(self, segments: Sequence[Segment]) -> list[Segment]:
        """Fill what the linker left free only to align the next section, so that both merge."""
        closed = list(segments)
        for i in range(len(closed) - 1):
            here, after = closed[i], closed[i + 1]
            gap = -here.end % max(1, after.align)
            if gap and here.end + gap == after.addr:
                self._say(
                    f"Inserting {gap} bytes padding between {here.name} and {after.name}",
                    Level.NOTE,
                )
                closed[i] = replace(here, data=here.data + bytes(gap))
        return closed

    # --- the MMU page --------------------------------------------------------------------------

    def _page_size(self) -> int:
        default = self.rules.image.segment_align
        if self.options.flash_mmu_page_size:
            return self._asked_page(flash_size(self.options.flash_mmu_page_size), default)
        sizes = self.chip.image.mmu_page_sizes
        section = next((s for s in self.elf.sections if ".flash.appdesc" in s.name), None)
        if section is None or not sizes or not esp32.is_flash_mapped(self.chip, section.addr):
            return default
        description = app_description(section.data)
        if description is None:
            return default
        if description.mmu_page_size is not None:
            return self._asked_page(description.mmu_page_size, default)
        for size in sorted(sizes, reverse=True):
            if (section.addr - _APP_DESCRIPTOR_ADDRESS_IN_PAGE) % size == 0:
                self._say(f"MMU page size not specified, set to {size // 1024} KB")
                return size
        self._say(
            "App description segment is not aligned to MMU page size, probably linker script "
            "issue or wrong MMU page size. Try to set MMU page size parameter manually.",
            Level.WARNING,
        )
        return default

    def _asked_page(self, size: int, default: int) -> int:
        sizes = self.chip.image.mmu_page_sizes
        if self.kind in (ImageKind.ESP8266_V1, ImageKind.ESP8266_V2):
            self._say("Changing MMU page size has no effect on this image.", Level.WARNING)
            return default
        if not sizes and size != default:
            self._say(
                f"Changing MMU page size is not supported on {self.rules.name}! "
                f"Defaulting to {default // 1024}KB.",
                Level.WARNING,
            )
            return default
        if sizes and size not in sizes:
            valid = ", ".join(f"{s // 1024}KB" for s in sizes)
            raise UsageError(
                f"{size} bytes is not a valid {self.chip.name} page size, select from {valid}."
            )
        return size

    # --- header values -------------------------------------------------------------------------

    def _header(self) -> Header:
        options = self.options
        size = flash_size_code(self.rules, options.flash_size)
        freq = flash_freq_code(self.rules, options.flash_freq)
        return Header(0, flash_mode_code(options.flash_mode), size + freq, self.elf.entry)

    def _extended(self) -> ExtendedHeader:
        chip_id = self.chip.image_chip_id
        assert chip_id is not None
        given = self.options
        for name, value, most in (
            ("--min-rev", given.min_rev, 0xFF),
            ("--min-rev-full", given.min_rev_full, REVISION_ANY),
            ("--max-rev-full", given.max_rev_full, REVISION_ANY),
        ):
            if not 0 <= value <= most:
                raise UsageError(f"{name} is a number from 0 to {most}, not {value}.")
        if given.min_rev_full > given.max_rev_full:
            raise UsageError(
                f"No chip could run the image: --min-rev-full {given.min_rev_full} is above "
                f"--max-rev-full {given.max_rev_full}."
            )
        return ExtendedHeader(
            chip_id=chip_id,
            min_rev=self.options.min_rev,
            min_rev_full=self.options.min_rev_full,
            max_rev_full=self.options.max_rev_full,
        )

    def _secure_pad(self) -> int | None:
        if self.options.secure_pad_v2:
            return 2
        return 1 if self.options.secure_pad and self.chip.image.secure_pad_v1 else None

    def _pad_to(self) -> int:
        if not self.options.pad_to_size:
            return 0
        size = flash_size(self.options.pad_to_size)
        if not 0 <= size <= _LARGEST_PAD:
            raise UsageError(
                f"Cannot pad an image to {self.options.pad_to_size}: no flash is that large."
            )
        return size

    def _elf_digest(self, segments: Sequence[Segment]) -> ElfDigest | None:
        if self.options.elf_sha256_offset is not None:
            return ElfDigest(self.elf.sha256, self.options.elf_sha256_offset)
        described = next((s for s in segments if ".flash.appdesc" in s.name), None)
        if described is None or not self._is_flash(described.addr):
            return None
        return ElfDigest(self.elf.sha256, ESP_IDF_ELF_DIGEST_OFFSET)

    def _is_flash(self, address: int) -> bool:
        if self.kind is ImageKind.ESP32:
            return esp32.is_flash_mapped(self.chip, address)
        return self.kind is ImageKind.ESP8266_V3 and esp8266.is_v3_flash(self.chip, address)


def adjacent_runs(segments: Sequence[Segment], chip: ChipSpec) -> list[range]:
    """Index ranges of neighbours in the list where one ends at the address where the next starts.

    Those of a run start in the same kinds of memory. Gaps are left, as they may be memory that has
    to keep its contents over a reset.
    """
    runs: list[range] = []
    for i, segment in enumerate(segments):
        before = segments[i - 1] if i else segment
        if (
            i
            and before.end == segment.addr
            and before.checksummed == segment.checksummed
            and chip.memory_kind(before.addr) == chip.memory_kind(segment.addr)
        ):
            runs[-1] = range(runs[-1].start, i + 1)
        else:
            runs.append(range(i, i + 1))
    return runs


def merge_adjacent(segments: Sequence[Segment], chip: ChipSpec) -> list[Segment]:
    """Join each run of `adjacent_runs`; the first one gives its name and address."""
    return [
        segments[run.start]
        if len(run) == 1
        else replace(segments[run.start], data=b"".join(segments[i].data for i in run))
        for run in adjacent_runs(segments, chip)
    ]

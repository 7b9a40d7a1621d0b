# SPDX-License-Identifier: Apache-2.0
"""`elf2image`: every chip, option and ELF shape gives the bytes that the public tool gives."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import pytest
from elftools.elf.elffile import ELFFile

from esptool import chips
from esptool.errors import FatalError, ImageError, UsageError
from esptool.image.convert import BuiltImage, ElfOptions, convert_elf
from esptool.image.elf import read_elf
from esptool.image.header import HEADER_LEN
from esptool.image.model import ImageKind
from esptool.image.reader import read_image
from tests.image.conftest import PublicTool
from tests.image.elfmaker import INIT_ARRAY, NOBITS, PROGBITS, RISCV, XTENSA, Elf, Part, pattern
from tests.image.programs import PROGRAMS

ESP32_FAMILY = [k for k in chips.KEYS if k != "esp8266"]

OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "flash": {"flash_mode": "dio", "flash_size": "4MB"},
    "flash-16MB-dout": {"flash_mode": "dout", "flash_size": "16MB"},
    "revisions": {"min_rev": 3, "min_rev_full": 103, "max_rev_full": 399},
    "no-digest": {"append_digest": False},
    "segments": {"use_segments": True},
    "ram-only": {"ram_only_header": True},
    "ram-only-segments": {"ram_only_header": True, "use_segments": True},
    "secure-pad": {"secure_pad": True},
    "secure-pad-v2": {"secure_pad_v2": True},
    "padded": {"pad_to_size": "512KB"},
    "sha-elsewhere": {"elf_sha256_offset": 0xB0},
    "page-64KB": {"flash_mmu_page_size": "64KB"},
    "page-32KB": {"flash_mmu_page_size": "32KB"},
    "page-16KB": {"flash_mmu_page_size": "16KB"},
    "page-8KB": {"flash_mmu_page_size": "8KB"},
    "page-16KB-pad-v2": {"flash_mmu_page_size": "16KB", "secure_pad_v2": True},
}


def ours(elf: Path, chip: str, options: dict[str, Any]) -> Any:
    """The same shape as the public tool's answer: bytes, a pair, or None for an error."""
    try:
        built = convert_elf(elf.read_bytes(), chip, ElfOptions(**options), str(elf))
    except FatalError:
        return None
    return (built.irom, built.data) if built.kind is ImageKind.ESP8266_V1 else built.data


def assert_same(
    public_tool: PublicTool, elf: Path, chip: str, options: dict[str, Any], *, fails: bool | None
) -> None:
    """`fails` says whether an image is expected at all; None leaves that to the public tool."""
    theirs = public_tool.elf2image(elf, chip, options)
    mine = ours(elf, chip, options)
    assert mine == theirs, f"{elf.name} for {chip} with {options}"
    if fails is not None:
        assert (mine is None) == fails


# --- compiled programs -------------------------------------------------------------------------


@pytest.mark.oracle
@pytest.mark.parametrize("program", list(PROGRAMS), indirect=True)
def test_compiled_programs_give_the_public_tools_bytes_with_every_option(
    program: Path, public_tool: PublicTool
) -> None:
    own = PROGRAMS[program.stem].chip
    for name, options in OPTIONS.items():
        extra = {"version": 1} if own == "esp8266" else {}
        fails = False if name in ("plain", "flash", "no-digest", "revisions") else None
        assert_same(public_tool, program, own, options | extra, fails=fails)


@pytest.mark.oracle
@pytest.mark.parametrize("chip", ESP32_FAMILY)
def test_every_chip_lays_a_program_out_by_its_own_memory_map(
    chip: str, programs: dict[str, Path], public_tool: PublicTool
) -> None:
    """Also programs made for other chips: what is flash and what is RAM is the chip's to say."""
    for elf in programs.values():
        for name in ("plain", "ram-only", "secure-pad", "page-32KB"):
            assert_same(public_tool, elf, chip, OPTIONS[name], fails=None)


@pytest.mark.oracle
@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize("name", ["xtensa-esp8266", "xtensa-esp32", "riscv-c3"])
def test_esp8266_versions_give_the_public_tools_bytes(
    version: int, name: str, programs: dict[str, Path], public_tool: PublicTool
) -> None:
    if name not in programs:
        pytest.skip(f"no compiler for {name}")
    for options in (
        {},
        {"flash_size": "512KB"},
        {"flash_size": "4MB-c1", "flash_mode": "dout"},
        {"flash_freq": "26m", "flash_size": "2MB"},
        {"use_segments": True},
    ):
        if name != "xtensa-esp8266" and version != 3:
            continue  # an application descriptor stops the public tool there
        assert_same(
            public_tool, programs[name], "esp8266", {"version": version} | options, fails=None
        )


@pytest.mark.oracle
@pytest.mark.parametrize("chip", chips.KEYS)
def test_every_flash_size_mode_and_clock_of_a_chip_is_coded_alike(
    chip: str, tmp_path: Path, public_tool: PublicTool
) -> None:
    elf = tmp_path / "small.elf"
    elf.write_bytes(Elf([Part(".iram0.text", 0x40100000, pattern(20))], XTENSA).build())
    spec = chips.get(chip)
    version = {"version": 1} if chip == "esp8266" else {}
    cases: list[dict[str, Any]] = [{"flash_size": s} for s in spec.flash.sizes]
    cases += [{"flash_freq": f} for f in spec.flash.frequencies]
    cases += [{"flash_mode": m} for m in ("qio", "qout", "dio", "dout")]
    for options in cases:
        assert_same(public_tool, elf, chip, options | version, fails=False)
    for wrong in ({"flash_size": "3MB"}, {"flash_freq": "77m"}):
        assert_same(public_tool, elf, chip, wrong | version, fails=True)


@pytest.mark.parametrize("program", list(PROGRAMS), indirect=True)
def test_sections_and_segments_are_those_that_pyelftools_finds(program: Path) -> None:
    data = program.read_bytes()
    found = read_elf(data)
    other = ELFFile(io.BytesIO(data))
    assert found.entry == other["e_entry"]
    assert found.sha256 == hashlib.sha256(data).digest()
    sections = [
        (s.name, s["sh_addr"], s.data(), s["sh_flags"], s["sh_addralign"])
        for s in other.iter_sections("SHT_PROGBITS")
        if s["sh_addr"] and s["sh_size"]
    ]
    segments = [(s["p_paddr"], s.data()) for s in other.iter_segments("PT_LOAD") if s["p_filesz"]]
    assert found.segments is not None
    assert [(s.name, s.addr, s.flags, s.align) for s in found.sections] == [
        (name, addr, flags, align) for name, addr, _, flags, align in sections
    ]
    assert [s.addr for s in found.segments] == [addr for addr, _ in segments]
    for mine, theirs in zip(
        [*found.sections, *found.segments],
        [*(s[2] for s in sections), *(s[1] for s in segments)],
        strict=True,
    ):
        assert mine.data == theirs + bytes(-len(theirs) % 4)


# --- odd shapes --------------------------------------------------------------------------------

IRAM, DRAM, DROM, IROM, RTC = 0x40380000, 0x3FC90000, 0x3C000020, 0x42000020, 0x50000000


def _many(count: int, gap: int) -> list[Part]:
    return [Part(f".d{i}", DRAM + i * gap, pattern(8, i)) for i in range(count)]


def _app_descriptor(address: int, page_log2: int = 0) -> Part:
    record = bytearray(256)
    record[:4] = (0xABCD5432).to_bytes(4, "little")
    record[180] = page_log2
    return Part(".flash.appdesc", address, bytes(record))


SHAPES: dict[str, Elf] = {
    "no-program-headers": Elf([Part(".iram", IRAM, pattern(40))], program_headers=False),
    "nothing-to-load": Elf([Part(".iram", 0, pattern(40)), Part(".x", IRAM)]),
    "no-sections-at-all": Elf([Part(".iram", IRAM, pattern(8))], section_headers=False),
    "empty-sections-between": Elf(
        [Part(".a", IRAM, pattern(4)), Part(".b", IRAM + 4), Part(".c", IRAM + 4, pattern(4))]
    ),
    "bss-between": Elf(
        [
            Part(".a", DRAM, pattern(12)),
            Part(".bss", DRAM + 12, kind=NOBITS, claimed=400),
            Part(".b", DRAM + 412, pattern(12)),
        ]
    ),
    "init-array": Elf([Part(".init_array", DRAM, pattern(12), kind=INIT_ARRAY)]),
    "unknown-type": Elf([Part(".odd", DRAM, pattern(12), kind=0x99), Part(".i", IRAM, pattern(4))]),
    "overlapping": Elf([Part(".a", DRAM, pattern(64)), Part(".b", DRAM + 32, pattern(64, 2))]),
    "same-address-twice": Elf([Part(".a", DRAM, pattern(64)), Part(".b", DRAM, pattern(8, 2))]),
    "odd-lengths": Elf([Part(".a", DRAM, pattern(5)), Part(".b", DRAM + 8, pattern(7))]),
    "unaligned-ram": Elf([Part(".a", DRAM + 1, pattern(9)), Part(".t", IROM, pattern(50))]),
    "unaligned-flash": Elf([Part(".t", IROM + 2, pattern(50)), Part(".a", DRAM, pattern(64))]),
    "alignment-gaps": Elf(
        [
            Part(".a", DRAM, pattern(20)),
            Part(".b", DRAM + 32, pattern(20), align=16),
            Part(".c", DRAM + 64, pattern(20), align=64),
            Part(".d", DRAM + 84, pattern(4), align=1),
        ]
    ),
    "descending-order": Elf([Part(".b", DRAM + 64, pattern(64)), Part(".a", DRAM, pattern(64))]),
    "too-many-segments": Elf(_many(17, 64)),
    "sixteen-segments": Elf(_many(16, 64)),
    "many-that-merge": Elf(_many(200, 8)),
    "iram-and-dram-in-one-place": Elf(
        [Part(".iram", 0x40800000, pattern(40)), Part(".dram", 0x40800028, pattern(40, 2))]
    ),
    "rtc": Elf([Part(".rtc.text", RTC, pattern(44)), Part(".rtc.data", RTC + 44, pattern(9))]),
    "flash-only": Elf([Part(".r", DROM, pattern(900)), Part(".t", IROM, pattern(70))]),
    "flash-and-small-ram": Elf(
        [
            Part(".r", DROM, pattern(0x10000 - 0x28)),
            Part(".t", IROM + 0x10000, pattern(70)),
            Part(".a", DRAM, pattern(4)),
        ]
    ),
    "ram-larger-than-gaps": Elf(
        [
            Part(".r", DROM + 0x100, pattern(0x1234)),
            Part(".t", IROM + 0x10200, pattern(0x5678)),
            Part(".a", DRAM, pattern(0x18000)),
            Part(".i", IRAM, pattern(0x14000)),
        ]
    ),
    "two-in-one-page": Elf([Part(".r", IROM, pattern(90)), Part(".t", IROM + 0x800, pattern(70))]),
    "tail-of-page": Elf(
        [Part(".r", 0x3F400020, pattern(0xFFE0 + 4)), Part(".t", 0x400D0020, pattern(8))]
    ),
    "tail-exactly-full": Elf(
        [Part(".r", 0x3F400020, pattern(0xFFE0)), Part(".t", 0x400D0020, pattern(8))]
    ),
    "app-descriptor-last": Elf(
        [
            Part(".t", IROM, pattern(70)),
            Part(".r", DROM, pattern(70)),
            _app_descriptor(IROM + 0x20000),
        ]
    ),
    "boot-descriptor": Elf(
        [Part(".dram0.data", DRAM, pattern(70)), Part(".dram0.bootdesc", DRAM + 0x100, pattern(80))]
    ),
    "descriptor-asks-32KB": Elf(
        [_app_descriptor(0x42000020, 15), Part(".t", 0x42008020, pattern(8))]
    ),
    "descriptor-asks-nonsense": Elf([_app_descriptor(0x42000020, 3)]),
    "descriptor-on-8KB": Elf([_app_descriptor(0x42002020), Part(".t", 0x42004020, pattern(8))]),
    "descriptor-unaligned": Elf([_app_descriptor(0x42002024), Part(".t", 0x42014020, pattern(8))]),
    "descriptor-too-short": Elf([Part(".flash.appdesc", 0x42000020, pattern(100))]),
    "entry-zero": Elf([Part(".i", IRAM, pattern(8))], entry=0),
    "flag-and-align-zero": Elf(
        [Part(".a", DRAM, pattern(8), flags=0, align=0), Part(".b", DRAM + 8, pattern(8), align=0)]
    ),
    "data-past-the-end": Elf(
        [Part(".a", DRAM, pattern(8), claimed=1 << 20)], program_headers=False
    ),
    "p4-sections": Elf(
        [
            Part(".tcm.text", 0x30100000, pattern(16)),
            Part(".iram0.text", 0x4FF00000, pattern(40)),
            Part(".dram0.data", 0x4FF40000, pattern(40)),
            Part(".flash.rodata", 0x40000020, pattern(500)),
            Part(".flash.text", 0x40010020, pattern(500)),
        ]
    ),
    "wrong-names-type": Elf([Part(".a", DRAM, pattern(8))], names_kind=PROGBITS),
    "elf-64": Elf([Part(".a", DRAM, pattern(8))], elf_class=2),
    "big-endian": Elf([Part(".a", DRAM, pattern(8))], endian=2),
    "another-machine": Elf([Part(".a", DRAM, pattern(8))], machine=0x3E),
    "odd-section-header-size": Elf([Part(".a", DRAM, pattern(8))], section_size=64),
    "names-index-too-high": Elf([Part(".a", DRAM, pattern(8))], overrides={"shstrndx": 99}),
    "sections-outside": Elf([Part(".a", DRAM, pattern(8))], overrides={"shoff": 1 << 20}),
    "segments-outside": Elf([Part(".a", DRAM, pattern(8))], overrides={"phoff": 1 << 20}),
    "counts-too-high": Elf([Part(".a", DRAM, pattern(8))], overrides={"shnum": 60000}),
}

# The public tool ends with a traceback there, or does not look at the class of the ELF file.
BEYOND_THE_PUBLIC_TOOL = {
    ("descriptor-too-short", "esp32c6"),
    ("descriptor-too-short", "esp32s31"),
    *(("elf-64", chip) for chip in ("esp8266", "esp32", "esp32c3", "esp32c6", "esp32s31")),
    ("flag-and-align-zero", "ram-only"),
    ("no-sections-at-all", "segments"),
}


@pytest.mark.oracle
@pytest.mark.parametrize("shape", list(SHAPES))
def test_odd_shapes_give_the_public_tools_bytes_or_an_error_where_it_fails(
    shape: str, tmp_path: Path, public_tool: PublicTool
) -> None:
    elf = tmp_path / f"{shape}.elf"
    elf.write_bytes(SHAPES[shape].build())
    for chip in ("esp32", "esp32c3", "esp32c6", "esp32s31"):
        for name in ("plain", "segments", "ram-only", "secure-pad-v2", "page-16KB"):
            if {(shape, chip), (shape, name)} & BEYOND_THE_PUBLIC_TOOL:
                ours(elf, chip, OPTIONS[name])
                continue
            assert_same(public_tool, elf, chip, OPTIONS[name], fails=None)
    for version in (1, 2, 3):
        outside = {(shape, "esp8266")} & BEYOND_THE_PUBLIC_TOOL
        if not outside and ("descriptor" not in shape or shape == "boot-descriptor"):
            assert_same(public_tool, elf, "esp8266", {"version": version}, fails=None)


@pytest.mark.oracle
def test_sixteen_megabytes_of_constants_are_refused_and_a_little_less_is_laid_out(
    scratch: Path, public_tool: PublicTool
) -> None:
    for size, fails in ((0x1000000, True), (0x1000000 - 64, False)):
        elf = scratch / f"{size:#x}.elf"
        elf.write_bytes(Elf([Part(".r", 0x40000020, bytes(size))]).build())
        assert_same(public_tool, elf, "esp32p4", {}, fails=fails)


@pytest.mark.parametrize("options", [{"append_digest": False}, {"ram_only_header": True}])
def test_padding_an_image_without_digest_keeps_its_contents(options: dict[str, Any]) -> None:
    """The public tool fills such an image from its third byte on, so there is nothing to match."""
    data = SHAPES["flash-and-small-ram"].build()
    bare = convert_elf(data, "esp32c3", ElfOptions(**options)).data
    padded = convert_elf(data, "esp32c3", ElfOptions(pad_to_size="512KB", **options)).data
    assert padded == bare + b"\xff" * (0x80000 - len(bare))


def test_a_gap_of_just_a_segment_header_is_filled_by_an_empty_segment() -> None:
    """The public tool stops with an assertion there."""
    first = Part(".r", DROM, pattern(0x10000 - 0x20 - 16))
    elf = Elf([first, Part(".t", 0x42000000, pattern(40))]).build()
    found = read_image(convert_elf(elf, "esp32c3").data, "esp32c3")
    assert [(s.addr, len(s.data)) for s in found.segments] == [
        (DROM, len(first.data)),
        (0, 0),
        (0x42000000, 40),
    ]
    assert found.segments[2].file_offset == 0x10000 - 8


@pytest.mark.parametrize("cut", [0, 3, 20, 51, 52, 100, 0.3, 0.6, 0.9, -1])
def test_a_truncated_elf_is_refused_with_one_sentence(cut: float) -> None:
    whole = SHAPES["ram-larger-than-gaps"].build()
    size = int(cut * len(whole)) if isinstance(cut, float) else cut % len(whole)
    with pytest.raises(ImageError) as error:
        convert_elf(whole[:size], "esp32c3", name="cut.elf")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("shape", "says"),
    [
        ("elf-64", "64-bit"),
        ("big-endian", "big-endian"),
        ("another-machine", "e_machine = 0x003e"),
        ("too-many-segments", "Invalid segment count 17 (max 16)"),
        ("two-in-one-page", "lands in same 64 KB flash mapping"),
        ("no-sections-at-all", "0 section headers"),
    ],
)
def test_an_unusable_elf_says_why(shape: str, says: str) -> None:
    with pytest.raises(ImageError) as error:
        convert_elf(SHAPES[shape].build(), "esp32c3", name="a.elf")
    assert says in str(error.value)


# --- names and events --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "offset", "name"),
    [
        (ImageKind.ESP32, 0, "dir/app.bin"),
        (ImageKind.ESP8266_V3, 0, "dir/app.bin"),
        (ImageKind.ESP8266_V2, 0x1010, "dir/app-0x01000.bin"),
        (ImageKind.ESP8266_V1, 0x10000, "dir/app.elf-"),
    ],
)
def test_default_output_names(kind: ImageKind, offset: int, name: str) -> None:
    assert BuiltImage(kind, b"", offset=offset).default_output("dir/app.elf") == name


def test_an_esp8266_version_1_image_is_two_files_named_by_their_offsets() -> None:
    built = BuiltImage(ImageKind.ESP8266_V1, b"main", b"irom", 0x40000)
    assert built.files("x-") == [("x-0x40000.bin", b"irom"), ("x-0x00000.bin", b"main")]
    without = BuiltImage(ImageKind.ESP8266_V1, b"main")
    assert without.files("x-") == [("x-0x00000.bin", b"main")]


def test_the_elf_digest_is_put_into_the_application_descriptor() -> None:
    data = SHAPES["app-descriptor-last"].build()
    image = convert_elf(data, "esp32c3").data
    assert image[0xB0 : 0xB0 + 32] == hashlib.sha256(data).digest()
    assert read_image(image, "esp32c3").stored_digest == hashlib.sha256(image[:-32]).digest()


def test_an_elf_for_the_other_instruction_set_is_noted() -> None:
    events: list[Any] = []
    data = Elf([Part(".i", 0x40080000, pattern(8))], XTENSA).build()
    convert_elf(data, "esp32c3", notify=events.append)
    assert any("Xtensa code, which ESP32-C3 cannot run" in e.text for e in events)
    events.clear()
    convert_elf(Elf([Part(".i", IRAM, pattern(8))], RISCV).build(), "esp32c3", notify=events.append)
    assert events == []


def test_header_bytes_come_from_the_options() -> None:
    data = Elf([Part(".i", IRAM, pattern(8))], entry=0x40380004).build()
    options = ElfOptions(flash_mode="dio", flash_size="4MB", flash_freq="40m", min_rev_full=101)
    image = read_image(convert_elf(data, "esp32c3", options).data, "esp32c3")
    assert (image.header.flash_mode, image.header.flash_size_freq) == (2, 0x20)
    assert image.header.entry == 0x40380004
    assert image.extended is not None
    assert image.extended.min_rev_full == 101
    assert image.segments[0].file_offset == HEADER_LEN + 16


@pytest.mark.parametrize("options", [{"min_rev": 256}, {"max_rev_full": 65536}])
def test_a_revision_that_does_not_fit_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="is a number from 0 to"):
        convert_elf(SHAPES["rtc"].build(), "esp32c3", ElfOptions(**options))

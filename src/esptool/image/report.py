# SPDX-License-Identifier: Apache-2.0
"""Lays out what `info` found as lines of text. The shapes of the lines are an interface."""

from __future__ import annotations

from collections.abc import Iterator

from esptool import chips
from esptool.events import Level, Message
from esptool.image.app import revision_text
from esptool.image.header import WP_PIN_DISABLED, ExtendedHeader
from esptool.image.info import ImageInfo

Line = Message


def report(info: ImageInfo) -> Iterator[Line]:
    """Headers, segments, footer and descriptions of one image, in the order to show them."""
    for warning in info.image.warnings:
        yield Message(warning, Level.WARNING)
    yield from _header(info)
    if info.image.extended is not None:
        yield from _extended(info, info.image.extended)
    yield from _segments(info)
    if info.image.checksum is not None:
        yield from _footer(info)
        yield from _signatures(info)
        yield from _application(info)
        yield from _bootloader(info)
    yield from _problems(info)


def title(text: str) -> Iterator[Line]:
    """An empty line, the text, and a rule under it."""
    yield Message("")
    yield Message(text)
    yield Message("=" * len(text))


def banner(text: str) -> Iterator[Line]:
    """An empty line, and the text between two rules."""
    yield Message("")
    yield Message("=" * len(text))
    yield Message(text)
    yield Message("=" * len(text))


def _header(info: ImageInfo) -> Iterator[Line]:
    header = info.image.header
    yield from title(f"{info.chip.name} Image Header")
    yield Message(f"Image version: {info.version}")
    if header.entry:
        yield Message(f"Entry point: {header.entry:#8x}")
    else:
        yield Message("Entry point not set")
    yield Message(f"Segments: {_count(info)}")
    size, freq = header.flash_size_freq & 0xF0, header.flash_size_freq & 0x0F
    yield _known("Flash size", info.flash_size, f"Invalid flash size ({size:#02x})")
    yield _known("Flash freq", info.flash_freq, f"Invalid flash frequency ({freq:#02x})")
    mode = None if info.flash_mode is None else info.flash_mode.upper()
    yield _known("Flash mode", mode, f"Invalid flash mode ({header.flash_mode})")


def _count(info: ImageInfo) -> int:
    """As many as were read; of a damaged image, as many as it announces."""
    return info.image.header.segment_count if info.image.fault else len(info.segments)


def _known(label: str, value: str | None, otherwise: str) -> Line:
    return Message(otherwise, Level.WARNING) if value is None else Message(f"{label}: {value}")


def _extended(info: ImageInfo, extended: ExtendedHeader) -> Iterator[Line]:
    yield from title(f"{info.chip.name} Extended Image Header")
    disabled = " (disabled)" if extended.wp_pin == WP_PIN_DISABLED else ""
    yield Message(f"WP pin: {extended.wp_pin:#02x}{disabled}")
    drives = (
        ("clk_drv", extended.clk_drv),
        ("q_drv", extended.q_drv),
        ("d_drv", extended.d_drv),
        ("cs0_drv", extended.cs_drv),
        ("hd_drv", extended.hd_drv),
        ("wp_drv", extended.wp_drv),
    )
    settings = ", ".join(f"{pin}: {value:#02x}" for pin, value in drives)
    yield Message(f"Flash pins drive settings: {settings}")
    owner = chips.by_chip_id(extended.chip_id)
    yield Message(f"Chip ID: {extended.chip_id} ({owner.name if owner else 'Unknown ID'})")
    yield Message(
        f"Minimal chip revision: {revision_text(extended.min_rev_full)}, "
        f"(legacy min_rev = {extended.min_rev})"
    )
    yield Message(f"Maximal chip revision: {revision_text(extended.max_rev_full)}")


def _segments(info: ImageInfo) -> Iterator[Line]:
    yield from title("Segments Information")
    yield Message(
        f"{'Segment':>7}  {'Length':>7}  {'Load addr':>10}  {'File offs':>10}  Memory types"
    )
    yield Message(f"{'-' * 7}  {'-' * 7}  {'-' * 10}  {'-' * 10}  {'-' * 12}")
    for row in info.segments:
        yield Message(
            f"{row.index:7}  {row.length:#07x}  {row.address:#010x}  {row.file_offset:#010x}  "
            f"{', '.join(row.memory_types)}"
        )


def _footer(info: ImageInfo) -> Iterator[Line]:
    image = info.image
    yield from title(f"{info.chip.name} Image Footer")
    verdict = "valid"
    if not info.checksum_valid:
        verdict = f"invalid - calculated {info.calculated_checksum:#04x}"
    yield Message(f"Checksum: {image.checksum:#04x} ({verdict})")
    if image.calculated_digest is not None:
        verdict = "valid" if info.digest_valid else "invalid"
        yield Message(f"Validation hash: {image.calculated_digest.hex()} ({verdict})")


def _signatures(info: ImageInfo) -> Iterator[Line]:
    if not info.signatures:
        return
    yield from title("Secure Boot Signatures")
    for index, block in enumerate(info.signatures):
        state = "" if block.intact else ", damaged (wrong CRC)"
        yield Message(
            f"Signature block {index}: Secure Boot V{block.version}, {block.scheme}, "
            f"at {block.offset:#x}{state}"
        )


def _application(info: ImageInfo) -> Iterator[Line]:
    app = info.app
    if app is None:
        return
    yield from title("Application Information")
    yield Message(f"Project name: {app.project_name}")
    yield Message(f"App version: {app.version}")
    yield Message(f"Compile time: {app.date} {app.time}")
    yield Message(f"ELF file SHA256: {app.elf_sha256.hex()}")
    yield Message(f"ESP-IDF: {app.idf_version}")
    low, high = app.min_efuse_block_revision, app.max_efuse_block_revision
    yield Message(f"Minimal eFuse block revision: {revision_text(low)[1:]}")
    yield Message(f"Maximal eFuse block revision: {revision_text(high)[1:]}")
    if app.mmu_page_size is not None:
        yield Message(f"MMU page size: {app.mmu_page_size // 1024} KB")
    yield Message(f"Secure version: {app.secure_version}")


def _bootloader(info: ImageInfo) -> Iterator[Line]:
    if info.bootloader is None:
        return
    yield from title("Bootloader Information")
    yield Message(f"Bootloader version: {info.bootloader.version}")
    yield Message(f"ESP-IDF: {info.bootloader.idf_version}")
    yield Message(f"Compile time: {info.bootloader.date_time}")


def _problems(info: ImageInfo) -> Iterator[Line]:
    """What is wrong, but for the fault that ended the reading: that is the caller's error."""
    others = [p for p in info.problems if p != info.image.fault]
    if others:
        yield from title("Problems")
        yield from map(Message, others)

# SPDX-License-Identifier: Apache-2.0
"""The sections that hold debug information, each unpacked when it is first asked for."""

from __future__ import annotations

from functools import cached_property

from esptool.monitor.elfdata import ElfData


class Sections:
    """The `.debug_*` sections of a file."""

    def __init__(self, elf: ElfData) -> None:
        self.elf = elf

    @cached_property
    def info(self) -> bytes:
        """Units and what they describe."""
        return self.elf.section(".debug_info")

    @cached_property
    def abbrev(self) -> bytes:
        """Shapes of entries."""
        return self.elf.section(".debug_abbrev")

    @cached_property
    def strings(self) -> bytes:
        """Strings."""
        return self.elf.section(".debug_str")

    @cached_property
    def line_strings(self) -> bytes:
        """Strings of line tables, since DWARF 5."""
        return self.elf.section(".debug_line_str")

    @cached_property
    def string_offsets(self) -> bytes:
        """Places of strings by number, since DWARF 5."""
        return self.elf.section(".debug_str_offsets")

    @cached_property
    def addresses(self) -> bytes:
        """Addresses by number, since DWARF 5."""
        return self.elf.section(".debug_addr")

    @cached_property
    def lines(self) -> bytes:
        """Line tables."""
        return self.elf.section(".debug_line")

    @cached_property
    def ranges(self) -> bytes:
        """Lists of ranges up to DWARF 4."""
        return self.elf.section(".debug_ranges")

    @cached_property
    def range_lists(self) -> bytes:
        """Lists of ranges since DWARF 5."""
        return self.elf.section(".debug_rnglists")

    @cached_property
    def aranges(self) -> bytes:
        """Which unit an address belongs to."""
        return self.elf.section(".debug_aranges")

# SPDX-License-Identifier: Apache-2.0
"""What the tool believes of a chip is what other sources say, or stands below with its reason."""

from __future__ import annotations

from collections import Counter
from fnmatch import fnmatch

from tests.chips.witness import Row
from tests.chips.witnesses import ROOT, rows

#: (chip, fact) -> why the two differ, and who says so.
EXCEPTIONS: dict[tuple[str, str], str] = {
    ("esp32", "uart.date_reg"): "the same register at its AHB address (0x60000000 is UART0 there)",
    ("esp32", "memory_map DIRAM_*"): "soc.h counts the last word of the range, the tool does not",
    ("esp32", "memory_map I*"): "the tool's ranges are those that image segments are named by",
    ("esp32s2", "image mapped to"): "the tool's range includes external RAM (soc.h: EXTRAM_DATA)",
    ("esp32s3", "memory_map *ROM"): "the tool splits flash and external RAM in the middle",
    ("esp32s3", "memory_map EXTRAM_DATA"): "the tool splits flash and external RAM in the middle",
    ("esp32c3", "memory_map BYTE_ACCESSIBLE"): "the first 32 KiB are instruction cache in use",
    ("esp32c2", "memory_map BYTE_ACCESSIBLE"): "the tool's range is C3's; nothing depends on it",
    ("esp32c5", "efuse.timing.*"): "esp-idf keeps the reset values (efuse_hal.c); see efuse.json",
    ("esp32p4", "memory_map ?ROM"): "the tool's range includes the window of external RAM",
    ("esp32p4", "image mapped to"): "the tool's range includes the window of external RAM",
    ("esp32s31", "memory_map ?ROM"): "the tool's range includes the window of external RAM",
    ("esp32s31", "image mapped to"): "the tool's range includes the window of external RAM",
    ("esp32s31", "image.mmu_page_sizes"): "mmu_ll.h knows no 16 KiB pages for flash, Kconfig does",
    ("esp32c5", "efuse.key_purposes*"): "the public name; esp_efuse_chip.h: ECDSA_KEY_P256",
    ("esp32h4", "efuse.key_purposes*"): "public names; esp_efuse_chip.h orders the words otherwise",
    ("esp32s31", "efuse.key_purposes*"): "the public name; esp_efuse_chip.h: ECDSA_KEY_P256",
}


def excepted(row: Row) -> tuple[str, str] | None:
    """The exception that a row falls under."""
    return next((k for k in EXCEPTIONS if row.chip == k[0] and fnmatch(row.name, k[1])), None)


def test_both_witnesses_agree_or_the_difference_has_a_reason() -> None:
    found = list(rows(ROOT / "facts"))
    different = [row for row in found if row.host != row.silicon]
    assert [row for row in different if excepted(row) is None] == []
    unused = set(EXCEPTIONS) - {excepted(row) for row in different}
    assert unused == set(), "these exceptions are about nothing"


def test_what_has_one_source_is_the_same_in_both_files() -> None:
    found = [row for row in rows(ROOT / "facts", believed=True) if row.host != row.silicon]
    assert [row for row in found if excepted(row) is None] == []


def test_every_chip_has_two_witnesses() -> None:
    compared = Counter(row.chip for row in rows(ROOT / "facts"))
    assert sum(compared.values()) > 4500
    # E22 has hardly any second source; ESP8266 has few facts.
    scarce = {chip: count for chip, count in compared.items() if count < 150}
    assert sorted(scarce) == ["esp32e22", "esp8266"]

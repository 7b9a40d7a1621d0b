# SPDX-License-Identifier: Apache-2.0
"""Constants of the chip classes beside those of the public tool."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from esptool import chips
from esptool.chips.spec import ChipSpec
from esptool.targets import constants
from tests.support import oracle

#: Constants that the public tool has wrong; the sources are in `facts/`.
CORRECTED: dict[str, set[str]] = {
    "esp32s2": {"UART_DATE_REG_ADDR"},
    "esp32s3": {"UART_DATE_REG_ADDR"},
    "esp32c2": {"EFUSE_BLOCK1_ADDR"},
    "esp32c5": {"UART_DATE_REG_ADDR"},
    "esp32c6": {"UART_DATE_REG_ADDR"},
    "esp32c61": {"UART_DATE_REG_ADDR", "DROM_MAP_END"},
    "esp32h2": {"UART_DATE_REG_ADDR", "KEY_PURPOSES"},
    "esp32h4": {f"RTC_CNTL_WDT{n}_REG" for n in ("CONFIG0", "CONFIG1", "WPROTECT")},
    "esp32p4": {"UART_CLKDIV_REG"},
    "esp32s31": {"UART_CLKDIV_REG"},
}
_ROM, _RAM = {"DROM_MASK", "IROM_MASK"}, {"DRAM", "IRAM", "BYTE_ACCESSIBLE"}
#: Kinds of ranges that the public tool has wrong.
CORRECTED_RANGES: dict[str, set[str]] = {
    "esp32s2": {"IROM_MASK"},
    "esp32s3": {"IROM_MASK"},
    "esp32c5": _ROM,
    "esp32c6": _ROM,
    "esp32c61": _ROM | _RAM,
    "esp32h2": {*_ROM, *_RAM, "RTC_IRAM", "RTC_DRAM"},
    "esp32h4": _ROM,
    "esp32p4": _RAM,
}


@cache
def theirs() -> dict[str, dict[str, Any]]:
    """The public tool's values of all constants that our chip classes have."""
    names = {key: sorted(constants(chips.get(key))) for key in chips.KEYS}
    driver = Path(__file__).with_name("constants_oracle.py")
    done = subprocess.run(
        [oracle.python(), driver], input=json.dumps(names), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return found


def differences(spec: ChipSpec) -> Iterator[tuple[str, Any, Any]]:
    """(name, ours, theirs) of what differs without being a correction."""
    ours = constants(spec)
    for name, value in theirs()[spec.key].items():
        mine = ours[name]
        if name == "MAGIC_VALUE" and mine is None:
            continue  # a chip that is not told by it inherits ESP32's there
        if name == "MEMORY_MAP":
            wrong = CORRECTED_RANGES.get(spec.key, set())
            mine = [row for row in mine if row[2] not in wrong]
            value = [row for row in value if row[2] not in wrong]
        if name not in CORRECTED.get(spec.key, ()) and _json(mine) != value:
            yield name, mine, value


def _json(value: Any) -> Any:
    return json.loads(json.dumps(value, default=str))


def of(specs: Iterable[ChipSpec]) -> list[tuple[str, str, Any, Any]]:
    """All differences of these chips."""
    return [(spec.key, *row) for spec in specs for row in differences(spec)]

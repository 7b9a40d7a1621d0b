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

#: Constants that the public tool has wrong (see the sources in `facts/`), or gives other names.
CORRECTED: dict[str, set[str]] = {
    "esp32c2": {"EFUSE_BLOCK1_ADDR"},
    "esp32h4": {f"RTC_CNTL_WDT{n}_REG" for n in ("CONFIG0", "CONFIG1", "WPROTECT")},
    "esp32h2": {"KEY_PURPOSES", "MEMORY_MAP"},
    **{
        chip: {"UART_DATE_REG_ADDR", "MEMORY_MAP"}
        for chip in ("esp32s2", "esp32s3", "esp32c5", "esp32c6")
    },
    "esp32p4": {"MEMORY_MAP", "UART_CLKDIV_REG"},
    "esp32s31": {"UART_CLKDIV_REG"},
}
CORRECTED["esp32c61"] = {"UART_DATE_REG_ADDR", "MEMORY_MAP", "DROM_MAP_END"}
CORRECTED["esp32h2"] |= {"UART_DATE_REG_ADDR"}
CORRECTED["esp32h4"] |= {"MEMORY_MAP"}


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
        if name not in CORRECTED.get(spec.key, ()) and _json(mine) != value:
            yield name, mine, value


def _json(value: Any) -> Any:
    return json.loads(json.dumps(value, default=str))


def of(specs: Iterable[ChipSpec]) -> list[tuple[str, str, Any, Any]]:
    """All differences of these chips."""
    return [(spec.key, *row) for spec in specs for row in differences(spec)]

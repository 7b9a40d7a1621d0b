# SPDX-License-Identifier: Apache-2.0
"""Runs in the oracle's environment: how the public tool powers the flash of an ESP32-P4.

Reads JSON lines {revision, words}, writes a JSON line of [address, value] and ["sleep", us] each.
"""

import json
import sys

from esptool.targets import esp32p4

for line in sys.stdin:
    case = json.loads(line)
    words = {int(k): v for k, v in case["words"].items()}
    done = []
    esp = esp32p4.ESP32P4ROM.__new__(esp32p4.ESP32P4ROM)
    esp.secure_download_mode = False
    esp.get_chip_revision = lambda: case["revision"]  # noqa: B023
    esp.read_reg = lambda address, **_: words.get(address, 0)  # noqa: B023

    def write(address, value, **_):
        words[address] = value & 0xFFFFFFFF  # noqa: B023
        done.append([address, words[address]])  # noqa: B023

    esp.write_reg = write
    esp32p4.sleep = lambda s: done.append(["sleep", round(s * 1e6)])  # noqa: B023
    esp.power_on_flash()
    print(json.dumps(done))

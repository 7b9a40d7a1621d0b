# SPDX-License-Identifier: Apache-2.0
"""Runs in the oracle's environment: what the public tool says of chips with given registers.

Reads JSON lines {chip, words} on standard input, writes a JSON line of facts for each.
"""

import json
import sys

from esptool.targets import CHIP_DEFS


class Words(dict):
    def __missing__(self, key):
        return 0


def tell(chip, words):
    cls = CHIP_DEFS[chip]
    esp = cls.__new__(cls)
    table = Words({int(k): v for k, v in words.items()})
    esp.read_reg = lambda addr, timeout=3: table[addr]
    esp.secure_download_mode = False
    esp.cache = {"flash_id": None, "uart_no": None, "usb_pid": None, "security_info": None}
    out = {}

    def ask(name, fn):
        try:
            value = fn()
            out[name] = list(value) if isinstance(value, (list, tuple)) else value
        except Exception as e:
            out[name] = f"error {type(e).__name__}"

    ask("description", esp.get_chip_description)
    ask("features", esp.get_chip_features)
    ask("revision", esp.get_chip_revision)
    ask("mac", lambda: bytes(esp.read_mac("BASE_MAC")).hex())
    ask("secure_boot", lambda: bool(esp.get_secure_boot_enabled()))
    ask("encryption", lambda: bool(esp.get_flash_encryption_enabled()))
    if chip == "esp32":
        ask("crypt_config", esp.get_flash_crypt_config)
    ask("manual_off", lambda: bool(esp.get_encrypted_download_disabled()))
    ask("key_valid", lambda: bool(esp.is_flash_encryption_key_valid()))
    return out


for line in sys.stdin:
    case = json.loads(line)
    print(json.dumps(tell(case["chip"], case["words"])), flush=True)

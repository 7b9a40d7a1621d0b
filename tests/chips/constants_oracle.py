# SPDX-License-Identifier: Apache-2.0
"""Runs in the oracle's environment: class attributes of the public tool's chips.

Reads JSON {chip: [names]} on standard input, writes JSON {chip: {name: value}}; what a class lacks
or cannot be written as JSON is left out.
"""

import json
import sys

from esptool.targets import CHIP_DEFS

out = {}
for chip, names in json.load(sys.stdin).items():
    values = {}
    for name in names:
        value = getattr(CHIP_DEFS[chip], name, None)
        try:
            values[name] = json.loads(json.dumps(value))
        except TypeError:
            continue
    out[chip] = {name: value for name, value in values.items() if value is not None}
json.dump(out, sys.stdout)

# SPDX-License-Identifier: Apache-2.0
"""The same as `client_public` through our own functions.

PYTHON -m bench.lib.client_ours URL BAUD FILE stub|rom [write|read:SIZE|erase]...
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from esptool import ops
from esptool.device import connect


def main() -> None:
    """Do the jobs and print their seconds."""
    url, baud, path, side, *jobs = sys.argv[1:]
    data = Path(path).read_bytes()
    figures = {}
    with connect(url, before="no-reset", warnings=False) as session:
        if side == "stub":
            session.run_stub()
        if int(baud) != 115200:
            session.power.change_baud(int(baud))
        ops.attach_flash(session)
        for job in jobs:
            name, _, size = job.partition(":")
            start = time.monotonic()
            if name == "write":
                ops.write_flash(session, [ops.Region(0x10000, data)])
            elif name == "erase":
                ops.erase_flash(session)
            else:
                found = ops.read_flash(session, 0x10000, int(size))
                assert found == data[: int(size)]
            figures[f"{name}_s"] = time.monotonic() - start
    print(json.dumps(figures))


if __name__ == "__main__":
    main()

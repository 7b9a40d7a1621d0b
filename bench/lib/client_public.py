# SPDX-License-Identifier: Apache-2.0
"""Drives the public tool through its documented functions, in its own environment, and times it.

    PYTHON client_public.py URL BAUD FILE stub|rom [write|read:SIZE|erase]...

Prints one JSON object: the seconds of each job, with the file's content.
"""

import contextlib
import io
import json
import sys
import time

from esptool.cmds import (
    attach_flash,
    detect_chip,
    erase_flash,
    read_flash,
    run_stub,
    write_flash,
)


def main() -> None:
    url, baud, path, side, *jobs = sys.argv[1:]
    with open(path, "rb") as file:
        data = file.read()
    figures = {}
    with contextlib.redirect_stdout(io.StringIO()):
        esp = detect_chip(url, connect_mode="no-reset")
        if side == "stub":
            esp = run_stub(esp)
        if int(baud) != 115200:
            esp.change_baud(int(baud))
        attach_flash(esp)
        for job in jobs:
            name, _, size = job.partition(":")
            start = time.monotonic()
            if name == "write":
                write_flash(esp, [(0x10000, data)], no_progress=True)
            elif name == "erase":
                erase_flash(esp)
            else:
                found = read_flash(esp, 0x10000, int(size), no_progress=True)
                assert found == data[: int(size)]
            figures[f"{name}_s"] = time.monotonic() - start
    print(json.dumps(figures))


if __name__ == "__main__":
    main()

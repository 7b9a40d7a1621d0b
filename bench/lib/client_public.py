# SPDX-License-Identifier: Apache-2.0
"""Drives the public tool through its documented functions, in its own environment, and times it.

    PYTHON client_public.py URL BAUD FILE [read]

Prints one JSON object: seconds of `write_flash` and of `read_flash` for the file's content.
"""

import contextlib
import io
import json
import sys
import time

from esptool.cmds import attach_flash, detect_chip, read_flash, run_stub, write_flash


def main() -> None:
    url, baud, path, *rest = sys.argv[1:]
    with open(path, "rb") as file:
        data = file.read()
    figures = {}
    with contextlib.redirect_stdout(io.StringIO()):
        esp = detect_chip(url, connect_mode="no-reset")
        esp = run_stub(esp)
        if int(baud) != 115200:
            esp.change_baud(int(baud))
        attach_flash(esp)
        start = time.monotonic()
        write_flash(esp, [(0x10000, data)], no_progress=True)
        figures["write_s"] = time.monotonic() - start
        if rest:
            start = time.monotonic()
            found = read_flash(esp, 0x10000, len(data), no_progress=True)
            figures["read_s"] = time.monotonic() - start
            assert found == data
    print(json.dumps(figures))


if __name__ == "__main__":
    main()

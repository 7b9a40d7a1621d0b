# SPDX-License-Identifier: Apache-2.0
"""One command line of a tool, timed from opening the port to its end. Runs in either environment.

    PYTHON client_loop.py ARGUMENTS...

Prints one JSON object: the seconds, and the last line of what the tool said where it failed.
"""

import contextlib
import io
import json
import sys
import time

import serial


def main() -> None:
    opened = []
    real = serial.serial_for_url

    def spy(*args, **kwargs):  # type: ignore[no-untyped-def]
        opened.append(time.monotonic())
        return real(*args, **kwargs)

    serial.serial_for_url = spy
    import esptool

    said = io.StringIO()
    row: dict[str, object] = {}
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            esptool.main(sys.argv[1:])
    except (Exception, SystemExit) as e:
        row["error"] = str(e) or said.getvalue().strip().splitlines()[-1]
    row["session_s"] = time.monotonic() - (opened[0] if opened else time.monotonic())
    print(json.dumps(row))


if __name__ == "__main__":
    main()

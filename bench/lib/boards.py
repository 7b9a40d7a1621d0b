# SPDX-License-Identifier: Apache-2.0
"""Serves virtual boards from a process of their own until its standard input ends.

    python -m bench.lib.boards CHIP?SETTINGS NUMBER...

Prints the address of each board, whose MAC address ends in its number.
"""

from __future__ import annotations

import sys

from esptool.virtual.options import parse_url
from esptool.virtual.server import Rfc2217Server


def main() -> None:
    chip, *numbers = sys.argv[1:]
    servers = []
    for number in map(int, numbers):
        mac = f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}"
        servers.append(Rfc2217Server(parse_url(f"virtual://{chip}&mac={mac}")))
    threads = [server.start() for server in servers]
    print(" ".join(server.url for server in servers), flush=True)
    sys.stdin.read()
    for server in servers:
        server.stop()
    for thread in threads:
        thread.join(5)


if __name__ == "__main__":
    main()

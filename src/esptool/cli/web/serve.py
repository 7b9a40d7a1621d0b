# SPDX-License-Identifier: Apache-2.0
"""`esptool web serve`."""

from __future__ import annotations

import signal
import threading

import click

from esptool.cli.common import Command
from esptool.cli.ending import stopping_signals
from esptool.cli.params import IntRange


def _run(folder: str, port: int) -> None:
    from esptool.logger import log
    from esptool.web.serve import Server

    server = Server(folder, port)
    stopped = threading.Event()
    for number in stopping_signals():
        signal.signal(number, lambda *_: stopped.set())
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        log.print(f"Open {server.url} in Chrome, Edge or Opera. Ctrl+C ends it.")
        while not stopped.wait(1):
            pass
    finally:
        server.shutdown()
        server.server_close()


command = Command(
    "serve",
    callback=_run,
    help="Show the page in FOLDER, made by 'web build', on this computer and no other.",
    params=[
        click.Argument(["folder"], type=click.Path(exists=True, file_okay=False)),
        click.Option(
            ["--port"],
            type=IntRange(0, 65535),
            default=8017,
            show_default=True,
            help="TCP port; 0 takes any that is free.",
        ),
    ],
)

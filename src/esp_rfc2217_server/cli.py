# SPDX-License-Identifier: Apache-2.0
"""The command line of `esp_rfc2217_server`."""

from __future__ import annotations

import logging
import signal
import sys
from types import FrameType

import click

from esp_rfc2217_server.server import Bridge
from esptool._version import __version__
from esptool.cli.common import Command, call
from esptool.cli.ending import stopping_signals
from esptool.cli.params import IntRange, Port
from esptool.logger import log
from esptool.serving import LOOPBACK

PROG = "esp_rfc2217_server"
LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG, logging.NOTSET)
R0_EXTRA_DELAY_S = 0.5


def _serve(serialport: str, localport: int, bind: str, verbose: int, r0: bool) -> None:
    logging.basicConfig(level=LEVELS[min(verbose, len(LEVELS) - 1)])
    logging.getLogger("rfc2217").setLevel(LEVELS[min(verbose, len(LEVELS) - 1)])
    bridge = Bridge(serialport, bind, localport, R0_EXTRA_DELAY_S if r0 else 0.0)

    def stop(_number: int, _frame: FrameType | None) -> None:
        bridge.stop()

    signals = stopping_signals()
    before = [signal.signal(number, stop) for number in signals]
    try:
        where = bridge.endpoint
        log.print(f"{PROG} v{__version__}")
        log.print(f"Serving {serialport} on {where}. End with Ctrl-C.")
        log.print(f"Client: --port 'rfc2217://{where}?ign_set_control'", flush=True)
        bridge.serve()
        log.print("Ended.")
    finally:
        bridge.close()
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)


command = Command(
    PROG,
    callback=_serve,
    help="Lend a serial port to programs on other machines (RFC 2217). The timing of resets is "
    "kept here, so that slow links do not spoil it. Clients are served one after the other. "
    "Nothing is encrypted: whoever can connect controls the board.",
    params=[
        click.Argument(["serialport"], type=Port()),
        click.Option(
            ["--localport", "-p"],
            type=IntRange(0, 65535),
            default=2217,
            help="TCP port to listen on; 0 takes a free one.",
        ),
        click.Option(
            ["--bind"],
            default=LOOPBACK,
            metavar="ADDRESS",
            help="Address to listen on, in full; 0.0.0.0 lets other machines in.",
        ),
        click.Option(
            ["--verbose", "-v"], count=True, default=0, help="Log more; may be given thrice."
        ),
        click.Option(
            ["--r0"],
            is_flag=True,
            help="Hold the boot strap longer, for old ESP32 boards that miss it.",
        ),
    ],
)


def main(argv: list[str] | None = None) -> None:
    """See `esp_rfc2217_server.main`."""
    call(command, sys.argv[1:] if argv is None else argv, PROG)

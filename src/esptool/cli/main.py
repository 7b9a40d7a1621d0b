# SPDX-License-Identifier: Apache-2.0
"""The `esptool` program: its commands, and the options that stand in front of them."""

from __future__ import annotations

from functools import partial
from typing import Any

import click
from click.core import ParameterSource

from esptool._version import __version__
from esptool.chips import KEYS
from esptool.cli import common
from esptool.cli.baud import Baud
from esptool.cli.common import LATE, OUTPUT_OPTIONS, Entry, Group
from esptool.cli.help import Sectioned
from esptool.cli.params import Chip, OldSpellingChoice, Port
from esptool.cli.state import Globals
from esptool.cli.words import EatAll
from esptool.errors import UsageError
from esptool.logger import log

PROG = "esptool"
BASIC = "Basic commands"
ADVANCED = "Advanced commands"


def _entry(
    module: str, text: str, section: str = BASIC, hidden: bool = False, needs: str = ""
) -> Entry:
    return Entry(f"esptool.cli.{module}:command", text, section, hidden, needs)


ENTRIES = {
    "flash": _entry("flash", "Flash what a build leaves behind."),
    "write-flash": _entry("write_flash", "Write files to flash and verify them."),
    "read-flash": _entry("read_flash", "Read flash into a file."),
    "erase-flash": _entry("erase_flash", "Erase the whole flash."),
    "erase-region": _entry("erase_region", "Erase a region of flash."),
    "read-mac": _entry("read_mac", "Show the MAC address."),
    "flash-id": _entry("flash_id", "Show what flash is fitted."),
    "monitor": _entry("monitor", "Show what the chip says; explain addresses and failures."),
    "coredump": _entry("coredump", "Tell why and where a program failed, of its core dump."),
    "elf2image": _entry("elf2image", "Make a firmware image of an ELF file."),
    "image-info": _entry("image_info", "Tell what is in a firmware image."),
    "merge-bin": _entry("merge_bin", "Join several files into one to flash."),
    "bundle": _entry("bundle", "Put a build into one file to flash."),
    "partitions": _entry("partitions", "Show the partitions and what is in them."),
    "ota": _entry("ota", "Show or choose which application boots; write the next."),
    "nvs": _entry("nvs", "Read, change and build NVS, the key-value storage."),
    "fs": _entry("fs", "Read, change and build LittleFS, FAT and SPIFFS."),
    "ports": _entry("ports", "Show the serial ports, and the boards behind them."),
    "web": _entry("web", "Make and show this tool as a web page."),
    "doctor": _entry("doctor", "Find out why a board does not connect, and what to do."),
    "version": _entry("version", "Show the version."),
    "verify-flash": _entry("verify_flash", "Compare flash with files.", ADVANCED),
    "load-ram": _entry("load_ram", "Send an image into RAM and run it.", ADVANCED),
    "dump-mem": _entry("dump_mem", "Read memory into a file.", ADVANCED),
    "read-mem": _entry("read_mem", "Read a word of memory.", ADVANCED),
    "write-mem": _entry("write_mem", "Write a word of memory.", ADVANCED),
    "read-flash-status": _entry("read_flash_status", "Read the flash's status.", ADVANCED),
    "write-flash-status": _entry("write_flash_status", "Write the flash's status.", ADVANCED),
    "read-flash-sfdp": _entry("read_flash_sfdp", "Read the flash's SFDP tables.", ADVANCED),
    "get-security-info": _entry("get_security_info", "Show the state of security.", ADVANCED),
    "verify-sdc-certificate": _entry(
        "verify_sdc_certificate", "Have a debug certificate judged.", ADVANCED, needs="sdc"
    ),
    "read-sdc-chip-info": _entry(
        "read_sdc_chip_info", "Read chip info for a debug certificate.", ADVANCED, needs="sdc"
    ),
    "chip-id": _entry("chip_id", "Show the chip id, or the MAC address.", ADVANCED),
    "run": _entry("run", "Start the application in flash.", ADVANCED),
    "read-nand-spare": _entry("read_nand_spare", "Read a NAND page's spare.", ADVANCED, True),
    "write-nand-spare": _entry("write_nand_spare", "Mark a NAND block.", ADVANCED, True),
    "dump-bbm": _entry("dump_bbm", "Read all NAND bad-block marks.", ADVANCED, True),
}

#: Old option names that are more than another spelling.
RENAMED = {
    "--ignore_flash_encryption_efuse_setting": "--ignore-flash-enc-efuse",
    "--ignore-flash-encryption-efuse-setting": "--ignore-flash-enc-efuse",
    "--fill-flash-size": "--pad-to-size",
    "--no-diff-verify": "--trust-flash-content",
}

PORT_OPTIONS = "Which chip, on which port"
RESET_OPTIONS = "How to reach it, and how to leave it"

OPTIONS: list[click.Parameter] = [
    Sectioned(
        ["--chip", "-c"],
        type=Chip(("auto", *KEYS)),
        default="auto",
        envvar="ESPTOOL_CHIP",
        section=PORT_OPTIONS,
        help="The chip expected.",
    ),
    Sectioned(
        ["--port", "-p"],
        type=Port(),
        envvar="ESPTOOL_PORT",
        section=PORT_OPTIONS,
        help="Serial port, or a URL such as rfc2217://HOST:PORT or virtual://esp32s3. "
        "Without it, all ports are tried.",
    ),
    Sectioned(
        ["--baud", "-b"],
        type=Baud(),
        default=115200,
        envvar="ESPTOOL_BAUD",
        section=PORT_OPTIONS,
        help="Speed of the link in bits a second, or 'auto' for the best that the line bears.",
    ),
    EatAll(
        ["--port-filter"],
        section=PORT_OPTIONS,
        help="Which ports to try: vid=NUMBER, pid=NUMBER, name=TEXT, serial=TEXT. "
        "Several may follow.",
    ),
    Sectioned(
        ["--serial"],
        metavar="NUMBER",
        envvar="ESPTOOL_SERIAL",
        section=PORT_OPTIONS,
        help="The board whose USB device has this serial number, in place of --port.",
    ),
    Sectioned(
        ["--mac"],
        envvar="ESPTOOL_MAC",
        section=PORT_OPTIONS,
        help="The board with this MAC address. Without --port, boards behind bridges are asked "
        "for it, which resets them; with it, another board is refused.",
    ),
    Sectioned(
        ["--before"],
        type=OldSpellingChoice(
            ["default-reset", "usb-reset", "no-reset", "no-reset-no-sync", "attach"]
        ),
        default="default-reset",
        envvar="ESPTOOL_BEFORE",
        section=RESET_OPTIONS,
        help="How to bring the chip into download mode; 'attach', over a debugger only, pauses its "
        "program and lets it go on at the end.",
    ),
    Sectioned(
        ["--after", "-a"],
        type=OldSpellingChoice(
            ["hard-reset", "soft-reset", "no-reset", "no-reset-stub", "watchdog-reset"]
        ),
        default="hard-reset",
        envvar="ESPTOOL_AFTER",
        section=RESET_OPTIONS,
        help="What to do with the chip at the end.",
    ),
    Sectioned(
        ["--no-stub"],
        is_flag=True,
        section=RESET_OPTIONS,
        help="Work with the ROM loader alone: slower, and without some commands.",
    ),
    click.Option(
        ["--stub-version"],
        type=click.Choice(["1", "2"]),
        envvar="ESPTOOL_STUB_VERSION",
        hidden=True,
    ),
    Sectioned(
        ["--connect-attempts"],
        type=click.INT,
        default=7,
        envvar="ESPTOOL_CONNECT_ATTEMPTS",
        section=RESET_OPTIONS,
        help="How often to try to connect; 0 or less is for ever.",
    ),
    Sectioned(
        ["--override-vddsdio"],
        type=click.Choice(["1.8V", "1.9V", "OFF"]),
        section=RESET_OPTIONS,
        help="ESP32: override the voltage of the flash. Wrong values can destroy it.",
    ),
    Sectioned(["--trace", "-t"], is_flag=True, section=OUTPUT_OPTIONS, help="Show the traffic."),
    Sectioned(
        ["--verbose", "-v"],
        is_flag=True,
        section=OUTPUT_OPTIONS,
        help="Show all messages, and leave all on the screen.",
    ),
    Sectioned(["--silent", "-s"], is_flag=True, section=OUTPUT_OPTIONS, help="Show errors only."),
    *common.machine_options(),
]


@click.pass_context
def _begin(ctx: click.Context, /, **options: Any) -> None:
    """Settle what to show, before the command runs."""
    if options["verbose"] and options["silent"]:
        raise UsageError("Cannot use both --verbose and --silent options at the same time.")
    if options["trace"] and options["silent"]:
        raise UsageError("Cannot use both --trace and --silent options at the same time.")
    alone = bool(ctx.meta.get("alone"))
    as_json = options.pop("as_json") | options.pop("as_events")
    if options["trace"] and as_json:
        raise UsageError("Cannot use --trace with --json or --events: the traffic is not JSON.")
    if options["verbose"] or options["trace"] or options["silent"] or alone:
        before = getattr(log, "_verbosity", "auto")
        log.set_verbosity("silent" if options["silent"] or alone else "verbose")
        # A program that runs a command line goes on as it was.
        ctx.call_on_close(lambda: log.set_verbosity(before))
    shown: list[Any] = [partial(log.print, f"{PROG} v{__version__}")]
    from esptool import config

    if ctx.get_parameter_source("baud") is ParameterSource.DEFAULT:
        options["baud"] = config.load_baud(options["baud"])
    esp = (ctx.obj or {}).get("esp")
    ctx.obj = Globals(options, ctx.invoked_subcommand or "", esp)
    shown.append(partial(config.announce, warnings_only=alone))
    if ctx.meta.get("dash"):  # Standard output may carry data: the command knows.
        ctx.meta[LATE] = shown
        return
    for show in shown:
        show()


cli = Group(
    PROG,
    entries=ENTRIES,
    renamed=RENAMED,
    params=OPTIONS,
    callback=_begin,
    no_args_is_help=True,
    help=f"{PROG} v{__version__}: flash, inspect and provision Espressif chips over a serial "
    "link.\n\nEach command has its own help: 'esptool COMMAND -h'. Words of the form @FILE are "
    "replaced by what the file holds; '-' is standard input or output in place of a file.",
)

# SPDX-License-Identifier: Apache-2.0
"""`esp_virtual_chip`: serves a virtual chip to any program, by terminal, socket or RFC 2217."""

from __future__ import annotations

import signal
import sys
from typing import Any

import click

from esptool.cli.common import call
from esptool.cli.ending import stopping_signals

PROG = "esp_virtual_chip"
_EXAMPLE = "for instance flash=8MB, part=W25Q64JV, state=board.bin, timing=real, fault=lose:1e-5"


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("chip", required=False)
@click.argument("settings", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--pty", is_flag=True, help="Serve on a new pseudo-terminal.")
@click.option("--tcp", metavar="HOST:PORT", help="Serve raw bytes, for socket:// clients.")
@click.option("--rfc2217", metavar="HOST:PORT", help="Serve bytes and reset lines, for rfc2217://.")
@click.option("--gdb", metavar="HOST:PORT", help="Serve debuggers: gdb, or gdb:// clients.")
@click.option(
    "--missing",
    is_flag=True,
    help="With rom=FILE: name at the end the registers that the ROM touched and that are only "
    "storage here.",
)
@click.option("--list", "show", is_flag=True, help="List chips, flash parts and settings.")
def command(
    chip: str | None,
    settings: tuple[str, ...],
    pty: bool,
    tcp: str | None,
    rfc2217: str | None,
    gdb: str | None,
    missing: bool,
    show: bool,
) -> None:
    """Serve a virtual CHIP (or a whole virtual:// URL) until interrupted.

    The settings are those of a virtual:// URL.
    """
    if show:
        _list()
        return
    if chip is None:
        raise click.UsageError("Name a chip, or ask for --list.")
    if pty + sum(way is not None for way in (tcp, rfc2217, gdb)) != 1:
        raise click.UsageError("Choose one of --pty, --tcp, --rfc2217 and --gdb.")
    options = _options(chip, settings)
    if missing and options.rom is None:
        raise click.UsageError("--missing is about a chip's own ROM: add rom=FILE or rom=auto.")
    from esptool.serving import parse_endpoint
    from esptool.virtual import server as kinds

    server: kinds.Server
    if pty:
        server = kinds.PtyServer(options)
    elif tcp is not None:
        server = kinds.TcpServer(options, *parse_endpoint(tcp))
    elif gdb is not None:
        from esptool.virtual.gdb_server import GdbServer

        server = GdbServer(options, *parse_endpoint(gdb))
    else:
        assert rfc2217 is not None
        server = kinds.Rfc2217Server(options, *parse_endpoint(rfc2217))
    _serve(server)
    if missing:
        _missing(server.board)


def _options(chip: str, settings: tuple[str, ...]) -> Any:
    from esptool.errors import UsageError
    from esptool.virtual.options import parse_url, set_option

    options = parse_url(chip if "://" in chip else f"virtual://{chip}")
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise UsageError(f"'{setting}' is not a setting: write KEY=VALUE, {_EXAMPLE}.")
        set_option(options, key, value)
    return options


def _serve(server: Any) -> None:
    from esptool.virtual import ramcode

    chip, part = server.board.silicon, server.board.nor.part
    click.echo(f"{chip.name} with {part.vendor} {part.name} ({part.size >> 10} KB) on {server.url}")
    if (warning := ramcode.warning(server.board.options)) is not None:
        click.echo(f"Note: {warning}", err=True)
    click.echo("Press Ctrl-C to stop.")
    for number in stopping_signals():
        signal.signal(number, lambda *_: server.stop())
    try:
        server.serve()
    finally:
        server.close()
    if server.ended:
        click.echo(f"Ended: {server.ended}.")
    if report := server.board.report():
        click.echo(report)


def _missing(board: Any) -> None:
    from esptool.virtual.genuine.report import missing

    rows = missing(board.soc.machine)
    click.echo("Registers that are only storage here:" if rows else "No register was missed.")
    for row in rows:
        click.echo(f"  {row}")


def _list() -> None:
    from esptool import chips
    from esptool.virtual import faults, nand_parts, options, parts

    click.echo("Chips:")
    for key in chips.KEYS:
        click.echo(f"  {key:10} {chips.get(key).name}")
    click.echo("\nFlash parts (part=NAME, or flash=SIZE for a common one):")
    for part in parts.PARTS:
        click.echo(
            f"  {part.name:12} {part.vendor:11} id {part.jedec.hex(' ')}  {part.size >> 10:6} KB"
        )
    click.echo("\nNAND flash parts (nand=NAME):")
    for nand in nand_parts.PARTS.values():
        click.echo(
            f"  {nand.name:15} id {nand.id.hex(' '):8}  {nand.size >> 10:6} KB, "
            f"pages of {nand.page}+{nand.spare}"
        )
    click.echo(f"\nSettings: {', '.join(options.names())}")
    click.echo(f"Faults (fault=...): {faults.SYNTAX}")


def main() -> None:
    """Entry point of the console script."""
    from esptool.cli.ending import run as end_with

    end_with(run)


def run(argv: list[str] | None = None) -> None:
    """Run the command line.

    Raises:
        FatalError: the chip or a setting does not exist, or the address is taken.
        SystemExit: with code 2, the command line is wrong.
    """
    call(command, sys.argv[1:] if argv is None else argv, PROG)


if __name__ == "__main__":
    main()

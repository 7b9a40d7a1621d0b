# SPDX-License-Identifier: Apache-2.0
"""`esptool monitor`, and `--monitor` of commands after which a program runs."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from esptool.cli import machine, stdio
from esptool.cli.common import Command
from esptool.cli.help import Sectioned
from esptool.cli.monitor.settings import MONITOR_BAUD
from esptool.cli.monitor.settings import Settings as Settings
from esptool.cli.params import FiniteRange, IntRange, OutputFile, ReadableFile
from esptool.cli.state import Globals
from esptool.device.connect import DEBUGGERS
from esptool.errors import UsageError

if TYPE_CHECKING:
    from esptool.transport.port import Port

SECTION = "Monitor"
_WAITING = "What to wait for, without a person"
_STEPS = {"--send": "send", "--expect": "expect"}


def run_monitor(
    port: Port,
    settings: Settings,
    *,
    flash_again: Callable[[], None] | None = None,
    restart: Callable[[], None] | None = None,
) -> None:
    """Show what the chip says and send what is typed, until the user, the script or time ends it.

    The port is closed afterwards. Nothing is reset unless `settings.reset` says so.

    Args:
        port: open, at whatever rate.
        settings: see `Settings`.
        flash_again: writes the flash over a port that it opens itself; for Ctrl-T Ctrl-F.
        restart: resets the chip, where that is not done by the port's lines.

    Raises:
        FatalError: something that was expected did not come, or the program failed meanwhile.
    """
    from esptool.cli.monitor import run

    run.run_monitor(port, settings, flash_again=flash_again, restart=restart)


def check(settings: Settings) -> None:
    """Read and judge all that the settings name, before a chip is asked for anything.

    Raises:
        FatalError: a file cannot be read; a pattern or filter is none.
    """
    from esptool.cli.monitor import run

    run.check(settings)


class _Path(click.Path):
    name = "path"


def monitor_options() -> list[click.Option]:
    """--monitor and what belongs to it, for commands after which a program runs."""
    return [
        Sectioned(
            ["--monitor"],
            is_flag=True,
            section=SECTION,
            help="Afterwards show what the chip says, as 'esptool monitor' does.",
        ),
        *_shared(SECTION, SECTION),
    ]


def _shared(section: str, waiting: str) -> list[click.Option]:
    return [
        Sectioned(
            ["--elf"],
            type=_Path(exists=True),
            multiple=True,
            section=section,
            help="ELF file of the program, to name functions and lines; or a folder in which it is "
            "found by what the program says of itself. May be given several times.",
        ),
        Sectioned(
            ["--monitor-baud"],
            type=IntRange(1, 100_000_000),
            default=MONITOR_BAUD,
            envvar="ESPTOOL_MONITOR_BAUD",
            section=section,
            help="Rate of the program's console.",
        ),
        Sectioned(
            ["--expect"],
            multiple=True,
            metavar="REGEX",
            section=waiting,
            help="End once a line matches; exit code 2 where none does in time, or the program "
            "fails before. Several are awaited in their order.",
        ),
        Sectioned(
            ["--timeout"],
            type=FiniteRange(0, 1e7),
            metavar="SECONDS",
            section=waiting,
            help="End the monitor after so long.",
        ),
    ]


def taken(values: MutableMapping[str, Any]) -> Settings | None:
    """Takes the values of `monitor_options` out of `values`; None where no monitor is wanted.

    What the options name is looked at now, before anything is done to the chip.

    Raises:
        FatalError: a file cannot be read, a pattern is none, or --monitor is missing.
    """
    wanted = values.pop("monitor")
    settings = Settings(
        baud=values.pop("monitor_baud"),
        elf=tuple(values.pop("elf")),
        script=tuple(("expect", text) for text in values.pop("expect")),
        timeout_s=values.pop("timeout"),
    )
    if not wanted:
        if settings.script or settings.elf or settings.timeout_s is not None:
            raise UsageError("Options --elf, --expect and --timeout need --monitor.")
        return None
    check(settings)
    return settings


def run_afterwards(
    state: Globals, settings: Settings | None, *, flash_again: Callable[[], None] | None = None
) -> None:
    """The monitor on the port that `state.chip_session` has left open; None does nothing.

    The session must have been told to leave it open, by `state.keep_port = settings is not None`.

    Raises:
        FatalError: see `run_monitor`.
    """
    port, state.port_left = state.port_left, None
    if settings is not None and port is not None:
        run_monitor(port, settings, flash_again=flash_again)


# --- the command -----------------------------------------------------------------------------


class _Ordered(Command):
    """Remembers in which order --send and --expect stand: this is the order of the steps."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        steps = []
        words = iter(args)
        for word in words:
            if word == "--":
                break
            name, sep, value = word.partition("=")
            if name in _STEPS:
                steps.append((_STEPS[name], value if sep else next(words, "")))
        ctx.meta["esptool.steps"] = tuple(steps)
        return super().parse_args(ctx, args)


@click.pass_context
def _run(ctx: click.Context, /, port: str | None, **values: Any) -> None:
    state: Globals = ctx.obj
    options = state.options
    root = ctx.find_root()
    baud = values["monitor_baud"]
    if stdio.is_output(values["log"]):
        raise UsageError(
            "What is shown goes to standard output without --log.", remedy="Name a file for it."
        )
    chosen = root.get_parameter_source("baud") is ParameterSource.COMMANDLINE
    # "auto" finds what a line bears: the rate of a console is the program's.
    if chosen and isinstance(options["baud"], int):
        baud = options["baud"]
    settings = Settings(
        baud=baud,
        elf=tuple(values["elf"]),
        rom_elf=tuple(values["rom_elf"]),
        script=ctx.meta["esptool.steps"],
        timeout_s=values["timeout"],
        log=values["log"],
        timestamps=values["timestamps"],
        filters=tuple(values["filter"]),
        reset=values["reset"],
        ending=values["eol"],
        keys=not values["no_keys"],
    )
    check(settings)
    opened, restart = _opened(state, port, baud)
    if (run := machine.active()) is not None:
        # There may be no end to wait for: a record a line, with --json as with --events.
        run.events = True
    run_monitor(opened, settings, restart=restart)


def _opened(state: Globals, name: str | None, baud: int) -> tuple[Port, Callable[[], None] | None]:
    """The port, and what resets the chip where its lines do not."""
    from esptool.transport import discovery
    from esptool.transport.ports import open_port

    options = state.options
    if name is None and (options.get("serial") or options.get("mac")):
        from esptool.cli.connection import chosen_port

        name = chosen_port(options)
    name = name or options["port"]
    if name is None:
        wanted = discovery.parse_port_filters(options["port_filter"] or ())
        found = discovery.list_ports(wanted)
        if not found:
            raise UsageError(
                "There is no serial port.", remedy="Plug the board in, or name a port."
            )
        likely = [p for p in found if p.vid is not None] or found
        if len(likely) > 1:
            names = ", ".join(p.device for p in likely)
            raise UsageError(
                f"There are several ports: {names}.", remedy="Name one: esptool monitor PORT."
            )
        name = likely[0].device
    if name.startswith(DEBUGGERS):
        from esptool import chips
        from esptool.device.console import open_console
        from esptool.faces.base import print_trace

        chip = None if options["chip"] == "auto" else chips.get(options["chip"])
        console = open_console(name, chip, print_trace if options["trace"] else None)
        return console, console.restart
    return open_port(name, baud, attempts=state.open_port_attempts, keep_all=True), None


command = _Ordered(
    "monitor",
    callback=_run,
    help="Show what the chip says and send what is typed. Addresses, backtraces and failures are "
    "explained. Ctrl-] leaves, Ctrl-T Ctrl-H shows the keys. The chip is not reset. "
    "With --json, each line is a record of its own.",
    params=[
        click.Argument(["port"], required=False),
        *_shared("Options", _WAITING),
        Sectioned(
            ["--send"],
            multiple=True,
            metavar="TEXT",
            section=_WAITING,
            help="Send a text and what Enter sends, in its order with --expect.",
        ),
        click.Option(
            ["--rom-elf"],
            type=ReadableFile(),
            multiple=True,
            help="ELF file of the chip's ROM, to name functions in it.",
        ),
        click.Option(
            ["--log"],
            type=OutputFile(),
            help="Write all that comes here, too, also what --filter hides.",
        ),
        click.Option(["--timestamps"], is_flag=True, help="Show the time in front of each line."),
        click.Option(
            ["--filter"],
            multiple=True,
            metavar="TAG:LEVEL",
            help="Show lines of this tag up to this level: N (none), E, W, I, D or V. '*' is all "
            "other tags. May be given several times.",
        ),
        click.Option(
            ["--reset"], is_flag=True, help="Reset the chip first; it is left alone otherwise."
        ),
        click.Option(
            ["--eol"],
            type=click.Choice(["CR", "LF", "CRLF"], case_sensitive=False),
            default="CR",
            help="What Enter sends.",
        ),
        click.Option(["--no-keys"], is_flag=True, help="Do not read standard input."),
    ],
)

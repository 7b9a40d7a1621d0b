# SPDX-License-Identifier: Apache-2.0
"""The group behind `espefuse`: its options, several commands in one run, and what errors become.

All commands are parsed before the chip is asked for anything, so that a typing mistake in the
last one burns nothing. More than one burn command makes one burn at the end, after which the
reading commands run again.
"""

from __future__ import annotations

import sys
from typing import Any

import click

from espefuse import output, schema
from espefuse._index import CHIP_ALIASES
from espefuse.cli.commands import CONTEXT, make_all, resolve_pairs
from espefuse.cli.types import ChipType, ModeChoice
from espefuse.efuse_interface import SUPPORTED_CHIPS, init_commands
from espefuse.efuses import AbortedError
from esptool._version import __version__
from esptool.cli.help import HelpMixin
from esptool.errors import FatalError

BURN_ORDER = (
    "read-protect-efuse",
    "write-protect-efuse",
    "burn-efuse",
    "burn-block-data",
    "burn-bit",
    "burn-key",
    "burn-key-digest",
    "burn-custom-mac",
    "set-flash-voltage",
)
READ_ORDER = ("summary", "dump", "get-custom-mac", "adc-info", "check-error")
PLAN_ORDER = ("plan", "apply")
OLD_OPTIONS = {"--file_name": "--file-name"}
DEFAULT_HELP_CHIP = "esp32"
REMOVED = {"execute-scripts"}


def _options() -> list[click.Parameter]:
    return [
        click.Option(
            ["--chip", "-c"],
            type=ChipType(["auto", *SUPPORTED_CHIPS]),
            default="auto",
            envvar="ESPTOOL_CHIP",
            help="Target chip type.",
        ),
        click.Option(
            ["--baud", "-b"],
            type=int,
            default=115200,
            envvar="ESPTOOL_BAUD",
            help="Serial port baud rate.",
        ),
        click.Option(["--port", "-p"], envvar="ESPTOOL_PORT", help="Serial port device."),
        click.Option(
            ["--before"],
            type=ModeChoice(["default-reset", "usb-reset", "no-reset", "no-reset-no-sync"]),
            default="default-reset",
            help="How to reset the chip before connecting.",
        ),
        click.Option(
            ["--after", "-a"],
            type=ModeChoice(["hard-reset", "soft-reset", "no-reset", "watchdog-reset"]),
            default="no-reset",
            help="How to reset the chip when all is done.",
        ),
        click.Option(["--debug", "-d"], is_flag=True, help="Show debugging information."),
        click.Option(["--virt"], is_flag=True, help="Work on a virtual chip in memory."),
        click.Option(["--token"], help="Work on the eFuses of a token (EFSR:esp32:000:...)."),
        click.Option(
            ["--path-efuse-file"], type=click.Path(), help="Keep the virtual eFuses in this file."
        ),
        click.Option(
            ["--do-not-confirm"],
            is_flag=True,
            help="Burn without asking for the word BURN. Use with caution!",
        ),
        click.Option(
            ["--postpone/--no-postpone"],
            default=True,
            help="Burn fields of BLOCK0 that close doors at the very end (default).",
        ),
        click.Option(
            ["--extend-efuse-table"],
            type=click.File("r"),
            help="CSV file with your own fields (esp_efuse_custom_table.csv).",
        ),
    ]


class EspefuseGroup(HelpMixin, click.Group):
    """A click group whose commands come from a chip's table and follow each other in one line."""

    def __init__(self) -> None:
        super().__init__(
            "espefuse",
            params=_options(),
            no_args_is_help=True,
            subcommand_metavar="COMMAND1 [ARGS]... [COMMAND2 [ARGS]...]...",
            context_settings=dict(CONTEXT),
            help=f"espefuse v{__version__} - Utility for eFuse configuration in Espressif SoCs.",
        )
        self.table: schema.ChipTable | None = None

    # --- commands of the chip ------------------------------------------------------------------

    def load(self, chip: str) -> None:
        self.table = schema.load(CHIP_ALIASES.get(chip, chip))
        self.commands = make_all(self.table)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*BURN_ORDER, *READ_ORDER, *PLAN_ORDER]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if self.table is None:
            self.load(DEFAULT_HELP_CHIP)
        return self.commands.get(cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, names in (
            ("Burn commands", BURN_ORDER),
            ("Read commands", READ_ORDER),
            ("Plan commands", PLAN_ORDER),
        ):
            rows = []
            for name in names:
                found = self.get_command(ctx, name)
                if found is not None:
                    rows.append((name, found.get_short_help_str(80)))
            with formatter.section(title):
                formatter.write_dl(rows)

    # --- parsing -------------------------------------------------------------------------------

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        # Options of the group may be repeated; those that follow a command belong to it.
        chip = _chip_of(args)
        if chip is None and {"-h", "--help"} & set(args):
            click.echo(
                "NOTE: Chip not specified, showing commands for ESP32 by default. "
                "Specify the --chip option to get chip-specific help."
            )
        if chip is not None and chip != "auto":
            self.load(chip)
        if not args:
            click.echo(ctx.get_help(), err=True, color=ctx.color)
            ctx.exit(2)
        # Not `click.Group.parse_args`: where that keeps a command's words differs by version.
        return click.Command.parse_args(self, ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        segments = split(ctx.args)
        ctx.obj = ctx.params
        with_help = any({"-h", "--help"} & set(rest) for _, rest in segments)
        if with_help:
            self._contexts(ctx, segments)
            return None
        if not segments:
            click.echo(ctx.get_help())
            return None
        return run(self, ctx, segments)

    def _contexts(
        self, ctx: click.Context, segments: list[tuple[str, list[str]]]
    ) -> list[click.Context]:
        made = []
        for name, rest in segments:
            found = self.get_command(ctx, name)
            if found is None:
                ctx.fail(f"No such command '{name}'.")
            made.append(found.make_context(name, rest, parent=ctx))
        return made


def _chip_of(args: list[str]) -> str | None:
    """The chip named by the group's options or the environment, None where none is."""
    import os

    found = os.environ.get("ESPTOOL_CHIP")
    for i, word in enumerate(args):
        if word in ALL_NAMES:
            break
        if word in ("--chip", "-c") and i + 1 < len(args):
            found = args[i + 1]
        elif word.startswith("--chip="):
            found = word[7:]
    if found is None:
        return None
    key = "".join(c for c in found.lower() if c.isalnum())
    return key if key in SUPPORTED_CHIPS else None


ALL_NAMES = frozenset(
    spelling
    for name in (*BURN_ORDER, *READ_ORDER, *PLAN_ORDER, *REMOVED)
    for spelling in (name, name.replace("-", "_"))
)


def split(words: list[str]) -> list[tuple[str, list[str]]]:
    """The words of one run as (command, its words), with old spellings replaced and noted.

    A word that is a command's name begins a command; values are never named so.
    """
    segments: list[tuple[str, list[str]]] = []
    for word in words:
        if word in ALL_NAMES:
            name = word.replace("_", "-")
            if name != word:
                output.deprecated(f"Command '{word}' is deprecated. Use '{name}' instead.")
            segments.append((name, []))
        elif not segments:
            raise click.UsageError(f"No such command '{word}'.")
        else:
            new = OLD_OPTIONS.get(word, word)
            if new != word:
                output.deprecated(f"Option '{word}' is deprecated. Use '{new}' instead.")
            segments[-1][1].append(new)
    return segments


def run(group: EspefuseGroup, ctx: click.Context, segments: list[tuple[str, list[str]]]) -> None:
    """Connect, parse all commands, run them, and burn what they gathered."""
    if any(name in REMOVED for name, _ in segments):
        raise FatalError(
            "REMOVED: `execute_scripts` was replaced with the public API in v5. "
            "Please see the section on the Python interface in docs/espefuse.md."
        )
    params = ctx.params
    external = ctx.meta.get("espefuse.esp")
    if params["chip"] != "auto" or params["virt"]:
        # The names are known: mistakes are found before the chip is touched.
        group.get_command(ctx, "summary")
    if not (params["virt"] or params["token"] or params["port"] or external is not None):
        raise click.UsageError(
            "Missing required argument. Please specify the --port option, or --virt for a virtual "
            "chip.",
            ctx=ctx,
        )
    output.emit(f"espefuse v{__version__}")
    commands = init_commands(
        port=params["port"],
        baud=params["baud"],
        before=params["before"],
        chip=params["chip"],
        esp=external,
        virt=params["virt"],
        token=params["token"],
        debug=params["debug"],
        virt_efuse_file=params["path_efuse_file"],
        do_not_confirm=params["do_not_confirm"],
        postpone=params["postpone"],
        extend_efuse_table=params["extend_efuse_table"],
    )
    with commands:
        group.table = commands.efuses.table
        group.commands = make_all(group.table, commands.efuses.present())
        contexts = group._contexts(ctx, segments)
        try:
            for sub in contexts:
                if sub.info_name == "burn-efuse":
                    resolve_pairs(sub, commands.efuses)
                    commands.parse_pairs(sub.params["name_value_pairs"])
                elif sub.info_name == "burn-custom-mac":
                    commands._convert_mac_to_bytes(sub.params["mac"])
            run_all(commands, contexts)
        finally:
            for sub in contexts:
                sub.close()
        _reset(commands, params["after"], params["virt"] or params["token"])


def run_all(commands: Any, contexts: list[click.Context]) -> None:
    """The commands in order; several burns become one at the end, then the reading ones again."""
    burns = [c for c in contexts if c.info_name in BURN_ORDER]
    plans = [c for c in contexts if c.info_name == "plan"]
    batch = len(burns) > 1
    if plans or any(c.params.get("dry_run") for c in contexts):
        from espefuse import plan

        path = plans[0].params["plan_file"] if plans else None
        commands.efuses.before_burn = lambda: plan.show_or_save(commands.efuses, path)
    if batch:
        commands.use_batch_mode()
    for context in contexts:
        if context.info_name != "plan":
            run_one(commands, context)
    done = True
    if batch:
        done = commands.burn_all()
        if done:
            commands.tell_success()
    if burns and done:
        for context in contexts:
            if context.info_name in READ_ORDER:
                run_one(commands, context)


def run_one(commands: Any, context: click.Context) -> None:
    output.emit(f'\n=== Run "{context.info_name}" command ===')
    params = context.params
    has_force = any(p.name == "force_write_always" for p in context.command.params)
    commands.efuses.force_write_always = params["force_write_always"] if has_force else None
    if params.get("show_token"):
        commands.efuses.show_token = True
    context.command.run(commands, params)  # type: ignore[attr-defined]


def _reset(commands: Any, after: str, virtual: Any) -> None:
    if virtual or commands.external_esp or after == "no-reset":
        return
    from esptool.cmds import reset_chip

    reset_chip(commands.esp, after)


def main(argv: list[str] | None = None, esp: Any = None) -> None:
    """Run the command line in this process.

    Raises:
        FatalError: what was asked cannot be done.
        SystemExit: with 2, for a usage error, or where the user did not confirm.
    """
    args = list(sys.argv[1:] if argv is None else argv)
    group = EspefuseGroup()
    name = None if argv is None else "espefuse"
    try:
        with group.make_context(name or click.utils._detect_program_name(), args) as ctx:
            ctx.meta["espefuse.esp"] = esp
            group.invoke(ctx)
    except click.exceptions.Exit as e:
        if e.exit_code:
            raise SystemExit(e.exit_code) from None
    except click.ClickException as e:
        e.show()
        raise SystemExit(2) from None
    except AbortedError:
        raise SystemExit(2) from None  # "Aborting." has been said
    except (EOFError, click.Abort):
        raise FatalError("Aborted: nobody answered. Nothing more was done.") from None
    except OSError as e:
        raise FatalError(f"{e}") from e


def entry() -> None:
    """The console script; see `esptool.cli.ending`."""
    from esptool import _start

    _start(main, lead="\n")

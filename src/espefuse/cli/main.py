# SPDX-License-Identifier: Apache-2.0
"""The group behind `espefuse`: its options, several commands in one run, and what errors become.

All commands are parsed before the chip is asked for anything, so that a typing mistake in the
last one burns nothing. More than one burn command makes one burn at the end, after which the
reading commands run again.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import click

from espefuse import output, schema
from espefuse._index import CHIP_ALIASES
from espefuse.cli.commands import CONTEXT, EfuseCommand, make_all, resolve_pairs
from espefuse.cli.words import (
    BURN_ORDER,
    PLAN_ORDER,
    READ_ORDER,
    REMOVED,
    ChipType,
    ModeChoice,
    Segment,
    chip_of,
    split,
)
from espefuse.commands import BaseCommands
from espefuse.efuse_interface import SUPPORTED_CHIPS, init_commands
from espefuse.efuses import AbortedError
from esptool._version import __version__
from esptool.chips import normalize
from esptool.cli import machine
from esptool.cli.baud import Baud
from esptool.cli.common import at_fault, machine_options
from esptool.cli.help import HelpMixin
from esptool.errors import FatalError, UsageError
from esptool.files import check_output

DEFAULT_HELP_CHIP = "esp32"
#: The chip that a program gave, in the context's `meta`.
EXTERNAL = "espefuse.esp"


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
            type=Baud(),
            default=115200,
            envvar="ESPTOOL_BAUD",
            help="Serial port baud rate; 'auto' is 115200 here, as the ROM loader does the work.",
        ),
        click.Option(["--port", "-p"], envvar="ESPTOOL_PORT", help="Serial port device."),
        click.Option(
            ["--serial"],
            envvar="ESPTOOL_SERIAL",
            help="The board whose USB device has this serial number, in place of --port.",
        ),
        click.Option(
            ["--mac"],
            envvar="ESPTOOL_MAC",
            help="The board with this MAC address; boards behind bridges are asked for it, which "
            "resets them. With --port, another board is refused.",
        ),
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
            type=click.File("rb"),
            help="CSV file with your own fields (esp_efuse_custom_table.csv).",
        ),
        *machine_options(),
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
        """Take the commands and the table of `chip`."""
        self.table = schema.load(CHIP_ALIASES.get(chip, chip))
        self.commands = dict(make_all(self.table))

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
        """Find the chip in the words, as commands and names depend on it."""
        chip = chip_of(args, self.params)
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

    def invoke(self, ctx: click.Context) -> None:
        """Connect, parse all commands, run them, and burn what they gathered."""
        params = ctx.obj = ctx.params
        known = params["chip"] != "auto" or params["virt"]
        segments = split(ctx.args, lambda name: self.get_command(ctx, name), known)
        if any({"-h", "--help"} & set(rest) for _, rest in segments):
            self._contexts(ctx, segments)
            return
        if not segments:
            click.echo(ctx.get_help())
            return
        _refuse_removed(segments)
        run_for_program = machine.active()
        if run_for_program is not None:
            run_for_program.command = " ".join(name for name, _ in segments)
        if any(name == "recipe" for name, _ in segments):
            self._run_recipe(ctx, segments)
            return
        if known:
            # The names are known: mistakes are found before the chip is touched.
            self.get_command(ctx, "summary")
        with _connected(ctx, segments) as commands:
            with self._parsed(ctx, segments, commands) as contexts:
                Run(commands, contexts).all()
            _reset(commands, params["after"], params["virt"] or params["token"])

    @contextmanager
    def _parsed(
        self, ctx: click.Context, segments: list[Segment], commands: BaseCommands
    ) -> Iterator[list[click.Context]]:
        """The commands of a line, with the fields and names of the connected chip."""
        self.table = commands.efuses.table
        self.commands = dict(make_all(self.table, commands.efuses.present()))
        contexts = self._contexts(ctx, segments)
        try:
            for sub in contexts:
                if sub.info_name == "burn-efuse":
                    resolve_pairs(sub, commands.efuses)
                    commands.parse_pairs(sub.params["name_value_pairs"])
                elif sub.info_name == "burn-custom-mac":
                    commands._convert_mac_to_bytes(sub.params["mac"])
            yield contexts
        finally:
            for sub in contexts:
                sub.close()

    def _run_recipe(self, ctx: click.Context, segments: list[Segment]) -> None:
        """A recipe stands alone in a line; some of what is done with one needs no chip."""
        from espefuse.cli import recipe

        if len(segments) > 1:
            raise click.UsageError("'recipe' cannot be combined with other commands.", ctx=ctx)
        [sub] = self._contexts(ctx, segments)
        with sub:
            if sub.params["action"] not in recipe.ALONE:
                _need_chip(ctx)
            output.emit(f"espefuse v{__version__}")
            recipe.run(ctx.params, ctx.meta.get(EXTERNAL), sub.params)

    def _contexts(self, ctx: click.Context, segments: list[Segment]) -> list[click.Context]:
        made = []
        for name, rest in segments:
            found = self.get_command(ctx, name)
            if found is None:
                ctx.fail(f"No such command '{name}'.")
            made.append(found.make_context(name, rest, parent=ctx))
        return made


#: The group as programs take it from `espefuse.cli`; each run has one of its own.
cli = EspefuseGroup()


def _refuse_removed(segments: list[Segment]) -> None:
    if any(name in REMOVED for name, _ in segments):
        raise FatalError(
            "REMOVED: `execute_scripts` was replaced with the public API in v5. "
            "Please see the section on the Python interface in docs/espefuse.md."
        )


def _connected(ctx: click.Context, segments: list[Segment]) -> BaseCommands:
    """The commands of the chip that a line is for."""
    params = ctx.params
    _need_chip(ctx)
    _check_plans(segments)
    output.emit(f"espefuse v{__version__}")
    commands = init_commands(
        port=params["port"],
        baud=params["baud"],
        before=params["before"],
        chip=params["chip"],
        esp=ctx.meta.get(EXTERNAL),
        virt=params["virt"],
        token=params["token"],
        debug=params["debug"],
        virt_efuse_file=params["path_efuse_file"],
        do_not_confirm=params["do_not_confirm"],
        postpone=params["postpone"],
        extend_efuse_table=params["extend_efuse_table"],
    )
    told = {"port": params["port"], "chip": normalize(commands.efuses.table.chip)}
    output.result(device=told)
    return commands


def _need_chip(ctx: click.Context) -> None:
    """Refuse a line that names no chip to work on."""
    params, external = ctx.params, ctx.meta.get(EXTERNAL)
    if not (params["virt"] or params["token"] or external is not None):
        _choose_board(params)
    if not (params["virt"] or params["token"] or params["port"] or external is not None):
        raise click.UsageError(
            "Missing required argument. Please specify the --port option, or --virt for a virtual "
            "chip.",
            ctx=ctx,
        )


def _choose_board(params: dict[str, Any]) -> None:
    """Put the port of the board that --serial or --mac names into `params`.

    Raises:
        FatalError: there is no such board, or another one on the port.
    """
    serial, mac = params["serial"], params["mac"]
    if serial is None and mac is None:
        return
    from esptool.config import load_settings
    from esptool.ops.ports import find_board, plain_mac, probe

    if params["port"] is None:
        params["port"] = find_board(serial=serial, mac=mac, settings=load_settings())
        return
    if serial is not None:
        raise UsageError("--serial chooses a port, and --port names one: leave one out.")
    found = probe(params["port"], load_settings())
    if found.error is not None and not found.mac:
        raise FatalError(found.error, code=found.error_code)
    if not found.mac or plain_mac(found.mac) != plain_mac(mac):
        # What is burned on the wrong board is never taken back.
        raise FatalError(
            f"The board on {params['port']} has the MAC address {found.mac or '?'}, not {mac}.",
            remedy="'esptool ports --probe' shows which board is where.",
            code="wrong_board",
            operands={"port": params["port"], "mac": found.mac},
        )


def _check_plans(segments: list[Segment]) -> None:
    """Refuse a plan of nothing, and two places for one plan."""
    names = [name for name, _ in segments]
    if names.count("plan") > 1:
        raise click.UsageError("A run makes one plan: name 'plan' once.")
    if "plan" in names and not {*BURN_ORDER, "apply"} & set(names):
        raise click.UsageError("Nothing to plan: name the burn commands in the same line.")


def _check_outputs(contexts: list[click.Context]) -> None:
    """Refuse output files that cannot be written, before anything is burned."""
    for sub in contexts:
        for name in ("file", "file_name", *(("plan_file",) if sub.info_name == "plan" else ())):
            path = sub.params.get(name)
            if path not in (None, "-"):
                check_output(path)


class Run:
    """The commands of one line: several burns become one at the end, then reading ones run again.

    What is staged when a command fails, and what a plan or dry run stages, is taken back: nothing
    of it is left for a later run on the same chip.
    """

    def __init__(self, commands: BaseCommands, contexts: list[click.Context]) -> None:
        self.commands = commands
        self.contexts = contexts
        self.planning = any(
            c.info_name == "plan" or c.params.get("dry_run", False) for c in contexts
        )

    def all(self) -> None:
        """Run the commands of the line in order; what they burn is burned as each of them says."""
        _check_outputs(self.contexts)
        burns = [c for c in self.contexts if c.info_name in BURN_ORDER]
        batch = len(burns) > 1
        with self._settings_kept():
            if batch:
                self.commands.use_batch_mode()
            for context in self.contexts:
                if context.info_name != "plan":
                    self._one(context)
            done = True
            if batch:
                done = self.commands.burn_all()
                if done:
                    self.commands.tell_success()
            if burns and done:
                for context in self.contexts:
                    if context.info_name in READ_ORDER:
                        self._one(context)

    @contextmanager
    def _settings_kept(self) -> Iterator[None]:
        """Only plan, where that is asked for, and leave the eFuses' settings as they were."""
        efuses = self.commands.efuses
        before = efuses.checkpoint()
        finished = False
        try:
            if self.planning:
                from espefuse import plan

                path = next(
                    (c.params["plan_file"] for c in self.contexts if c.info_name == "plan"), None
                )
                efuses.before_burn = lambda: plan.show_or_save(efuses, path)
            yield
            if self.planning and efuses.batch_mode_cnt and efuses.before_burn is not None:
                # Somebody else's batch goes on: it must not burn what was only planned.
                efuses.before_burn()
            finished = True
        finally:
            efuses.restore(before, staged=self.planning or not finished)

    def _one(self, context: click.Context) -> None:
        command = context.command
        assert isinstance(command, EfuseCommand)
        output.emit(f'\n=== Run "{context.info_name}" command ===')
        efuses, params = self.commands.efuses, context.params
        has_force = any(p.name == "force_write_always" for p in command.params)
        efuses.force_write_always = params["force_write_always"] if has_force else None
        if params.get("show_token"):
            efuses.show_token = True
        many = len(self.contexts) > 1
        with machine.part(str(context.info_name)) if many else nullcontext():
            command.run(self.commands, params)


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
    name = click.utils._detect_program_name() if argv is None else "espefuse"
    with machine.run_of("espefuse", args) as wanted, _ends_of_click():
        # Both may stand anywhere, also behind one of several commands.
        own = [word for word in args if wanted is None or word not in machine.OPTIONS]
        group = EspefuseGroup()
        with group.make_context(name, own) as ctx:
            ctx.meta[EXTERNAL] = esp
            group.invoke(ctx)
        if wanted is not None and not {"-h", "--help"} & set(args):
            wanted.started = True


@contextmanager
def _ends_of_click() -> Iterator[None]:
    """Make of click's ways to end a command what programs of ours are documented to raise."""
    try:
        yield
    except click.exceptions.Exit as e:
        if e.exit_code:
            raise SystemExit(e.exit_code) from None
    except click.ClickException as e:
        e.show()
        raise machine.UsageMistake(e.format_message(), at_fault(e)) from None
    except AbortedError:
        raise SystemExit(2) from None  # "Aborting." has been said
    except (EOFError, click.Abort):
        raise FatalError("Aborted: nobody answered. Nothing more was done.") from None
    except OSError as e:
        raise FatalError(f"{e}") from e

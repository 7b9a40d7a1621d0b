# SPDX-License-Identifier: Apache-2.0
"""The commands of `espefuse` as click sees them; choices come from the chip's table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from espefuse import output
from espefuse.cli.words import Choice, Groups, MacType, PairsType, file, pairs
from espefuse.schema import ChipTable, FieldDef
from esptool.cli import machine
from esptool.cli.kinds import StrChoice

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 120}
Runner = Callable[[Any, dict[str, Any]], None]

FORCE = click.Option(
    ["--force-write-always"],
    is_flag=True,
    help="Go on where a block is already written or cannot be read back. Bits can never be "
    "cleared, and a coded block written twice is damaged.",
)
TOKEN = click.Option(
    ["--show-token"], is_flag=True, help="Print what is going to be burned as an EFSW token."
)
RECIPE_ACTIONS = ("check", "plan", "apply", "status", "owner-key", "unseal")
#: `espefuse.recipe.Stage` in order; not imported, as only a recipe needs it.
RECIPE_STAGES = (
    *("keys", "flash encryption", "secure boot"),
    *("settings", "protection", "download mode"),
)
DRY_RUN = click.Option(
    ["--dry-run"], is_flag=True, help="Show each bit that would be burned, and burn nothing."
)
SENSITIVE = click.Option(
    ["--show-sensitive-info"], is_flag=True, help="Show key bytes on the terminal."
)


class EfuseCommand(click.Command):
    """A command whose `run` gets the eFuse commands of a chip and the parsed values."""

    def __init__(self, name: str, run: Runner, params: list[click.Parameter], text: str) -> None:
        super().__init__(name, params=params, help=text, context_settings=dict(CONTEXT))
        self.run = run


command = EfuseCommand


def names_with(
    table: ChipTable, test: Callable[[FieldDef], bool], present: set[str] | None
) -> StrChoice:
    """A choice of field names; `present` are those that exist on the connected chip."""
    names: dict[str, None] = {}
    for field in table.fields:
        if test(field) and (present is None or field.name in present):
            names.update(dict.fromkeys(field.names))
    return click.Choice(list(names))


def make_all(table: ChipTable, present: set[str] | None = None) -> dict[str, EfuseCommand]:
    """All commands for one chip by name; see `names_with` for `present`."""
    made = [
        *_read_commands(table),
        *_burn_commands(table, present),
        *_key_commands(table),
        *_plan_commands(),
    ]
    return {c.name: c for c in made if c.name is not None}


def _read_commands(table: ChipTable) -> list[EfuseCommand]:
    return [
        command(
            "summary",
            _summary,
            [
                click.Argument(["efuses_to_show"], nargs=-1),
                click.Option(
                    ["--format"],
                    type=click.Choice(["summary", "json", "value_only"]),
                    default="summary",
                    help="A table, JSON, or the value of one eFuse alone.",
                ),
                click.Option(
                    ["--active"],
                    is_flag=True,
                    help="Show only fields that are set, protected or damaged.",
                ),
                click.Option(
                    ["--file"], type=click.Path(allow_dash=True), help="Write to this file."
                ),
            ],
            "Print human-readable summary of eFuse values.",
        ),
        command(
            "dump",
            _dump,
            [
                click.Option(
                    ["--format"],
                    type=click.Choice(["default", "split", "joint", "token"]),
                    default="default",
                    help="Words on the terminal, one file a block, one file for all, or a token.",
                ),
                click.Option(
                    ["--file-name"], type=click.Path(), help="Where to save; default: terminal."
                ),
            ],
            "Dump raw hex values of all eFuses.",
        ),
        command(
            "get-custom-mac",
            _get_custom_mac,
            [],
            "Get the 48-bit Custom MAC Address.",
        ),
        command(
            "adc-info",
            _adc_info,
            [],
            "Display information about ADC calibration data stored in eFuse.",
        ),
        command(
            "check-error",
            _check_error,
            [
                click.Option(
                    ["--recovery"],
                    is_flag=True,
                    help="Burn damaged blocks once more, to mend weak bits.",
                ),
            ],
            "Checks eFuse errors.",
        ),
    ]


def _burn_commands(table: ChipTable, present: set[str] | None) -> list[EfuseCommand]:
    blocks = click.Choice(list(table.burn_block_names))
    read_choice = names_with(table, lambda f: bool(f.rd_dis), present)
    write_choice = names_with(table, lambda f: f.wr_dis is not None, present)
    pairs_argument = click.Argument(
        ["name_value_pairs"],
        nargs=-1,
        required=True,
        type=PairsType(),
        metavar="[<EFUSE_NAME> <VALUE>] ...",
    )
    return [
        command(
            "burn-efuse",
            _burn_efuse,
            [
                pairs_argument,
                click.Option(
                    ["--force"], is_flag=True, help="Burn settings that do not go together, too."
                ),
                TOKEN,
                DRY_RUN,
            ],
            "Burn the eFuse with the specified name.\n\n"
            f"Names: {', '.join(f.name for f in table.fields)}",
        ),
        command(
            "read-protect-efuse",
            lambda c, p: c.read_protect_efuse(p["efuse_name"]),
            [
                click.Argument(["efuse_name"], nargs=-1, required=True, type=read_choice),
                TOKEN,
                DRY_RUN,
            ],
            "Disable readback for the eFuse.",
        ),
        command(
            "write-protect-efuse",
            lambda c, p: c.write_protect_efuse(p["efuse_name"]),
            [
                click.Argument(["efuse_name"], nargs=-1, required=True, type=write_choice),
                TOKEN,
                DRY_RUN,
            ],
            "Disable writing to the eFuse.",
        ),
        command(
            "burn-block-data",
            _burn_block_data,
            [
                Groups(
                    ["block_datafile"],
                    ["BLOCK", "DATAFILE"],
                    [blocks, file("rb")],
                    len(table.burn_block_names),
                ),
                click.Option(
                    ["--offset", "-o"], type=int, default=0, help="First byte in the block."
                ),
                FORCE,
                TOKEN,
                DRY_RUN,
            ],
            "Burn non-key data to EFUSE blocks.",
        ),
        command(
            "burn-bit",
            lambda c, p: c.burn_bit(p["block"], p["bit_number"]),
            [
                click.Argument(["block"], type=blocks, metavar="BLOCK"),
                click.Argument(["bit_number"], nargs=-1, required=True, type=int),
                FORCE,
                TOKEN,
                DRY_RUN,
            ],
            f"Burn bit in the eFuse block.\n\nBlocks: {', '.join(table.burn_block_names)}",
        ),
        command(
            "burn-custom-mac",
            lambda c, p: c.burn_custom_mac(p["mac"]),
            [click.Argument(["mac"], type=MacType()), FORCE, TOKEN, DRY_RUN],
            "Burn a 48-bit Custom MAC address.",
        ),
        command(
            "set-flash-voltage",
            lambda c, p: c.set_flash_voltage(p["voltage"]),
            [
                click.Argument(["voltage"], type=click.Choice(["1.8V", "3.3V", "OFF"])),
                TOKEN,
                DRY_RUN,
            ],
            "Permanently set the internal flash voltage regulator.",
        ),
    ]


def _key_commands(table: ChipTable) -> list[EfuseCommand]:
    blocks = click.Choice(list(table.burn_key_names))
    names = f"Blocks: {', '.join(table.burn_key_names)}"
    if not table.purposes:
        unprotected = click.Option(
            ["--no-protect-key"], is_flag=True, help="Leave the key readable and writeable."
        )
        return [
            command(
                "burn-key",
                _burn_key_direct,
                [
                    Groups(
                        ["block_keyfile"],
                        ["BLOCK", "KEYFILE"],
                        [blocks, file("rb")],
                        len(table.burn_key_names),
                    ),
                    unprotected,
                    FORCE,
                    SENSITIVE,
                    TOKEN,
                    DRY_RUN,
                ],
                f"Burn the key block with the specified name.\n\n{names}",
            ),
            command(
                "burn-key-digest",
                lambda c, p: c.burn_key_digest(
                    p["keyfile"], p["no_protect_key"], p["show_sensitive_info"]
                ),
                [
                    click.Argument(["keyfile"], type=file("rb")),
                    unprotected,
                    FORCE,
                    SENSITIVE,
                    TOKEN,
                    DRY_RUN,
                ],
                "Parse a RSA public key and burn the digest.",
            ),
        ]
    halves = "purpose_targets" in table.rules
    options = [
        click.Option(["--no-read-protect"], is_flag=True, help="Leave the key readable."),
        click.Option(["--no-write-protect"], is_flag=True, help="Leave the key block writeable."),
        FORCE,
        SENSITIVE,
        TOKEN,
        DRY_RUN,
    ]
    most = 2 if halves else len(table.burn_key_names)
    all_names = list(dict.fromkeys(p.name for p in table.purposes))
    digest_names = list(table.digest_purposes())
    burn_key = command(
        "burn-key",
        _burn_key,
        [
            Groups(
                ["block_keyfile_keypurpose"],
                ["BLOCK", "KEYFILE", "KEYPURPOSE"],
                [blocks, file("rb"), click.Choice(all_names)],
                most,
            ),
            *options,
        ],
        f"Burn the key block with the specified name.\n\n{names}\n\n"
        f"Key purposes: {', '.join(all_names)}",
    )
    if halves:
        digest = command(
            "burn-key-digest",
            lambda c, p: c.burn_key_digest(
                p["keyfile"],
                p["no_write_protect"],
                p["no_read_protect"],
                p["show_sensitive_info"],
            ),
            [click.Argument(["keyfile"], type=file("rb")), *options],
            "Parse a RSA public key and burn the digest.",
        )
    else:
        digest = command(
            "burn-key-digest",
            _burn_key_digest,
            [
                Groups(
                    ["block_keyfile_keypurpose"],
                    ["BLOCK", "KEYFILE", "KEYPURPOSE"],
                    [blocks, file("rb"), click.Choice(digest_names)],
                    most,
                ),
                *options,
            ],
            f"Parse a RSA public key and burn the digest.\n\n{names}\n\n"
            f"Key purposes: {', '.join(digest_names)}",
        )
    return [burn_key, digest]


def _recipe_command() -> EfuseCommand:
    """What it does is in `cli.recipe`: it stands alone in a line."""
    return command(
        "recipe",
        lambda c, p: None,
        [
            click.Argument(
                ["action"], type=Choice(RECIPE_ACTIONS), metavar="|".join(RECIPE_ACTIONS)
            ),
            click.Argument(["file"], type=click.Path(dir_okay=False), metavar="FILE"),
            click.Option(
                ["--until"],
                type=click.Choice(RECIPE_STAGES),
                help="apply: the last stage to burn.",
            ),
            click.Option(
                ["--identity"],
                type=click.Path(exists=True, dir_okay=False),
                help="apply, unseal: the owner's private key.",
            ),
            click.Option(
                ["--output", "-o"],
                type=click.Path(dir_okay=False),
                help="unseal: where the key goes.",
            ),
            click.Option(["--dry-run"], is_flag=True, help="apply: burn nothing, as plan."),
        ],
        "Bring a board to the state that the recipe FILE describes.\n\n"
        "check looks at the file alone, plan shows what would be burned on the connected board, "
        "apply burns it stage by stage and can be begun again after any break, status tells what "
        "holds. owner-key makes the pair of keys that keys of boards are sealed for (FILE and "
        "FILE.pub), unseal opens such a key.",
    )


def _plan_commands() -> list[EfuseCommand]:
    return [
        command(
            "plan",
            lambda c, p: None,
            [click.Argument(["plan_file"], type=click.Path(dir_okay=False))],
            "Write what the burn commands of this run would do to PLAN_FILE; burn nothing.",
        ),
        command(
            "apply",
            _apply,
            [
                click.Argument(["plan_file"], type=click.Path(exists=True, dir_okay=False)),
                DRY_RUN,
            ],
            "Burn what PLAN_FILE says, on the chip that it was made for.",
        ),
        _recipe_command(),
    ]


# --- what the commands do ----------------------------------------------------------------------


def _summary(commands: Any, p: dict[str, Any]) -> None:
    from espefuse import summary

    to_file = p["file"] not in (None, "-")
    if machine.active() is not None:
        fields = summary.select(commands.efuses, p["efuses_to_show"], active=p["active"])
        if not to_file:
            output.result(efuses=summary.entries(fields))
        else:
            output.result(file=p["file"])
    # What a program asks to be written is written for programs.
    kind = "json" if p["format"] == "summary" and machine.active() is not None else p["format"]
    commands.summary(p["efuses_to_show"], kind, p["file"] if to_file else None, p["active"])


def _dump(commands: Any, p: dict[str, Any]) -> None:
    from espefuse import report

    output.result(**report.blocks(commands.efuses))
    commands.dump(p["format"], p["file_name"])


def _get_custom_mac(commands: Any, p: dict[str, Any]) -> None:
    from espefuse import report

    output.result(**report.custom_mac(commands.efuses))
    commands.get_custom_mac()


def _adc_info(commands: Any, p: dict[str, Any]) -> None:
    from espefuse import report

    output.result(**report.calibration(commands.efuses))
    commands.adc_info()


def _check_error(commands: Any, p: dict[str, Any]) -> None:
    from espefuse import report

    try:
        commands.check_error(p["recovery"], commands.efuses.do_not_confirm)
    finally:
        output.result(**report.errors(commands.efuses))


def _burn_efuse(commands: Any, p: dict[str, Any]) -> None:
    commands.burn_efuse(p["name_value_pairs"], p["force"])


def _burn_block_data(commands: Any, p: dict[str, Any]) -> None:
    blocks, files = zip(*p["block_datafile"], strict=True)
    commands.burn_block_data(list(blocks), list(files), p["offset"])


def _burn_key_direct(commands: Any, p: dict[str, Any]) -> None:
    blocks, files = zip(*p["block_keyfile"], strict=True)
    commands.burn_key(list(blocks), list(files), p["no_protect_key"], p["show_sensitive_info"])


def _key_arguments(p: dict[str, Any]) -> list[Any]:
    columns = [list(column) for column in zip(*p["block_keyfile_keypurpose"], strict=True)]
    return [*columns, p["no_write_protect"], p["no_read_protect"], p["show_sensitive_info"]]


def _burn_key(commands: Any, p: dict[str, Any]) -> None:
    commands.burn_key(*_key_arguments(p))


def _burn_key_digest(commands: Any, p: dict[str, Any]) -> None:
    commands.burn_key_digest(*_key_arguments(p))


def _apply(commands: Any, p: dict[str, Any]) -> None:
    from espefuse.apply import apply

    if apply(commands.efuses, p["plan_file"]):
        commands.tell_success()


def resolve_pairs(ctx: click.Context, efuses: Any) -> None:
    """Turn the words of `burn-efuse` into fields and check their values, before anything runs."""
    words = ctx.params["name_value_pairs"]
    param = next(a for a in ctx.command.params if a.name == "name_value_pairs")
    ctx.params["name_value_pairs"] = pairs(words, efuses, ctx, param)

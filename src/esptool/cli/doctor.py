# SPDX-License-Identifier: Apache-2.0
"""`esptool doctor`: why a board does not connect or run, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from esptool.cli import machine
from esptool.cli.common import Command
from esptool.cli.params import Port
from esptool.cli.ports import log_width
from esptool.cli.state import Globals
from esptool.logger import log

if TYPE_CHECKING:
    from esptool.ops.doctor import Finding

_MARKS = {"ok": "ok     ", "note": "note   ", "warning": "warning", "problem": "PROBLEM"}


@click.pass_context
def _run(ctx: click.Context, /, port: str | None, quick: bool) -> None:
    from textwrap import fill

    from esptool.cli.connection import chosen_port
    from esptool.config import load_settings
    from esptool.errors import ConnectError, UsageError
    from esptool.ops.doctor import PROBLEM, diagnose, worst
    from esptool.render import to_log
    from esptool.transport.discovery import parse_port_filters

    state: Globals = ctx.obj
    options = state.options
    source = ctx.find_root().get_parameter_source
    # A port of the environment is one for all commands; a word of the command line is meant.
    said = source("port") is click.core.ParameterSource.COMMANDLINE
    if port is not None and said and options["port"] != port:
        raise UsageError("PORT and --port name two ports: leave one out.")
    options["port"] = port or options["port"]
    given = source("baud") is not click.core.ParameterSource.DEFAULT
    baud = options["baud"] if given and isinstance(options["baud"], int) else None
    found = diagnose(
        chosen_port(options),
        chip=None if state.chip == "auto" else state.chip,
        baud=baud,
        before=options["before"],
        quick=quick,
        port_filter=parse_port_filters(options["port_filter"] or ()),
        settings=load_settings(),
        tell=_tell,
        listener=to_log,
    )
    verdict = worst(found)
    machine.result({"verdict": verdict, "findings": [finding.to_json() for finding in found]})
    problems = [finding for finding in found if finding.level == PROBLEM]
    if problems:
        first = problems[0]
        raise ConnectError(
            first.text,
            remedy=first.remedy or None,
            code=_ERROR_CODES.get(first.code, "board"),
            operands=first.operands,
        )
    count = sum(finding.level == "warning" for finding in found)
    if count:
        text = f"The board can be worked with; see the {'warnings' if count > 1 else 'warning'}."
        log.print(fill(text, log_width()))
    else:
        log.print("Nothing is wrong with it.")


#: Findings that have a code of their own among errors.
_ERROR_CODES = {
    "no_port": "port_not_found",
    "port_not_found": "port_not_found",
    "port_permission": "port_permission",
    "port_busy": "port_busy",
    "port_fails": "port",
    "boot_mode": "boot_mode",
    "wrong_chip": "wrong_chip",
    "no_answer": "no_connection",
    "silent": "no_connection",
    "no_reset": "no_connection",
    "deaf": "no_connection",
}


def _tell(finding: Finding) -> None:
    run = machine.active()
    if run is not None:
        run.emit("finding", finding=finding.to_json())
        return
    for line in lines(finding, log_width()):
        log.print(line)


def lines(finding: Finding, width: int) -> list[str]:
    """A finding in lines of at most `width` columns, its remedy below it."""
    from textwrap import wrap

    mark = _MARKS[finding.level]
    indent = " " * (len(mark) + 2)
    rows = wrap(
        finding.text,
        width,
        initial_indent=f"{mark}  ",
        subsequent_indent=indent,
        break_on_hyphens=False,
    )
    if finding.remedy:
        rows += wrap(
            finding.remedy,
            width,
            initial_indent=f"{indent}> ",
            subsequent_indent=f"{indent}  ",
            break_on_hyphens=False,
        )
    return rows


command = Command(
    "doctor",
    callback=_run,
    help="Find out why a board does not connect or run, and say what to do: port, cable, reset "
    "circuit, boot mode, supply, crystal, flash, stub, line, boot loader, partition table and "
    "application. Resets the chip; changes nothing in flash or eFuses. Ends with exit code 2 "
    "where a problem is found.",
    params=[
        click.Argument(["port"], type=Port(), required=False),
        click.Option(["--quick"], is_flag=True, help="Do not read the application whole."),
    ],
)

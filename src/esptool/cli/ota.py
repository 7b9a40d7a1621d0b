# SPDX-License-Identifier: Apache-2.0
"""`esptool ota`: which application boots, and another one."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING, Any

import click

from esptool.cli import machine
from esptool.cli.common import Command, Group
from esptool.cli.params import ReadableFile
from esptool.cli.places import opened_flash, place_options
from esptool.cli.state import Globals

if TYPE_CHECKING:
    from esptool.ops.ota import OtaStatus, SlotStatus


_INDENT = " " * 5


def _force(what: str) -> click.Option:
    return click.Option(["--force"], is_flag=True, help=what)


@click.pass_context
def _status(ctx: click.Context, /, **values: Any) -> None:
    from esptool.ops.ota import ota_status

    state: Globals = ctx.find_root().obj
    with opened_flash(state, values, command="ota status") as flash:
        found = ota_status(flash)
    machine.result(found.to_json())
    _show(found)


def _show(found: OtaStatus) -> None:
    from esptool.logger import log

    for line in _lines(found):
        log.print(line)


def _lines(found: OtaStatus) -> list[str]:
    rows = [("", "Slot", "Name", "Offset", "Seq.", "State")]
    about = [""]
    for slot in found.slots:
        p, entry = slot.partition, slot.entry
        state = ("", "") if entry is None else (str(entry.sequence), entry.state_name)
        mark = "*" if slot.boots else ""
        rows.append((mark, p.subtype_name, p.name, f"{p.offset:#010x}", *state))
        about.append(_about(slot))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row, text in zip(rows, about, strict=True):
        cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        lines.append("  ".join(cells).rstrip())
        lines += wrap(text, 80, initial_indent=_INDENT, subsequent_indent=_INDENT)
    boots = "Nothing boots" if found.boots is None else f"'{found.boots.partition.name}' boots"
    return [*lines, f"{boots}: {found.why}"]


def _about(slot: SlotStatus) -> str:
    """What is in a slot, in a sentence."""
    if slot.content.kind != "image":
        return slot.content.kind
    app = slot.content.app
    if app is None:
        return slot.content.title
    facts = [slot.content.title, f"ESP-IDF {app.idf_version}", f"built {app.date} {app.time}"]
    return ", ".join([*facts, f"secure version {app.secure_version}"])


@click.pass_context
def _write(
    ctx: click.Context,
    /,
    app: str,
    slot: str | None,
    no_switch: bool,
    force: bool,
    **values: Any,
) -> None:
    from esptool.image.sources import read_source, refuse_container
    from esptool.ops.ota import ota_status, ota_write
    from esptool.render import to_log

    image, name = read_source(app)
    refuse_container(image, name)
    state: Globals = ctx.find_root().obj
    with opened_flash(state, values, command="ota write") as flash:
        ota_write(
            *(flash, image),
            name=name,
            slot=slot,
            switch=not no_switch,
            force=force,
            listener=to_log,
        )
        found = ota_status(flash)
    machine.result(found.to_json())


@click.pass_context
def _boot(ctx: click.Context, /, slot: str, force: bool, **values: Any) -> None:
    from esptool.ops.ota import ota_boot, ota_status
    from esptool.render import to_log

    state: Globals = ctx.find_root().obj
    with opened_flash(state, values, command="ota boot") as flash:
        ota_boot(flash, slot, force=force, listener=to_log)
        found = ota_status(flash)
    machine.result(found.to_json())


@click.pass_context
def _erase(ctx: click.Context, /, **values: Any) -> None:
    from esptool.ops.ota import ota_erase, ota_status
    from esptool.render import to_log

    state: Globals = ctx.find_root().obj
    with opened_flash(state, values, command="ota erase") as flash:
        ota_erase(flash, listener=to_log)
        found = ota_status(flash)
    machine.result(found.to_json())


command = Group(
    "ota",
    no_args_is_help=True,
    help="Show which application boots, write one into the next OTA slot, or choose a slot.\n\n"
    "Works on a device, and with --file on a flash dump or a state file.",
)
command.add_command(
    Command(
        "status",
        callback=_status,
        help="Show the application slots, and which one boots and why.",
        params=[*place_options()],
    )
)
command.add_command(
    Command(
        "write",
        callback=_write,
        help="Write APP into the next slot, verify it, and have it boot. When it is cut short, "
        "what boots now still boots.",
        params=[
            click.Argument(["app"], type=ReadableFile()),
            *place_options(),
            click.Option(["--slot"], help="Another slot than the next one: name or number."),
            click.Option(["--no-switch"], is_flag=True, help="Let the present slot boot on."),
            _force("Write also what is not for this chip, or over the slot that boots."),
        ],
    )
)
command.add_command(
    Command(
        "boot",
        callback=_boot,
        help="Have SLOT boot: ota_1 (or 1), the name of the partition, or factory.",
        params=[
            click.Argument(["slot"]),
            *place_options(),
            _force("Also a slot without an application for this chip."),
        ],
    )
)
command.add_command(
    Command(
        "erase",
        callback=_erase,
        help="Erase the OTA data, so that the factory application boots (or ota_0).",
        params=[*place_options()],
    )
)

# SPDX-License-Identifier: Apache-2.0
"""`esptool nvs list`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from esptool.cli import machine
from esptool.cli.common import Command
from esptool.cli.nvs import common
from esptool.cli.state import Globals
from esptool.sizes import counted

if TYPE_CHECKING:
    from esptool.storage.nvs import Entry, Nvs


@click.pass_obj
def _run(state: Globals, /, show_secrets: bool, namespace: str | None, **values: Any) -> None:
    with common.opened_nvs(state, values, "list") as (place, nvs):
        entries = [e for e in nvs.entries() if namespace in (None, e.namespace)]
        if namespace is not None and not entries and namespace not in nvs.namespaces:
            nvs.delete(namespace)  # says that there is none, and which there are
        machine.result(_data(nvs, entries, place.label, show_secrets))
        _show(nvs, entries, place.label, show_secrets)


def _data(nvs: Nvs, entries: list[Entry], label: str, show_secrets: bool) -> dict[str, Any]:
    return {
        "where": label,
        "encrypted": nvs.keys is not None,
        "pages": len(nvs.pages),
        "entries_used": nvs.used_entries,
        "entries_free": nvs.free_entries,
        "namespaces": list(nvs.namespaces),
        "entries": [
            common.as_data(e, hidden=common.is_secret(e, nvs) and not show_secrets) for e in entries
        ],
        "problems": [common.problem_data(problem) for problem in nvs.problems],
    }


def _show(nvs: Nvs, entries: list[Entry], label: str, show_secrets: bool) -> None:
    from esptool.logger import log

    log.print(
        f"NVS in {label}: {counted(len(nvs.pages), 'page')}, "
        f"{counted(nvs.used_entries, 'entry', 'entries')} used, "
        f"{nvs.free_entries} free{', encrypted' if nvs.keys is not None else ''}"
    )
    common.tell_problems(nvs)
    rows = [("Namespace", "Key", "Type", "Value")]
    hidden = 0
    for entry in entries:
        secret = common.is_secret(entry, nvs) and not show_secrets
        hidden += secret
        names = (_plain(entry.namespace), _plain(entry.key), entry.kind.value)
        rows.append((*names, common.shown(entry, hidden=secret)))
    if len(rows) > 1:
        widths = [max(len(row[i]) for row in rows) for i in range(3)]
        for row in rows:
            cells = (text.ljust(width) for text, width in zip(row, widths, strict=False))
            log.print("  ".join((*cells, row[3])))
    else:
        log.print("It holds no values.")
    if hidden:
        count = "One value is" if hidden == 1 else f"{hidden} values are"
        log.print(f"{count} hidden; --show-secrets shows.")


def _plain(name: str) -> str:
    return common.one_line(name)[1:-1]


command = Command(
    "list",
    callback=_run,
    help="Show what is stored in the NVS PARTITION: namespaces, keys, types, values, and damage. "
    "Values that may be secret are shown only with --show-secrets.",
    params=[
        common.partition_argument(),
        click.Option(["--namespace", "-n"], help="Only this namespace."),
        common.secrets_option(),
        *common.source_options(),
    ],
)

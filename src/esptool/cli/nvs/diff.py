# SPDX-License-Identifier: Apache-2.0
"""`esptool nvs diff`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from esptool.cli.common import Command, show_json
from esptool.cli.nvs import common
from esptool.cli.params import ReadableFile
from esptool.cli.state import Globals

if TYPE_CHECKING:
    from esptool.storage.nvs import Difference, Entry, Nvs


@click.pass_obj
def _run(
    state: Globals,
    /,
    other: str,
    json: bool,
    show_secrets: bool,
    exit_code: bool,
    other_keys: str | None,
    **values: Any,
) -> None:
    from esptool.errors import VerifyError
    from esptool.logger import log
    from esptool.ops.nvs import keys_from_file, read_nvs
    from esptool.ops.places import opened_file
    from esptool.storage.nvs import compare

    with common.opened_nvs(state, values, "diff") as (place, old):
        keys = old.keys if other_keys is None else keys_from_file(other_keys)
        with opened_file(other) as flash:
            new = read_nvs(flash.place(place.partition.name), keys)
        found = compare(old, new)
        show = _Show(old, new, show_secrets)
        if json:
            show_json({"differences": [show.data(difference) for difference in found]})
        for difference in found:
            for line in show.lines(difference):
                log.print(line)
        for label, nvs in (("the first", old), ("the second", new)):
            if nvs.problems:
                log.warning(f"There is damage in {label}: {common.sentence(nvs.problems[0])}")
        if not found:
            log.print("Both hold the same values.")
    if found and exit_code:
        raise VerifyError("One key differs." if len(found) == 1 else f"{len(found)} keys differ.")


class _Show:
    def __init__(self, old: Nvs, new: Nvs, secrets: bool) -> None:
        self._old, self._new = old, new
        self._secrets = secrets

    def _hidden(self, entry: Entry, nvs: Nvs) -> bool:
        return common.is_secret(entry, nvs) and not self._secrets

    def lines(self, difference: Difference) -> list[str]:
        """What was, and what is."""
        sides = (("-", difference.old, self._old), ("+", difference.new, self._new))
        return [
            f"{sign} {difference.namespace}/{difference.key} {entry.kind.value} "
            f"{common.shown(entry, hidden=self._hidden(entry, nvs))}"
            for sign, entry, nvs in sides
            if entry is not None
        ]

    def data(self, difference: Difference) -> dict[str, object]:
        """The same for JSON."""
        sides = (("old", difference.old, self._old), ("new", difference.new, self._new))
        found: dict[str, object] = {"namespace": difference.namespace, "key": difference.key}
        for side, entry, nvs in sides:
            hidden = entry is not None and self._hidden(entry, nvs)
            found[side] = None if entry is None else common.as_data(entry, hidden=hidden)
        return found


command = Command(
    "diff",
    callback=_run,
    help="Show which keys of the NVS PARTITION differ from those of the file OTHER, an NVS or a "
    "flash dump with a partition of the same name: '-' is what PARTITION holds, '+' what OTHER "
    "holds.",
    params=[
        common.partition_argument(),
        click.Argument(["other"], type=ReadableFile()),
        common.json_option(),
        common.secrets_option(),
        click.Option(["--exit-code"], is_flag=True, help="End with exit code 2 if keys differ."),
        click.Option(
            ["--other-keys"],
            type=ReadableFile(),
            help="The keys of OTHER, where they are not the same.",
        ),
        *common.source_options(),
    ],
)

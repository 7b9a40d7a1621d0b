# SPDX-License-Identifier: Apache-2.0
"""`esptool nvs diff`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from esptool.cli import machine
from esptool.cli.common import Command
from esptool.cli.nvs import common
from esptool.cli.params import ReadableFile
from esptool.cli.state import Globals

if TYPE_CHECKING:
    from esptool.ops.places import Place
    from esptool.storage.nvs import Difference, Entry, Nvs, NvsKeys


@click.pass_obj
def _run(
    state: Globals,
    /,
    other: str,
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
        with opened_file(other) as flash:
            there = flash.place(place.partition.name)
            if other_keys is None:
                new = _with_keys_or_plain(there, old.keys)
            else:
                new = read_nvs(there, keys_from_file(other_keys))
        found = compare(old, new)
        show = _Show(old, new, show_secrets)
        machine.result({"differences": [show.data(difference) for difference in found]})
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


def _with_keys_or_plain(place: Place, keys: NvsKeys | None) -> Nvs:
    """An encrypted NVS is compared as well with what was built without keys."""
    from esptool.errors import FatalError
    from esptool.ops.nvs import read_nvs

    try:
        return read_nvs(place, keys)
    except FatalError as e:
        if keys is None:
            raise
        try:
            return read_nvs(place)
        except FatalError:
            raise e from None


class _Show:
    def __init__(self, old: Nvs, new: Nvs, secrets: bool) -> None:
        self._old, self._new = old, new
        self._secrets = secrets

    def _hidden(self, entry: Entry, nvs: Nvs) -> bool:
        encrypted = (self._old.keys or self._new.keys) is not None
        return common.is_secret(entry, nvs, encrypted=encrypted) and not self._secrets

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
        common.secrets_option(),
        click.Option(["--exit-code"], is_flag=True, help="End with exit code 2 if keys differ."),
        click.Option(
            ["--other-keys"],
            type=ReadableFile(),
            help="The keys of OTHER, where they are neither the same nor none.",
        ),
        *common.source_options(),
    ],
)

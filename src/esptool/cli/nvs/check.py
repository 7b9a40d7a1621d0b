# SPDX-License-Identifier: Apache-2.0
"""`esptool nvs check`."""

from __future__ import annotations

from typing import Any

import click

from esptool.cli import machine
from esptool.cli.common import Command
from esptool.cli.nvs import common
from esptool.cli.state import Globals


@click.pass_obj
def _run(state: Globals, /, **values: Any) -> None:
    from esptool.errors import StorageError
    from esptool.logger import log

    with common.opened_nvs(state, values, "check") as (place, nvs):
        damage = [problem for problem in nvs.problems if problem.damage]
        machine.result(
            {
                "where": place.label,
                "valid": not damage,
                "pages": [
                    {
                        "page": page.number,
                        "state": page.state,
                        "sequence": page.sequence,
                        "version": page.version,
                        "written": page.written,
                        "erased": page.erased,
                        "empty": page.empty,
                    }
                    for page in nvs.pages
                ],
                "problems": [common.problem_data(problem) for problem in nvs.problems],
            }
        )
        log.print(f"NVS in {place.label}:")
        for page in nvs.pages:
            number = "" if page.sequence is None else f", number {page.sequence}"
            version = "" if page.version is None else f", version {page.version}"
            used = f", {page.written} entries written, {page.erased} erased, {page.empty} empty"
            head = f"Page {page.number}: {page.state}{number}{version}"
            log.print(head + (used if page.sequence is not None else ""))
        for problem in nvs.problems:
            log.print(common.sentence(problem))
    if damage:
        count = "One thing is" if len(damage) == 1 else f"{len(damage)} things are"
        raise StorageError(
            f"{count} wrong with the NVS in {place.label}: {common.sentence(damage[0])}"
        )
    log.print("Nothing is wrong with it.")


command = Command(
    "check",
    callback=_run,
    help="Look at every page and entry of the NVS PARTITION: headers, checksums, blobs that are "
    "not whole, values that stand there twice. Ends with exit code 2 where something is wrong.",
    params=[common.partition_argument(), *common.source_options()],
)

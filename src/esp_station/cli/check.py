# SPDX-License-Identifier: Apache-2.0
"""`esp_station check`."""

from __future__ import annotations

from typing import Any

import click

from esptool.cli import machine
from esptool.cli.common import Command
from esptool.logger import log


def _run(job: str) -> None:
    from esp_station.job import Job, read_job

    checked: Job = read_job(job)
    found = _facts(checked)
    machine.result(found)
    if machine.active() is not None:
        return
    log.print(f"The job for '{found['product']}' ({found['chip']}) is sound.")
    for number, step in enumerate(found["steps"], 1):
        log.print(f"  {number:2}. {step}")
    for name, digest in found["images"].items():
        log.print(f"  image {name}  {digest[:16]}")
    if found["rows"] is not None:
        log.print(f"  rows  {found['rows']} by '{checked.source.key if checked.source else ''}'")
    for slot in checked.slots:
        log.print(f"  slot {slot.name}: {slot.where}")


def _facts(job: Any) -> dict[str, Any]:
    return {
        "product": job.identity.product,
        "chip": job.identity.chip.name,
        "hash": job.hash,
        "steps": [
            step.name if step.name == step.kind else f"{step.name} ({step.kind})"
            for step in job.steps
        ],
        "images": dict(job.images.digests),
        "rows": None if job.rows is None else sum(1 for _ in job.rows.samples()),
        "slots": {slot.name: slot.where for slot in job.slots},
    }


command = Command(
    "check",
    callback=_run,
    help="Check a job, its images and its rows without a board. Every mistake is named with its "
    "line and what to do about it.",
    params=[click.Argument(["job"])],
)

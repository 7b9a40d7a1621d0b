# SPDX-License-Identifier: Apache-2.0
"""`esptool coredump info`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from esptool.cli import machine
from esptool.cli.common import Command
from esptool.cli.coredump import common
from esptool.cli.params import ReadableFile
from esptool.cli.places import place_options
from esptool.cli.state import Globals

if TYPE_CHECKING:
    from esptool.monitor.coredump import Report


@click.pass_obj
def _run(
    state: Globals, /, elf: tuple[str, ...], rom_elf: tuple[str, ...], brief: bool, **values: Any
) -> None:
    from esptool.monitor import coredump
    from esptool.monitor.builds import Builds
    from esptool.monitor.elfdata import ElfData
    from esptool.monitor.symbols import Program, Symbolizer

    builds = Builds(list(elf))
    roms = [Program(ElfData.load(path)) for path in rom_elf]
    core, label = common.read(state, values, "info")
    programs = list(builds.programs)
    found = builds.find(core.app_sha256) if core.app_sha256 else None
    if found is not None and found not in programs:
        programs.insert(0, found)
    report = coredump.Report(core, Symbolizer([*programs, *roms]))
    machine.result({"where": label, "core_dump": report.record()})
    _show(report, [p.elf.name for p in programs], builds.searches, brief)


def _show(report: Report, names: list[str], searched: bool, brief: bool) -> None:
    from esptool.logger import log

    core = report.core
    log.print(report.title())
    if report.matches is False and names:
        log.warning(
            f"{', '.join(names)}: not the file of the program that failed (its SHA-256 begins with "
            f"{core.app_sha256}). Places may be wrong."
        )
    elif not names:
        text = "Name the ELF file of the program by --elf to see places."
        text = "No ELF file of it is in the folders named." if searched else text
        if core.app_sha256:
            text += f" The SHA-256 of its ELF file begins with {core.app_sha256}."
        log.note(text)
    for line in report.why():
        log.print(line)
    for task in report.tasks():
        log.print()
        log.print(report.heading(task))
        for line in report.chain(task):
            log.print(f"  {line}")
        if task is core.failed and not brief:
            log.print()
            for line in report.registers(task):
                log.print(f"  {line}")
        if brief:
            break


command = Command(
    "info",
    callback=_run,
    help="Show why a program failed, the registers of the task that did, and the functions that "
    "each task was in.",
    params=[
        common.source_argument(),
        click.Option(
            ["--elf"],
            type=click.Path(exists=True),
            multiple=True,
            help="ELF file of the program; or a folder in which it is found by what the dump says "
            "of it. May be given several times.",
        ),
        click.Option(
            ["--rom-elf"],
            type=ReadableFile(),
            multiple=True,
            help="ELF file of the chip's ROM, to name functions in it.",
        ),
        click.Option(["--brief"], is_flag=True, help="Only the task that failed."),
        *place_options(),
    ],
)

# SPDX-License-Identifier: Apache-2.0
"""`esptool flash`: what a build leaves behind, to the board."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from esptool.cli import machine, monitor, params, stdio
from esptool.cli.common import Command
from esptool.cli.help import Sectioned
from esptool.cli.monitor import Settings
from esptool.cli.params import AnyInt, ReadableFile
from esptool.cli.state import Globals
from esptool.cli.words import Exclusive
from esptool.cli.write_flash import Watch
from esptool.errors import UsageError
from esptool.records import replace

if TYPE_CHECKING:
    from esptool.builds.find import Found
    from esptool.builds.model import Build
    from esptool.ops.flash_build import BuildPlan

BESIDE = "What goes with it"


class What(ReadableFile):
    """A folder or file; `-` is what comes from standard input."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The path."""
        if value == stdio.DASH and not (ctx and ctx.resilient_parsing):
            return stdio.read_from(ctx)
        return str(value)


def build_options() -> list[click.Option]:
    """--bootloader, --partition-table and --partition-table-offset, of all that take builds."""
    return [
        Sectioned(
            ["--bootloader"],
            type=ReadableFile(),
            section=BESIDE,
            help="A boot loader to take in place of the build's.",
        ),
        Sectioned(
            ["--partition-table"],
            type=ReadableFile(),
            section=BESIDE,
            help="A partition table (CSV or binary) to take in place of the build's.",
        ),
        Sectioned(
            ["--partition-table-offset"],
            type=AnyInt(),
            envvar="ESPTOOL_PARTITION_TABLE_OFFSET",
            section=BESIDE,
            help="Where the partition table goes, or is.",
        ),
    ]


def found_build(what: tuple[str, ...], values: dict[str, Any]) -> Found:
    """The build that is meant, by the options of `build_options`, which are taken out."""
    from esptool.builds import Given, find_build

    given = Given(
        values.pop("bootloader"),
        values.pop("partition_table"),
        values["partition_table_offset"],
    )
    found = find_build(what, given)
    names = (*what, given.bootloader, given.partition_table)
    shown = {"".join(name): name for name in names if name is not None}
    build = found.build
    parts = tuple(replace(part, name=shown.get(part.name, part.name)) for part in build.parts)
    source = shown.get(build.source, build.source)
    return replace(found, build=replace(build, source=source, parts=parts))


def tell(build: Build) -> None:
    """What was found, and by what."""
    from esptool import chips
    from esptool.builds.bundle import build_id
    from esptool.logger import log

    chip = "" if build.chip is None else f", for {chips.get(build.chip).name}"
    kind = build.kind[:1].upper() + build.kind[1:]
    log.print(f"{kind} in '{build.source}' (by {build.evidence}){chip}.")
    name = " ".join(filter(None, (build.project, build.version)))
    if name:
        log.print(f"Project: {name}")
    found = build_id(build)
    if found is not None:
        log.print(f"Build id (SHA-256 of the ELF file): {found}")


def _as_the_build_does(ctx: click.Context, state: Globals, build: Build) -> None:
    """Resets and stub as the build's own upload has them, where the command line does not say."""
    from esptool.logger import log

    root = ctx.find_root()

    def is_open(name: str) -> bool:
        return root.get_parameter_source(name) is ParameterSource.DEFAULT

    for name, word in (("before", build.before), ("after", build.after)):
        if word is None or not is_open(name) or word == state.options[name]:
            continue
        state.options[name] = word
        log.note(f"As the build's own upload: --{name} {word}. Give --{name} to have it otherwise.")
    if not build.stub and is_open("no_stub"):
        state.options["no_stub"] = True


@click.pass_context
def _run(ctx: click.Context, /, what: tuple[str, ...], **values: Any) -> None:
    state: Globals = ctx.find_root().obj
    settings = monitor.taken(values)
    only_looks = values["dry_run"] or values["verify_only"]
    if values["dry_run"] and values["verify_only"]:
        raise UsageError("Options --dry-run and --verify-only exclude each other.")
    if settings is not None and only_looks:
        raise UsageError("Options --dry-run and --verify-only exclude --monitor.")
    if values["compress"] and values["no_compress"]:
        raise UsageError("Options --compress and --no-compress exclude each other.")
    given = {name: values[name] for name in ("bootloader", "partition_table")}
    found = found_build(what, values)
    build = found.build
    if state.chip != "auto" and build.chip not in (None, state.chip):
        from esptool import chips

        raise UsageError(
            f"'{build.source}' is for {chips.get(build.chip or '').name}, and --chip says "
            f"{chips.get(state.chip).name}."
        )
    tell(build)
    _as_the_build_does(ctx, state, build)
    state.keep_port = settings is not None
    _flash(state, found, dict(values))
    if settings is None:
        return

    def again() -> None:
        state.keep_port = False
        # What was built meanwhile is what is meant.
        _flash(state, found_build(what, {**values, **given}), dict(values))

    with _with_elf(build, settings) as complete:
        monitor.run_afterwards(state, complete, flash_again=again)


def _flash(state: Globals, found: Found, values: dict[str, Any]) -> None:
    dry_run, verify_only = values.pop("dry_run"), values.pop("verify_only")
    wiring, progress = values.pop("spi_connection"), not values.pop("no_progress")
    compress = True if values.pop("compress") else None
    values["compress"] = False if values.pop("no_compress") else compress
    values["delta"] = not values.pop("no_diff")
    with state.chip_session() as esp:
        from esptool import cmds, cmds_build
        from esptool.logger import log
        from esptool.ops.flash_build import verify_build
        from esptool.render import Renderer

        cmds.attach_flash(esp, wiring)
        listener = Renderer(progress=progress)
        plan = cmds_build.plan_build(esp, found, listener=listener, **values)
        machine.result(plan.to_json())
        for note in plan.notes:
            listener(note)
        log.print("To be compared:" if verify_only else "To be written:")
        for line in plan.describe():
            log.print(line)
        log.print()
        if dry_run:
            _show_dry(esp.session, plan)
        elif verify_only:
            verify_build(esp.session, plan, listener=listener)
        else:
            watch = Watch(listener)
            try:
                cmds_build.flash_build(esp, plan, listener=watch)
            except KeyboardInterrupt:
                raise KeyboardInterrupt(watch.state()) from None


@contextmanager
def _with_elf(build: Build, settings: Settings) -> Iterator[Settings]:
    """The monitor's settings with the program of the build, to name functions and lines."""
    from esptool.builds import bundle

    if build.elf is not None:
        yield replace(settings, elf=(*settings.elf, build.elf))
        return
    inside = bundle.elf_in(Path(build.source)) if build.evidence == bundle.MANIFEST else None
    if inside is None:
        yield settings
        return
    with TemporaryDirectory(prefix="esptool-") as folder:
        path = Path(folder) / "program.elf"
        path.write_bytes(inside)
        yield replace(settings, elf=(*settings.elf, str(path)))


def _show_dry(session: Any, plan: BuildPlan) -> None:
    """What would be sent, by what stands in flash now."""
    from esptool import ops
    from esptool.logger import log

    planned = ops.plan_write(session, plan.regions, plan.options, security=plan.state)
    decided = ops.decide_plan(session, planned)
    machine.result({"dry_run": True, **decided.to_json(), **plan.to_json()})
    for line in decided.describe():
        log.print(line)


command = Command(
    "flash",
    callback=_run,
    help="Flash what a build leaves behind: WHAT is a build or project folder (ESP-IDF, "
    "PlatformIO, Arduino, Zephyr, NuttX), an ELF file, an image, a merged image, or a bundle; "
    "without it, the current folder. Chip and revision are checked before anything is erased, and "
    "what is written where is shown first.",
    params=[
        click.Argument(["what"], nargs=-1, type=What(), metavar="[WHAT]..."),
        click.Option(
            ["--target"],
            metavar="SLOT",
            help="Where the application goes: an OTA slot (ota_1), which then boots, another "
            "application partition, or an offset (0x10000).",
        ),
        click.Option(
            ["--erase"],
            multiple=True,
            metavar="NAME",
            help="Erase this partition first; may be given several times.",
        ),
        params.erase_all(),
        click.Option(
            ["--dry-run"], is_flag=True, help="Show what would be done, and write nothing."
        ),
        click.Option(
            ["--verify-only"],
            is_flag=True,
            help="Compare the flash with the build, and write nothing.",
        ),
        click.Option(
            ["--force"],
            is_flag=True,
            help="Skip the checks of chip, revision and security; the chip may not boot.",
        ),
        params.no_progress(),
        params.retries(),
        *build_options(),
        *params.flash_params(),
        params.spi_connection(),
        Sectioned(
            ["--skip-flashed", "-s"],
            is_flag=True,
            section="Writing less",
            help="Leave out an image that is in flash already.",
        ),
        Sectioned(
            ["--no-diff"],
            is_flag=True,
            section="Writing less",
            help="Send everything, also sectors that the chip says it has already.",
        ),
        Exclusive(
            ["--compress", "-z"],
            is_flag=True,
            exclusive_with=["--no-compress"],
            section="Writing less",
            help="Send compressed (as the stub does anyway).",
        ),
        Exclusive(
            ["--no-compress", "-u"],
            is_flag=True,
            exclusive_with=["--compress"],
            section="Writing less",
            help="Send as it is.",
        ),
        Sectioned(
            ["--encrypt"],
            is_flag=True,
            section="Flash encryption",
            help="Have the chip encrypt all images. Without it, chip and build tell what has to be "
            "encrypted.",
        ),
        Sectioned(
            ["--ignore-flash-enc-efuse"],
            is_flag=True,
            section="Flash encryption",
            help="Do not look whether an encryption key is burned.",
        ),
        *monitor.monitor_options(),
    ],
)

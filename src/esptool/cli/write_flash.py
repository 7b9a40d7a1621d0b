# SPDX-License-Identifier: Apache-2.0
"""`esptool write-flash`."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any

import click

from esptool.cli import machine, monitor, params
from esptool.cli.common import Command
from esptool.cli.params import AnyInt, DiffFile, PairsArgument, parse_named_pairs
from esptool.cli.places import table_options
from esptool.cli.state import Globals
from esptool.cli.words import EatAll, Exclusive
from esptool.errors import UsageError
from esptool.events import Event, Listener, Message, Progress

ENCRYPTION = "Flash encryption"
LESS = "Writing less"


def _is_address(word: str) -> bool:
    try:
        int(word, 0)
    except ValueError:
        return False
    return True


def _pairs_behind(words: Sequence[str]) -> int:
    """Words behind --diff-with files that are addresses and files to write."""
    for i, word in enumerate(words):
        if not i or os.path.exists(word):
            continue
        if _is_address(word) or _is_name(word, words[i + 1 :]):
            return len(words) - i
    return 0


def _is_name(word: str, behind: Sequence[str]) -> bool:
    """A word among files may be a mistyped one, so only what is no usual file name is taken."""
    if word.lower() == "skip" or not re.fullmatch(r"[A-Za-z_][\w-]*(\[[^\[\]]*\])?", word):
        return False
    return len(behind) % 2 == 1 and os.path.exists(behind[0])


class _Pairs(EatAll):
    """Addresses and file names as an option."""

    def process_value(self, ctx: click.Context, value: Any) -> Any:
        def fail(message: str) -> None:
            raise click.BadParameter(message, ctx=ctx, param=self)

        words = super().process_value(ctx, value) or ()
        return [] if ctx.resilient_parsing else parse_named_pairs(list(words), fail)


@click.pass_obj
def _run(state: Globals, /, addr_filename: list[tuple[int | str, str]], **values: Any) -> None:
    settings = monitor.taken(values)
    if settings is not None and values["dry_run"]:
        raise UsageError("Options --dry-run and --monitor exclude each other.")
    state.keep_port = settings is not None
    _write(state, addr_filename, dict(values))
    if settings is None:
        return

    def again() -> None:
        state.keep_port = False
        _write(state, addr_filename, dict(values))

    monitor.run_afterwards(state, settings, flash_again=again)


def _write(state: Globals, addr_filename: list[tuple[int | str, str]], values: Any) -> None:
    params.refuse_nand_without_pins(values)
    from esptool import cmds, ops
    from esptool.ops import planning

    spi_connection, flash_type = values.pop("spi_connection"), values.pop("flash_type")
    flash_params = ops.FlashParams(
        values.pop("flash_size"), values.pop("flash_mode"), values.pop("flash_freq")
    )
    dry_run = values.pop("dry_run")
    values["delta"] = not values.pop("no_diff")
    if values["no_compress"] and values["compress"]:
        raise UsageError("Options --compress and --no-compress exclude each other.")
    if flash_type == "nand":
        if dry_run:
            raise UsageError("Option --dry-run works with NOR flash only.")
        planning.refuse_for_nand(values)
    where = values.pop("partition_table_offset"), values.pop("partition_table")
    pairs = [*addr_filename, *values["encrypt_files"]]
    named = any(isinstance(address, str) for address, _ in pairs)
    if not named:
        # All files are read and judged before anything is asked of the chip.
        regions, wanted = cmds.prepare_write(addr_filename, flash_params, values)
    with state.chip_session(flash_type=flash_type) as esp:
        from esptool.render import Renderer

        cmds.attach_flash(esp, spi_connection, flash_type)
        listener = Renderer(progress=not values["no_progress"])
        watch = Watch(listener)
        if flash_type == "nand":
            # What is not shown, the watch has to hear nevertheless.
            values["no_progress"] = False
            try:
                cmds.write_flash(
                    esp, list(addr_filename), flash_type=flash_type, listener=watch, **values
                )
            except KeyboardInterrupt:
                raise KeyboardInterrupt(watch.state("blocks")) from None
            return
        if named:
            from esptool.ops.addresses import names_on
            from esptool.ops.places import TableSource

            found = names_on(esp.session, pairs, TableSource(*where), listener=listener)
            regions, wanted = cmds.prepare_write(addr_filename, flash_params, values, found)
        if dry_run:
            remarks: list[Message] = []
            try:
                plan = ops.plan_write(esp.session, regions, wanted, remarks=remarks)
            finally:
                for remark in remarks:
                    listener(remark)
            decided = ops.decide_plan(esp.session, plan)
            for remark in decided.remarks[len(plan.remarks) :]:
                listener(remark)
            _show_plan(decided)
            return
        try:
            ops.write_flash(esp.session, regions, wanted, listener=watch)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(watch.state()) from None


class Watch:
    """Hands events on, and remembers how far the writing went."""

    #: How NOR and NAND flash name it.
    WRITES = "Writing"

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._last: Progress | None = None

    def __call__(self, event: Event) -> None:
        if isinstance(event, Progress) and event.action.startswith(self.WRITES):
            self._last = event
        self._listener(event)

    def state(self, units: str = "bytes") -> str:
        """What an interruption leaves behind; `units` are those in which it was written."""
        last = self._last
        if last is None or last.address is None:
            return "No data was written yet, but flash may have been erased: write again."
        return (
            f"Flash is only partly written: up to {last.address:#010x}, {last.done} of "
            f"{last.total} {units} of the present file. Write again before starting the chip."
        )


def _show_plan(plan: Any) -> None:
    from esptool.logger import log

    machine.result({"dry_run": True, **plan.to_json()})
    for line in plan.describe():
        log.print(line)


command = Command(
    "write-flash",
    callback=_run,
    help="Write files to flash, each at the address in front of it, and verify them. The name of a "
    "partition may stand for an address. Intel HEX files bring their own addresses.",
    params=[
        PairsArgument(["addr_filename"], nargs=-1, required=True),
        params.erase_all(),
        params.no_progress(),
        click.Option(
            ["--force"],
            is_flag=True,
            help="Write also what could make the chip unusable: skips the checks of security "
            "and of the images.",
        ),
        click.Option(
            ["--dry-run"], is_flag=True, help="Show what would be written, and write nothing."
        ),
        click.Option(
            ["--no-diff"],
            is_flag=True,
            help="Send everything, also sectors that the chip says it has already.",
        ),
        params.retries(),
        click.Option(
            ["--preserve"],
            is_flag=True,
            help="Put back what stands beside a file in sectors that it covers only partly.",
        ),
        *params.flash_params(),
        params.spi_connection(),
        Exclusive(
            ["--skip-flashed", "-s"],
            is_flag=True,
            exclusive_with=["--diff-with", "--trust-flash-content"],
            section=LESS,
            help="Leave out a file that is in flash already.",
        ),
        EatAll(
            ["--diff-with"],
            type=DiffFile(),
            gives_back=_pairs_behind,
            section=LESS,
            help="Write only sectors that differ from these files, which were written before: "
            "one for each file, or 'skip'.",
        ),
        Exclusive(
            ["--trust-flash-content"],
            is_flag=True,
            exclusive_with=["--skip-flashed"],
            section=LESS,
            help="With --diff-with: do not look whether the old files are in flash.",
        ),
        Exclusive(
            ["--compress", "-z"],
            is_flag=True,
            exclusive_with=["--no-compress"],
            section=LESS,
            help="Send compressed (as the stub does anyway).",
        ),
        Exclusive(
            ["--no-compress", "-u"],
            is_flag=True,
            exclusive_with=["--compress"],
            section=LESS,
            help="Send as it is.",
        ),
        Exclusive(
            ["--encrypt"],
            is_flag=True,
            section=ENCRYPTION,
            help="Have the chip encrypt all files while writing.",
        ),
        _Pairs(
            ["--encrypt-files"],
            section=ENCRYPTION,
            help="Addresses and files that the chip encrypts while writing.",
        ),
        click.Option(
            ["--ignore-flash-enc-efuse"],
            is_flag=True,
            help="Do not look whether an encryption key is burned.",
        ),
        click.Option(["--nand-end-address"], type=AnyInt(), hidden=True),
        *table_options(),
        params.flash_type(),
        *monitor.monitor_options(),
    ],
)

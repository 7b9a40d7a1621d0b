# SPDX-License-Identifier: Apache-2.0
"""`esp_station run`: the station itself, with a view for people or events for programs."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import TYPE_CHECKING

import click

from esptool.cli import machine
from esptool.cli.common import Command
from esptool.cli.ending import stopping_signals
from esptool.cli.params import FiniteRange, IntRange
from esptool.errors import FatalError
from esptool.logger import log

if TYPE_CHECKING:
    from esp_station.page.server import Address


def _run(
    job: str,
    slots: tuple[str, ...],
    records: str | None,
    station: str | None,
    once: bool,
    boards: int | None,
    serve: str | None,
    plain: bool,
    grace: float,
) -> None:
    from esp_station.cli import views
    from esp_station.job import parse_slot, read_job
    from esp_station.records import Records
    from esp_station.station import Station, all_good
    from esptool.config import load_settings

    given = [parse_slot(text) for text in slots] or None
    checked = read_job(job, given, records)
    name = station or checked.station or socket.gethostname()
    book = Records(checked.records)
    with ExitStack() as stack:
        stack.callback(book.close)
        view = views.Switch()
        driven = Station(
            checked,
            book,
            name=name,
            listener=view.take,
            once=once,
            boards=boards,
            settings=load_settings(),
            grace_s=grace,
        )
        view.use(stack.enter_context(views.chosen(driven, plain=plain)))
        if serve is not None:
            from esp_station.page.server import served

            _tell_address(stack.enter_context(served(driven, serve)))
        with _stopping(driven.stop) as poll:
            driven.run(poll)
    machine.result({"run": driven.run_number, "results": driven.results})
    if (once or boards is not None) and not all_good(driven.results):
        told = ", ".join(f"{count} {word}" for word, count in sorted(driven.results.items()))
        raise FatalError(
            f"Not every board has passed: {told or 'none was done'}.",
            remedy=f"See what became of them: esp_station report --job {job}",
            code="boards_failed",
            operands={"results": dict(driven.results)},
        )


def _tell_address(address: Address) -> None:
    """Say where the page is, and who can see it."""
    log.print(f"Operator page: {address.url}")
    machine.result({"page": address.url})
    run = machine.active()
    if run is not None:
        run.emit("page_served", url=address.url)
    if address.is_open:
        log.warning(
            "Other machines can reach this page. Nothing is encrypted: whoever has the address "
            "sees the records and can start boards."
        )


@contextmanager
def _stopping(stop: Callable[..., None]) -> Iterator[Callable[[], None]]:
    """Signals end the station: the first lets boards in work finish, a second one does not.

    A handler must not take locks, so it only counts; what is given back is to be called often.
    """
    came: list[int] = []
    told = 0

    def note(number: int, _frame: FrameType | None) -> None:
        came.append(number)

    def poll() -> None:
        nonlocal told
        if len(came) > told:
            told = len(came)
            stop(now=told > 1)

    signals = stopping_signals()
    before = [signal.signal(number, note) for number in signals]
    try:
        yield poll
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)


command = Command(
    "run",
    callback=_run,
    help="Do JOB on every board that is plugged in, in all slots at once. The first Ctrl-C (or "
    "SIGTERM) begins no more boards and lets those in work finish; the second gives them up, and "
    "they are recorded as interrupted.",
    params=[
        click.Argument(["job"]),
        click.Option(
            ["--slot", "slots"],
            multiple=True,
            metavar="NAME=PORT",
            help="A slot with a port that stays, in place of the job's; may be given several "
            "times.",
        ),
        click.Option(
            ["--records", "-r"],
            metavar="FILE|URL",
            envvar="ESP_STATION_RECORDS",
            help="Where records are kept, in place of what the job says.",
        ),
        click.Option(
            ["--station"],
            metavar="NAME",
            envvar="ESP_STATION_NAME",
            help="The name of this station; that of the machine where nothing else is said.",
        ),
        click.Option(
            ["--once"],
            is_flag=True,
            help="One board in each slot, then end. Exit code 0: all PASS.",
        ),
        click.Option(
            ["--boards"],
            type=IntRange(1),
            help="End after so many boards. Exit code 0: all PASS.",
        ),
        click.Option(
            ["--serve"],
            is_flag=False,
            flag_value="127.0.0.1:0",
            metavar="[HOST:PORT]",
            help="Serve the operator page; without an address on this machine alone, at a free "
            "port.",
        ),
        click.Option(["--plain"], is_flag=True, help="Print lines also on a terminal."),
        click.Option(
            ["--grace"],
            type=FiniteRange(0),
            default=60.0,
            metavar="SECONDS",
            help="What boards in work have after the first signal.",
        ),
    ],
)

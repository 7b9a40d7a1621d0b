# SPDX-License-Identifier: Apache-2.0
"""A station: one process that drives all slots, a thread each, until it is told to end."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from esp_station import events, labgrid
from esp_station.attempt import BoardsInWork, Place, run_attempt
from esp_station.database import StationLock
from esp_station.job import Job
from esp_station.model import Slot
from esp_station.records import FAIL, PASS, Attempt, Records
from esp_station.slots import Lister, PortWatch
from esp_station.status import Status
from esptool import device, ops
from esptool.errors import FatalError, UsageError
from esptool.ops.identity import format_mac
from esptool.transport.discovery import all_ports
from esptool.transport.settings import Settings

#: How often ports are looked at, and a fixed port is called for the next board.
LOOK_S, CALL_S = 0.3, 2.0
#: How often it is seen to that this process is still the station.
KEEP_S = 1.0
#: Who looks into the records may have the station's lock for a moment.
LOCK_S = 3.0
#: A place that is not free is asked for again after so long.
PLACE_S = 5.0
#: Boards in work have so long to be done after the first signal.
GRACE_S = 60.0
_TICK_S = 0.1


class Station:
    """Runs a job on what is plugged in.

    Attributes:
        job: the job.
        name: the station's.
        book: the records.
        status: slots and counts, for whoever draws them.
        results: attempts that have ended, by result.
    """

    def __init__(
        self,
        job: Job,
        book: Records,
        *,
        name: str,
        listener: events.Listener,
        once: bool = False,
        boards: int | None = None,
        settings: Settings | None = None,
        ports: Lister = all_ports,
        grace_s: float = GRACE_S,
    ) -> None:
        """
        Args:
            job: what to do; with at least one slot.
            book: the records, which stay open.
            name: the station's name; unique among those that share the records.
            listener: told what goes on, by all threads, one at a time.
            once: each slot takes one board, at once where it has a fixed port.
            boards: end after so many attempts; None goes on until told.
            settings: of connections.
            ports: lists the ports of this machine.
            grace_s: what boards in work have after `stop`.

        Raises:
            UsageError: the job has no slot.
        """
        if not job.slots:
            raise UsageError(
                "The job has no slot, so there is nowhere to plug a board in.",
                remedy="Add [[slot]] with port, usb, serial or any; or give --slot NAME=PORT.",
            )
        self.job = job
        self.book = book
        self.name = name
        self.results: dict[str, int] = {}
        self.status = Status(tuple(slot.name for slot in job.slots), self._rows_left)
        self.run_number = 0
        self._tell_others = listener
        self._telling = threading.RLock()
        self._once = once
        self._boards = boards
        self._settings = settings
        self._watch = PortWatch(job.slots, ports)
        self._grace_s = grace_s
        self._stopping = threading.Event()
        self._give_up = threading.Event()
        self._in_work = BoardsInWork()
        self._begun = 0
        self._begun_lock = threading.Lock()
        self._wanted = {slot.name: threading.Event() for slot in job.slots}
        self._failure: BaseException | None = None

    def _rows_left(self) -> int | None:
        if self.job.rows is None or not self.run_number:
            return None
        stock = self.job.rows.stock()
        return stock.total - stock.used

    # --- asked from outside ----------------------------------------------------------------------

    def stop(self, *, now: bool = False) -> None:
        """Begin no more boards; with `now`, those in work are given up too. From any thread."""
        if now:
            self._give_up.set()
        self._stopping.set()

    def start_board(self, slot: str) -> None:
        """An operator says that a board is in a slot.

        Raises:
            UsageError: there is no such slot.
        """
        if slot not in self._wanted:
            raise UsageError(f"There is no slot '{slot}'.")
        self._wanted[slot].set()

    # --- running ---------------------------------------------------------------------------------

    def run(self, poll: Callable[[], None] = lambda: None) -> None:
        """Run until stopped, or until as many boards were done as asked for.

        Args:
            poll: called ten times a second, for what only this thread can do (signals).

        Raises:
            FatalError: another process is this station, or the records cannot be written.
        """
        lock = StationLock(self.book.engine, self.name, LOCK_S)
        try:
            self.book.settle(self.name)
            if self.job.rows is not None:
                self.job.rows.bind(self.book.engine, self.name)
            self.run_number = self.book.begin_run(
                self.name, self.job.identity.product, self.job.path, self.job.hash
            )
            self._run(poll, lock)
            self.book.end_run(self.run_number)
            self._tell(events.StationEnded(self.run_number))
        finally:
            lock.release()
        if self._failure is not None:
            raise self._failure

    def _run(self, poll: Callable[[], None], lock: StationLock) -> None:
        slots = self.job.slots
        names = tuple(slot.name for slot in slots)
        self._tell(
            events.StationStarted(
                self.run_number, self.name, self.job.identity.product, self.job.path, names
            )
        )
        threads = [
            threading.Thread(target=self._drive, args=(slot,), name=f"slot-{slot.name}")
            for slot in slots
        ]
        for thread in threads:
            thread.start()
        deadline: float | None = None
        looked = kept = 0.0
        try:
            while any(thread.is_alive() for thread in threads):
                poll()
                if time.monotonic() - kept >= KEEP_S:
                    kept = time.monotonic()
                    lock.keep()
                if self._watch.needed and time.monotonic() - looked >= LOOK_S:
                    looked = time.monotonic()
                    self._watch.look()
                if self._stopping.is_set() and deadline is None:
                    deadline = time.monotonic() + self._grace_s
                    self._tell(events.StationStopping(len(self._busy())))
                if deadline is not None and time.monotonic() > deadline:
                    self._give_up.set()
                next((t for t in threads if t.is_alive()), threads[0]).join(_TICK_S)
        except BaseException:
            self.stop(now=True)
            raise
        finally:
            for thread in threads:
                thread.join()

    def _busy(self) -> list[str]:
        return [slot.name for slot in self.status.slots() if slot.state == "WORKING"]

    def _tell(self, event: events.Event) -> None:
        with self._telling:
            self.status.take(event)
            self._tell_others(event)

    # --- a slot ----------------------------------------------------------------------------------

    def _drive(self, slot: Slot) -> None:
        """One slot, board after board. Runs in a thread of its own."""
        try:
            if slot.port is not None and labgrid.is_place(slot.port):
                self._drive_place(slot, labgrid.Place(slot.port))
            else:
                self._drive_boards(slot)
        except BaseException as e:
            # Without records there is no line: all slots end.
            self._failure = self._failure or e
            self.stop()

    def _drive_boards(self, slot: Slot, grid: labgrid.Place | None = None) -> None:
        """Board after board, until the station ends or the place in a labgrid is lost."""
        last: Attempt | None = None
        while not self._stopping.is_set():
            port = self._next_board(slot, last, grid)
            if port is None or not self._may_begin():
                return
            place = Place(self.run_number, self.name, slot.name, port)
            last = self._do(place if grid is None else replace(place, refuse_lost=grid.refuse_lost))
            if self._once or (grid is not None and not grid.is_held()):
                return

    def _drive_place(self, slot: Slot, place: labgrid.Place) -> None:
        """A place of a labgrid is this station's for as long as it runs, or for its one board."""
        assert slot.port is not None
        stopped = self._stopping.is_set
        if self._once:
            if self._may_begin():
                self._do(
                    Place(
                        *(self.run_number, self.name, slot.name, slot.port),
                        opened=lambda _port: place.acquired(stopped),
                        refuse_lost=place.refuse_lost,
                    )
                )
            return
        while not self._stopping.is_set():
            with contextlib.ExitStack() as stack:
                try:
                    port = stack.enter_context(place.acquired(stopped, 0.0))
                except FatalError as e:
                    self._tell(events.SlotWaiting(slot.name, str(e)))
                    self._stopping.wait(PLACE_S)
                    continue
                self._drive_boards(replace(slot, port=port), place)

    def _may_begin(self) -> bool:
        """Count a board that is to be begun; False where enough have been."""
        with self._begun_lock:
            if self._stopping.is_set() or (
                self._boards is not None and self._begun >= self._boards
            ):
                return False
            self._begun += 1
            if self._boards is not None and self._begun == self._boards:
                self._stopping_soon()
            return True

    def _stopping_soon(self) -> None:
        """The last board was begun: slots that wait need not do so any longer."""
        self._stopping.set()
        # The work that goes on has all the time that it needs.
        self._grace_s = float("inf")

    def _do(self, place: Place) -> Attempt:
        attempt = run_attempt(
            self.job,
            place,
            self.book,
            self._in_work,
            listener=self._tell,
            stop=self._give_up,
            settings=self._settings,
        )
        with self._telling:
            self.results[attempt.result] = self.results.get(attempt.result, 0) + 1
            self._tell(self.status.counts())
        return attempt

    def _next_board(
        self, slot: Slot, last: Attempt | None, grid: labgrid.Place | None = None
    ) -> str | None:
        """Wait for the next board of a slot; its port, None where there will be none."""
        wanted = self._wanted[slot.name]
        if slot.port is not None:
            if self._once:
                return slot.port
            return self._next_at_port(slot, slot.port, last, grid)
        told: bool | None = None
        gone = last is None
        while not self._stopping.is_set():
            there = self._watch.device(slot)
            if there is None:
                gone = True
            elif gone or wanted.is_set():
                wanted.clear()
                return there.device
            if told is not gone:
                told = gone
                text = "Plug a board in" if gone else "Take the board out"
                self._tell(events.SlotWaiting(slot.name, f"{text} ({slot.where})."))
            wanted.wait(_TICK_S)
        return None

    def _next_at_port(
        self, slot: Slot, port: str, last: Attempt | None, grid: labgrid.Place | None
    ) -> str | None:
        """A port that stays is called until a board answers that is not the last one."""
        wanted = self._wanted[slot.name]
        self._tell(events.SlotWaiting(slot.name, f"Connect a board to {port}."))
        gone = last is None
        while not self._stopping.is_set():
            if wanted.wait(0.0 if gone else CALL_S):
                wanted.clear()
                return port
            if grid is not None and not grid.is_held(PLACE_S):
                return None
            mac = self._call(port)
            if mac is None:
                gone = True
                wanted.wait(CALL_S)
            elif gone or (last is not None and last.mac is not None and mac != last.mac):
                return port
        return None

    def _call(self, port: str) -> str | None:
        """The MAC address of the chip that answers, None where none does."""
        with (
            contextlib.suppress(FatalError),
            device.connect(port, attempts=1, settings=self._settings) as session,
        ):
            mac = "?" if session.secure_download else format_mac(session.facts.macs.base)
            # The program of a board that is done goes on.
            ops.reset_chip(session)
            return mac
        return None


def all_good(results: dict[str, int]) -> bool:
    """Boards were done, and none of them failed."""
    return results.get(PASS, 0) > 0 and not results.get(FAIL, 0) and len(results) == 1

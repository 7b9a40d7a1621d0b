# SPDX-License-Identifier: Apache-2.0
"""A thread for an object that must be made, used and dropped in one thread, as an engine must.

Callers in any thread hand over work and wait for it.
"""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")
_Job = tuple[Callable[[dict[str, Any]], Any], "SimpleQueue[tuple[Any, BaseException | None]]"]

#: What a thread may take to drop an engine.
_LONGEST_S = 5.0
_ENDING: set[threading.Thread] = set()


class Confined:
    """Does jobs one after the other, each with the same dictionary, which never leaves."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._thread = threading.Thread(target=_work, args=(self._jobs,), daemon=True)
        self._thread.start()

    def do(self, job: Callable[[dict[str, Any]], T]) -> T:
        """Result of `job`; what it raises is raised here."""
        if threading.current_thread() is self._thread:
            raise RuntimeError("A job may not wait for another of its own thread.")
        answer: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
        self._jobs.put((job, answer))
        found, error = answer.get()
        if error is not None:
            raise error
        result: T = found
        return result

    def end(self) -> None:
        """Drop what the dictionary holds and end the thread, soon.

        Nothing is waited for: this is for finalizers, in which an interruption would be lost.
        """
        _ENDING.add(self._thread)
        self._jobs.put(None)


class Here:
    """The same in the caller's thread: the only one that lives on in a copy of a process."""

    def __init__(self) -> None:
        self._things: dict[str, Any] = {}

    def do(self, job: Callable[[dict[str, Any]], Any]) -> Any:
        """Result of `job`."""
        return job(self._things)

    def end(self) -> None:
        """Drop what the dictionary holds."""
        self._things.clear()


def wait_for_ended() -> None:
    """Wait until the threads that were told to end have dropped what they held."""
    while _ENDING:
        thread = _ENDING.pop()
        if threading.current_thread() is not thread:
            thread.join(_LONGEST_S)


# An engine must not be at work while the interpreter is taken apart.
atexit.register(wait_for_ended)


def _work(jobs: SimpleQueue[_Job | None]) -> None:
    things: dict[str, Any] = {}
    result: Any
    error: BaseException | None
    while (job := jobs.get()) is not None:
        work, answer = job
        try:
            result, error = work(things), None
        except BaseException as e:  # it is raised again where the result is awaited
            # Its frames would carry what is confined here into the caller's thread.
            result, error = None, e.with_traceback(None)
            error.__context__ = None
        # No name may keep alive what belongs to the caller.
        del job, work
        answer.put((result, error))
        del answer, result, error
    things.clear()

# SPDX-License-Identifier: Apache-2.0
"""`--json` and `--events`: what a command does and finds out, for programs.

With `--json` standard output carries one JSON document and nothing else; with `--events` a line of
JSON for everything that happens, the last of which is that document. Both follow the schema in
`esptool/output.schema.json`. Where standard output carries the data of the command, they go to
standard error.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from esptool import shared_log
from esptool.errors import FatalError
from esptool.events import Began, Connecting, Event, Level, Message, Progress, Result
from esptool.log_base import TemplateLogger, joined, with_suggestion
from esptool.logger import tell_ide

#: Of the schema: counted up when a field goes or changes its meaning, not when one is added.
SCHEMA_VERSION = 1
#: Names of the document itself, which no result may take.
RESERVED = frozenset(("schema", "program", "tool_version", "command", "ok", "error", "messages"))
#: Progress is told at most so often, its end always.
PROGRESS_PAUSE_S = 0.1

#: So many causes behind an error are looked at.
_DEPTH = 5
#: Of the results, what an error on a connected board is about as well.
_BOARD = ("port", "chip")

OPTIONS = ("--json", "--events")


def wanted(words: Sequence[str]) -> tuple[bool, bool]:
    """Whether a command line asks for `--json` and for `--events`, before it is parsed."""
    words = list(words)
    if "--" in words:
        words = words[: words.index("--")]
    return OPTIONS[0] in words, OPTIONS[1] in words


class Machine(TemplateLogger):
    """The logger of a run for programs: collects results and messages, and writes the JSON.

    Attributes:
        program: name of the program.
        command: name of the command, once it is known; a group's with what follows it.
        events: whether lines are written while work goes on.
        to_stderr: whether standard output carries data.
        started: whether a command was run at all, rather than help shown.
        values: the results.
    """

    def __init__(
        self, program: str, *, events: bool = False, now: Callable[[], float] = time.monotonic
    ) -> None:
        self.program = program
        self.command = ""
        self.events = events
        self.to_stderr = False
        self.started = False
        self._now = now
        self.values: dict[str, Any] = {}
        self._messages: list[dict[str, str]] = []
        self._last_progress: tuple[str, float] | None = None

    # --- what happens ----------------------------------------------------------------------------

    def event(self, event: Event) -> bool:
        """Take an event of an operation."""
        if isinstance(event, Result):
            self.result(event.values)
        elif isinstance(event, Message):
            self.message(event.level.value, event.text)
        elif isinstance(event, Progress):
            self._progress(event)
        elif isinstance(event, Began):
            self.emit("stage", stage=event.stage, **_all_plain(event.values))
        elif isinstance(event, Connecting) and not event.done:
            self.emit("attempt", attempt=event.attempt)
        return True

    def result(self, values: Mapping[str, Any]) -> None:
        """Put values into the document."""
        assert not RESERVED & values.keys(), values
        self.values.update(_all_plain(values))

    def message(self, level: str, text: str) -> None:
        """A sentence for a person; those beyond mere information are in the document, too."""
        text = text.strip("\n")
        if not text:
            return
        if level in (Level.WARNING.value, Level.ERROR.value):
            tell_ide(level, (text,))
        if level not in (Level.INFO.value, Level.DEBUG.value):
            self._messages.append({"level": level, "text": text})
        self.emit("message", level=level, text=text)

    def _progress(self, event: Progress) -> None:
        now = self._now()
        action, ends = event.action, event.done >= event.total
        last = self._last_progress
        if last is not None and last[0] == action and not ends and now - last[1] < PROGRESS_PAUSE_S:
            return
        self._last_progress = None if ends else (action, now)
        left = event.seconds_left
        self.emit(
            "progress",
            action=action,
            address=event.address,
            done=event.done,
            total=event.total,
            seconds_left=None if left is None else round(left, 1),
        )

    def emit(self, kind: str, **values: Any) -> None:
        """Write a line, where `--events` asks for them."""
        if self.events:
            self._write(_json({"event": kind, **values}))

    def document(self, error: BaseException | None = None) -> dict[str, Any]:
        """All that is known at the end."""
        from esptool._version import __version__

        return {
            "schema": SCHEMA_VERSION,
            "program": self.program,
            "tool_version": __version__,
            "command": self.command,
            "ok": error is None,
            **self.values,
            "messages": self._messages,
            **({} if error is None else {"error": self._described(error)}),
        }

    def _described(self, error: BaseException) -> dict[str, Any]:
        """An error, and on which board it happened, as far as one was reached."""
        device = self.values.get("device")
        board = {name: device[name] for name in _BOARD if device and name in device}
        found = describe(error)
        return {**found, "operands": {**board, **found["operands"]}}

    def finish(self, error: BaseException | None = None) -> None:
        """Write the document."""
        document = self.document(error)
        if self.events:
            self.emit("result", **document)
        else:
            self._write(_json(document, indent=2))

    def _write(self, text: str) -> None:
        stream = sys.stderr if self.to_stderr else sys.stdout
        if stream is not None:
            stream.write(text + "\n")
            stream.flush()

    # --- as a logger -----------------------------------------------------------------------------

    def print(self, *args: Any, **kwargs: Any) -> None:
        """A line for a person."""
        self.message(Level.INFO.value, joined(args))

    def note(self, message: str, *more: Any) -> None:
        """Something worth knowing."""
        self.message(Level.NOTE.value, joined((message, *more)))

    def hint(self, *args: Any) -> None:
        """Advice."""
        self.message(Level.HINT.value, joined(args))

    def warning(self, message: str, suggestion: str | None = None) -> None:
        """Something that may go wrong."""
        self.message(Level.WARNING.value, with_suggestion(message, suggestion))

    def error(self, message: str, suggestion: str | None = None) -> None:
        """Something failed, and the work goes on."""
        self.message(Level.ERROR.value, with_suggestion(message, suggestion))

    def debug(self, *args: Any) -> None:
        """A detail."""
        self.message(Level.DEBUG.value, joined(tuple(a for a in args if a != "")))

    def stage(self, finish: bool = False) -> None:
        """Lines are never folded away."""

    def progress_bar(
        self,
        cur_iter: int,
        total_iters: int,
        prefix: str = "",
        suffix: str = "",
        bar_length: int = 30,
    ) -> None:
        """Progress of work that knows no events."""
        self._progress(Progress(prefix.strip(), None, cur_iter, total_iters, suffix))

    def set_verbosity(self, verbosity: str) -> None:
        """All is told to programs."""


def _json(value: Mapping[str, Any], indent: int | None = None) -> str:
    import json

    return json.dumps(value, indent=indent)


def _plain(value: Any) -> Any:
    """A standard stream by its name, and not by that of the temporary file it goes through."""
    if isinstance(value, str):
        return f"{value}"
    if isinstance(value, Mapping):
        return _all_plain(value)
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _all_plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _plain(value) for name, value in values.items()}


def active() -> Machine | None:
    """The run for programs that is going on; None where a person looks."""
    logger = shared_log.active()
    return logger if isinstance(logger, Machine) else None


def result(values: Mapping[str, Any]) -> None:
    """Put values into the document, where there is to be one."""
    machine = active()
    if machine is not None:
        machine.result(values)


def show_question(text: str) -> None:
    """Show what a person is asked, in a run for programs: standard output is not for people."""
    if active() is not None and sys.stderr is not None:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


@contextmanager
def part(command: str) -> Iterator[None]:
    """One of several commands of a run: its values stand in the list `results`."""
    machine = active()
    if machine is None:
        yield
        return
    whole, machine.values = machine.values, {"command": command}
    try:
        yield
    finally:
        whole.setdefault("results", []).append(machine.values)
        machine.values = whole


@contextmanager
def run_of(program: str, words: Sequence[str]) -> Iterator[Machine | None]:
    """A run of a program, for programs where the words of its command line ask for that.

    The document is written at the end, whatever that is; errors go on. A run that shows help, or
    that is left before a command began, has none.
    """
    as_json, as_events = wanted(words)
    if not (as_json or as_events):
        yield None
        return
    before = shared_log.active()
    machine = Machine(program, events=as_events)
    shared_log.activate(machine)
    try:
        yield machine
    except BaseException as e:
        machine.finish(e)
        raise
    else:
        if machine.started:
            machine.finish()
    finally:
        shared_log.activate(before)


def describe(error: BaseException) -> dict[str, Any]:
    """An error as the schema has it: code, message, remedy, operands."""
    if isinstance(error, FatalError):
        return {
            "code": error.error_code,
            "message": error.message,
            "remedy": error.remedy,
            "operands": _all_plain(_operands(error)),
        }
    code, text = "internal", f"unexpected {type(error).__name__}: {error}"
    if isinstance(error, UsageMistake):
        return {
            "code": "usage",
            "message": str(error),
            "remedy": None,
            "operands": dict(error.operands),
        }
    if isinstance(error, KeyboardInterrupt):
        code, text = "interrupted", str(error) or "Interrupted."
    elif isinstance(error, MemoryError):
        code, text = "out_of_memory", "There is not enough memory for this."
    elif isinstance(error, SystemExit):
        code, text = "aborted", "It was not confirmed: nothing more was done."
    return {"code": code, "message": text, "remedy": None, "operands": {}}


def _operands(error: FatalError) -> dict[str, Any]:
    """Those of an error, and the file that the system refused where it was made of a refusal."""
    # A port has a device's file, whose name is known already.
    if "port" in error.operands:
        return error.operands
    seen: BaseException | None = error
    for _ in range(_DEPTH):
        seen = None if seen is None else seen.__cause__ or seen.__context__
        if isinstance(seen, OSError) and isinstance(seen.filename, str):
            return {"file": seen.filename, "reason": seen.strerror, **error.operands}
    return error.operands


class UsageMistake(SystemExit):
    """The command line is wrong, which has been shown; ends with exit code 2.

    Attributes:
        operands: the option or argument that is at fault, as `--json` has it.
    """

    def __init__(self, text: str, operands: Mapping[str, str] | None = None) -> None:
        super().__init__(2)
        self.text = text
        self.operands = dict(operands or {})

    def __str__(self) -> str:
        return self.text

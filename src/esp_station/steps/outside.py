# SPDX-License-Identifier: Apache-2.0
"""Steps beside the board: `label` makes a label of its data, `hook` calls a program."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from esp_station.steps.base import Env, Step
from esp_station.template import Template
from esp_station.tomlfile import Table
from esptool.errors import FatalError
from esptool.files import write_atomic
from esptool.textfile import read_text

if TYPE_CHECKING:
    from esp_station.board import Board

#: A program that goes on for longer is ended.
SECONDS = 60.0
_LAST_LINES = 3


@dataclass(frozen=True, slots=True)
class Label(Step):
    """Fills a template, for instance of ZPL, and writes it to a file, printer or program."""

    template: Template
    to: Template | None
    printer: tuple[str, int] | None
    command: tuple[str, ...]
    folder: str

    def run(self, board: Board) -> str | None:
        """See `Step.run`."""
        text = self.template.fill(board.facts())
        if self.to is not None:
            path = os.path.join(self.folder, self.to.fill(board.facts()))
            os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
            write_atomic(path, text.encode())
            return path
        if self.printer is not None:
            _send(self.printer, text.encode())
            return f"{self.printer[0]}:{self.printer[1]}"
        call(board, self.command, text, SECONDS, self.folder)
        return self.command[0]

    def redo(self, board: Board) -> bool:
        """See `Step.redo`."""
        self.run(board)
        return True


def _send(printer: tuple[str, int], data: bytes) -> None:
    """Send raw bytes to a printer in the network.

    Raises:
        FatalError: it does not take them.
    """
    try:
        with socket.create_connection(printer, timeout=10) as connection:
            connection.sendall(data)
    except OSError as e:
        raise FatalError(
            f"The printer {printer[0]}:{printer[1]} took no label: {e.strerror or e}.",
            remedy="Is it on, and has it paper? Then plug the board in again.",
        ) from e


def read_label(table: Table, env: Env, name: str) -> Step | None:
    """The step `label`: `template` or `text`, and one of `to`, `printer`, `command`."""
    text = table.text("text")
    if table.has("template"):
        path = env.file(table, "template")
        if path is None:
            return None
        try:
            text = read_text(path, "label")
        except FatalError as e:
            table.wrong("template", e.message, e.remedy)
            return None
    if not text:
        table.wrong(None, "A label needs a text.", 'Add: template = "label.zpl"')
    template = env.template(table, "template" if table.has("template") else "text", text)
    to = table.text("to")
    to_template = env.template(table, "to", to) if to else None
    printer = _printer(table)
    command = _command(table, env)
    ways = [key for key in ("to", "printer", "command") if table.has(key)]
    if len(ways) != 1:
        table.wrong(None, "A label needs one of `to`, `printer` and `command`.")
    if template is None or len(ways) != 1 or not (to_template or printer or command):
        return None
    return Label("label", name, template, to_template, printer, command, env.folder)


def _printer(table: Table) -> tuple[str, int] | None:
    url = table.text("printer")
    if not url:
        return None
    parts = urlsplit(url)
    with contextlib.suppress(ValueError):
        if parts.scheme in ("socket", "tcp") and parts.hostname:
            return parts.hostname, parts.port or 9100
    table.wrong("printer", f"'{url}' is not a printer.", 'Write: printer = "socket://HOST:9100"')
    return None


def _command(table: Table, env: Env) -> tuple[str, ...]:
    words = table.texts("command")
    if not words:
        return ()
    own = env.path(words[0])
    if os.sep in words[0] and os.access(own, os.X_OK):
        return (own, *words[1:])
    if shutil.which(words[0]) is None:
        table.wrong(
            "command", f"There is no program '{words[0]}'.", "Is it installed, and on PATH?"
        )
        return ()
    return words


@dataclass(frozen=True, slots=True)
class Hook(Step):
    """Calls a program with the record of the board as JSON on its standard input.

    An exit code other than 0 means that the board is not good. A JSON object on its standard
    output adds values to the record.
    """

    command: tuple[str, ...]
    seconds: float
    values: tuple[str, ...]
    folder: str

    def run(self, board: Board) -> str | None:
        """See `Step.run`."""
        record = json.dumps(board.attempt.to_json(log=False), indent=2)
        output = call(board, self.command, record, self.seconds, self.folder)
        found: dict[str, object] = {}
        if output.lstrip().startswith("{"):
            try:
                found = json.loads(output)
            except ValueError as e:
                raise FatalError(f"'{self.command[0]}' answered with damaged JSON: {e}.") from None
        for name, value in found.items():
            board.attempt.measured[name] = board.without_secrets(str(value))
        missing = next((name for name in self.values if name not in found), None)
        if missing is not None:
            raise FatalError(
                f"'{self.command[0]}' has not said '{missing}'.",
                remedy=f'It has to print a JSON object such as {{"{missing}": "..."}}.',
            )
        return self.command[0]


def read_hook(table: Table, env: Env, name: str) -> Step | None:
    """The step `hook`: `command`, `timeout`, and `values` that it answers with."""
    if not table.has("command"):
        table.wrong(None, "'command' is missing.", 'Add: command = ["./check-in.sh"]')
        return None
    command = _command(table, env)
    seconds = table.number("timeout", SECONDS, 0.1, 3600)
    values = table.texts("values")
    if not command:
        return None
    env.measured += values
    return Hook("hook", name, command, seconds, values, env.folder)


def call(board: Board, command: tuple[str, ...], text: str, seconds: float, folder: str) -> str:
    """Run a program in the folder of the job; what it printed.

    Raises:
        FatalError: it cannot be run, took too long, or ended with another code than 0.
    """
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            cwd=folder or None,
        )
    except OSError as e:
        raise FatalError(f"'{command[0]}' cannot be run: {e.strerror or e}.") from e
    with process:
        output, errors = _talk(board, process, text, seconds, command[0])
    for line in errors.splitlines():
        board.say(f"{os.path.basename(command[0])}: {line}")
    if process.returncode:
        said = " ".join(errors.strip().splitlines()[-_LAST_LINES:]) or "It said nothing."
        raise FatalError(
            f"'{command[0]}' ended with exit code {process.returncode}: "
            f"{board.without_secrets(said)}"
        )
    return output


def _talk(
    board: Board, process: subprocess.Popen[str], text: str, seconds: float, name: str
) -> tuple[str, str]:
    """Give a program its input, and wait for its end or that of the station."""
    end = time.monotonic() + seconds
    first: str | None = text
    while True:
        try:
            return process.communicate(first, timeout=0.2)
        except subprocess.TimeoutExpired:
            first = None
        try:
            board.check_stop()
            if time.monotonic() > end:
                raise FatalError(
                    f"'{name}' did not end within {seconds:g} s.",
                    remedy="Give it more with `timeout`, or see what it waits for.",
                )
        except FatalError:
            process.kill()
            process.communicate()
            raise

# SPDX-License-Identifier: Apache-2.0
"""`-` on a command line: standard input for a file to read, standard output for one to write.

Both become temporary files, so that all that works with files works with pipes: a reader may look
at any part of what came, and a program behind a pipe gets all of the output or nothing.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from esptool.cli import machine
from esptool.errors import FatalError, FileError, UsageError
from esptool.logger import log

DASH = "-"
#: More is no firmware, and no flash holds it.
LARGEST = 512 << 20
_INPUT, _OUTPUT = "esptool.stdin", "esptool.stdout"


class Stream(str):
    """The path of a temporary file, shown in messages as what it stands for.

    `str` of it stays the path: `pathlib` takes that up to Python 3.11, and would miss the file.
    """

    __slots__ = ("shown",)
    shown: str

    def __format__(self, spec: str) -> str:
        return format(self.shown, spec)


def read_from(ctx: click.Context | None) -> str:
    """A file with what comes from standard input, until the command has ended.

    Raises:
        FileError: there is none, or too much of it.
    """
    root = _root(ctx)
    if _INPUT not in root.meta:
        path = _path(root, "standard input")
        source = getattr(sys.stdin, "buffer", None)
        if source is None:
            raise FileError("There is no standard input to read.")
        with open(path, "wb") as file:
            left = LARGEST
            while chunk := source.read(1 << 16):
                left -= len(chunk)
                if left < 0:
                    raise FileError(f"Standard input has more than {LARGEST >> 20} MB.")
                file.write(chunk)
        root.meta[_INPUT] = path
    found: str = root.meta[_INPUT]
    return found


def write_to(ctx: click.Context | None) -> str:
    """A file that goes to standard output when the command has succeeded.

    All text goes to standard error from now on.
    """
    root = _root(ctx)
    if _OUTPUT not in root.meta:
        root.meta[_OUTPUT] = _path(root, "standard output")
        run = machine.active()
        if run is not None:
            run.to_stderr = True
        log.redirect(sys.stderr)
        root.call_on_close(lambda: log.redirect(None))
    found: str = root.meta[_OUTPUT]
    return found


def deliver(ctx: click.Context) -> None:
    """Write to standard output what the command has made for it.

    Raises:
        UsageError: it has made something else.
    """
    path = ctx.find_root().meta.get(_OUTPUT)
    if path is None:
        return
    if not os.path.isfile(path):
        raise UsageError("Standard output takes one file.", remedy="Name a file for the output.")
    if sys.stdout is None:
        return
    sys.stdout.flush()
    target: Any = getattr(sys.stdout, "buffer", None)
    if target is None:
        raise FileError("Standard output takes text only here.")
    with open(path, "rb") as file:
        while chunk := file.read(1 << 16):
            target.write(chunk)
    target.flush()


def name_in(error: FatalError, ctx: click.Context) -> None:
    """Have an error name the streams, and not the temporary files that stand for them."""
    for key in (_INPUT, _OUTPUT):
        path = ctx.find_root().meta.get(key)
        if path is None:
            continue
        real = "".join(path)
        error.message = error.message.replace(real, path.shown)
        error.args = tuple(
            arg.replace(real, path.shown) if isinstance(arg, str) else arg for arg in error.args
        )
        error.operands = {
            name: path.shown if value == real else value for name, value in error.operands.items()
        }


def is_input(path: object) -> bool:
    """It stands for standard input, which cannot be changed in place."""
    return isinstance(path, Stream) and path.shown == "standard input"


def is_output(path: object) -> bool:
    """It stands for standard output."""
    return isinstance(path, Stream) and path.shown == "standard output"


def _root(ctx: click.Context | None) -> click.Context:
    return (ctx or click.get_current_context()).find_root()


def _path(root: click.Context, shown: str) -> Stream:
    # Only where they are needed: they cost more to import than a short command takes.
    import shutil
    import tempfile

    folder = tempfile.mkdtemp(prefix="esptool-")
    root.call_on_close(lambda: shutil.rmtree(folder, ignore_errors=True))
    path = Stream(os.path.join(folder, shown.replace(" ", "-")))
    path.shown = shown
    return path

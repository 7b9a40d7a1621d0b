# SPDX-License-Identifier: Apache-2.0
"""Keys for the monitor: what is typed goes to the chip, but for two keys of ESP-IDF's monitor."""

from __future__ import annotations

import os
import queue
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from typing import Any


class Wish(Enum):
    """What a person asks the monitor for."""

    EXIT = "exit"
    RESET = "reset"
    BOOT_LOADER = "boot loader"
    FLASH = "flash"
    PAUSE = "pause"
    LOG = "log"
    TIMESTAMPS = "timestamps"
    HELP = "help"
    UNKNOWN = "unknown"


_EXIT, _MENU = "\x1d", "\x14"
#: Keys behind the menu's, with and without Ctrl.
_MENU_KEYS = {
    "x": Wish.EXIT,
    "r": Wish.RESET,
    "p": Wish.BOOT_LOADER,
    "f": Wish.FLASH,
    "a": Wish.FLASH,
    "y": Wish.PAUSE,
    "l": Wish.LOG,
    "i": Wish.TIMESTAMPS,
    "h": Wish.HELP,
    "?": Wish.HELP,
}
HELP = (
    "Ctrl-]          leave the monitor",
    "Ctrl-T Ctrl-R   reset the chip",
    "Ctrl-T Ctrl-P   reset it into its boot loader, for flashing",
    "Ctrl-T Ctrl-F   flash again, where the monitor was started by a command that flashes",
    "Ctrl-T Ctrl-Y   pause the output, or go on",
    "Ctrl-T Ctrl-L   write a log file, or end it",
    "Ctrl-T Ctrl-I   show the time in front of lines, or not",
    "Ctrl-T Ctrl-H   this help",
    "Ctrl-T Ctrl-X   leave the monitor",
    "Ctrl-T Ctrl-T   send Ctrl-T; likewise Ctrl-T Ctrl-] sends Ctrl-]",
    "All else goes to the chip.",
)


class Keys:
    """Takes keys apart: text for the chip, and wishes. Without a terminal, so that it is testable.

    Args:
        ending: what Enter sends.
    """

    def __init__(self, ending: str = "\r") -> None:
        self._ending = ending
        self._menu = False

    def take(self, text: str) -> Iterator[str | Wish]:
        """What was typed, in order."""
        plain: list[str] = []
        for key in text:
            if self._menu:
                self._menu = False
                if key in (_EXIT, _MENU):
                    plain.append(key)
                    continue
                # Ctrl and a letter is the letter's number; Ctrl-H may also be Backspace.
                letter = chr(ord(key) | 0x60) if ord(key) < 0x20 else key.lower()
                letter = "h" if key == "\x7f" else letter
                wish = _MENU_KEYS.get(letter, Wish.UNKNOWN)
            elif key == _MENU:
                self._menu = True
                continue
            elif key == _EXIT:
                wish = Wish.EXIT
            else:
                plain.append(self._ending if key in "\r\n" else key)
                continue
            if plain:
                yield "".join(plain)
                plain = []
            yield wish
        if plain:
            yield "".join(plain)


class Keyboard:
    """Reads standard input in a thread of its own.

    Attributes:
        wishes: what is asked of the monitor.
    """

    def __init__(self, send: Callable[[bytes], object], keys: Keys) -> None:
        self._send, self._keys = send, keys
        self.wishes: queue.SimpleQueue[Wish] = queue.SimpleQueue()
        self._stop = threading.Event()

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Keys are read, and not shown by the terminal, within the `with`."""
        with _raw() as read:
            if read is None:
                yield
                return
            thread = threading.Thread(target=self._work, args=(read,), daemon=True)
            thread.start()
            try:
                yield
            finally:
                self._stop.set()
                thread.join(0.5)

    def _work(self, read: Callable[[threading.Event], bytes | None]) -> None:
        import codecs

        decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        while not self._stop.is_set():
            data = read(self._stop)
            if data is None:
                return
            for item in self._keys.take(decode(data)):
                if isinstance(item, Wish):
                    self.wishes.put(item)
                else:
                    self._send(item.encode("utf-8"))


@contextmanager
def _raw() -> Iterator[Callable[[threading.Event], bytes | None] | None]:
    """A reader of single keys; None where there is nothing to read from."""
    stdin = sys.stdin
    if stdin is None or stdin.closed:
        yield None
        return
    try:
        fd = stdin.fileno()
    except (OSError, ValueError):
        yield None
        return
    if os.name == "nt":
        yield _windows_reader() if os.isatty(fd) else _pipe_reader(fd)
        return
    if not os.isatty(fd):
        yield _pipe_reader(fd)
        return
    import termios

    if _in_background(fd):
        yield None  # such a job is stopped when it reads
        return
    before = termios.tcgetattr(fd)
    raw: list[Any] = termios.tcgetattr(fd)
    raw[0] &= ~(termios.ICRNL | termios.IXON)
    raw[3] &= ~(termios.ICANON | termios.ECHO | termios.ISIG | termios.IEXTEN)
    try:
        termios.tcsetattr(fd, termios.TCSADRAIN, raw)
        yield _pipe_reader(fd)
    finally:
        with suppress(termios.error):
            termios.tcsetattr(fd, termios.TCSADRAIN, before)


def _in_background(fd: int) -> bool:
    try:
        return os.tcgetpgrp(fd) != os.getpgrp()
    except OSError:  # not the terminal that this process belongs to
        return False


def _pipe_reader(fd: int) -> Callable[[threading.Event], bytes | None]:
    if os.name == "nt":
        return lambda _stop: os.read(fd, 1024) or None
    import select

    def read(stop: threading.Event) -> bytes | None:
        while not stop.is_set():
            try:
                if select.select([fd], [], [], 0.1)[0]:
                    return os.read(fd, 1024) or None
            except (OSError, ValueError):
                return None
        return None

    return read


def _windows_reader() -> Callable[[threading.Event], bytes | None]:
    import importlib
    import time

    msvcrt: Any = importlib.import_module("msvcrt")

    def read(stop: threading.Event) -> bytes | None:
        while not stop.is_set():
            if msvcrt.kbhit():
                return str(msvcrt.getwch()).encode("utf-8")
            time.sleep(0.02)
        return None

    return read

# SPDX-License-Identifier: Apache-2.0
"""A session in a real terminal (tmux): stages fold away, bars move, narrow windows hold."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")


class Window:
    """A tmux session that runs one command line and then waits.

    Attributes:
        written: the file that gets all that the command writes to the terminal.
    """

    def __init__(self, name: str, written: Path) -> None:
        self._name = name
        self.written = written

    def _tmux(self, *words: str) -> str:
        hidden = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR")
        done = subprocess.run(
            ["tmux", "-L", self._name, *words],
            capture_output=True,
            text=True,
            check=True,
            env={k: v for k, v in os.environ.items() if k not in hidden},
        )
        return done.stdout

    def start(self, columns: int, command: str) -> None:
        size = ("-x", str(columns), "-y", "70")
        # It begins once all that it writes is kept.
        held = f"read go; {command}; echo END; sleep 600"
        self._tmux("-f", "/dev/null", "new-session", "-d", *size, held)
        self._tmux("pipe-pane", f"cat >'{self.written}'")
        self._tmux("send-keys", "Enter")

    def lines(self) -> list[str]:
        return [line.rstrip() for line in self._tmux("capture-pane", "-p").splitlines() if line]

    def end(self, timeout_s: float = 110) -> list[list[str]]:
        """What the screen showed from time to time, until the command had ended."""
        seen: list[list[str]] = []
        limit = time.monotonic() + timeout_s
        while time.monotonic() < limit:
            seen.append(self.lines())
            if "END" in seen[-1]:
                return seen
            time.sleep(0.05)
        raise AssertionError(f"did not end; the screen shows {seen[-1]}")

    def close(self) -> None:
        subprocess.run(["tmux", "-L", self._name, "kill-server"], capture_output=True, check=False)


@contextmanager
def window(tmp_path: Path, columns: int, *words: str) -> Iterator[Window]:
    found = Window(f"esptool-test-{os.getpid()}-{columns}", tmp_path / "written")
    script = tmp_path / "session.sh"
    script.write_text(f'exec {sys.executable} -m esptool "$@"\n')
    command = " ".join(["sh", str(script), *(f"'{w}'" for w in words)])
    found.start(columns, command)
    try:
        yield found
    finally:
        found.close()


@pytest.mark.parametrize("columns", [80, 40])
def test_a_write_in_a_terminal(tmp_path: Path, columns: int) -> None:
    image = tmp_path / "image.bin"
    image.write_bytes(random.randbytes(60_000))
    port = "virtual://esp32s3?timing=real"
    write = ("--port", port, "--baud", "460800", "write-flash", "0x10000", str(image))
    with window(tmp_path, columns, *write) as session:
        seen = session.end()
    last = seen[-1]
    assert not any(line.startswith("Connecting") for line in last), "the stage was to fold away"
    assert any(line.startswith("Connected to ESP32-S3") for line in last)
    assert "Stub flasher running." in last
    assert not any(line.startswith("Uploading stub") for line in last)
    assert any("Hash of data verified." in line for line in last)
    bars = [[line for line in screen if line.startswith("Writing at 0x")] for screen in seen]
    assert max(map(len, bars)) == 1, "a bar moves in its line"
    assert all(len(line) <= columns for bar in bars for line in bar)
    assert "100.0%" in bars[-1][0]
    # How often the screen is looked at depends on what else the machine does; what was written
    # does not.
    written = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", session.written.read_bytes().decode())
    drawn = re.findall(r"Writing at 0x[^\r\n]*", written)
    moving = [line.rstrip() for line in drawn if "100.0%" not in line]
    assert len(set(moving)) > 1, "a bar moves"
    telling = re.compile(r"% .*, \d:\d\d left$" if columns == 80 else r"% \d:\d\d$")
    assert any(telling.search(line) for line in moving), "the time left is shown"
    assert "left" not in bars[-1][0]

# SPDX-License-Identifier: Apache-2.0
"""The channel to an IDE: what is sent where one listens, and that one that is gone is no matter."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.server import Server, ServerConnection, serve


class Ide:
    """A server that keeps what it is sent."""

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []
        self.server: Server = serve(self._take, "127.0.0.1", 0)
        self.url = f"ws://127.0.0.1:{self.server.socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self.server.serve_forever)
        self._thread.start()

    def _take(self, connection: ServerConnection) -> None:
        for text in connection:
            self.heard.append(json.loads(text))

    def close(self) -> None:
        # Who has ended has closed its connection: to close it here would lose what is on its way.
        self.server.shutdown(close_connections=False)
        self._thread.join()


@pytest.fixture
def ide() -> Iterator[Ide]:
    server = Ide()
    yield server
    server.close()


def run(url: str, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "esptool", *words],
        env={**os.environ, "ESP_IDE_WS": url, "ESPTOOL_VIRTUAL_STUB": "model"},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


CASES = {
    "an error": (
        ["--port", "virtual://esp32c3?timing=virtual", "erase-region", "1", "0x1000"],
        "error",
        "must be a multiple of 4096",
    ),
    "a usage error": (["no-such-command"], "error", "No such command"),
    "a warning": (
        ["--port", "virtual://esp32c3?timing=virtual", "chip-id"],
        "warning",
        "has no chip ID",
    ),
    "a warning beside JSON": (
        ["--json", "--port", "virtual://esp32c3?timing=virtual", "chip-id"],
        "warning",
        "has no chip ID",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_an_ide_is_told_each_thing_once(case: str, ide: Ide, tmp_path: Path) -> None:
    words, kind, text = CASES[case]
    done = run(ide.url, *words, cwd=tmp_path)
    assert done.returncode in (0, 2), done.stderr
    ide.close()  # all that was sent has been taken then
    (told,) = ide.heard
    assert told["type"] == kind
    assert text in told["message"]
    assert Path(told["file"]).is_file()
    assert told["line"] > 0
    assert set(told) == {"type", "file", "line", "message", "suggestion"}


def test_a_remedy_is_a_suggestion(ide: Ide, tmp_path: Path) -> None:
    run(ide.url, "elf2image", "absent", cwd=tmp_path)
    run(ide.url, "--port", "/dev/no-such-port", "flash-id", cwd=tmp_path)
    ide.close()
    assert "check the cable" in str(ide.heard[-1]["suggestion"])
    assert "check the cable" not in ide.heard[-1]["message"]


@pytest.mark.parametrize("url", ["nonsense", "ws://127.0.0.1:{}"])
def test_an_ide_that_is_gone_is_no_matter(url: str, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens there
        url = url.format(taken.getsockname()[1])
        done = run(url, "--port", "virtual://esp32c3?timing=virtual", "chip-id", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Reading MAC address instead" in done.stderr

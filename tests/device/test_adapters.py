# SPDX-License-Identifier: Apache-2.0
"""What is kept of adapters: found again, apart, and never in the way."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from esptool.device import adapters
from esptool.device.adapters import Adapter
from esptool.locking import FileLock
from esptool.transport import Port, open_port


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    found = tmp_path / "cache" / "adapters.json"
    monkeypatch.setenv(adapters.VARIABLE, str(found))
    return found


def port(serial: str = "A1", link: str = "uart") -> Port:
    return open_port(f"virtual://esp32s3?serial={serial}&link={link}")


def known(of: Port) -> tuple[int, int]:
    found = adapters.recall(of)
    return found.rate, found.stub_at


def test_adapters_are_told_apart_and_their_facts_kept_apart(file: Path) -> None:
    first, second, usb = port("A1"), port("A2"), port("A1", "usb-jtag")
    adapters.learn(first, rate=921_600)
    adapters.learn(second, rate=460_800)
    adapters.learn(first, stub_at=2_000_000)
    assert [known(p) for p in (first, second, usb)] == [(921_600, 2_000_000), (460_800, 0), (0, 0)]
    assert os.listdir(file.parent) == [file.name]


def test_simulated_lines_with_faults_are_told_from_those_without(file: Path) -> None:
    def key(more: str) -> str | None:
        return adapters.key(open_port(f"virtual://esp32c3?timing=virtual{more}"))

    assert key("") == key("&flash=8MB") == key("&fault=") != key("&fault=baud:9600")
    assert key("&fault=baud:9600") != key("&fault=baud:115200")
    assert key("&name=a&fault=baud:9600") == key("&name=a") != key("&name=b")


ENTRIES: list[Any] = [
    *(None, 7, [], {"rate": "fast"}, {"rate": -1}, {"rate": 1e99}, {"when": True}),
]


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "null", '{"format": 1}', '{"format": 1, "adapters": []}', "\0" * 9, "[" * 5000]
    + [json.dumps({"format": 1, "adapters": {"virtual/10c4:ea60:A1": entry}}) for entry in ENTRIES],
)
def test_a_damaged_file_is_passed_over_and_made_anew(file: Path, content: str) -> None:
    file.parent.mkdir()
    file.write_text(content)
    assert known(port()) == (0, 0)
    adapters.learn(port(), rate=921_600)
    assert known(port()) == (921_600, 0)


def test_what_cannot_be_written_is_not_kept_and_nobody_is_told(file: Path) -> None:
    file.parent.mkdir()
    with FileLock(str(file), "file"):
        adapters.learn(port(), rate=921_600)
    file.parent.rmdir()
    file.parent.write_text("no folder")
    adapters.learn(port(), rate=921_600)
    assert known(port()) == (0, 0)


@pytest.mark.parametrize("word", ["off", "OFF", ""])
def test_it_can_be_switched_off(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(adapters.VARIABLE, word)
    assert adapters.path() is None
    adapters.learn(port(), rate=921_600)
    assert adapters.recall(port()) == Adapter()


def test_it_is_in_the_users_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(adapters.VARIABLE, raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert adapters.path() == str(tmp_path / "esptool" / "adapters.json")


def test_what_is_old_does_not_count(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    adapters.learn(port(), rate=921_600)
    now = adapters.recall(port()).when
    for later, rate in ((6 * 86400, 921_600), (8 * 86400, 0), (-86400, 0)):
        monkeypatch.setattr("esptool.device.adapters.time.time", lambda t=now + later: t)
        assert known(port())[0] == rate


def test_many_at_once_leave_a_whole_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Who does not get the lock keeps nothing; on a slow disk that would be most.
    monkeypatch.setattr(adapters, "_LOCK_TRIES", 100_000)

    def work(number: int) -> None:
        adapters.learn(port(f"N{number}"), rate=115_200 + number)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(150)))
    held = json.loads(file.read_text())["adapters"]
    assert 50 < len(held) <= 100
    assert os.listdir(file.parent) == [file.name]


def test_what_is_no_usb_device_has_no_name(file: Path) -> None:
    pty = pytest.importorskip("pty")
    main, other = pty.openpty()
    terminal = open_port(os.ttyname(other))
    assert adapters.key(terminal) is None
    adapters.learn(terminal, rate=921_600)
    assert not file.exists()
    terminal.close()
    os.close(main)
    os.close(other)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_what_is_no_plain_file_is_neither_read_nor_replaced(file: Path) -> None:
    file.parent.mkdir()
    os.mkfifo(file)
    adapters.learn(port(), rate=921_600)
    assert known(port()) == (0, 0)
    assert file.is_fifo()
    assert os.listdir(file.parent) == [file.name]

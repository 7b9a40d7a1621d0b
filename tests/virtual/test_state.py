# SPDX-License-Identifier: Apache-2.0
"""The file that keeps a board: one user at a time, and nothing but a whole state is taken."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import espefuse
import esptool
from esptool.errors import FatalError
from esptool.locking import FileLock
from esptool.transport import open_port
from tests.virtual.support import open_chip


def board(path: Path, more: str = "") -> str:
    return f"virtual://esp32c3?state={path}{more}"


def test_a_state_in_use_is_refused_and_free_again_afterwards(tmp_path: Path) -> None:
    url = board(tmp_path / "board.bin")
    first = open_port(url)
    with pytest.raises(FatalError, match="is in use by another program"):
        open_port(url)
    done = subprocess.run(
        [sys.executable, "-m", "esptool", "--port", url, "flash-id"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "is in use by another program" in done.stderr) == (2, True)
    first.close()
    with esptool.connect_esp(port=url) as esp:
        assert esp.CHIP_NAME == "ESP32-C3"
    assert [p.name for p in tmp_path.iterdir()] == ["board.bin"]


def test_a_named_board_keeps_its_state_while_the_process_lives(tmp_path: Path) -> None:
    url = board(tmp_path / "board.bin", "&name=kept")
    open_port(url).close()
    with pytest.raises(FatalError, match="in use"):
        open_port(board(tmp_path / "board.bin"))
    open_port(url).close()


def test_a_lock_that_its_holder_removes_meanwhile_is_not_taken_for_held(tmp_path: Path) -> None:
    path = str(tmp_path / "x")
    for _ in range(3):
        lock = FileLock(path, "file")
        with pytest.raises(FatalError, match="in use"):
            FileLock(path, "file")
        lock.release()
        lock.release()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("where", ["no/such/folder/x", "."])
def test_a_state_that_cannot_be_kept_is_said_before_anything_is_done(
    where: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(FatalError, match=r"state file '.*' is a folder|Cannot write the state"):
        esptool.main(["--port", board(tmp_path / where), "flash-id"])
    assert "Manufacturer" not in capsys.readouterr().out


def saved(path: Path) -> dict[str, Any]:
    open_port(board(path)).close()
    head: dict[str, Any] = json.loads(path.read_bytes()[:4096])
    return head


def test_a_damaged_state_is_refused_whole_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "board.bin"
    good = saved(path)
    damaged: list[Any] = [{k: v for k, v in good.items() if k != gone} for gone in good]
    damaged.remove({k: v for k, v in good.items() if k != "checks"})  # came later
    damaged += [
        *({**good, key: None} for key in good),
        *({**good, key: "zz"} for key in good),
        {**good, "efuses": {"99": "00"}},
        {**good, "efuses": {"0": "00"}},
        {**good, "efuses": {"x": "00"}},
        {**good, "status": "00" * 99},
        [],
        None,
        7,
    ]
    for head in damaged:
        content = json.dumps(head).encode().ljust(4096)
        path.write_bytes(content)
        with pytest.raises(FatalError, match=r"state of a virtual board|belongs to"):
            open_port(board(path))
        assert path.read_bytes() == content
    for content in (b"", b"[" * 100_000, bytes(range(256)) * 17):
        path.write_bytes(content)
        with pytest.raises(FatalError, match="not a state of a virtual board"):
            open_port(board(path))


@pytest.mark.parametrize(
    "url",
    [
        *("virtual://[", "virtual://", "virtual://esp32c3?flash=-1", "virtual://esp32c3?rev=x"),
        *("virtual://esp32c3?crystal=0", "virtual://esp32c3?crystal=-40"),
        *("virtual://esp32c3?crystal=1000000000000", "virtual://esp32c3?latency=nan"),
        *("virtual://esp32c3?latency=-1", "virtual://esp32c3?latency=inf"),
        *("virtual://esp32c3?fault=away:nan", "virtual://esp32c3?fault=away:-1"),
        *("virtual://esp32c3?fault=lose:nan", "virtual://esp32c3?fault=drop:-1"),
        *("virtual://esp32c3?fault=erase:-1", "virtual://esp32c3?rev=-1"),
        *("virtual://esp32c3?rev=v99999999999", "virtual://esp32c3?efuse=0:1"),
        *("virtual://esp32c3?efuse=nope:1", "virtual://esp32c3?efuse=secure_boot:-1"),
        *("virtual://esp32c3?mac=00", "virtual://esp32c3?state=%00", "virtual://esp32c3?part=x"),
        *("virtual://esp32c3?max_times=perhaps", "virtual://esp32c3?timing=slow"),
        "virtual://esp32c3?flash=99999999999999999999MB",
    ],
)
def test_a_setting_that_cannot_be_meant_is_one_clear_error(url: str) -> None:
    with pytest.raises(FatalError, match="Could not open"):
        open_port(url)


def test_an_efuse_file_changed_by_another_program_is_not_overwritten(tmp_path: Path) -> None:
    path = str(tmp_path / "efuses.bin")
    args: dict[str, Any] = {
        "chip": "esp32c3",
        "virt": True,
        "virt_efuse_file": path,
        "do_not_confirm": True,
    }
    with espefuse.init_commands(**args) as one, espefuse.init_commands(**args) as other:
        one.burn_bit("BLOCK3", [1])
        written = (tmp_path / "efuses.bin").read_bytes()
        with pytest.raises(FatalError, match="was changed by another program"):
            other.burn_bit("BLOCK3", [2])
    assert (tmp_path / "efuses.bin").read_bytes() == written


def test_a_port_that_its_owner_has_closed_is_not_opened_again(tmp_path: Path) -> None:
    esp = esptool.connect_esp(port="virtual://esp32c3")
    esp._port.close()
    for use in (esp.hard_reset, esp.read_mac, lambda: esp.read_reg(0x40001000), esp.connect):
        with pytest.raises(FatalError, match="closed"):
            use()
        assert not esp._port.is_open
    esp._port.open()
    esp.connect()
    assert esp.read_mac()[0] == 0x60  # type: ignore[index]
    esp._port.close()


def test_pyserial_sees_the_port_of_a_loader_object() -> None:
    with esptool.connect_esp(port="virtual://esp32c3") as esp:
        assert esp._port.board is not None  # type: ignore[attr-defined]
        assert esp._port.baudrate == 115200
    assert open_chip("virtual://esp32c3").is_open


@pytest.mark.parametrize("more", ["&secure_download=1", "&efuse=0x60008834:0x40000"])
def test_what_only_a_new_board_is_made_with_is_refused_for_another(
    more: str, tmp_path: Path
) -> None:
    made = board(tmp_path / "made", more)
    for _ in range(2):  # the same words again ask for nothing new
        open_port(made).close()
    plain = board(tmp_path / "plain")
    open_port(plain).close()
    before = (tmp_path / "plain").read_bytes()
    with pytest.raises(FatalError, match="count for a new board"):
        open_port(plain + more)
    assert (tmp_path / "plain").read_bytes() == before
    open_port(plain).close()

# SPDX-License-Identifier: Apache-2.0
"""Slots in a labgrid: its own coordinator and exporters, with boards of two hosts."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import pytest
from bench.line_soak import served_boards

from esp_station.job import read_job
from esp_station.labgrid import BusyError, Place
from esp_station.model import Slot
from esp_station.records import FAIL, PASS
from esptool.errors import FatalError, UsageError
from esptool.transport.settings import Settings
from esptool.virtual.server import Rfc2217Server
from tests.support.addresses import own_loopback
from tests.support.signals import interruptible

from .support import Line, app_bytes, write_job, wrong_in_cells

#: `make labgrid` makes it.
TOOLS = Path(__file__).parents[2] / ".venv-labgrid" / "bin"
needs_labgrid = pytest.mark.skipif(
    not (TOOLS / "labgrid-client").exists(), reason="needs labgrid (make labgrid)"
)
_LOOK_S = 250


class Grid:
    """A coordinator with exporters.

    Attributes:
        where: the coordinator's address.
        boards: what hangs on its hosts.
    """

    def __init__(self, where: str, boards: Sequence[Rfc2217Server]) -> None:
        self.where = where
        self.boards = boards

    def client(self, *words: str, user: str = "line") -> str:
        """What labgrid's program says, as some user."""
        done = subprocess.run(
            [TOOLS / "labgrid-client", "-x", self.where, *words],
            env={**os.environ, "LG_USERNAME": user, "LG_HOSTNAME": "host"},
            capture_output=True,
            text=True,
            check=True,
            timeout=_LOOK_S,
        )
        return done.stdout

    def exporter(
        self, host: str, url: str, folder: Path
    ) -> AbstractContextManager[subprocess.Popen[bytes]]:
        """A host with one board on its serial port."""
        port = url.rpartition(":")[2].partition("?")[0]
        config = folder / f"{host}.yaml"
        config.write_text(
            f"bench:\n  NetworkSerialPort:\n    host: 127.0.0.1\n    port: {port}\n"
            "    protocol: rfc2217\n"
        )
        return program(folder, "labgrid-exporter", "-c", self.where, "-n", host, str(config))


@contextmanager
def program(folder: Path, name: str, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """One of labgrid's programs, for the length of a `with`."""
    with subprocess.Popen(
        [TOOLS / name, *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,  # the coordinator keeps its places there
        preexec_fn=interruptible,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(what: Callable[[], bool]) -> None:
    end = time.monotonic() + _LOOK_S
    while not what():
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.2)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((own_loopback(), port)) == 0


#: What the coordinator keeps of its places: two, each with what one host exports.
PLACES = """\
{0}:
  acquired: null
  acquired_resources: []
  aliases: []
  allowed: []
  changed: 0.0
  comment: ''
  created: 0.0
  matches: [{{cls: '*', exporter: {0}, group: bench, name: null, rename: null}}]
  reservation: null
  tags: {{}}
"""


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grid]:
    folder = tmp_path_factory.mktemp("grid")
    (folder / "places.yaml").write_text(PLACES.format("a") + PLACES.format("b"))
    with socket.socket() as probe:
        probe.bind((own_loopback(), 0))
        where = f"{own_loopback()}:{probe.getsockname()[1]}"
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("PATH", f"{TOOLS}{os.pathsep}{os.environ['PATH']}")
        patch.setenv("LG_COORDINATOR", where)
        patch.setenv("LG_USERNAME", "line")
        patch.setenv("LG_HOSTNAME", "host")
        servers = stack.enter_context(served_boards(2))
        stack.enter_context(program(folder, "labgrid-coordinator", "-l", where))
        wait_for(lambda: _listens(int(where.rpartition(":")[2])))
        made = Grid(where, servers)
        for host, server in zip(("a", "b"), servers, strict=True):
            stack.enter_context(made.exporter(host, server.url, folder))
        wait_for(lambda: made.client("resources").count("NetworkSerialPort") == 2)
        yield made


@needs_labgrid
@pytest.mark.filterwarnings("ignore:set:DeprecationWarning")
def test_places_of_two_hosts(tmp_path: Path, grid: Grid) -> None:
    hook = f"""
[[step]]
do = "hook"
command = ["{sys.executable}", "kick.py"]
"""
    (tmp_path / "kick.py").write_text(
        "import json, os, subprocess, sys\n"
        "record = json.load(sys.stdin)\n"
        "if record['slot'] == '2':\n"
        "    env = {**os.environ, 'LG_USERNAME': 'other'}\n"
        "    subprocess.run(['labgrid-client', '-p', 'b', 'release', '--kick'], env=env)\n"
    )
    job = write_job(tmp_path, STEPS + hook)
    slots = [Slot("1", port=f"labgrid://{grid.where}/a"), Slot("2", port="labgrid://b")]
    # Boards that are served answer late on a busy machine.
    line = Line(job, slots, settings=Settings(connect_attempts=20))
    done = line.run()
    line.close()
    assert done["1"].result == PASS, done["1"].reason
    read = grid.boards[0].board.nor.cells.read
    assert wrong_in_cells(read, done["1"], app_bytes()) == ""
    # Somebody took the place while the board was in work.
    assert done["2"].result == FAIL
    assert "'b' was lost while the board was in work" in (done["2"].reason or "")
    assert "acquired: None" in grid.client("-p", "a", "show")

    # Somebody else has it, and keeps it.
    grid.client("-p", "b", "acquire", user="other")
    with (
        pytest.raises(BusyError, match=r"'b' is not free: .*other"),
        Place("labgrid://b").acquired(busy_s=0.0),
    ):
        pass
    with (
        pytest.raises(FatalError, match="'none' cannot be had"),
        Place("labgrid://none").acquired(),
    ):
        pass


@needs_labgrid
def test_a_place_is_released_when_the_station_is_killed(grid: Grid) -> None:
    code = (
        "from esp_station.labgrid import Place\n"
        "with Place('labgrid://a').acquired() as port:\n"
        "    print(port, flush=True)\n"
        "    input()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("rfc2217://127.0.0.1:")
        process.kill()
    wait_for(lambda: "acquired: None" in grid.client("-p", "a", "show"))


def test_without_labgrid_the_job_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    job = write_job(tmp_path, STEPS + '\n[[slot]]\nport = "labgrid://a"\n')
    with pytest.raises(UsageError, match=r'pip install "esptool\[labgrid\]"'):
        read_job(str(job))
    with pytest.raises(UsageError, match="names no place"):
        Place("labgrid://")


STEPS = """
[[step]]
do = "write"
[[step]]
do = "nvs"
values = { "app.serial" = "{row.serial}", "app.token" = "{row.token}" }
"""

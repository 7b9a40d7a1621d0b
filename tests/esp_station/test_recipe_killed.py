# SPDX-License-Identifier: Apache-2.0
"""A station that is killed inside the step `recipe`: what is burned stands in the records."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from esp_station.job import read_job
from esp_station.model import Slot
from esp_station.records import INTERRUPTED, PASS, Query, Records
from espefuse.recipe import read, status
from espefuse.recipe.sealing import make_owner
from esptool.virtual.board import open_board
from tests.espefuse.support import ControllerDevice, commands_on, controller_of

from .support import mac_of, run_line, write_job

CHIP = "esp32c3"
HEAD = """
product = "lamp"
chip = "esp32c3"
partition-table = "partitions.csv"
[images]
factory = "app.bin"
[data]
rows = "boards.csv"
key = "serial"
"""
STEPS = """
[[step]]
do = "recipe"
file = "product.toml"
"""
RECIPE = """
recipe = 1
jtag = "closed"
[secure-boot]
digests = ["digest.bin"]
[flash-encryption]
mode = "release"
key = "each board"
[fields]
UART_PRINT_CONTROL = 1
[owner]
public-key = "owner.pub"
folder = "keys"
"""
MARK = " (not proven)"
#: Runs a job on a board and is killed by itself right before or after the nth burn of a block.
CHILD = """
import json, os, signal, sys
from pathlib import Path
from esptool.virtual.efuse import EfuseController
from tests.esp_station.support import run_line
from tests.esp_station.test_recipe_killed import slot

job, number, last, after = Path(sys.argv[1]), *map(int, sys.argv[2:5])
program, burns = EfuseController._program, 0

def counted(self, block):
    global burns
    burns += 1
    if burns == last and not after:
        end(self)
    program(self, block)
    if burns == last:
        end(self)

def end(controller):
    burned = {index: bytes(data).hex() for index, data in controller.burned.items()}
    Path(sys.argv[5]).write_text(json.dumps(burned))
    os.kill(os.getpid(), signal.SIGKILL)

EfuseController._program = counted
run_line(job, [slot(number)])
"""
ROOT = Path(__file__).parents[2]


def slot(number: int) -> Slot:
    """The board."""
    url = f"virtual://{CHIP}?name=killed-{number}&mac={mac_of(number)}&stub=model&timing=virtual"
    return Slot("1", port=url)


@pytest.mark.skipif(sys.platform == "win32", reason="a process is killed by a signal")
@pytest.mark.parametrize("seed", range(4))
def test_the_records_tell_what_was_burned_before_the_station_was_killed(
    tmp_path: Path, seed: int
) -> None:
    rng, number = random.Random(seed), seed + 1
    last, after = 1 + 2 * seed + rng.randrange(2), rng.randrange(2)
    _private, public = make_owner()
    (tmp_path / "owner.pub").write_bytes(public)
    (tmp_path / "digest.bin").write_bytes(bytes(range(32)))
    (tmp_path / "product.toml").write_text(RECIPE)
    job = write_job(tmp_path, STEPS, HEAD)
    out = tmp_path / "burned.json"
    words = map(str, (job, number, last, after, out))
    child = subprocess.run([sys.executable, "-c", CHILD, *words], cwd=ROOT, check=False)
    assert child.returncode == -signal.SIGKILL
    burned = {int(k): bytes.fromhex(v) for k, v in json.loads(out.read_text()).items()}
    holds = pieces_that_hold(tmp_path / "product.toml", burned)

    board = open_board(str(slot(number).port))
    efuse = board.soc.efuse
    assert efuse is not None
    for index, data in burned.items():
        efuse.burn(index, data)
    efuse.refresh()
    again = run_line(job, [slot(number)])["1"]
    book = Records(read_job(str(job), [slot(number)]).records)
    killed = next(iter(book.find(Query(latest_first=False))))
    book.close()
    assert killed.result == INTERRUPTED
    proven = {piece for piece in killed.fuses if not piece.endswith(MARK)}
    told = {piece.removesuffix(MARK) for piece in killed.fuses}
    assert told
    assert proven <= holds <= told
    assert again.result == PASS, again.log
    assert holds.isdisjoint(again.fuses)


def pieces_that_hold(recipe: Path, burned: dict[int, bytes]) -> set[str]:
    """The truth, by eFuses."""
    controller = controller_of(CHIP)
    for index, data in burned.items():
        controller.burn(index, data)
    controller.refresh()
    device = ControllerDevice(CHIP, controller)
    lines = status(commands_on(device), read(recipe))
    return {line.text for line in lines if line.state == "done"}

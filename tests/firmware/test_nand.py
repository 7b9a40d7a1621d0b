# SPDX-License-Identifier: Apache-2.0
"""The NAND plug-in of every chip, executed; and in the hands of the public tool."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest
from bench import stages
from bench.lib.forked_faults import Fault, OneFault

from esptool import cmds, stubs
from esptool.errors import FatalError
from esptool.loader import ESPLoader
from esptool.virtual.board import NAMED
from esptool.virtual.nand import Nand
from esptool.virtual.nand_parts import PARTS
from esptool.virtual.options import parse_url
from esptool.virtual.server import PtyServer, running
from tests.support import oracle

pytest.importorskip("icicle", reason="needs the extra 'emulator'")

#: Pins that may be chosen on each chip whose stub has the plug-in, and the part there.
CHIPS = {
    "esp32s3": ((12, 13, 11, 9, 40), "W25N01GV"),
    "esp32c2": ((6, 2, 7, 4, 10), "W25N512GV"),
    "esp32c3": ((6, 2, 7, 4, 10), "MT29F2G01ABAGD"),
    "esp32c5": ((6, 2, 7, 4, 10), "GD5F1GQ4U"),
    "esp32c6": ((6, 2, 7, 4, 16), "MX35LF2GE4AB"),
    "esp32c61": ((6, 2, 7, 3, 8), "TC58CVG2S0"),
    "esp32h2": ((4, 0, 5, 3, 1), "W25N02KV"),
    "esp32h21": ((2, 4, 3, 1, 12), "MT29F4G01ABAFD"),
    "esp32h4": ((16, 15, 17, 19, 20), "MX35LF1GE4AB"),
}


def board(chip: str, extra: str) -> tuple[ESPLoader, Nand]:
    """A chip with the stub running, and its NAND flash."""
    name = f"nand-{random.getrandbits(32)}"
    esp = cmds.detect_chip(f"virtual://{chip}?stub=emulated&boot=download&name={name}&{extra}")
    esp = cmds.run_stub(esp, ["nand"])
    nand = NAMED[name].soc.nand
    assert nand is not None
    return esp, nand


def test_every_stub_with_a_plug_in_is_tried() -> None:
    with_plugin = {p.stem for p in stubs.DATA.glob("esp*.json") if stubs.load_file(p).plugins}
    assert with_plugin == set(CHIPS)


@pytest.mark.parametrize("kind", stages.KINDS)
@pytest.mark.parametrize("way", stages.WAYS)
def test_a_damaged_byte_does_not_keep_the_plug_in_out(kind: str, way: str) -> None:
    """In each request of its upload; `python -m bench.stages --what nand` takes every offset."""
    size = stages.length("esp32c3", way, stages.OPTIONS, "nand")
    # Behind the code come small requests, and there are as many answers.
    offsets = range(size - 220, size, 60) if way == "to chip" else range(10, size, 60)
    for at in offsets:
        end, _ = stages.run("esp32c3", way, OneFault(Fault(kind, at)), stages.OPTIONS, "nand")
        assert end == "runs", at


@pytest.mark.parametrize("chip", CHIPS)
def test_the_plug_in_writes_around_bad_blocks_and_tells_of_bit_errors(
    chip: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pins, name = CHIPS[chip]
    part = PARTS[name]
    wired = ",".join(map(str, pins))
    flips = f"{part.pages + 2}:1,{3 * part.pages}:{part.strength + 1}"
    esp, nand = board(
        chip,
        f"nand={name}&nand_pins={wired}&nand_bad=0&nand_worn=2:program&nand_flips={flips}",
    )
    cmds.attach_flash(esp, pins, "nand")
    # Block 1 takes it with a bit error; 2 fails, 3 reads back wrong, and so 4 takes the rest.
    block = part.page * part.pages
    data = random.Random(7).randbytes(part.page) + b"\xff" * part.page
    data += random.Random(8).randbytes(100)
    tail = random.Random(9).randbytes(part.page + 5)
    cmds.write_flash(esp, [(0, data), (2 * block, tail)], flash_type="nand")
    assert nand.marked() == [0, 2, 3]
    assert nand.contents(1).rstrip(b"\xff") == data.rstrip(b"\xff")
    assert nand.contents(4).rstrip(b"\xff") == tail.rstrip(b"\xff")
    assert cmds.read_flash(esp, 0, len(data), flash_type="nand") == data
    cmds.verify_flash(esp, [(0, data), (2 * block, tail)], flash_type="nand")
    said = capsys.readouterr().out
    assert f"Bad blocks skipped: 3 (0x00000000, {2 * block:#010x}, {3 * block:#010x})" in said
    assert f"put 1 page right (first: page {part.pages + 2}," in said
    esp._port.close()


def test_a_page_that_is_lost_ends_a_read_and_is_named() -> None:
    esp, nand = board("esp32c3", "nand=W25N01GV&nand_flips=3:2")
    cmds.attach_flash(esp, (6, 2, 7, 4, 10), "nand")
    nand.pages[3] = bytes(2048 + 64)
    with pytest.raises(FatalError, match=r"1 page .* cannot be read any more \(first: page 3\)"):
        cmds.read_flash(esp, 0, 4 * 2048, flash_type="nand")
    esp._port.close()


def test_a_plug_in_goes_into_the_stub_that_runs_and_into_no_other_build() -> None:
    esp, _ = board("esp32c3", "nand=W25N01GV")
    stub = stubs.load("esp32c3")
    build = stub.data_start + (stub.table_offset or 0) - 4
    right = esp.read_reg(build)
    esp.write_reg(build, right ^ 1)
    with pytest.raises(FatalError, match="another build"):
        cmds.attach_flash(esp, (6, 2, 7, 4, 10), "nand")
    assert esp.read_reg(build + 4) == 0, "nothing was put into the table"
    esp.write_reg(build, right)
    cmds.attach_flash(esp, (6, 2, 7, 4, 10), "nand")
    # A later session finds it there.
    esp.session.loaded_stub = None
    cmds.attach_flash(esp, (6, 2, 7, 4, 10), "nand")
    cmds.read_nand_spare(esp, 0)
    esp._port.close()


@pytest.mark.oracle
@pytest.mark.timeout(240)
def test_the_public_tool_drives_the_plug_in(tmp_path: Path) -> None:
    folder = tmp_path / "stubs"
    shutil.copytree(stubs.DATA, folder / "2")
    firmware, copy = tmp_path / "firmware.bin", tmp_path / "copy.bin"
    firmware.write_bytes(random.Random(3).randbytes(5000))
    server = PtyServer(
        parse_url("virtual://esp32s3?stub=emulated&boot=download&nand=W25N01GV&nand_bad=1")
    )
    pins = ["--spi-connection", "12,13,11,9,10"]
    nand = ["--flash-type", "nand", *pins]
    #: Command line, exit code, and what it says.
    jobs: list[tuple[list[str | Path], int, str]] = [
        (["write-flash", *nand, "0x20000", firmware], 0, "Wrote 131072 bytes at 0x00040000"),
        (["read-flash", *nand, "0x20000", "5000", copy], 0, "Skipping bad block at 0x00020000"),
        (["read-nand-spare", *pins, "64"], 0, "(bad-block marker byte = 0x00)"),
        (["write-nand-spare", *pins, "320", "1"], 0, "page 320: echo 0x00000000"),
        (["dump-bbm", *pins, "--block-count", "6", tmp_path / "bbm"], 0, "indices: [1, 5]"),
        (["erase-region", *nand, "0x40000", "0x20000"], 0, "1 blocks erased, 0 failed"),
        (["verify-flash", *nand, "0x20000", firmware], 1, "Block at 0x00040000: MISMATCH"),
    ]
    driver = Path(__file__).with_name("public_driver.py")
    common = ["--port", server.url, "--before", "no-reset", "--after", "no-reset"]
    with running(server):
        for job, code, said in jobs:
            done = subprocess.run(
                [oracle.python(), driver, folder, *common, "--chip", "esp32s3", *job],
                capture_output=True, text=True, check=False, env=oracle.patient_environment(),
            )  # fmt: skip
            assert (done.returncode, said in done.stdout) == (code, True), (
                f"{job}: {done.stdout}\n{done.stderr}"
            )
    assert copy.read_bytes() == firmware.read_bytes()
    assert (tmp_path / "bbm").read_bytes() == bytes([0, 1, 0, 0, 0, 1])
    assert os.path.getsize(copy) == 5000

# SPDX-License-Identifier: Apache-2.0
"""The public tool runs our stub files, which are in its own layout, on emulated chips."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from esptool import stubs
from esptool.virtual.options import parse_url
from esptool.virtual.server import PtyServer, running
from tests.firmware.test_every_chip import REVISIONS, STUBS, sample
from tests.support import oracle

pytestmark = [pytest.mark.oracle, pytest.mark.timeout(120)]


@pytest.mark.parametrize(("name", "chip"), STUBS, ids=[name for name, _ in STUBS])
def test_the_public_tool_does_the_main_job_with_our_stub(
    name: str, chip: str, tmp_path: Path
) -> None:
    pytest.importorskip("icicle")
    folder = tmp_path / "stubs"
    shutil.copytree(stubs.DATA, folder / "2")
    firmware, copy = tmp_path / "firmware.bin", tmp_path / "copy.bin"
    firmware.write_bytes(sample(0x6000))
    revision = f"&rev={REVISIONS[name]}" if name in REVISIONS else ""
    server = PtyServer(parse_url(f"virtual://{chip}?stub=emulated&boot=download{revision}"))
    common = ["--port", server.url, "--before", "no-reset", "--after", "no-reset", "--chip", chip]
    # Writing includes asking for the flash's id, and verifying by hash.
    jobs: list[list[str | Path]] = [
        ["write-flash", "0x10000", firmware],
        ["read-flash", "0x10000", "0x6000", copy],
        ["erase-region", "0x10000", "0x1000"],
    ]
    with running(server):
        for job in jobs:
            done = subprocess.run(
                [
                    oracle.python(),
                    Path(__file__).with_name("public_driver.py"),
                    folder,
                    *common,
                    *job,
                ],
                capture_output=True,
                text=True,
                check=False,
                env=oracle.patient_environment(),
            )
            assert done.returncode == 0, f"{job[0]}: {done.stdout}\n{done.stderr}"
            assert "Stub flasher" in done.stdout
        assert copy.read_bytes() == firmware.read_bytes()
        assert server.board.nor.read(0x10000, 0x1000) == b"\xff" * 0x1000
        assert not any("model" in note for note in server.board.soc.notes)

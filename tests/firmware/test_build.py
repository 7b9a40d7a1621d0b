# SPDX-License-Identifier: Apache-2.0
"""The stubs in the package are what the sources give, byte for byte, and fit where they go."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from esptool import stubs

ROOT = Path(__file__).resolve().parents[2]
COMPILERS = ("riscv64-unknown-elf-gcc", "xtensa-lx106-elf-gcc")


@pytest.mark.skipif(not all(map(shutil.which, COMPILERS)), reason="needs the cross compilers")
@pytest.mark.timeout(240)
def test_a_new_build_is_the_same() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "build_stubs.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_manifest_tells_of_memory_that_does_not_overlap() -> None:
    manifest = json.loads((stubs.DATA / "manifest.json").read_text())
    for name, facts in manifest["stubs"].items():
        spans = sorted((part["start"], part["start"] + part["size"]) for part in facts["ram"])
        assert all(a[1] <= b[0] for a, b in itertools.pairwise(spans)), name
        stub = stubs.load_file(stubs.DATA / f"{name}.json")
        assert (len(stub.text), len(stub.data)) == (facts["text"], facts["data"])


def test_the_manifest_compares_with_the_last_release() -> None:
    manifest = json.loads((stubs.DATA / "manifest.json").read_text())
    sizes = manifest["release"]["sizes"]
    assert set(sizes) <= set(manifest["stubs"])
    for name, facts in manifest["stubs"].items():
        before = sizes.get(name, 0)
        assert facts["text"] + facts["data"] - before == facts["since_release"], name

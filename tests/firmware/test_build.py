# SPDX-License-Identifier: Apache-2.0
"""The stubs in the package are what the sources give, byte for byte, and fit where they go."""

from __future__ import annotations

import importlib
import itertools
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from esptool import chips, stubs
from esptool.chips.spec import Arch

ROOT = Path(__file__).resolve().parents[2]
COMPILERS = ("riscv64-unknown-elf-gcc", "xtensa-lx106-elf-gcc")
STUBS = json.loads((stubs.DATA / "manifest.json").read_text())["stubs"]
#: Stubs of one compiler are built in one run: what is the same for several is compiled once.
FAMILIES = {
    arch: [
        name
        for spec in map(chips.get, chips.KEYS)
        if (spec.arch is Arch.RISCV) == riscv
        for name in spec.stub.layouts
        if name in STUBS
    ]
    for arch, riscv in (("xtensa", False), ("riscv", True))
}


@pytest.mark.skipif(not all(map(shutil.which, COMPILERS)), reason="needs the cross compilers")
@pytest.mark.timeout(240)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_new_build_is_the_same(family: str) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "build_stubs.py", "--check", *FAMILIES[family]],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_manifest_tells_of_memory_that_does_not_overlap() -> None:
    for name, facts in STUBS.items():
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


def test_files_that_call_each_other_in_a_circle_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    refuse = importlib.import_module("stub_stack").refuse_circles
    node = 'node: {{ title: "{0}" label: "{0}\\n8 bytes (static)" }}\n'
    edge = 'edge: {{ sourcename: "{}" targetname: "{}" }}\n'
    (tmp_path / "a.ci").write_text(node.format("above") + edge.format("above", "below"))
    (tmp_path / "b.ci").write_text(node.format("below"))
    (tmp_path / "a.c").write_text('#include "a.h"\n#include "b.h"\n')
    refuse(tmp_path)
    (tmp_path / "b.ci").write_text(node.format("below") + edge.format("below", "above"))
    with pytest.raises(SystemExit, match="in a circle"):
        refuse(tmp_path)
    (tmp_path / "b.ci").write_text(node.format("below"))
    (tmp_path / "b.c").write_text('#include "a.h"\n')
    with pytest.raises(SystemExit, match="in a circle"):
        refuse(tmp_path)

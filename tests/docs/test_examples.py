# SPDX-License-Identifier: Apache-2.0
"""The documentation's examples run: each page's console and Python blocks, in order."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")


def blocks(page: Path, kind: str) -> list[str]:
    return [body for name, body in _BLOCK.findall(page.read_text()) if name == kind]


def shell(page: Path) -> str:
    """All commands of a page as one script; output lines of the examples are left out."""
    lines = [line for body in blocks(page, "console") for line in body.splitlines()]
    return "\n".join(line[2:] for line in lines if line.startswith("$ "))


def environment() -> dict[str, str]:
    paths = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**os.environ, "PATH": paths, "NO_COLOR": "1"}


@pytest.mark.parametrize("page", [p for p in PAGES if shell(p)], ids=lambda p: p.stem)
def test_the_commands_of_a_page_work_in_order(page: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        ["bash", "-euxo", "pipefail", "-c", shell(page)],
        cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=110,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "python")], ids=lambda p: p.stem)
def test_the_python_of_a_page_works(page: Path, tmp_path: Path) -> None:
    for code in blocks(page, "python"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, code + done.stdout[-1000:] + done.stderr[-2000:]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_links_to_files_lead_somewhere(page: Path) -> None:
    missing = [t for t in _LINK.findall(page.read_text()) if not (page.parent / t).exists()]
    assert missing == []

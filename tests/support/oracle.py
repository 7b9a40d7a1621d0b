# SPDX-License-Identifier: Apache-2.0
"""Finds the public tool in its own environment, the oracle that some tests compare with.

`make oracle` installs it from PyPI into `.venv-oracle`; ESPTOOL_ORACLE names another environment.
Without one the tests that need it are skipped, except in CI, where that is an error.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
VERSION = "5.6.0"


def environment() -> Path:
    """The oracle's virtual environment; skips the calling test where there is none."""
    env = Path(os.environ.get("ESPTOOL_ORACLE") or ROOT / ".venv-oracle")
    if not (env / "bin" / "esptool").exists():
        message = "the public tool is not installed: run 'make oracle'"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return env


def python() -> Path:
    """The oracle's own interpreter, to drive many cases in one process."""
    return environment() / "bin" / "python"


def patient_environment() -> dict[str, str]:
    """Environment in which the tool waits long: a busy machine makes served chips slow."""
    config = Path(__file__).with_name("oracle.cfg")
    return {**os.environ, "NO_COLOR": "1", "COLUMNS": "120", "ESPTOOL_CFGFILE": str(config)}


@contextmanager
def driver(script: Path, env: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    """A process of the public tool that a script of ours drives, by lines of JSON."""
    with subprocess.Popen(
        [python(), script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=env,
    ) as child:
        yield child
        assert child.stdin is not None
        child.stdin.close()
        child.wait(100)


def ask(child: subprocess.Popen[str], question: Any) -> Any:
    """One line to such a process, and its answer."""
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(json.dumps(question) + "\n")
    child.stdin.flush()
    return json.loads(child.stdout.readline())


def run(
    program: str, *args: str | os.PathLike[str], cwd: Path | None = None, timeout_s: float = 120
) -> subprocess.CompletedProcess[str]:
    """Run `esptool`, `espefuse` or `espsecure` of the public tool and return what it printed."""
    return subprocess.run(
        [environment() / "bin" / program, *(os.fspath(arg) for arg in args)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "120"},
    )

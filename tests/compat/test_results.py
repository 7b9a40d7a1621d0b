# SPDX-License-Identifier: Apache-2.0
"""Python functions and methods give the results of the public tool, on equal boards, by the ROM."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support import oracle

DRIVER = Path(__file__).with_name("results_driver.py")
#: What comes back has no meaning: the value field of an answer that carries none.
NO_RESULT = {"write_reg", "update_reg", "mem_begin"}


@contextmanager
def served(chip: str) -> Iterator[str]:
    """A board behind a socket, in download mode."""
    words = [sys.executable, "-m", "esptool.cli.virtual_chip", chip, "--tcp", "127.0.0.1:0"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        found = re.search(r"socket://127\.0\.0\.1:\d+", child.stdout.readline())
        try:
            assert found is not None
            yield found[0]
        finally:
            child.terminate()


def results(python: Path | str, chip: str) -> dict[str, Any]:
    with served(chip) as url:
        done = subprocess.run(
            [python, DRIVER, url, chip],
            cwd=DRIVER.parent,
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _crashed(value: Any) -> bool:
    """A fault of the public tool is nothing to go by."""
    return isinstance(value, str) and value.startswith("crash")


@pytest.mark.oracle
@pytest.mark.parametrize("chip", ["esp8266", "esp32", "esp32s2", "esp32c3"])
def test_results_are_those_of_the_public_tool(chip: str) -> None:
    theirs = results(oracle.python(), chip)
    ours = results(sys.executable, chip)
    differing = {
        name: (ours[name], value)
        for name, value in theirs.items()
        if name in ours and ours[name] != value and name not in NO_RESULT and not _crashed(value)
    }
    assert differing == {}
    # An inherited getter may read what is no such field on this chip.
    assert set(theirs) - set(ours) <= {"get_flash_vendor", "get_flash_cap"}

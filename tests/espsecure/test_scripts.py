# SPDX-License-Identifier: Apache-2.0
"""Console scripts named like packages do not hide them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PACKAGES = ("esptool", "espefuse", "espsecure", "esp_rfc2217_server")

# What pip writes for the entry point `NAME.py`.
SCRIPT = """
import sys
from _esptool_scripts import {name}_py
if __name__ == "__main__":
    sys.exit({name}_py())
"""


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """A folder as `bin` is after an installation."""
    for name in PACKAGES:
        (tmp_path / f"{name}.py").write_text(SCRIPT.format(name=name))
    return tmp_path


def run(script: Path, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, script, *args], capture_output=True, text=True, timeout=110, check=False
    )


def test_another_script_of_the_folder_imports_the_packages(scripts: Path) -> None:
    client = scripts / "client"
    client.write_text(
        "import espsecure, esptool\n"
        "from esptool.errors import FatalError\n"
        "assert espsecure.__path__ and esptool.__path__\n"
        "assert espsecure.SECTOR_SIZE == 4096 and issubclass(FatalError, RuntimeError)\n"
    )
    done = run(client)
    assert done.returncode == 0, done.stderr


def test_the_scripts_themselves_run_their_packages(scripts: Path) -> None:
    done = run(scripts / "espsecure.py", "--help")
    assert done.returncode == 0, done.stderr
    assert "Usage: espsecure" in done.stdout
    assert "'espsecure.py' is deprecated" in done.stderr


def test_unknown_entry_points_are_attribute_errors() -> None:
    import _esptool_scripts

    with pytest.raises(AttributeError, match="no_such"):
        _ = _esptool_scripts.no_such

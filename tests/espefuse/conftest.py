# SPDX-License-Identifier: Apache-2.0
"""A blank virtual chip with key files beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.espefuse.sequences import key_files


@pytest.fixture
def base(tmp_path: Path) -> list[str]:
    key_files(tmp_path)
    memory = str(tmp_path / "memory")
    return ["--chip", "esp32c3", "--virt", "--path-efuse-file", memory, "--do-not-confirm"]

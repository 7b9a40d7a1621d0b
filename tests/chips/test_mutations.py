# SPDX-License-Identifier: Apache-2.0
"""A fact that is falsified in the host's file alone is missed by somebody."""

from __future__ import annotations

import shutil
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import mutate_facts  # noqa: E402

#: What only running the tool shows, and the test that does.
BY_BEHAVIOUR = {
    "identity.*": "test_chips.py: random registers mean the same to us and the public tool",
    "security.secure_boot_v2_min": "test_chips.py: the same, over all revisions",
    "stub.not_for_revision": "tests/device/test_stub_rules.py: which stub runs where",
    "stub.variants*": "tests/device/test_stub_rules.py: which stub runs where",
    "image.*": "tests/image/test_elf2image_random.py: the bytes of the public tool",
    "firmware.ram.*": "tests/firmware/test_build.py: the stubs are what a new build gives",
    "flash_power_on.steps*": "tests/device/test_flash_power.py: the writes of the public tool",
}


@pytest.mark.oracle
def test_facts_that_are_falsified_at_random_are_caught(tmp_path: Path) -> None:
    facts = tmp_path / "facts"
    shutil.copytree(ROOT / "facts", facts)
    survivors = [
        str(mutation)
        for mutation in mutate_facts.drawn(facts, 60, seed=7)
        if mutate_facts.caught(facts, mutation) is None
        and mutate_facts.excused(mutation) is None
        and not any(fnmatch(mutation.name, known) for known in BY_BEHAVIOUR)
    ]
    assert survivors == []


def test_the_original_is_not_caught(tmp_path: Path) -> None:
    facts = tmp_path / "facts"
    shutil.copytree(ROOT / "facts", facts)
    (mutation,) = mutate_facts.drawn(facts, 1, seed=7)
    same = mutate_facts.Mutation(mutation.chip, mutation.path, mutation.old, mutation.old)
    assert mutate_facts.caught(facts, same) is None

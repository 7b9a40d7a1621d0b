# SPDX-License-Identifier: Apache-2.0
"""Settings for the whole suite.

Tests of the host's side talk to a model of the stub, which is quick. Those of `tests/firmware`
execute the stub's machine code, and hold the model to the same answers.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes depends on what else the machine does, and every run tries the same
# ones: a fault that one run in a hundred finds is looked for on purpose, not in passing.
settings.register_profile(
    "suite",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("suite")

os.environ.setdefault("ESPTOOL_VIRTUAL_STUB", "model")
#: Nothing is learned of the adapters of who runs the tests.
os.environ["ESPTOOL_ADAPTERS"] = "off"

#: The reference facts that some committed tables are generated from. They are no part of a
#: release, so a checkout without them leaves the tests that need them out.
FACTS = Path(
    os.environ.get("ESPTOOL_FACTS") or Path(__file__).resolve().parents[2] / "shared" / "facts"
)


@pytest.fixture(autouse=True)
def no_board_outlives_its_test() -> Iterator[None]:
    """Named boards stay for as long as the process, each with an engine where code is executed."""
    from esptool.virtual.board import NAMED

    before = set(NAMED)
    yield
    for name in set(NAMED) - before:
        del NAMED[name]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Each test draws the same numbers in every run: those of sessions go over the line, where
    they change how many bytes are escaped and which of them a fault of the line meets."""
    random.seed(item.nodeid)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs the reference facts where they are not."""
    if FACTS.is_dir():
        return
    out = [item for item in items if item.get_closest_marker("facts")]
    config.hook.pytest_deselected(items=out)
    items[:] = [item for item in items if item not in out]

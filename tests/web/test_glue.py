# SPDX-License-Identifier: Apache-2.0
"""Wishes of a page's worker, with a stand-in for what Pyodide has for it."""

from __future__ import annotations

import json
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from esptool.web.glue import Glue

BOARD = "virtual://esp32c3?stub=model&timing=virtual"


class Worker:
    """The worker's end: answers as plain values; `events` are what it was told."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.on_event: Any = lambda event: None
        self.glue = Glue(self._told, SimpleNamespace(sleep=lambda _ms: None))

    def _told(self, text: str) -> None:
        self.events.append(json.loads(text))
        self.on_event(self.events[-1])

    def call(self, name: str, **arguments: Any) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.glue.call(name, json.dumps(arguments), [])[0])
        return answer


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Worker:
    ffi = ModuleType("pyodide.ffi")
    ffi.__dict__.update(
        to_js=lambda given: given, run_sync=lambda given: given, JsException=RuntimeError
    )
    monkeypatch.setitem(sys.modules, "pyodide", ModuleType("pyodide"))
    monkeypatch.setitem(sys.modules, "pyodide.ffi", ffi)
    made = Worker()
    assert made.call("connect", port=BOARD)["result"]["chip"] == "esp32c3"
    return made


def test_a_stop_belongs_to_the_wish_that_runs(worker: Worker) -> None:
    worker.glue.stop()  # pressed when nothing ran any more
    assert worker.call("erase") == {"result": None}
    worker.on_event = lambda _event: worker.glue.stop()
    assert worker.call("erase")["kind"] == "Cancelled"
    worker.on_event = lambda _event: None
    assert worker.call("erase") == {"result": None}


def test_a_failure_tells_what_to_do_and_its_kind(worker: Worker) -> None:
    told = worker.call("read", address=0x7FFFFFFF, size=16)
    assert told["error"]
    assert set(told) == {"error", "remedy", "kind"}

# SPDX-License-Identifier: Apache-2.0
"""The thread of an engine: it ends without being waited for where an interruption would be lost."""

from __future__ import annotations

import threading

from esptool.virtual.emulator.confined import _ENDING, Confined, wait_for_ended


def test_to_end_one_waits_for_nothing_and_all_are_waited_for_at_a_better_place() -> None:
    confined, at_work, go_on = Confined(), threading.Event(), threading.Event()
    dropped: list[int] = []

    class Thing:
        def __del__(self) -> None:
            dropped.append(threading.get_ident())

    def job(box: dict[str, object]) -> None:
        box["thing"] = Thing()
        at_work.set()
        go_on.wait(60)

    caller = threading.Thread(target=confined.do, args=(job,))
    caller.start()
    at_work.wait(60)
    confined.end()  # the engine is at work and will be for long
    assert dropped == []
    go_on.set()
    wait_for_ended()
    caller.join(60)
    assert dropped == [confined._thread.ident]
    assert not _ENDING

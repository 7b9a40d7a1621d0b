# SPDX-License-Identifier: Apache-2.0
"""Programs that do not get far: the board starts anew, again and again."""

from __future__ import annotations

from collections.abc import Callable

from esptool.virtual import bootlog
from esptool.virtual.program import Silent

_BOOT_AGAIN_S = 0.5
_PANIC = (
    b"Guru Meditation Error: Core  0 panic'ed (Illegal instruction). "
    b"Exception was unhandled.\r\nRebooting...\r\n"
)
#: What an application says before it is started anew, and the cause that the ROM gives then.
LOOPS = {
    "reset-loop": (b"", bootlog.WATCHDOG),
    "brownout-loop": (b"\r\nBrownout detector was triggered\r\n\r\n", bootlog.BROWNOUT),
    "panic-loop": (_PANIC, bootlog.SOFTWARE),
}


class Restless(Silent):
    """A ROM that finds no program, or an application that does not get far: it starts anew, again
    and again."""

    def __init__(self, now: Callable[[], float], cause: bootlog.Cause = bootlog.WATCHDOG) -> None:
        self.cause = cause
        self._now = now
        self._due = self._now() + _BOOT_AGAIN_S

    def pending_s(self) -> float:
        """Seconds until the next start."""
        return self._due - self._now()

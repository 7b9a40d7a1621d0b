# SPDX-License-Identifier: Apache-2.0
"""Signals of child processes."""

from __future__ import annotations

import signal


def interruptible() -> None:
    """For `preexec_fn`: a child must not inherit that signals are ignored.

    They are in the background of a shell without job control (SIGINT) and under `nohup` (SIGHUP).
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)

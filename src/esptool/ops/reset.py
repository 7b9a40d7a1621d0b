# SPDX-License-Identifier: Apache-2.0
"""What happens to the chip after an operation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esptool.device import adapters
from esptool.errors import FatalError
from esptool.events import Listener
from esptool.transfer.report import Report

if TYPE_CHECKING:
    from esptool.device import Session
    from esptool.device.debugger import Debugger

MODES = ("hard-reset", "soft-reset", "no-reset", "no-reset-stub", "watchdog-reset")


def reset_chip(
    session: Session, mode: str = "hard-reset", *, listener: Listener | None = None
) -> None:
    """Reset the chip, or leave it where it is, in one of `MODES` (underscores accepted).

    Raises:
        FatalError: no such mode, or the chip cannot do it.
    """
    report = Report(session, listener)
    mode = mode.replace("_", "-")
    if mode in MODES[:2] or mode == "watchdog-reset":
        report.began("resetting")
    if session.debugger is not None and mode in MODES:
        _by_debugger(session, session.debugger, mode, report)
        return
    if mode == "watchdog-reset" and session.spec.reset.watchdog is None:
        report.note(
            f"Watchdog hard reset is not supported on {session.spec.name}, "
            "attempting classic hard reset instead."
        )
        mode = "hard-reset"
    if mode == "watchdog-reset" and session.secure_download:
        report.note(
            "Watchdog hard reset is not supported in Secure Download Mode, "
            "attempting classic hard reset instead."
        )
        mode = "hard-reset"
    if mode == "hard-reset":
        session.power.hard_reset()
    elif mode == "soft-reset":
        report.line("Soft resetting...")
        session.power.soft_reset(False)
    elif mode == "watchdog-reset":
        session.power.watchdog_reset()
    elif mode == "no-reset-stub":
        report.line("Staying in flasher stub.")
        if session.is_stub:
            session.complete_stub()
            adapters.learn(session.link.port, stub_at=session.link.baud)
    elif mode == "no-reset":
        report.line("Staying in bootloader.")
        if session.is_stub:
            session.power.soft_reset(True)
    else:
        raise FatalError(f"Invalid reset mode: {mode}. Choose one of: {', '.join(MODES)}.")


def _by_debugger(session: Session, debugger: Debugger, mode: str, report: Report) -> None:
    """A debugger resets the chip, lets a program go on that was paused, or leaves it standing."""
    if mode in ("no-reset", "no-reset-stub"):
        report.line("Leaving the chip standing.")
        debugger.stand()
    else:
        session.power.hard_reset()

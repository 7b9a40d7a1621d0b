# SPDX-License-Identifier: Apache-2.0
"""Executes machine code that was loaded into a virtual chip's RAM, with the extra
`esptool[emulator]`. Without that extra nothing here can run."""

from __future__ import annotations

from esptool.virtual.emulator.cpu import EngineError, engines
from esptool.virtual.emulator.loading import can_run
from esptool.virtual.emulator.program import Program

__all__ = ["EngineError", "Program", "can_run", "engines"]

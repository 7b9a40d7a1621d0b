# SPDX-License-Identifier: Apache-2.0
"""Chips without hardware: a register-level controller as a device, faults, and quiet commands."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import espefuse
from espefuse import schema
from espefuse.commands import BaseCommands
from esptool.errors import FatalError
from esptool.virtual import silicon
from esptool.virtual.efuse import EfuseController

CHIPS = sorted(path.stem for path in Path(schema.TABLES).glob("esp32*.json"))
#: A user's table of fields, with what such tables may hold.
CSV = """# name, block, start, count, comment
MODULE_VERSION, EFUSE_BLK3, 56, 8, Module version
SETTING_1, EFUSE_BLK3, 67, 6, [SETTING_1_ALT] Setting 1
ID, EFUSE_BLK3, 140, 8, [MY_ID] comment
, EFUSE_BLK3, 132, 8, [MY_ID] comment
DATA, EFUSE_BLK3, 190, 10, My data
DATA.PART, EFUSE_BLK3, 190, 7, Part
FLAG, EFUSE_BLK3, 100, 1, Flag
"""
CRYSTALS = {"esp32h2": 32, "esp32h21": 32, "esp32h4": 32}
_REVISIONS = {"esp32p4": 300}


class LinkLostError(FatalError):
    """The port vanished in the middle of a register access."""


def controller_of(chip: str) -> EfuseController:
    """The chip's controller, in the revision that the device below tells."""
    layout = silicon.of(chip).efuse
    assert layout is not None
    return EfuseController(layout, _REVISIONS.get(chip, 0))


class ControllerDevice:
    """A chip as the engine sees it, over the virtual chip's eFuse controller.

    `fail_at` drops the link at that register access (counted from 1); `accesses` counts them.
    """

    def __init__(self, chip: str, controller: EfuseController | None = None) -> None:
        self.table = schema.load(chip)
        self.CHIP_NAME = self.table.chip
        self.controller = controller or controller_of(chip)
        self.accesses = 0
        self.fail_at: int | None = None

    def _step(self) -> None:
        self.accesses += 1
        if self.fail_at is not None and self.accesses >= self.fail_at:
            raise LinkLostError("The serial link was lost.")

    def read_reg(self, addr: int) -> int:
        self._step()
        if addr == 0x3FF6607C:
            return 0x80000000
        return self.controller.read(addr - self.table.base)

    def write_reg(self, addr: int, value: int, *_args: int, **_kwargs: int) -> None:
        self._step()
        self.controller.write(addr - self.table.base, value)

    def update_reg(self, addr: int, mask: int, new_val: int) -> None:
        shift = (mask & -mask).bit_length() - 1
        old = self.read_reg(addr)
        self.write_reg(addr, (old & ~mask) | ((new_val << shift) & mask))

    def get_crystal_freq(self) -> int:
        return CRYSTALS.get(self.table.key, 40)

    def get_chip_revision(self) -> int:
        return _REVISIONS.get(self.table.key, 0)

    def blocks(self) -> list[bytes]:
        """What is burned, whether or not software may read it."""
        return [bytes(self.controller.burned[b.index]) for b in self.table.blocks]


def commands_on(device: Any, **kwargs: Any) -> BaseCommands:
    """eFuse commands on a device, asking nothing, printing nothing."""
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        return espefuse.init_commands(esp=device, do_not_confirm=True, **kwargs)


def quietly(action: Callable[[], Any]) -> tuple[str, str, Exception | None]:
    """What an action prints on both streams, and the failure it ends with."""
    out, err = io.StringIO(), io.StringIO()
    failure: Exception | None = None
    with redirect_stdout(out), redirect_stderr(err):
        try:
            action()
        except FatalError as e:
            failure = e
    return out.getvalue(), err.getvalue(), failure


def run(*args: str | Path) -> tuple[int, str, str]:
    """Run the command line in this process: exit code, standard output, standard error."""
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with redirect_stdout(out), redirect_stderr(err):
        try:
            espefuse.main([str(a) for a in args])
        except SystemExit as e:
            code = int(e.code or 0)
        except FatalError as e:
            err.write(f"A fatal error occurred: {e}")
            code = 2
    return code, out.getvalue(), err.getvalue()


def cli(args: list[str], answer: str | None = None) -> subprocess.CompletedProcess[str]:
    """The program as users start it."""
    return subprocess.run(
        [sys.executable, "-m", "espefuse", *args],
        input=answer,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "120"},
    )

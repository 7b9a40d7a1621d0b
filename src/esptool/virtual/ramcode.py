# SPDX-License-Identifier: Apache-2.0
"""Code loaded into RAM: executed, imitated when it is a stub, or a program that says nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esptool.virtual.soc import Silent

if TYPE_CHECKING:
    from esptool.virtual.board import Board


def start(board: Board, entry: int) -> None:
    """Jump to `entry`."""
    board.soc.notes.append(f"running code in RAM at {entry:#x}")
    board.soc.program = Silent()

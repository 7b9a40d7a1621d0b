# SPDX-License-Identifier: Apache-2.0
"""A chip that boots from its flash, with its own ROM or with the model of it."""

from __future__ import annotations

from pathlib import Path

from esptool.virtual.board import Board
from esptool.virtual.options import parse_url

_LOOKS = 4


class Booted:
    """A board that was switched on with `image` in its flash.

    Attributes:
        lines: what it has said, without ends of lines.
    """

    def __init__(self, url: str, image: bytes, folder: Path) -> None:
        state = folder / "board.bin"
        # The model is the quicker one to make a board with.
        made = Board(parse_url(f"{url.replace('rom=auto&', '')}&state={state}"))
        made.nor.cells.program(made.silicon.loader.bootloader_offset, image)
        made.release()
        self.board = Board(parse_url(f"{url}&boot=flash&state={state}"))
        heard = b"".join(self.board.take() for _ in range(_LOOKS))
        self.board.release()
        state.unlink()
        self.lines = heard.decode("ascii", "replace").replace("\r", "").split("\n")


def differs(genuine: list[str], model: list[str]) -> tuple[list[str], list[str]] | None:
    """Where the model says something else: a few lines of both. What the genuine one goes on to
    say again and again, until a watchdog bites, the model ends."""
    *said, last = model
    endless = len(genuine) > len(model) and len(said) > 1 and said[-1] == said[-2]
    if genuine[: len(said)] == said:
        rest = genuine[len(said) :]
        if rest == [last] or (endless and set(rest[:-1]) <= {said[-1]}):
            return None
    at = next(
        (i for i, (a, b) in enumerate(zip(genuine, model, strict=False)) if a != b),
        min(len(genuine), len(model)),
    )
    return genuine[at : at + 3], model[at : at + 3]

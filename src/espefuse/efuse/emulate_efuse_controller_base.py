# SPDX-License-Identifier: Apache-2.0
"""The v5 name of the chip behind `--virt`, which tests of programs make by hand."""

from __future__ import annotations

from typing import ClassVar

from espefuse import token
from espefuse.virt import VirtualEfuses

__all__ = ["EmulateEfuseControllerBase", "of_chip"]


class EmulateEfuseControllerBase(VirtualEfuses):
    """eFuses in memory, kept in a file; each chip has a class of its own.

    Args:
        efuse_file: where they are kept; None keeps them in memory alone.
        debug: taken, and without effect.
        token_dump: text of an eFuse token to start from.

    Raises:
        FatalError: the file or the token belongs to another chip.
    """

    KEY: ClassVar[str] = "esp32"

    def __init__(
        self, efuse_file: str | None = None, debug: bool = False, token_dump: str | None = None
    ) -> None:
        del debug
        super().__init__(self.KEY, efuse_file)
        if token_dump is not None:
            self.load_token(token.parse(token_dump))
            self.save()

    def read_efuse(self, n: int, block: int = 0) -> int:
        """Word `n` of a block, as it can be read."""
        return self.read_reg(self.table.blocks[block].read_addr + 4 * n)

    def save_to_file(self) -> None:
        """Write the eFuses to their file, if they have one."""
        self.save()


def of_chip(key: str) -> type[EmulateEfuseControllerBase]:
    """The class of a chip."""
    namespace = {"KEY": key, "__doc__": f"The eFuses of {key}.", "__module__": __name__}
    return type("EmulateEfuseController", (EmulateEfuseControllerBase,), namespace)

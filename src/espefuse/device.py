# SPDX-License-Identifier: Apache-2.0
"""What the eFuse engine needs of a chip: registers and a few facts. Nothing here opens a port.

`esptool.loader.ESPLoader` fits, and so does `virt.VirtualEfuses`. A device may offer batches
(`read_regs`, `write_regs`); they are used where they exist, since each register access on a
serial link costs a round trip.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class RegisterAccess(Protocol):
    """A chip whose registers can be reached, by the names that `esptool` v5 gives its loaders."""

    CHIP_NAME: str

    def read_reg(self, addr: int) -> int: ...

    def write_reg(
        self,
        addr: int,
        value: int,
        mask: int = 0xFFFFFFFF,
        delay_us: int = 0,
        delay_after_us: int = 0,
    ) -> Any: ...

    def update_reg(self, addr: int, mask: int, new_val: int) -> Any: ...

    def get_chip_revision(self) -> int: ...

    def get_crystal_freq(self) -> int: ...


def read_many(device: RegisterAccess, addresses: Sequence[int]) -> list[int]:
    """The values of several registers, in one batch where the device has batches."""
    batch = getattr(device, "read_regs", None)
    if batch is not None and addresses:
        return list(batch(list(addresses)))
    return [device.read_reg(address) for address in addresses]


def write_many(device: RegisterAccess, pairs: Sequence[tuple[int, int]]) -> None:
    """Write (address, value) pairs in order, in one batch where the device has batches."""
    batch = getattr(device, "write_regs", None)
    if batch is not None and pairs:
        batch(list(pairs))
        return
    for address, value in pairs:
        device.write_reg(address, value)


def chip_key(name: str) -> str:
    """`ESP32-C3` or `esp32_c3` to `esp32c3`."""
    return "".join(c for c in name.lower() if c.isalnum())

# SPDX-License-Identifier: Apache-2.0
"""What the eFuse engine needs of a chip: registers and a few facts. Nothing here opens a port.

`esptool.loader.ESPLoader` fits, and so does `virt.VirtualEfuses`. A device may offer batches
(`read_regs`, `write_regs`); they are used where they exist, since each register access on a
serial link costs a round trip.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from esptool.errors import FatalError

if TYPE_CHECKING:
    from esptool.device.session import Session

WRITE_REG, READ_REG = 0x09, 0x0A
READS_IN_FLIGHT = 6
WRITES_IN_FLIGHT = 4
DRAIN_S = 0.05


@runtime_checkable
class RegisterAccess(Protocol):
    """A chip whose registers can be reached, by the names that `esptool` v5 gives its loaders."""

    CHIP_NAME: str

    def read_reg(self, addr: int) -> int:
        """The 32-bit word at `addr`."""

    def write_reg(
        self,
        addr: int,
        value: int,
        mask: int = 0xFFFFFFFF,
        delay_us: int = 0,
        delay_after_us: int = 0,
    ) -> Any:
        """Write the bits of `value` that `mask` names; the delays are in microseconds."""

    def update_reg(self, addr: int, mask: int, new_val: int) -> Any:
        """Replace the bits of `mask`."""

    def get_chip_revision(self) -> int:
        """major * 100 + minor."""

    def get_crystal_freq(self) -> int:
        """Crystal frequency in MHz."""


@runtime_checkable
class BatchReads(Protocol):
    """A device that reads many registers at once."""

    def read_regs(self, addresses: list[int]) -> list[int]:
        """The words at `addresses`."""


@runtime_checkable
class BatchWrites(Protocol):
    """A device that writes many registers at once."""

    def write_regs(self, pairs: list[tuple[int, int]]) -> None:
        """Write (address, value) pairs in order."""


@runtime_checkable
class OnLine(Protocol):
    """A device at the other end of a serial line, as `esptool`'s loader objects are."""

    @property
    def session(self) -> Session:
        """The live chip underneath."""


class Closable(Protocol):
    """A port, as far as it can be closed."""

    def close(self) -> None:
        """Close it."""


@runtime_checkable
class HasPort(Protocol):
    """A program's own device over a port, by the name that loader objects have for it."""

    _port: Closable


@runtime_checkable
class Lockable(Protocol):
    """A device that can tell that registers are out of reach."""

    @property
    def secure_download_mode(self) -> bool:
        """Registers cannot be reached."""


def read_many(device: RegisterAccess, addresses: Sequence[int]) -> list[int]:
    """The values of several registers, in as few round trips as the device allows."""
    if isinstance(device, BatchReads):
        return list(device.read_regs(list(addresses)))
    if not isinstance(device, OnLine):
        return [device.read_reg(address) for address in addresses]
    session = device.session
    if session.is_stub:
        return list(session.read_regs(addresses))
    values: list[int] = []
    for at in range(0, len(addresses), READS_IN_FLIGHT):
        group = addresses[at : at + READS_IN_FLIGHT]
        answers = _in_flight(session, READ_REG, [a.to_bytes(4, "little") for a in group])
        if answers is None:
            answers = [device.read_reg(address) for address in group]
        values += answers
    return values


def write_many(device: RegisterAccess, pairs: Sequence[tuple[int, int]]) -> None:
    """Write (address, value) pairs in order, in as few round trips as the device allows.

    A pair may be written twice after a lost answer: give it no commands, only data.
    """
    if isinstance(device, BatchWrites):
        device.write_regs(list(pairs))
        return
    session = device.session if isinstance(device, OnLine) and not device.session.is_stub else None
    step = WRITES_IN_FLIGHT if session is not None else 1
    for at in range(0, len(pairs), step):
        group = pairs[at : at + step]
        words = [
            b"".join(n.to_bytes(4, "little") for n in (addr, value, 0xFFFFFFFF, 0))
            for addr, value in group
        ]
        if session is None or _in_flight(session, WRITE_REG, words) is None:
            for address, value in group:
                device.write_reg(address, value)


def _in_flight(session: Session, opcode: int, requests: Sequence[bytes]) -> list[int] | None:
    """Send a few requests before the first answer; None if not all were answered well.

    A ROM reads them one by one from a receive buffer of 128 bytes, which they must fit.
    """
    try:
        # A damaged frame can bring two answers: a stale one would shift all that follow.
        session.link.discard_input()
        for data in requests:
            session.link.send_request(opcode, data)
        values = []
        for _ in requests:
            answer = session.link.read_response(opcode, session.settings.timeout)
            session.checked("access registers", opcode, answer.data)
            values.append(answer.value)
    except FatalError:
        session.link.discard_input()
        return None
    return values


def drain(device: RegisterAccess) -> None:
    """Wait for late answers and forget them, so that what is read next is its own answer."""
    if isinstance(device, OnLine):
        device.session.link.sleep(DRAIN_S)
        device.session.link.discard_input()

# SPDX-License-Identifier: Apache-2.0
"""Single words of the chip's address space, and dumps of it. Flash contents are for `read`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from esptool.errors import UsageError
from esptool.events import Listener
from esptool.files import check_output, write_atomic
from esptool.ops.bounds import require_32_bits
from esptool.transfer.recovery import saying
from esptool.transfer.report import Report, Stopwatch

if TYPE_CHECKING:
    from esptool.device import Session

_WORDS_A_BATCH = 64


def _check_word(what: str, value: int) -> None:
    if not 0 <= value <= 0xFFFFFFFF:
        raise UsageError(f"{what} {value:#x} does not fit into 32 bits.")


def read_mem(session: Session, address: int, *, listener: Listener | None = None) -> int:
    """The 32-bit word at `address`."""
    _check_word("Address", address)
    value = session.read_reg(address)
    report = Report(session, listener)
    report.result(address=address, value=value)
    report.line(f"{address:#010x} = {value:#010x}")
    return value


def write_mem(
    session: Session,
    address: int,
    value: int,
    mask: int = 0xFFFFFFFF,
    *,
    listener: Listener | None = None,
) -> None:
    """Write those bits of `value` that `mask` names into the word at `address`."""
    for what, number in (("Address", address), ("Value", value), ("Mask", mask)):
        _check_word(what, number)
    session.write_reg(address, value, mask)
    report = Report(session, listener)
    report.result(address=address, value=value, mask=mask)
    report.line(f"Wrote {value:#010x} with mask {mask:#010x} to {address:#010x}.")


def dump_mem(
    session: Session,
    address: int,
    size: int,
    output: str | os.PathLike[str] | None = None,
    *,
    listener: Listener | None = None,
) -> bytes | None:
    """Read `size` bytes of address space, in whole words from `address` on.

    Goes to the file `output`, or comes back as bytes where none is given.

    Raises:
        UsageError: the range is not within 32-bit addresses.
    """
    require_32_bits(address, size, "memory")
    if output is not None:
        check_output(output)
    report = Report(session, listener)
    target = f" to file '{os.fspath(output)}'" if output is not None else ""
    report.line(f"Dumping {size} bytes from {address:#010x}{target}...")
    report.began("reading", address=address, size=size)
    watch = Stopwatch(session)
    data = bytearray()
    num_words = -(-size // 4)
    for start in range(0, num_words, _WORDS_A_BATCH):
        count = min(_WORDS_A_BATCH, num_words - start)
        addresses = [address + 4 * (start + i) for i in range(count)]
        # Not with a chip that was reset meanwhile: its memory holds something else then.
        with saying(f"Dumping stopped at {addresses[0]:#010x}, and nothing is kept of it"):
            words = session.read_regs(addresses)
        for word in words:
            data += word.to_bytes(4, "little")
        report.progress("Dumping from", addresses[-1], min(len(data), size), size)
    del data[size:]
    if output is not None:
        write_atomic(output, bytes(data))
    target = f" to '{os.fspath(output)}'" if output is not None else ""
    report.result(
        address=address,
        size=len(data),
        file=None if output is None else os.fspath(output),
        seconds=round(watch.seconds, 3),
    )
    report.line(
        f"Dumped {len(data)} bytes from {address:#010x} in {watch.summary(len(data))}{target}."
    )
    return bytes(data) if output is None else None

# SPDX-License-Identifier: Apache-2.0
"""NAND flash and debug certificates through the methods of a loader object.

Programs and tests bring loader objects of their own, of which they override single methods; so the
jobs of `esptool.ops` get at the chip through those, not around them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from esptool.events import Message
from esptool.faces.options import listener_of, speaking_to
from esptool.nearest import checks_keywords
from esptool.ops import nand, secure_debug
from esptool.ops.attach import connection_word
from esptool.render import to_log, without_progress
from esptool.transfer.recovery import Recovery
from esptool.transfer.report import Report
from esptool.util import ImageSource

if TYPE_CHECKING:
    from esptool.device.nand import Tally
    from esptool.device.nand_parts import NandPart
    from esptool.events import Listener
    from esptool.loader import ESPLoader

NAND_BLOCK_COUNT = nand.BLOCK_COUNT
NAND_TOTAL_SIZE = nand.TOTAL_SIZE


class _Flash:
    """See `esptool.ops.nand_flash.NandFlash`."""

    def __init__(self, esp: ESPLoader) -> None:
        self._esp = esp

    @property
    def part(self) -> NandPart:
        return self._esp.nand.part

    @property
    def page_step(self) -> int:
        return int(self._esp.FLASH_WRITE_SIZE)

    @property
    def numbered(self) -> bool:
        return self._esp.nand.tells

    def tally(self) -> Tally | None:
        return self._esp.nand.tally()

    def digest(self, offset: int, size: int) -> bytes | None:
        return self._esp.nand.digest(offset, size)

    def marked(self, first: int, count: int) -> list[bool] | None:
        return self._esp.nand.marked(first, count)

    def read_spare(self, page: int) -> int:
        return self._esp.read_nand_spare(page)

    def write_spare(self, page: int, is_bad: int) -> int:
        return self._esp.write_nand_spare(page, is_bad)

    def read(self, offset: int, size: int) -> bytes:
        return self._esp.read_flash_nand(offset, size, None)

    def begin_write(self, size: int, offset: int) -> None:
        self._esp.write_flash_nand_begin(size, offset)

    def write(self, data: bytes, seq: int) -> None:
        self._esp.write_flash_nand_block(data, seq)

    def end_write(self) -> None:
        self._esp.write_flash_nand_finish(reboot=False)

    def erase(self, offset: int, size: int) -> None:
        self._esp.erase_nand_region(offset, size)


class Judge:
    """See `esptool.ops.secure_debug.Judge`."""

    def __init__(self, esp: ESPLoader) -> None:
        self.verify_begin = esp.sdc_verify_begin
        self.verify_data = esp.sdc_verify_data
        self.verify_end = esp.sdc_verify_end
        self.info_begin = esp.sdc_gen_begin
        self.info_data = esp.sdc_gen_data
        self.info_end = esp.sdc_gen_end


def jobs(esp: ESPLoader, listener: Listener = to_log) -> nand.NandJobs:
    """The jobs on the NAND flash of a loader object."""
    return nand.NandJobs(_Flash(esp), listener, _recovery(esp, listener))


def _recovery(esp: ESPLoader, listener: Listener) -> Recovery | None:
    """What decides after a failure of the line; None for a program's object without a session."""
    session = esp.__dict__.get("session")
    return None if session is None else Recovery(session, Report(session, listener))


def attach(
    esp: ESPLoader, spi_connection: tuple[int, ...] | str | None, listener: Listener
) -> None:
    """Connect the flash on the pins of `spi_connection`."""
    word, label = 0, "default"
    if spi_connection is not None:
        word, label = connection_word(esp.session, spi_connection, general_purpose=True)
    listener(Message(f"Configuring SPI NAND flash mode ({label})..."))
    recovery = _recovery(esp, listener)
    with speaking_to(esp, listener):
        if recovery is None:
            esp.flash_spi_nand_attach(word)
        else:
            what = "Attaching the NAND flash"
            recovery.prepare(what, lambda: esp.flash_spi_nand_attach(word))


def read(
    esp: ESPLoader,
    address: int,
    size: int,
    progress_fn: Callable[[int, int, int], object] | None = None,
    nand_end_address: int | None = None,
) -> bytes:
    """`size` bytes from `address` on, bad blocks left out."""
    return jobs(esp).read(address, size, progress_fn, nand_end_address)


def write(
    esp: ESPLoader,
    addr_data: Sequence[tuple[int, ImageSource]],
    nand_end_address: int | None = None,
    no_progress: bool = False,
    listener: Listener = to_log,
) -> None:
    """Write sources, each from the start of a block; see `esptool.ops.nand`."""
    tell = without_progress(listener) if no_progress else listener
    jobs(esp, tell).write(addr_data, nand_end_address)


@checks_keywords()
def read_nand_spare(esp: ESPLoader, page_number: int, *, listener: Listener | None = None) -> None:
    """Print the spare area's first word of a NAND page, with the bad-block mark."""
    jobs(esp, listener_of(esp, listener)).show_spare(page_number)


@checks_keywords()
def write_nand_spare(
    esp: ESPLoader, page_number: int, is_bad: int, *, listener: Listener | None = None
) -> None:
    """Mark the block of a NAND page bad (1) or good (0)."""
    jobs(esp, listener_of(esp, listener)).mark(page_number, is_bad)


@checks_keywords()
def dump_bbm(
    esp: ESPLoader,
    output: str,
    block_count: int | None = NAND_BLOCK_COUNT,
    *,
    listener: Listener | None = None,
) -> None:
    """Write a file with a byte for every NAND block: 0 good, 1 bad.

    Args:
        block_count: how many blocks, from the first on; None for all that the flash has.
    """
    jobs(esp, listener_of(esp, listener)).dump_marks(output, block_count)


# --- secure debug certificates -------------------------------------------------------------------


@checks_keywords()
def verify_sdc_certificate(
    esp: ESPLoader, certificate: ImageSource, *, listener: Listener | None = None
) -> None:
    """Have the chip judge a Secure Debug Certificate.

    Raises:
        FatalError: it is refused.
    """
    judge = Judge(esp)
    secure_debug.verify_certificate(judge, certificate, listener_of(esp, listener))


@checks_keywords()
def read_sdc_chip_info(
    esp: ESPLoader, output: str = "chip_info.bin", *, listener: Listener | None = None
) -> None:
    """Have the chip make its 32 bytes of chip info for a new nonce; writes info and nonce.

    Raises:
        FatalError: the chip did not send them.
    """
    secure_debug.read_chip_info(Judge(esp), output, listener_of(esp, listener))

# SPDX-License-Identifier: Apache-2.0
"""NAND flash and Secure Debug Certificates."""

from __future__ import annotations

from collections.abc import Callable

from esptool.device import plugins
from esptool.device.nand import Attached, Nand
from esptool.device.secure_debug import SecureDebug
from esptool.events import Level, Message
from esptool.faces.base import FaceBase, chosen
from esptool.faces.constants import DEFAULT_TIMEOUT
from esptool.faces.old import with_address
from esptool.faces.wire import LoaderWire


class NandFace(FaceBase):
    """NAND flash: answered by a stub's plug-in only, which is loaded when it is first attached."""

    @property
    def nand(self) -> Nand:
        """Requests to the NAND flash: which part it is, and what only our plug-in answers."""
        made = self.__dict__.get("_nand")
        if made is None:
            made = self.__dict__["_nand"] = Nand(LoaderWire(self))
        assert isinstance(made, Nand)
        return made

    def flash_spi_nand_attach(self, hspi_arg: int) -> None:
        """Connect a NAND flash on the pins that the word names, and see which one it is.

        Raises:
            FatalError: none answered, or one that is not known.
        """

        def attach() -> Attached:
            plugins.require(self.session, "nand")
            return self.nand.attach(hspi_arg)

        found = attach()
        self.session.attach_again = attach
        tell = self.session.listener
        tell(Message(f"Detected NAND chip: {found.part.name}"))
        if found.protection:
            text = (
                f"The NAND's protection register is {found.protection:#04x}, not 0: "
                "what is written or erased may not last."
            )
            tell(Message(text, Level.WARNING))

    def read_nand_spare(self, page_number: int) -> int:
        """The first word of a page's spare area; its low byte is the bad-block mark, 0xFF good."""
        return self.nand.read_spare(page_number)

    def write_nand_spare(self, page_number: int, is_bad: int) -> int:
        """Write the bad-block mark of a page: 1 bad, 0 good."""
        return self.nand.write_spare(page_number, is_bad)

    def read_flash_nand(
        self, offset: int, length: int, progress_fn: Callable[..., object] | None = None
    ) -> bytes:
        """Read NAND flash as it lies there, bad blocks too.

        Raises:
            FatalError: no stub runs, or what came is not what its digest says.
        """
        return self.nand.read(offset, length, with_address(progress_fn))

    def write_flash_nand_begin(self, size: int, offset: int) -> None:
        """Prepare to write whole NAND blocks."""
        self.nand.begin_write(size, offset)

    def write_flash_nand_block(
        self, data: bytes, seq: int, timeout: float = DEFAULT_TIMEOUT
    ) -> None:
        """Write pages; those that arrived damaged are sent again.

        Raises:
            NANDProgramFailed, NANDEraseFailed: the flash says that the block is worn out.
        """
        self.nand.write(data, seq, chosen(timeout))

    def write_flash_nand_finish(
        self, reboot: bool = False, timeout: float = DEFAULT_TIMEOUT
    ) -> None:
        """End a NAND write."""
        self.nand.end_write(reboot, chosen(timeout))

    def erase_nand_flash(self) -> None:
        """Erase all of a NAND flash (stub only)."""
        self.nand.erase_all()

    def erase_nand_region(self, offset: int, size: int) -> None:
        """Erase blocks of a NAND flash (stub only)."""
        self.nand.erase(offset, size)


class DebugFace(FaceBase):
    """Secure Debug Certificates."""

    @property
    def _debug(self) -> SecureDebug:
        return SecureDebug(LoaderWire(self))

    def sdc_verify_begin(self, ena_nonce: int, size: int) -> None:
        """Announce a certificate of `size` bytes."""
        self._debug.verify_begin(ena_nonce, size)

    def sdc_verify_data(self, data: bytes) -> None:
        """Send the certificate."""
        self._debug.verify_data(data)

    def sdc_verify_end(self) -> None:
        """Have the certificate judged.

        Raises:
            FatalError: the chip does not accept it.
        """
        self._debug.verify_end()

    def sdc_gen_begin(self) -> None:
        """Begin to make chip info. The ROM may refuse this step and go on nevertheless."""
        self._debug.info_begin()

    def sdc_gen_data(self, data: bytes) -> None:
        """Send the nonce. The ROM may refuse this step and go on nevertheless."""
        self._debug.info_data(data)

    def sdc_gen_end(self) -> bytes | None:
        """The 32 bytes of chip info, or None when none came."""
        return self._debug.info_end()

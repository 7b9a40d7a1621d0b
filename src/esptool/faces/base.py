# SPDX-License-Identifier: Apache-2.0
"""What all parts of the loader object stand on: the session, the port, and plain requests."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from esptool import chips
from esptool.chips.spec import ChipSpec
from esptool.device.stub_loader import ram_block, refuse_overlap
from esptool.errors import ChipResponseError, FatalError, UsageError
from esptool.faces import old
from esptool.faces.constants import DEFAULT_TIMEOUT, ESP_ROM_BAUD
from esptool.logger import log
from esptool.protocol.opcodes import Cmd
from esptool.protocol.packets import checksum
from esptool.protocol.status import Status

if TYPE_CHECKING:
    from serial import Serial

    from esptool.device import Session

#: Chip key to class.
LOADERS: dict[str, Any] = {}


class Live:
    """An attribute with one value on the class and another on a live object.

    It can be set on an object, as programs and tests do.
    """

    def __init__(self, fallback: Any, live: Callable[[Any], Any]) -> None:
        self._fallback = fallback
        self._live = live
        self._key = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._key = f"_set_{name}"

    def __get__(self, obj: Any, owner: type | None = None) -> Any:
        if obj is None:
            return self._fallback
        if self._key in obj.__dict__:
            return obj.__dict__[self._key]
        return self._live(obj) if "session" in obj.__dict__ else self._fallback

    def __set__(self, obj: Any, value: Any) -> None:
        obj.__dict__[self._key] = value


class WriteSize(Live):
    """`FLASH_WRITE_SIZE`: bytes of a data block.

    Programs set it on a class or an object to send smaller blocks, for USB bridges that lose long
    ones; see `chosen_write_size`.
    """

    def __init__(self, fallback: int) -> None:
        super().__init__(fallback, lambda esp: esp.session.flash.write_size)


def chosen_write_size(esp: Any) -> int | None:
    """The block size that a program has set for this object or its class; None where it has not."""
    own = esp.__dict__.get("_set_FLASH_WRITE_SIZE")
    if own is not None:
        return int(own)
    for cls in type(esp).__mro__:
        found = cls.__dict__.get("FLASH_WRITE_SIZE")
        if found is not None:
            return None if isinstance(found, Live) else int(found)
    return None


def print_trace(text: str) -> None:
    """Show a line of trace."""
    log.print(text)


def chosen(timeout: float) -> float | None:
    """The timeout that a caller has chosen; None, the one of the settings, for the default."""
    return None if timeout == DEFAULT_TIMEOUT else timeout


class FaceBase:
    """The loader object's session, what every request needs, and requests for registers and RAM."""

    SPEC: ClassVar[ChipSpec | None] = None
    CHIP_NAME: str = "Espressif device"
    STUB_CLASS: Any = None
    BOOTLOADER_IMAGE: Any = None
    IMAGE_CHIP_ID: int | None = None
    USES_MAGIC_VALUE = True
    MAGIC_VALUE: int | None = None
    UF2_FAMILY_ID = 0
    DEFAULT_PORT = "/dev/ttyUSB0"
    ESP_CMDS: ClassVar[dict[str, int]] = {c.name: int(c) for c in Cmd}
    ROM_INVALID_RECV_MSG = 0x05
    ESP_RAM_BLOCK = 0x1800
    USB_OTG_BLOCK_SIZE = 0x800
    USB_OTG_SUPPORTED = False
    USB_SERIAL_JTAG_SUPPORTED = False
    WATCHDOG_RESET_SUPPORTED = False
    SECURITY_INFO_SUPPORTED = False
    CUSTOM_SPI_FLASH_PINS_SUPPORTED = False
    FLASH_32BIT_ADDR_SUPPORTED = False
    ESP_ROM_BAUD = ESP_ROM_BAUD
    ESP_IMAGE_MAGIC = 0xE9
    ESP_CHECKSUM_MAGIC = 0xEF
    FLASH_SECTOR_SIZE = 0x1000
    UART_DATE_REG_ADDR = 0x60000078
    SPI_ADDR_REG_MSB = True
    CHIP_DETECT_MAGIC_REG_ADDR = 0x40001000
    UART_CLKDIV_MASK = 0xFFFFF
    IROM_MAP_START = 0x40200000
    IROM_MAP_END = 0x40300000
    BOOTLOADER_FLASH_OFFSET = 0
    FLASH_SIZES: ClassVar[dict[str, int]] = {}
    FLASH_FREQUENCY: ClassVar[dict[str, int]] = {}
    ESPRESSIF_VID = 0x303A
    USB_JTAG_SERIAL_PID = 0x1001
    UNSUPPORTED_CHIPS: ClassVar[dict[int, str]] = dict(chips.RETIRED_IDS)
    WRITE_FLASH_ATTEMPTS = 2
    FLASH_ENCRYPTED_WRITE_ALIGN = 16
    EFUSE_RD_REG_BASE = 0
    KEY_PURPOSES: ClassVar[dict[int, str]] = {}
    EFUSE_MAX_KEY = 5
    MEMORY_MAP: ClassVar[list[list[Any]]] = []
    XTAL_CLK_DIVIDER = 1

    IS_STUB = Live(False, lambda esp: esp.session.is_stub)
    FLASH_WRITE_SIZE = WriteSize(0x400)
    secure_download_mode = Live(False, lambda esp: esp.session.secure_download)
    stub_is_disabled = Live(False, lambda esp: esp.session.stub_disabled)
    sync_stub_detected = Live(False, lambda esp: esp.session.sync_stub_detected)
    USES_RFC2217 = Live(False, lambda esp: esp.serial_port.startswith("rfc2217:"))

    session: Session
    _trace_enabled: bool
    #: What the next frames are read from, where a program put a generator of its own.
    _slip_reader = old.FrameSource()

    def _take(self, session: Session) -> None:
        """Work with this session from now on."""
        self.session = session
        session.flash.chosen_write_size = lambda: chosen_write_size(self)

    # --- the port ----------------------------------------------------------------------------

    @property
    def _port(self) -> Serial:
        return self.session.link.port.serial

    @property
    def serial_port(self) -> str:
        """Name or URL of the port."""
        return self.session.link.port.url

    def get_baud(self) -> int:
        """The port's present rate."""
        return self.session.link.baud

    def _set_port_baudrate(self, baud: int) -> None:
        self.session.link.set_baud(baud)

    def flush_input(self) -> None:
        """Forget what was received."""
        self.session.link.discard_input()

    def trace(self, message: str, *format_args: Any, newline: bool = False) -> None:
        """Show a line of trace, when tracing is on; an empty one first if `newline`."""
        if not self._trace_enabled:
            return
        if newline or (format_args == (True,) and "%" not in message):
            print_trace("")
        print_trace(message % format_args if format_args and "%" in message else message)

    def read(self) -> bytes:
        """The payload of the next frame.

        Raises:
            FatalError: none came, or it was damaged.
        """
        try:
            return bytes(next(self._slip_reader))
        except StopIteration:
            raise FatalError("The connection has been lost: no more data.") from None

    def write(self, packet: bytes) -> None:
        """Send `packet` as one frame."""
        self.session.link.send_frame(packet)

    # --- requests ----------------------------------------------------------------------------

    @staticmethod
    def checksum(data: bytes, state: int = ESP_CHECKSUM_MAGIC) -> int:
        """XOR of all bytes, seeded."""
        return checksum(data, state)

    def command(
        self,
        op: int | None = None,
        data: bytes = b"",
        chk: int = 0,
        wait_response: bool = True,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> tuple[int, bytes] | None:
        """Send a request; returns (value, data with status), None without `wait_response`."""
        if op is None:
            wait = self.session.settings.timeout if timeout == DEFAULT_TIMEOUT else timeout
            response = self.session.link.read_response(None, wait)
            return response.value, response.data
        answer = self.session.command(op, data, chk, chosen(timeout), wait_response)
        return answer if wait_response else None

    def check_command(
        self,
        op_description: str,
        op: int | None = None,
        data: bytes = b"",
        chk: int = 0,
        resp_data_len: int = 0,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> int | bytes:
        """Send a request and check its status; returns the data, or the value where none came."""
        if op is None:
            raise UsageError("check_command needs an opcode.")
        try:
            reply = self.session.request(
                op_description, op, data, chk, chosen(timeout), size=resp_data_len or None
            )
        except ChipResponseError as e:
            if e.code in (Status.NAND_PROGRAM_FAILED, Status.NAND_ERASE_FAILED):
                raise FatalError.WithResult(
                    f"Failed to {op_description}", e.code.to_bytes(2, "big")
                ) from e
            raise
        return reply.data[: resp_data_len or None] if reply.data else reply.value

    # --- registers and memory ----------------------------------------------------------------

    def read_reg(self, addr: int, timeout: float = DEFAULT_TIMEOUT) -> int:
        """The 32-bit word at `addr`."""
        return self.session.read_reg(addr, chosen(timeout))

    def write_reg(
        self,
        addr: int,
        value: int,
        mask: int = 0xFFFFFFFF,
        delay_us: int = 0,
        delay_after_us: int = 0,
    ) -> None:
        """Write the bits of `value` that `mask` names."""
        self.session.write_reg(addr, value, mask, delay_us, delay_after_us)

    def update_reg(self, addr: int, mask: int, new_val: int) -> None:
        """Replace a field: `new_val` is given unshifted."""
        self.session.update_reg(addr, mask, new_val)

    def mem_begin(self, size: int, blocks: int, blocksize: int, offset: int) -> None:
        """Announce data for RAM at `offset`.

        Raises:
            FatalError: it would overwrite the running stub.
        """
        refuse_overlap(self.session, offset, size)
        self.session.ram.begin(size, blocks, blocksize, offset)

    def mem_block(self, data: bytes, seq: int) -> None:
        """Send a block for RAM."""
        self.session.ram.block(data, seq)

    def mem_finish(self, entrypoint: int = 0) -> None:
        """Jump to `entrypoint`, or stay where it is 0."""
        self.session.ram.finish(entrypoint)

    def read_efuse(self, n: int) -> int:
        """Word `n` of the eFuse registers that are read (a flasher)."""
        return self.session.read_reg(self.EFUSE_RD_REG_BASE + 4 * n)

    def _upload_segment(self, data: bytes, offs: int) -> None:
        block = ram_block(self.session)
        count = -(-len(data) // block)
        self.mem_begin(len(data), count, block, offs)
        for seq in range(count):
            self.mem_block(data[seq * block : (seq + 1) * block], seq)

    def get_memory_region(self, name: str) -> tuple[int, int] | None:
        """(start, end) of the first memory range of that kind, or None."""
        for start, end, kind in self.MEMORY_MAP:
            if kind == name:
                return start, end
        return None

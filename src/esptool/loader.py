# SPDX-License-Identifier: Apache-2.0
"""The documented loader object: `ESPLoader` and its chip classes, thin faces over a session.

Nothing is decided here; each method hands on to `self.session` (an `esptool.device.Session`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from esptool import chips
from esptool.chips.spec import ChipSpec
from esptool.config import load_settings
from esptool.device import Link, Session
from esptool.device import connect as _connect
from esptool.device.stub_loader import stub_name
from esptool.errors import ChipResponseError, NANDEraseFailed, NANDProgramFailed, UsageError
from esptool.errors import FatalError as FatalError
from esptool.errors import UnsupportedCommandError as UnsupportedCommandError
from esptool.logger import log
from esptool.protocol import packets
from esptool.protocol.opcodes import Cmd
from esptool.protocol.status import Status
from esptool.render import to_log
from esptool.transport import open_port
from esptool.util import NotImplementedInROMError as NotImplementedInROMError
from esptool.util import NotSupportedError as NotSupportedError
from esptool.util import borrowed

if TYPE_CHECKING:
    from serial import Serial

    from esptool.stubs import Stub

TROUBLESHOOTING_GUIDE_URL = (
    "https://docs.espressif.com/projects/esptool/en/latest/troubleshooting.html"
)
DEFAULT_TIMEOUT = 3
DEFAULT_CONNECT_ATTEMPTS = 7
DEFAULT_OPEN_PORT_ATTEMPTS = 1
DEFAULT_SERIAL_WRITE_TIMEOUT = 10
CHIP_ERASE_TIMEOUT = 120
MAX_TIMEOUT = 240
SYNC_TIMEOUT = 0.1
MD5_TIMEOUT_PER_MB = 8
ERASE_REGION_TIMEOUT_PER_MB = 40
ERASE_WRITE_TIMEOUT_PER_MB = 40
MEM_END_ROM_TIMEOUT = 0.2
WRITE_BLOCK_ATTEMPTS = 3
SDC_CHIP_INFO_LEN = 32
SDC_GEN_END_RESP_LEN = 64
NAND_BLOCK_SIZE = 0x20000
NAND_PAGES_PER_BLOCK = 64
#: NAND flash that the stub's plug-in can drive: (manufacturer, device) to name.
NAND_CHIPS = {(0xEF, 0xAA21): "Winbond W25N01GV (1Gbit)"}
ESP_ROM_BAUD = 115200

_T = TypeVar("_T")


def timeout_per_mb(seconds_per_mb: float, size_bytes: float) -> float:
    """Seconds for work on `size_bytes`, never below the default timeout."""
    return max(seconds_per_mb * (size_bytes / 1e6), DEFAULT_TIMEOUT)


class _Live:
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


_STUB_DATA = os.path.join(os.path.dirname(__file__), "stubs", "data")


class StubFlasher:
    """A stub, read from a folder of stub files in the public JSON format.

    Args:
        target: the chip: its name, its class, or a loader object.
        plugins: names of plug-ins to link into the stub.

    `STUB_DIR` may be pointed at another folder (with files in it, or in the sub-folders
    `STUB_SUBDIRS`, newest first); as it is, the built-in stubs are used.

    Raises:
        FatalError: there is no such stub, or it has no such plug-in.
    """

    STUB_DIR: ClassVar[str] = _STUB_DATA
    STUB_SUBDIRS: ClassVar[list[str]] = ["2", "1"]
    STUB_VERSION_EXPLICIT: ClassVar[bool] = False

    def __init__(self, target: Any, plugins: list[str] | None = None) -> None:
        stub = self.find(target).with_plugins(plugins or ())
        self.stub = stub
        self.text = stub.text
        self.text_start = stub.text_start
        self.entry = stub.entry
        self.data = stub.data or None
        self.data_start = stub.data_start
        self.bss_start = stub.bss_start
        self.plugin_segments = list(stub.segments)

    @classmethod
    def find(cls, target: Any) -> Stub:
        """The stub file of a chip, without plug-ins."""
        from esptool import stubs

        name = target if isinstance(target, str) else target.CHIP_NAME
        name = chips.normalize(name)
        if cls.STUB_DIR == _STUB_DATA:
            return stubs.load(name)
        return stubs.load_dir(cls.STUB_DIR, name, cls.STUB_SUBDIRS)

    @classmethod
    def set_stub_subdir(cls, subdir: str) -> None:
        """Choose among the stub generations of the public tool; ours serves for both.

        Raises:
            FatalError: no such generation.
        """
        if subdir not in ("1", "2"):
            raise FatalError(f"Unknown stub version '{subdir}'. Use 1 or 2.")
        cls.STUB_SUBDIRS = [subdir]
        cls.STUB_VERSION_EXPLICIT = True


class ESPLoader:
    """A chip on a serial port.

    Args:
        port: a device name or URL, or an open pyserial port.
        baud: the rate to call the chip at.
        trace_enabled: show the traffic.

    Attributes:
        session: the live chip underneath; everything goes through it.

    Raises:
        FatalError: the port cannot be opened.
    """

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
    KEY_PURPOSES: ClassVar[dict[int, str]] = {}
    EFUSE_MAX_KEY = 5
    MEMORY_MAP: ClassVar[list[list[Any]]] = []
    XTAL_CLK_DIVIDER = 1

    IS_STUB = _Live(False, lambda esp: esp.session.is_stub)
    FLASH_WRITE_SIZE = _Live(0x400, lambda esp: esp.session.flash_write_size)
    secure_download_mode = _Live(False, lambda esp: esp.session.secure_download)
    stub_is_disabled = _Live(False, lambda esp: esp.session.stub_disabled)
    sync_stub_detected = _Live(False, lambda esp: esp.session.sync_stub_detected)
    USES_RFC2217 = _Live(False, lambda esp: esp.serial_port.startswith("rfc2217:"))

    session: Session

    def __init__(
        self,
        port: str | Serial = DEFAULT_PORT,
        baud: int = ESP_ROM_BAUD,
        trace_enabled: bool = False,
    ) -> None:
        self._trace_enabled = trace_enabled
        opened = open_port(port, baud) if isinstance(port, str) else port
        link = Link(opened, _print_trace if trace_enabled else None)
        spec = self.SPEC or chips.get("esp32")
        self.session = Session(spec, link, load_settings(), to_log)

    @classmethod
    def from_session(cls, session: Session) -> ESPLoader:
        """The loader object for a session that is connected."""
        esp = cls.__new__(cls)
        esp._trace_enabled = session.link.trace is not None
        esp.session = session
        return esp

    def __enter__(self) -> ESPLoader:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.session.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} on {self.serial_port}>"

    # --- the port ----------------------------------------------------------------------------

    @property
    def _port(self) -> Serial:
        return self.session.link.port

    @property
    def serial_port(self) -> str:
        """Name or URL of the port."""
        return str(getattr(self._port, "port", None) or self._port.name or "")

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
            _print_trace("")
        _print_trace(message % format_args if format_args and "%" in message else message)

    def read(self) -> bytes:
        """The payload of the next frame.

        Raises:
            FatalError: none came, or it was damaged.
        """
        source = self.__dict__.get("_slip_reader")
        if source is not None:
            try:
                return bytes(next(source))
            except StopIteration:
                raise FatalError("The connection has been lost: no more data.") from None
        return self.session.link.read_frame(self.session.settings.timeout)

    def write(self, packet: bytes) -> None:
        """Send `packet` as one frame."""
        self.session.link.send_frame(packet)

    # --- connecting --------------------------------------------------------------------------

    def connect(
        self,
        mode: str = "default-reset",
        attempts: int = DEFAULT_CONNECT_ATTEMPTS,
        detecting: bool = False,
        warnings: bool = True,
    ) -> None:
        """Bring the chip into download mode and synchronise with it.

        Raises:
            FatalError: no answer, or from another chip.
        """
        old = self.session
        self.session = _connect(
            old.link.port,
            chip=self.SPEC,
            baud=old.link.baud,
            before=mode.replace("_", "-"),
            attempts=attempts,
            trace=old.link.trace,
            settings=old.settings,
            listener=old.listener,
            warnings=warnings and not detecting,
        )
        self.__dict__["_left"] = False

    def sync(self) -> None:
        """Synchronise once with a chip that is in download mode."""
        self.session.link.sync_once(self.session.settings.sync_timeout)

    def run_stub(self, stub: Stub | StubFlasher | None = None) -> ESPLoader:
        """Upload and start the flasher stub; returns the object to go on with (this one).

        Raises:
            FatalError: it did not start.
        """
        if stub is None and StubFlasher.STUB_DIR == _STUB_DATA:
            self.session.run_stub()
        elif stub is None:
            self.session.run_stub(StubFlasher.find(stub_name(self.session)))
        elif isinstance(stub, StubFlasher) and "session" in self.__dict__:
            self.session.run_stub(stub.stub)
        else:
            _run_foreign_stub(self, stub)
        return self

    def _upload_segment(self, data: bytes, offs: int) -> None:
        block = self.USB_OTG_BLOCK_SIZE if self.uses_usb_otg() else self.ESP_RAM_BLOCK
        count = -(-len(data) // block)
        self.mem_begin(len(data), count, block, offs)
        for seq in range(count):
            self.mem_block(data[seq * block : (seq + 1) * block], seq)

    # --- requests ----------------------------------------------------------------------------

    @staticmethod
    def checksum(data: bytes, state: int = ESP_CHECKSUM_MAGIC) -> int:
        """XOR of all bytes, seeded."""
        for value in data:
            state ^= value
        return state

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
            response = self.session.link.read_response(None, timeout)
            return response.value, response.data
        answer = self.session.command(op, data, chk, timeout, wait_response)
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
            reply = self.session.request(op_description, op, data, chk, timeout)
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
        return self.session.read_reg(addr)

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
        self.session.mem_begin(size, blocks, blocksize, offset)

    def mem_block(self, data: bytes, seq: int) -> None:
        """Send a block for RAM."""
        self.session.mem_block(data, seq)

    def mem_finish(self, entrypoint: int = 0) -> None:
        """Jump to `entrypoint`, or stay where it is 0."""
        self.session.mem_finish(entrypoint)

    def get_memory_region(self, name: str) -> tuple[int, int] | None:
        """(start, end) of the first memory range of that kind, or None."""
        for start, end, kind in self.MEMORY_MAP:
            if kind == name:
                return start, end
        return None

    # --- flash -------------------------------------------------------------------------------

    def flash_spi_attach(self, hspi_arg: int) -> None:
        """Connect the flash: 0 default pins, 1 HSPI, or a word of pins."""
        if self.session.is_stub or self.session.spec.rom.flash_ops:
            self.session.spi_attach(hspi_arg)
        else:
            self.session.flash_begin(0, 0)

    def check_spi_connection(self, spi_connection: Sequence[int]) -> None:
        """Refuse five pins (CLK, Q, D, HD, CS) that a flash cannot be wired to.

        Raises:
            FatalError: a pin does not exist, is none for this, or carries the link.
        """
        from esptool.ops.attach import connection_word

        connection_word(self.session, tuple(spi_connection))

    def flash_set_parameters(self, size: int) -> None:
        """Tell the loader how many bytes the flash has."""
        if self.session.is_stub or self.session.spec.rom.flash_ops:
            self.session.set_flash_params(size)

    def flash_begin(
        self, size: int, offset: int, encrypted_write: bool = False, logging: bool = True
    ) -> int:
        """Prepare to write; the ROM erases now. Returns the number of blocks to send."""
        return self.session.flash_begin(size, offset, encrypted_write)

    def flash_block(
        self, data: bytes, seq: int, timeout: float = DEFAULT_TIMEOUT, encrypted: bool = False
    ) -> None:
        """Write a block."""
        self.session.flash_block(data, seq, timeout, encrypted=encrypted)

    def flash_finish(self, reboot: bool = False, timeout: float = DEFAULT_TIMEOUT) -> None:
        """Leave flash mode."""
        self.session.flash_finish(reboot)

    def flash_defl_begin(
        self, size: int, compsize: int, offset: int, encrypted_write: bool = False
    ) -> int:
        """Prepare to write `size` bytes that come deflated."""
        return self.session.flash_defl_begin(size, compsize, offset, encrypted_write)

    def flash_defl_block(self, data: bytes, seq: int, timeout: float = DEFAULT_TIMEOUT) -> None:
        """Write a block of the deflated stream."""
        self.session.flash_defl_block(data, seq, timeout)

    def flash_defl_finish(self, reboot: bool = False, timeout: float = DEFAULT_TIMEOUT) -> None:
        """Leave compressed flash mode."""
        self.session.flash_defl_finish(reboot)

    def flash_md5sum(self, addr: int, size: int) -> str:
        """MD5 of a range of flash, 32 hex digits."""
        return self.session.flash_md5(addr, size)

    def get_erase_size(self, offset: int, size: int) -> int:
        """The erase size to ask this ROM for."""
        return self.session.rom_erase_size(offset, size)

    def erase_flash(self) -> None:
        """Erase the whole chip (stub only)."""
        self._stub_only("erase_flash")
        self.session.erase_flash()

    def erase_region(self, offset: int, size: int) -> None:
        """Erase whole sectors (stub only)."""
        if offset % self.FLASH_SECTOR_SIZE:
            raise FatalError("Offset to erase from must be a multiple of 4096")
        if size % self.FLASH_SECTOR_SIZE:
            raise FatalError("Size of data to erase must be a multiple of 4096")
        self._stub_only("erase_region")
        self.session.erase_region(offset, size)

    def read_flash(
        self, offset: int, length: int, progress_fn: Callable[[int, int], None] | None = None
    ) -> bytes:
        """Read flash."""
        return self.session.read_flash(offset, length, progress_fn)

    def read_flash_slow(
        self, offset: int, length: int, progress_fn: Callable[[int, int], None] | None = None
    ) -> bytes:
        """Read flash through the ROM."""
        return self.session.read_flash_slow(offset, length, progress_fn)

    def run(self, reboot: bool = False) -> None:
        """Leave the loader and start the application."""
        self.session.flash_begin(0, 0)
        self.session.flash_finish(reboot)

    def _stub_only(self, name: str) -> None:
        if not self.session.is_stub:
            raise NotImplementedInROMError(
                f"{self.CHIP_NAME} ROM does not support function {name}."
            )

    # --- NAND: answered by a stub's plug-in only ------------------------------------------------

    def flash_spi_nand_attach(self, hspi_arg: int) -> None:
        """Connect a NAND flash on the pins that the word names, and see which one it is.

        Raises:
            FatalError: none answered, or one that is not known.
        """
        what = "Failed to configure SPI NAND flash pins"
        # A ROM takes a second word, as with SPI_ATTACH.
        body = packets.words(hspi_arg) if self.IS_STUB else packets.words(hspi_arg, 0)
        answer = self.command(Cmd.SPI_NAND_ATTACH, body)
        value, data = answer or (0, b"")
        if len(data) < 3:
            raise FatalError(f"{what}: the answer has {len(data)} bytes only.")
        # This answer has a data byte, the protection register, before its status.
        protection, status = data[0], data[1:3]
        if status[0]:
            raise FatalError.WithResult(what, status)
        maker, device = value >> 16 & 0xFF, value & 0xFFFF
        self.trace(f"NAND status {value >> 24:#04x}, id {maker:#04x} {device:#06x}")
        name = NAND_CHIPS.get((maker, device))
        if name is None:
            raise FatalError(
                f"Unrecognized NAND JEDEC ID (mfr={maker:#04x}, dev={device:#06x}). "
                f"Known: {', '.join(NAND_CHIPS.values())}."
            )
        log.print(f"Detected NAND chip: {name}")
        if protection:
            log.warn(
                f"The NAND's protection register is {protection:#04x}, not 0: "
                "what is written or erased may not last."
            )

    def read_nand_spare(self, page_number: int) -> int:
        """The first word of a page's spare area; its low byte is the bad-block mark, 0xFF good."""
        answer = self.check_command(
            "read NAND spare", Cmd.SPI_NAND_READ_SPARE, packets.words(page_number)
        )
        return _number(answer)

    def write_nand_spare(self, page_number: int, is_bad: int) -> int:
        """Write the bad-block mark of a page: 1 bad, 0 good."""
        body = packets.words(page_number) + bytes([is_bad])
        return _number(self.check_command("write NAND spare", Cmd.SPI_NAND_WRITE_SPARE, body))

    def read_flash_nand(
        self, offset: int, length: int, progress_fn: Callable[[int, int, int], None] | None = None
    ) -> bytes:
        """Read NAND flash as it lies there, bad blocks too.

        Raises:
            FatalError: no stub runs, or what came is not what its digest says.
        """
        if not self.IS_STUB:
            raise FatalError("NAND flash can only be read through the stub.")
        body = packets.words(offset, length, self.FLASH_SECTOR_SIZE, NAND_PAGES_PER_BLOCK)
        self.check_command("read NAND flash", Cmd.SPI_NAND_READ_FLASH, body)
        data = bytearray()
        while len(data) < length:
            data += self.read()
            self.write(packets.words(len(data)))
            if progress_fn is not None:
                progress_fn(len(data), length, offset)
        if len(data) > length:
            raise FatalError(f"Read {len(data)} bytes of NAND flash, but {length} were asked for.")
        digest = self.read()
        if len(digest) != 16:
            raise FatalError(f"Expected the digest of the data, got {digest.hex()}.")
        from hashlib import md5

        found = md5(data, usedforsecurity=False).digest()
        if found != digest:
            raise FatalError(f"Digest mismatch: expected {digest.hex()}, got {found.hex()}.")
        return bytes(data)

    def write_flash_nand_begin(self, size: int, offset: int) -> None:
        """Prepare to write whole NAND blocks."""
        body = packets.words(offset, size, NAND_BLOCK_SIZE, self.FLASH_WRITE_SIZE)
        self.check_command("begin to write NAND flash", Cmd.SPI_NAND_WRITE_FLASH_BEGIN, body)

    def write_flash_nand_block(
        self, data: bytes, seq: int, timeout: float = DEFAULT_TIMEOUT
    ) -> None:
        """Write a page; a failure of the link is tried again, one of the flash is not.

        Raises:
            NANDProgramFailed, NANDEraseFailed: the flash says that the block is worn out.
        """
        body = packets.words(len(data), seq, 0, 0) + data
        for attempt in range(1, WRITE_BLOCK_ATTEMPTS + 1):
            try:
                self.check_command(
                    f"write to NAND flash after seq {seq}",
                    Cmd.SPI_NAND_WRITE_FLASH_DATA,
                    body,
                    self.checksum(data),
                    timeout=timeout,
                )
                return
            except (NANDProgramFailed, NANDEraseFailed):
                raise
            except FatalError:
                if attempt == WRITE_BLOCK_ATTEMPTS:
                    raise
                self.trace(f"NAND page {seq} is sent again")

    def write_flash_nand_finish(
        self, reboot: bool = False, timeout: float = DEFAULT_TIMEOUT
    ) -> None:
        """End a NAND write."""
        body = packets.words(int(not reboot))
        self.check_command(
            "end writing NAND flash", Cmd.SPI_NAND_WRITE_FLASH_END, body, timeout=timeout
        )

    def erase_nand_flash(self) -> None:
        """Erase all of a NAND flash (stub only)."""
        self.check_command("erase NAND flash", Cmd.SPI_NAND_ERASE_FLASH, timeout=CHIP_ERASE_TIMEOUT)

    def erase_nand_region(self, offset: int, size: int) -> None:
        """Erase blocks of a NAND flash (stub only)."""
        self.check_command(
            "erase NAND region",
            Cmd.SPI_NAND_ERASE_REGION,
            packets.words(offset, size),
            timeout=timeout_per_mb(ERASE_REGION_TIMEOUT_PER_MB, size),
        )

    # --- the flash chip itself ---------------------------------------------------------------

    def flash_id(self, cache: bool = True) -> int:
        """JEDEC id, manufacturer in the lowest byte."""
        return self.session.flash_id(cache)

    def run_spiflash_command(
        self,
        spiflash_command: int,
        data: bytes = b"",
        read_bits: int = 0,
        addr: int | None = None,
        addr_len: int = 0,
        dummy_len: int = 0,
    ) -> int:
        """Run one SPI-flash command through the controller's registers."""
        return self.session.spi_command(
            spiflash_command, data, read_bits, addr, addr_len, dummy_len
        )

    def read_spiflash_sfdp(self, addr: int, read_bits: int) -> int:
        """Bits of the SFDP tables from byte `addr` on."""
        return self.session.read_sfdp(addr, read_bits)

    def read_status(self, num_bytes: int = 2) -> int:
        """The flash's status registers."""
        return self.session.read_status(num_bytes)

    def write_status(
        self, new_status: int, num_bytes: int = 2, set_non_volatile: bool = False
    ) -> None:
        """Write the flash's status registers."""
        self.session.write_status(new_status, num_bytes, set_non_volatile)

    # --- who the chip is ---------------------------------------------------------------------

    def get_chip_description(self) -> str:
        """Name, package and revision: "ESP32-C3 (QFN32) (revision v0.3)"."""
        return self.session.facts.description

    def get_chip_features(self) -> list[str]:
        """What the chip has: radios, cores, memories."""
        return self.session.facts.features

    def get_crystal_freq(self) -> int:
        """Crystal frequency in MHz."""
        return self.session.facts.crystal_mhz

    def get_chip_revision(self) -> int:
        """major * 100 + minor."""
        return self.session.facts.revision

    def get_major_chip_version(self) -> int:
        """Major part of the revision."""
        return self.session.facts.major

    def get_minor_chip_version(self) -> int:
        """Minor part of the revision."""
        return self.session.facts.minor

    def get_pkg_version(self) -> int:
        """Number of the package."""
        return self.session.facts.package

    def read_mac(self, mac_type: str = "BASE_MAC") -> tuple[int, ...] | None:
        """The MAC address as a tuple of bytes; "BASE_MAC", "EUI64" or "MAC_EXT".

        None where the chip has no such address.
        """
        macs = self.session.facts.macs
        found = {"BASE_MAC": macs.base, "EUI64": macs.eui64, "MAC_EXT": macs.ext}
        if mac_type not in found:
            raise UsageError(f"Unknown MAC type '{mac_type}'. Use one of: {', '.join(found)}.")
        mac = found[mac_type]
        return None if mac is None else tuple(mac)

    def chip_id(self) -> int:
        """ESP8266's 24-bit chip id.

        Raises:
            NotSupportedError: this chip has none.
        """
        if self.session.spec.key != "esp8266":
            raise NotSupportedError(f"Function chip_id is not supported for {self.CHIP_NAME}.")
        return int.from_bytes(bytes(self.session.facts.macs.base[3:6]), "big")

    def get_chip_id(self) -> int | None:
        """The chip id that security info carries, None where it has none."""
        return self.session.facts.security_info.chip_id

    # --- security ----------------------------------------------------------------------------

    def get_security_info(self, cache: bool = True) -> dict[str, Any]:
        """The security info as a dict: flags, parsed_flags, flash_crypt_cnt, key_purposes, …"""
        info = self.session.facts.security_info
        return {
            "flags": info.flags,
            "flash_crypt_cnt": info.flash_crypt_cnt,
            "key_purposes": list(info.key_purposes),
            "chip_id": info.chip_id,
            "api_version": info.api_version,
        }

    def get_secure_boot_enabled(self) -> bool:
        """Whether secure boot is on."""
        return self.session.facts.secure_boot_enabled

    def get_secure_boot_v1_enabled(self) -> bool:
        """Whether ESP32's first secure boot is on."""
        return self.session.facts.secure_boot_v1_enabled

    def get_flash_encryption_enabled(self) -> bool:
        """Whether flash encryption is on."""
        return self.session.facts.flash_encryption_enabled

    def get_encrypted_download_disabled(self) -> bool:
        """Whether eFuses forbid that the loader writes encrypted."""
        return self.session.facts.manual_encryption_disabled

    def get_flash_crypt_config(self) -> int | None:
        """ESP32's FLASH_CRYPT_CONFIG, None elsewhere."""
        return self.session.facts.crypt_config

    def is_flash_encryption_key_valid(self) -> bool:
        """Whether a flash encryption key has been burned."""
        return self.session.facts.encryption_key_valid

    def uses_key_manager_for_flash_encryption(self) -> bool:
        """Whether the key manager provides the flash encryption key."""
        return bool(self.session.facts.key_manager_holds_key)

    def get_flash_voltage(self) -> str | None:
        """A line on the flash voltage, None where it is not known."""
        return self.session.facts.flash_voltage

    def override_vddsdio(self, new_voltage: str) -> None:
        """Override the flash voltage until the next reset (ESP32)."""
        self.session.set_flash_voltage(new_voltage)

    # --- secure debug certificates -----------------------------------------------------------

    def sdc_verify_begin(self, ena_nonce: int, size: int) -> None:
        """Announce a certificate of `size` bytes."""
        self.check_command(
            "begin SDC verification",
            Cmd.SDC_VERIF_BEGIN,
            packets.words(ena_nonce, size),
            timeout=DEFAULT_TIMEOUT,
        )

    def sdc_verify_data(self, data: bytes) -> None:
        """Send the certificate."""
        body = packets.words(len(data)) + data
        check = self.checksum(data)
        self.check_command(
            "send SDC certificate", Cmd.SDC_VERIF_DATA, body, check, timeout=DEFAULT_TIMEOUT
        )

    def sdc_verify_end(self) -> None:
        """Have the certificate judged.

        Raises:
            FatalError: the chip does not accept it.
        """
        self.check_command(
            "verify SDC certificate",
            Cmd.SDC_VERIF_END,
            packets.words(0),
            timeout=DEFAULT_TIMEOUT,
        )

    def sdc_gen_begin(self) -> None:
        """Begin to make chip info. The ROM may refuse this step and go on all the same."""
        try:
            self.check_command(
                "begin SDC chip info",
                Cmd.SDC_GEN_BEGIN,
                packets.words(1),
                timeout=DEFAULT_TIMEOUT,
            )
        except FatalError:
            if self.IS_STUB:
                raise

    def sdc_gen_data(self, data: bytes) -> None:
        """Send the nonce. The ROM may refuse this step and go on all the same."""
        body = packets.words(len(data)) + data
        check = self.checksum(data)
        try:
            self.check_command(
                "send SDC nonce", Cmd.SDC_GEN_DATA, body, check, timeout=DEFAULT_TIMEOUT
            )
        except FatalError:
            if self.IS_STUB:
                raise

    def sdc_gen_end(self) -> bytes | None:
        """The 32 bytes of chip info, or None when none came."""
        answer = self.check_command(
            "read SDC chip info",
            Cmd.SDC_GEN_END,
            packets.words(1),
            resp_data_len=SDC_GEN_END_RESP_LEN,
            timeout=DEFAULT_TIMEOUT,
        )
        return bytes(answer[:SDC_CHIP_INFO_LEN]) if isinstance(answer, bytes) and answer else None

    # --- USB, speed and resets ---------------------------------------------------------------

    def get_usb_mode(self) -> str | None:
        """ "USB-Serial/JTAG", "USB-OTG", or None over a UART."""
        modes = {"usb_serial_jtag": "USB-Serial/JTAG", "usb_otg": "USB-OTG"}
        return modes.get(self.session.facts.usb_mode)

    def uses_usb_otg(self) -> bool:
        """Whether the link is the chip's USB-OTG."""
        return self.session.facts.usb_mode == "usb_otg"

    def uses_usb_jtag_serial(self) -> bool:
        """Whether the link is the chip's USB-Serial/JTAG."""
        return self.session.facts.usb_mode == "usb_serial_jtag"

    def change_baud(self, baud: int) -> None:
        """Set chip and port to `baud`."""
        self.session.change_baud(baud)

    def hard_reset(self, uses_usb: bool | None = None) -> None:
        """Reset into the application."""
        self.session.hard_reset(uses_usb)

    def soft_reset(self, stay_in_bootloader: bool) -> None:
        """Restart without the reset line."""
        self.session.soft_reset(stay_in_bootloader)

    def watchdog_reset(self) -> None:
        """Reset through the RTC watchdog."""
        self.session.watchdog_reset()

    @classmethod
    def parse_flash_size_arg(cls, arg: str) -> int:
        """The image header's code of a size word."""
        text = f"Flash size '{arg}' is not supported by {cls.CHIP_NAME}"
        return _code(cls.FLASH_SIZES, arg, text)

    @classmethod
    def parse_flash_freq_arg(cls, arg: str | None) -> int:
        """The image header's code of a frequency word; None is the chip's usual one."""
        if arg is None:
            return next(iter(cls.FLASH_FREQUENCY.values()))
        text = f"Flash frequency '{arg}' is not supported by {cls.CHIP_NAME}"
        return _code(cls.FLASH_FREQUENCY, arg, text)


def _code(table: dict[str, int], word: str, text: str) -> int:
    try:
        return table[word]
    except KeyError:
        raise FatalError(f"{text} (supported: {', '.join(table)}).") from None


def _run_foreign_stub(esp: ESPLoader, stub: Any) -> None:
    """Start a stub of the caller's own: any object with the attributes of a `StubFlasher`."""
    parts = [(stub.text_start, stub.text), (stub.data_start, stub.data)]
    for address, data in [*parts, *getattr(stub, "plugin_segments", [])]:
        if data:
            esp._upload_segment(data, address)
    esp.mem_finish(stub.entry)
    try:
        greeting = esp.read()
    except FatalError as e:
        raise FatalError(
            "Failed to start stub flasher: it did not answer. "
            f"For troubleshooting steps visit: {TROUBLESHOOTING_GUIDE_URL}"
        ) from e
    if greeting != b"OHAI":
        raise FatalError(
            f"Failed to start stub flasher. Unexpected response: {greeting.hex()}. "
            f"For troubleshooting steps visit: {TROUBLESHOOTING_GUIDE_URL}"
        )
    esp.session.adopt_stub()


def _number(answer: int | bytes) -> int:
    """What came in the value field: such an answer has no data."""
    return answer if isinstance(answer, int) else int.from_bytes(answer, "little")


def _print_trace(text: str) -> None:
    log.print(text)


#: Names that programs import from here as well.
__getattr__ = borrowed(
    __name__,
    {
        **dict.fromkeys(
            (
                "ClassicReset",
                "CustomReset",
                "HardReset",
                "USBJTAGSerialReset",
                "UnixTightReset",
                "DEFAULT_RESET_DELAY",
            ),
            "esptool.reset",
        ),
        **dict.fromkeys(
            (
                "NANDEraseFailed",
                "NANDProgramFailed",
                "PrintOnce",
                "byte",
                "get_key_from_value",
                "hexify",
                "mask_to_shift",
                "pad_to",
                "strip_chip_name",
            ),
            "esptool.util",
        ),
        "load_config_file": "esptool.config",
    },
)

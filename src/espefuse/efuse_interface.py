# SPDX-License-Identifier: Apache-2.0
"""Documented entry points: connect to a chip (or a virtual one) and get its eFuse commands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from io import StringIO
from typing import TYPE_CHECKING, Any, TextIO, TypedDict

from espefuse._index import CHIP_ALIASES, CHIP_NAMES
from espefuse.commands import BaseCommands
from espefuse.key_commands import command_type
from espefuse.reading import close_port
from esptool.chips import normalize
from esptool.errors import FatalError, UsageError
from esptool.faces.constants import ESP_ROM_BAUD as ROM_BAUD
from esptool.nearest import checks_keywords
from esptool.records import dataclass
from esptool.render import to_log

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from espefuse.virt import VirtualEfuses
    from esptool.events import Listener


class CommandKeywords(TypedDict, total=False):
    """The keyword options of `init_commands`; see there."""

    skip_connect: bool
    virt: bool
    debug: bool
    virt_efuse_file: str | None
    do_not_confirm: bool
    postpone: bool
    extend_efuse_table: TextIO | str | None
    batch_mode: bool
    token: str | None


SUPPORTED_BURN_COMMANDS = [
    "read_protect_efuse",
    "write_protect_efuse",
    "burn_efuse",
    "burn_block_data",
    "burn_bit",
    "burn_key",
    "burn_key_digest",
    "burn_custom_mac",
    "set_flash_voltage",
]
SUPPORTED_READ_COMMANDS = ["summary", "dump", "get_custom_mac", "adc_info", "check_error"]
SUPPORTED_COMMANDS = [*SUPPORTED_READ_COMMANDS, *SUPPORTED_BURN_COMMANDS]
DEPRECATED_COMMANDS = ["execute_scripts"]


@dataclass(frozen=True, slots=True)
class DefChip:
    """A supported chip: its command class and, once `esptool` is asked, its loader class."""

    name: str

    @property
    def efuse_lib(self) -> type[BaseCommands]:
        """Class of the commands for this chip."""
        return command_type(self.name)

    @property
    def chip_class(self) -> Any:
        """The chip's class in `esptool.targets`."""
        from esptool.targets import CHIP_DEFS

        return CHIP_DEFS[self.name]


class _SupportedChips(Mapping[str, DefChip]):
    """Chip names to `DefChip`, without loading any table."""

    _names = (*CHIP_ALIASES, *CHIP_NAMES)

    def __getitem__(self, name: str) -> DefChip:
        if name not in self._names:
            raise KeyError(name)
        return DefChip(CHIP_ALIASES.get(name, name))

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


SUPPORTED_CHIPS = _SupportedChips()


def _get_command_class(chip_name: str) -> BaseCommands:
    """The commands of a chip, not yet connected to one.

    Raises:
        FatalError: no chip of that name has an eFuse table.
    """
    key = CHIP_ALIASES.get(normalize(chip_name), normalize(chip_name))
    if key not in CHIP_NAMES:
        raise FatalError(
            f"get_efuses: Unsupported chip ({chip_name}). Supported: {', '.join(CHIP_NAMES)}."
        )
    return command_type(key)()


@checks_keywords()
def get_esp(
    port: str | None = None,
    baud: int | str = 115200,
    before: str = "default-reset",
    chip: str = "auto",
    skip_connect: bool = False,
    virt: bool = False,
    debug: bool = False,
    virt_efuse_file: str | None = None,
    token: str | None = None,
    *,
    listener: Listener = to_log,
) -> Any:
    """Connect to a chip, or make a virtual one.

    Args:
        port: serial port; needed unless the chip is virtual.
        baud: the rate to call the ROM at, or "auto" for one that is good on any line.
        chip: name, or "auto" to detect it (a virtual chip is then an ESP32).
        skip_connect: only make the loader object.
        virt_efuse_file: where the virtual chip keeps its eFuses.
        token: fill the virtual chip from an eFuse token.
        listener: told what goes on at the line, now and later.
    """
    key = CHIP_ALIASES.get(normalize(chip), normalize(chip))
    if key not in ("auto", *CHIP_NAMES):
        raise FatalError(f"get_esp: Unsupported chip ({chip})")
    if token is not None:
        return from_token(token, key, virt_efuse_file)
    if virt:
        from espefuse.virt import VirtualEfuses

        return VirtualEfuses("esp32" if key == "auto" else key, virt_efuse_file)
    if skip_connect:
        from serial import Serial

        return _loader_class("esp32" if key == "auto" else key)(Serial())
    return _connect(port, baud, before, key, debug, listener)


def _loader_class(key: str) -> Any:
    from esptool.targets import CHIP_DEFS

    return CHIP_DEFS[key]


def _connect(
    port: str | None, baud: int | str, before: str, key: str, trace: bool, listener: Listener
) -> Any:
    if port is None:
        raise FatalError(
            "No serial port was given.",
            remedy="Name one with --port, or use --virt for a virtual chip.",
        )
    if isinstance(baud, str):
        from esptool.protocol.rates import AUTO

        if baud != AUTO:
            raise UsageError(f"The baud rate is a number, or 'auto', not '{baud}'.")
        # The best one is found with the stub. For a few words of eFuses this one is sure.
        baud = ROM_BAUD
    if key == "auto":
        from esptool.cmds import detect_chip

        return detect_chip(port, baud, before, trace, 7, listener=listener)
    if port.startswith(("gdb://", "jtag://")):
        from esptool.connecting import open_loader

        return open_loader(port, chip=key, before=before, trace=trace, listener=listener)
    esp = _loader_class(key)(port, baud, trace, listener=listener)
    try:
        esp.connect(before)
    except BaseException:
        close_port(esp)
        raise
    return esp


def from_token(text: str, chip: str, path: str | None) -> VirtualEfuses:
    """A virtual chip with the eFuses of a token.

    Raises:
        FatalError: the token is damaged or of another chip than `chip`.
    """
    from espefuse import token
    from espefuse.virt import VirtualEfuses

    content = token.parse(text)
    if content.chip not in CHIP_NAMES:
        raise FatalError(f"The eFuse token is of an unknown chip ('{content.chip}').")
    if chip not in ("auto", content.chip):
        raise FatalError(
            f"The eFuse token is of {content.chip}, but --chip says {chip}.",
            remedy=f"Leave --chip out, or say --chip {content.chip}.",
        )
    esp = VirtualEfuses(content.chip)
    esp.load_token(content)
    if path:
        esp.keep_in(path)
    return esp


@checks_keywords(CommandKeywords)
def init_commands(
    port: str | None = None,
    baud: int | str = 115200,
    before: str = "default-reset",
    chip: str = "auto",
    esp: Any = None,
    *,
    listener: Listener | None = None,
    **kwargs: Unpack[CommandKeywords],
) -> BaseCommands:
    """Connect to a chip and load its eFuse commands.

    Args:
        esp: a chip that is already connected; its port is left open at the end.
        listener: told what the commands say (and the line, where it is opened here), so that
            several boards in threads keep apart; None prints.
        kwargs: skip_connect, virt, debug, virt_efuse_file, do_not_confirm, postpone,
            extend_efuse_table, batch_mode, token.

    Returns:
        The commands, to be used in a `with` block.

    Raises:
        FatalError: no chip answers, its eFuses cannot be read, or there is no such keyword.
    """
    external = esp is not None
    if esp is None:
        esp = get_esp(
            port,
            baud,
            before,
            chip,
            kwargs.get("skip_connect", False),
            kwargs.get("virt", False),
            kwargs.get("debug", False),
            kwargs.get("virt_efuse_file"),
            kwargs.get("token"),
            listener=listener or to_log,
        )
    commands = _get_command_class(esp.CHIP_NAME)
    commands.esp = esp
    commands.external_esp = external
    commands.listener = listener
    extend = kwargs.get("extend_efuse_table")
    if isinstance(extend, str):
        extend = StringIO(extend)
    try:
        commands.get_efuses(
            kwargs.get("skip_connect", False),
            kwargs.get("debug", False),
            kwargs.get("do_not_confirm", False),
            extend,
        )
        if kwargs.get("batch_mode"):
            commands.use_batch_mode()
        if "postpone" in kwargs:
            commands.efuses.postpone = bool(kwargs["postpone"])
    except BaseException:
        BaseCommands._close_port(commands.esp, commands.external_esp)
        raise
    return commands

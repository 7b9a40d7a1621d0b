# SPDX-License-Identifier: Apache-2.0
"""The kinds of values that command lines take: numbers, sizes, pairs, ports, choices.

Each converts one word (or several) to a Python value, or fails with a sentence that names it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click

from esptool.cli import stdio
from esptool.cli.help import Sectioned
from esptool.cli.kinds import AnyType, FloatType, IntType, StrChoice, StrType
from esptool.errors import FatalError


class FiniteRange(FloatType):
    """A number within bounds, the lower one excluded with `min_open`."""

    name = "number"

    def __init__(self, low: float, high: float = math.inf, *, min_open: bool = False) -> None:
        self.low, self.high, self.min_open = low, high, min_open

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The number: "nan" and "inf" are none."""
        try:
            found = float(value)
        except ValueError:
            found = math.nan
        if not math.isfinite(found):
            self.fail(f"'{value}' is not a number.", param, ctx)
        if found < self.low or found > self.high or (self.min_open and found == self.low):
            least = f"greater than {self.low:g}" if self.min_open else f"{self.low:g} or more"
            bounds = least if self.high == math.inf else f"from {self.low:g} to {self.high:g}"
            self.fail(f"'{value}' is out of range: it must be {bounds}.", param, ctx)
        return found


class IntRange(IntType):
    """A decimal integer within bounds, both included."""

    name = "integer"

    def __init__(self, low: int, high: int | None = None) -> None:
        self.low, self.high = low, high

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number."""
        try:
            found = int(value)
        except ValueError:
            self.fail(AnyInt.sentence(value), param, ctx)
        if found < self.low or (self.high is not None and found > self.high):
            bounds = f"{self.low} or more" if self.high is None else f"{self.low} to {self.high}"
            if self.high == self.low + 1:
                bounds = f"{self.low} or {self.high}"
            self.fail(f"'{value}' is out of range: it must be {bounds}.", param, ctx)
        return found


class AnyInt(IntType):
    """A number in decimal, or with 0x, 0o or 0b in front of it; '_' may group its digits."""

    name = "integer"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            return int(value, 0)
        except ValueError:
            try:
                return int(value, 10)  # leading zeros
            except ValueError:
                self.fail(self.sentence(value), param, ctx)

    @staticmethod
    def sentence(value: str) -> str:
        """What is said of a word that is none."""
        return f"'{value}' is not a valid integer."


class Size(AnyType):
    """A number of bytes, with an optional suffix k (KiB) or M (MiB); or 'ALL'."""

    name = "size"

    def __init__(self, allow_all: bool = False) -> None:
        self.allow_all = allow_all

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | str:
        if isinstance(value, int):
            return value
        if self.allow_all and value.lower() == "all":
            return "all"
        from esptool.sizes import byte_count

        try:
            size = byte_count(value)
        except FatalError:
            self.fail(f"'{value}' is not a valid integer, nor a size such as 64k.", param, ctx)
        if size < 0:
            self.fail(f"'{value}' is negative; a size counts bytes.", param, ctx)
        return size


class Port(StrType):
    """A serial port: a device name, or a URL that pyserial or this tool opens."""

    name = "serial port"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return str(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> Any:
        from click.shell_completion import CompletionItem

        try:
            from serial.tools.list_ports import comports

            ports = [(p.device, p.description) for p in comports()]
        except Exception:  # completion must never fail loudly
            ports = []
        ports.append(("virtual://", "a simulated chip"))
        return [CompletionItem(d, help=h) for d, h in ports if d.startswith(incomplete)]


class Chip(StrChoice):
    """A chip name in any case, with or without hyphens."""

    name = "chip"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from esptool.chips import normalize

        return super().convert(normalize(str(value)), param, ctx)


class OldSpellingChoice(StrChoice):
    """A choice of hyphenated words that also takes them with underscores, noting that once."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        new = str(value).replace("_", "-")
        if "_" in str(value) and new in self.choices:
            from esptool.cli.words import deprecated

            option = max(param.opts, key=len) if param else "option"
            deprecated(f"Choice '{value}' for option '{option}'", new)
            value = new
        return super().convert(value, param, ctx)


class SpiConnection(AnyType):
    """Where the flash is wired: SPI, HSPI, or five pin numbers CLK,Q,D,HD,CS."""

    name = "spi connection"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> str | tuple[int, ...]:
        if not isinstance(value, str):
            return tuple(value)
        if value.upper() in ("SPI", "HSPI"):
            return value.upper()
        parts = value.split(",")
        if len(parts) != 5:
            self.fail(
                f"'{value}' is not SPI, HSPI or a list of five pin numbers CLK,Q,D,HD,CS.",
                param,
                ctx,
            )
        pins = []
        for part in parts:
            try:
                pins.append(int(part, 0))
            except ValueError:
                self.fail(f"'{part}' is not a pin number.", param, ctx)
        return tuple(pins)


class DiffFile(AnyType):
    """A file that holds the former content of flash, or the word 'skip' (gives None)."""

    name = "file or skip"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> str | None:
        if value is None or str(value).lower() == "skip":
            return "skip"
        if "\0" in value or not os.path.isfile(value):
            self.fail(f"File {_shown(value)} does not exist.", param, ctx)
        return str(value)


class FlashAddress(AnyType):
    """A flash offset, or the name of a partition with or without a slice (as a string)."""

    name = "address"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | str:
        if isinstance(value, int):
            return value
        try:
            return int(value, 10)  # leading zeros
        except ValueError:
            sentence = AnyInt.sentence(value)
            return _address(value, lambda text: self.fail(text, param, ctx), sentence)


def _address(text: str, fail: Any, sentence: str) -> int | str:
    """A number, or the name of a partition; `sentence` is said of what can be neither."""
    try:
        return int(text, 0)
    except ValueError:
        pass
    if not text or text[0].isdigit() or text[0] in "+-":
        fail(sentence)
    from esptool.errors import UsageError
    from esptool.storage.names import parse_name

    try:
        parse_name(text)
    except UsageError as e:
        fail(f"{sentence} {e}")
    return text


def parse_pairs(words: Sequence[str], fail: Any) -> list[tuple[int, str]]:
    """Turn 'address file address file …' into pairs of a number and a file name.

    `fail` is called with a sentence when a word is wrong; it must raise.
    """
    pairs = []
    for address, name in parse_named_pairs(words, fail):
        if not isinstance(address, int):
            fail(f'Address "{address}" must be a number.')
            raise AssertionError("unreachable")
        pairs.append((address, name))
    return pairs


def parse_named_pairs(words: Sequence[str], fail: Any) -> list[tuple[int | str, str]]:
    """The same, where an address may also be the name of a partition."""
    if len(words) % 2:
        fail("Must be pairs of an address and the binary filename to write there.")
    pairs = []
    for text, name in zip(words[::2], words[1::2], strict=True):
        sentence = f'Address "{text}" must be a number.'
        if name == stdio.DASH:
            name = stdio.read_from(None)
        if not os.path.exists(name) and os.path.exists(text):
            fail(sentence)  # the wrong way round
        address = _address(text, fail, sentence)
        if isinstance(address, int) and address < 0:
            fail(f"Address {text} is negative; addresses count from the start of flash.")
        try:
            with open(name, "rb"):
                pass
        except OSError as e:
            fail(f"{e.strerror}: '{name}'.")
        except ValueError as e:
            fail(f"{_shown(name)} is not a file name: {e}.")
        pairs.append((address, name))
    return pairs


def _shown(name: str) -> str:
    return f"'{name}'".replace("\0", "\\0")


class PairsArgument(click.Argument):
    """Addresses and file names in turn; the value is a list of (address, file name).

    An address is a number, or the name of a partition as a string.
    """

    def process_value(self, ctx: click.Context, value: Any) -> Any:
        words: Iterable[str] = super().process_value(ctx, value) or ()
        words = list(words)
        if not words and self.required and not ctx.resilient_parsing:
            raise click.MissingParameter(ctx=ctx, param=self)

        def fail(message: str) -> None:
            raise click.BadParameter(message, ctx=ctx, param=self)

        return [] if ctx.resilient_parsing else parse_named_pairs(words, fail)

    def make_metavar(self, ctx: click.Context | None = None) -> str:
        """What help shows in its place."""
        return self.metavar or "<address> <filename>..."


def _is_size(word: Any) -> bool:
    """A file is hardly called that: it is the size, and the file has been forgotten."""
    try:
        int(word, 0)
    except (TypeError, ValueError):
        return False
    return True


class RangeArgument(click.Argument):
    """The address of a range: a number, or the name of a partition, whose size is known.

    `behind` names the arguments that follow, the size first. Behind a name it may be left out.
    """

    def __init__(self, *args: Any, behind: Sequence[str], **kwargs: Any) -> None:
        self.behind = tuple(behind)
        super().__init__(*args, type=FlashAddress(), **kwargs)

    def handle_parse_result(
        self, ctx: click.Context, opts: Mapping[str, Any], args: list[str]
    ) -> Any:
        address = opts.get(self.name or "")
        if isinstance(address, str) and not isinstance(opts.get(self.behind[-1]), str):
            try:
                int(address, 0)
            except ValueError:
                given = [opts.get(name) for name in self.behind[:-1]]
                assert isinstance(opts, dict)
                if not any(_is_size(word) for word in given):
                    opts.update(zip(self.behind, ("all", *given), strict=True))
        return super().handle_parse_result(ctx, opts, args)


class ReadableFile(StrType):
    """The path of a file that can be read; "-" is standard input."""

    name = "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value == stdio.DASH and not (ctx and ctx.resilient_parsing):
            return stdio.read_from(ctx)
        try:
            with open(value, "rb"):
                pass
        except (OSError, ValueError) as e:
            reason = e.strerror if isinstance(e, OSError) and e.strerror else e
            self.fail(f"{_shown(value)}: {reason}.", param, ctx)
        return value if isinstance(value, str) else str(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> Any:
        from click.shell_completion import CompletionItem

        return [CompletionItem(incomplete, type="file")]


class OutputFile(StrType):
    """The path of a file to write. Where none can be written, that is said before work begins.

    "-" is standard output. With `allow_dash` it stays that word, for a command that writes there
    itself; without `checked` a name is only the beginning of one.
    """

    name = "file"

    def __init__(self, allow_dash: bool = False, checked: bool = True) -> None:
        self.allow_dash = allow_dash
        self.checked = checked

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        path: str = os.fspath(value)
        if ctx and ctx.resilient_parsing:
            return path
        if path == stdio.DASH:
            return path if self.allow_dash else stdio.write_to(ctx)
        if self.checked:
            from esptool.files import check_output

            check_output(path)
        return path

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> Any:
        from click.shell_completion import CompletionItem

        return [CompletionItem(incomplete, type="file")]


SECTION = "The flash"
MODES = ("qio", "qout", "dio", "dout")
FREQUENCIES = (
    *("80m", "64m", "60m", "48m", "40m", "32m", "30m"),
    *("26m", "24m", "20m", "16m", "15m", "12m"),
)
SIZES = (
    *("256KB", "512KB", "1MB", "2MB", "2MB-c1", "4MB", "4MB-c1"),
    *("8MB", "16MB", "32MB", "64MB", "128MB"),
)


def flash_size() -> click.Option:
    """--flash-size, which may also be detected or kept."""
    return Sectioned(
        ["--flash-size", "-fs"],
        type=click.Choice(["detect", "keep", *SIZES]),
        default="keep",
        envvar="ESPTOOL_FS",
        section=SECTION,
        help="Size of the flash.",
    )


def flash_params() -> list[click.Option]:
    """--flash-freq, --flash-mode and --flash-size of what stands at the boot loader's offset."""
    return [
        Sectioned(
            ["--flash-freq", "-ff"],
            type=click.Choice(["keep", *FREQUENCIES]),
            default="keep",
            envvar="ESPTOOL_FF",
            section=SECTION,
            help="Clock of the flash, put into the boot loader's header.",
        ),
        Sectioned(
            ["--flash-mode", "-fm"],
            type=click.Choice(["keep", *MODES]),
            default="keep",
            envvar="ESPTOOL_FM",
            section=SECTION,
            help="Data lines of the flash, put into the boot loader's header.",
        ),
        flash_size(),
    ]


def erase_all() -> click.Option:
    """--erase-all."""
    return click.Option(["--erase-all", "-e"], is_flag=True, help="Erase the whole flash first.")


def no_progress() -> click.Option:
    """--no-progress."""
    return click.Option(["--no-progress", "-p"], is_flag=True, help="Show no progress bar.")


def retries() -> click.Option:
    """--retries."""
    return click.Option(
        ["--retries"],
        type=IntRange(0, 100),
        help="How often in a row work may fail without getting any further.",
    )


def flash_type() -> click.Option:
    """--flash-type."""
    return click.Option(
        ["--flash-type", "-ft"],
        type=click.Choice(["nor", "nand"]),
        default="nor",
        hidden=True,
    )


def spi_connection() -> click.Option:
    """--spi-connection."""
    return Sectioned(
        ["--spi-connection", "-sc"],
        type=SpiConnection(),
        metavar="PINS",
        section=SECTION,
        help="Where the flash is wired: SPI, HSPI, or the GPIO numbers CLK,Q,D,HD,CS.",
    )


def refuse_nand_without_pins(options: dict[str, Any]) -> None:
    """NAND flash is never on the pins that the chip boots from.

    Raises:
        UsageError: --flash-type nand without --spi-connection.
    """
    if options.get("flash_type") == "nand" and options.get("spi_connection") is None:
        raise click.UsageError("--flash-type nand requires --spi-connection.")

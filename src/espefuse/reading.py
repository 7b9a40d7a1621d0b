# SPDX-License-Identifier: Apache-2.0
"""What all commands share, and those that only read. Texts go to a listener or the logger.

A chip's table and its eFuses are read once for all commands that work on the same chip.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import wraps
from typing import IO, TYPE_CHECKING, Any, ClassVar, ParamSpec, TextIO, TypeVar
from weakref import WeakKeyDictionary

from espefuse import output, schema
from espefuse.device import HasPort, Lockable, OnLine, RegisterAccess
from espefuse.efuses import Efuses
from esptool.chips import normalize
from esptool.errors import FatalError, LineLossError
from esptool.files import name_of
from esptool.nearest import keywords_of, refuse_unknown
from esptool.textfile import decode_text

if TYPE_CHECKING:
    from esptool.events import Listener

SECURE_DOWNLOAD_REMEDY = (
    "In Secure Download Mode registers cannot be reached. An application on the chip can print an "
    "eFuse token; 'espefuse --token' shows it."
)
#: A table of fields that a person writes is far smaller.
LARGEST_TABLE = 1 << 20

_shared: WeakKeyDictionary[Any, Efuses] = WeakKeyDictionary()


def load_efuses(
    esp: RegisterAccess | None,
    chip_name: str,
    skip_connect: bool,
    debug: bool,
    do_not_confirm: bool,
    extend: IO[str] | IO[bytes] | None,
) -> Efuses:
    """Read a chip's eFuses; commands on the same chip share what is staged."""
    key = normalize(chip_name)
    if skip_connect or esp is None:
        table = schema.load(key)
        device = None
    else:
        shared = _find_shared(esp)
        if shared is not None and shared.batch_mode_cnt:
            return shared
        device = esp
        check_reachable(esp)
        rules = schema.revision_rules(key)
        table = schema.load(key, esp.get_chip_revision() if rules else None)
        if "revision_ge" in rules:
            revision = esp.get_chip_revision()
            output.emit(f"Loading eFuses for {table.chip} v{revision // 100}.{revision % 100}...")
    if extend is not None:
        from espefuse.custom_table import read_table

        table = table.with_fields(read_table(_text_of(extend), table))
    try:
        efuses = Efuses(
            table,
            device,
            emit=output.emit,
            warn=output.warn,
            confirm=output.ask,
            debug=debug,
            do_not_confirm=do_not_confirm,
        )
    except LineLossError as e:
        raise e.saying("The eFuses could not be read") from e
    if device is not None:
        if debug:
            efuses.print_blocks()
        efuses.get_coding_scheme_warnings()
        _share(esp, efuses)
    return efuses


def _find_shared(esp: Any) -> Efuses | None:
    try:
        return _shared.get(esp)
    except TypeError:
        return None


def _share(esp: Any, efuses: Efuses) -> None:
    try:
        _shared[esp] = efuses
    except TypeError:
        return


def check_reachable(esp: object) -> None:
    """Refuse a chip whose registers cannot be reached.

    Raises:
        FatalError: Secure Download Mode is on.
    """
    if isinstance(esp, Lockable) and esp.secure_download_mode:
        raise FatalError(
            "Secure Download Mode is enabled. The tool can not read eFuses.",
            remedy=SECURE_DOWNLOAD_REMEDY,
        )


def _text_of(file: IO[str] | IO[bytes]) -> str:
    """The text of an open table: UTF-8, with or without a byte order mark.

    Raises:
        FatalError: another encoding, or more than a table can be.
    """
    what = f"The table '{name_of(file) or 'of fields'}'"
    try:
        content = file.read(LARGEST_TABLE + 1)
    except UnicodeDecodeError as e:
        raise FatalError(f"{what} is not UTF-8 text ({e.reason}).") from e
    if len(content) > LARGEST_TABLE:
        raise FatalError(f"{what} is larger than {LARGEST_TABLE >> 20} MB: it is not a table.")
    if isinstance(content, bytes):
        return decode_text(content, what)
    return content.removeprefix("\ufeff")


Commands = TypeVar("Commands", bound="ReadCommands")


def close_port(esp: Any, external_esp: bool = False) -> None:
    """Close the port of a real chip that this program opened."""
    if external_esp:
        return
    if isinstance(esp, OnLine):
        esp.session.close()
    elif isinstance(esp, HasPort):
        esp._port.close()


P = ParamSpec("P")
T = TypeVar("T")


def telling(method: Callable[P, T]) -> Callable[P, T]:
    """Let what a command says go to the listener of its commands, where there is one."""

    known = keywords_of(method)

    @wraps(method)
    def told(*args: P.args, **kwargs: P.kwargs) -> T:
        refuse_unknown(method, kwargs, known)
        commands = args[0]
        assert isinstance(commands, ReadCommands)
        with output.told_to(commands.listener):
            return method(*args, **kwargs)

    return told


class ReadCommands:
    """One chip's eFuse commands; a context manager that closes the port it opened.

    Attributes:
        esp: the chip (`ESPLoader` or the virtual one).
        efuses: the engine; `efuses["NAME"].get()` reads a field.
        external_esp: the caller owns `esp`: it stays open.
        listener: told what the commands say; None is whoever listens in this context, in the end
            esptool's logger.
    """

    CHIP_NAME: ClassVar[str] = ""

    def __init__(self) -> None:
        self.esp: Any = None
        self.external_esp = False
        self.listener: Listener | None = None
        self._efuses: Efuses | None = None

    @property
    def efuses(self) -> Efuses:
        """The eFuses; `get_efuses` (or `init_commands`) reads them."""
        if self._efuses is None:
            raise FatalError("The eFuses have not been read: call get_efuses() first.")
        return self._efuses

    @efuses.setter
    def efuses(self, value: Efuses) -> None:
        self._efuses = value

    def __enter__(self: Commands) -> Commands:
        return self

    def __exit__(self, *exc: object) -> None:
        # By its v5 name, which tests of programs watch.
        self._close_port(self.esp, self.external_esp)

    @staticmethod
    def _close_port(esp: Any, external_esp: bool = False) -> None:
        """The v5 name of `close_port`."""
        close_port(esp, external_esp)

    @telling
    def get_efuses(
        self,
        skip_connect: bool = False,
        debug_mode: bool = False,
        do_not_confirm: bool = False,
        extend_efuse_table: TextIO | None = None,
    ) -> None:
        """Read the chip's eFuses (or only load its table with `skip_connect`)."""
        self.efuses = load_efuses(
            self.esp, self.CHIP_NAME, skip_connect, debug_mode, do_not_confirm, extend_efuse_table
        )

    # --- batch mode ----------------------------------------------------------------------------

    def use_batch_mode(self) -> None:
        """Only stage from now on; `burn_all` burns. Calls may be nested."""
        self.efuses.use_batch_mode()

    @telling
    def burn_all(self, check_batch_mode: bool = False) -> bool:
        """Burn all that is staged (in nested batch mode: once the outermost asks for it)."""
        return self.efuses.burn_all(check_batch_mode)

    def finish(self) -> None:
        """Burn what is staged unless batch mode is on, and say that it worked."""
        if self.efuses.burn_all(check_batch_mode=True):
            self.tell_success()

    def tell_success(self) -> None:
        """Say that a burn worked, or what of it could not be read back."""
        unproved = self.efuses.unproved
        output.result(burned=True, unverified=list(unproved))
        if unproved:
            output.emit(f"Burned, but {', '.join(unproved)} could not be read back and compared.")
        else:
            output.emit("Successful.")

    # --- reading -------------------------------------------------------------------------------

    @telling
    def summary(
        self,
        efuses_to_show: Sequence[str] = (),
        format: str = "summary",
        file: TextIO | str | None = None,
        active: bool = False,
    ) -> None:
        """Show all or some fields as a table, as JSON, or one field's value alone.

        Args:
            efuses_to_show: names of fields; none for all.
            format: "summary", "json" or "value_only".
            file: where to, an open file or a path; None for the terminal.
            active: leave out what is neither set, protected nor damaged.

        Raises:
            FatalError: a name matches nothing, or the file cannot be written.
        """
        from espefuse import summary
        from esptool.files import write_atomic

        names = list(efuses_to_show)
        if format == "value_only" and len(names) != 1:
            raise FatalError("The 'value_only' format can be used exactly for one eFuse.")
        found = self.get_error_summary()
        # The table keeps the headings of groups of which nothing is left.
        fields = summary.select(self.efuses, names, active=active and format == "json")
        for text in summary.missing(self.efuses, names):
            output.warn(text)
        if format == "value_only":
            lines = [str(f.get_meaning()) for f in fields]
        elif format == "json":
            lines = [summary.as_json(fields)]
        else:
            lines = summary.as_text(self.efuses, fields, active)
        text = "\n".join(lines)
        if file is None or file is sys.stdout:
            output.emit(text)
        else:
            name = file if isinstance(file, str) else name_of(file) or "file"
            output.emit(f"Saving eFuse values to {name}")
            if isinstance(file, str):
                write_atomic(file, (text + "\n").encode())
            else:
                file.write(text + "\n")
                file.flush()
            output.emit("Done")
        if found:
            output.warn("Coding scheme has encoding bit error warnings")

    @telling
    def get_error_summary(self) -> bool:
        """Say which blocks have errors; True if there are any."""
        return self.efuses.get_coding_scheme_warnings()

    @telling
    def dump(self, format: str = "default", file_name: str | None = None) -> None:
        """Show or save the raw blocks: words, one file a block, one file, or a token."""
        from espefuse import token
        from esptool.files import write_atomic

        blocks = self.efuses.blocks
        if format == "token":
            text = token.current(self.efuses)
            if file_name is None:
                output.emit(text)
            else:
                output.emit(f"eFuse token dump -> {file_name}")
                write_atomic(file_name, text.encode())
        elif file_name is None:
            if format == "default":
                self.efuses.print_blocks("dump")
            else:
                for block in blocks:
                    output.emit(block.get_raw().hex())
        elif format == "joint":
            output.emit(f"Dump eFuse blocks -> {file_name}")
            write_atomic(file_name, b"".join(block.get_raw() for block in blocks))
        else:
            stem, dot, suffix = file_name.rpartition(".")
            for block in blocks:
                name = f"{stem}{block.id}{dot}{suffix}" if dot else f"{file_name}{block.id}"
                output.emit(f"Dump eFuse block{block.id} -> {name}")
                write_atomic(name, block.get_raw())

    @telling
    def get_custom_mac(self) -> None:
        """Show the MAC address that the user burned."""
        if "MAC_VERSION" not in self.efuses:
            output.emit(f"Custom MAC Address: {self.efuses['CUSTOM_MAC'].get()}")
            return
        version = self.efuses["MAC_VERSION"].raw()
        if not version or not self.efuses["CUSTOM_MAC"].raw():
            output.emit("Custom MAC Address is not set in the device.")
        else:
            mac = self.efuses["CUSTOM_MAC"].get()
            output.emit(f"Custom MAC Address version {version}: {mac}")

    @telling
    def adc_info(self) -> None:
        """Show the calibration values of the ADC."""
        from espefuse import adc

        for line in adc.report(self.efuses):
            output.emit(line)

    @telling
    def check_error(self, recovery: bool = False, do_not_confirm: bool = False) -> None:
        """Tell of coding errors, and with `recovery` try to mend them.

        Raises:
            FatalError: errors remain.
        """
        found = self.get_error_summary()
        if found:
            self._show_broken()
            if recovery:
                self.recover(do_not_confirm)
                found = self.get_error_summary()
                if found:
                    self._show_broken()
        if found:
            raise FatalError("Error(s) were detected in eFuses.")
        output.emit("No errors detected.")

    @telling
    def recover(self, do_not_confirm: bool = False) -> None:
        """Burn the blocks that have coding errors once more, to mend weak bits."""
        from espefuse.recovery import recover

        recover(self.efuses, do_not_confirm)

    def _show_broken(self) -> None:
        for block in self.efuses.blocks:
            if block.id and (block.fail or block.num_errors):
                head = (
                    f"BLOCK{block.id} : {block.name} "
                    f"[ERRORS:{block.num_errors} FAIL:{int(block.fail)}]"
                )
                state = "writable" if block.is_writeable() else "write-protected"
                output.emit(f"{head:<50}= {block.hex(block.data)} ({state})")

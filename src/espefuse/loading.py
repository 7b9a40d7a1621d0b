# SPDX-License-Identifier: Apache-2.0
"""A chip's table and its eFuses, read once for all commands that work on the same chip."""

from __future__ import annotations

from typing import IO, Any
from weakref import WeakKeyDictionary

from espefuse import output, schema
from espefuse.device import Lockable, RegisterAccess, chip_key
from espefuse.efuses import Efuses
from esptool.errors import FatalError
from esptool.textfile import decode_text

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
    key = chip_key(chip_name)
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
    efuses = Efuses(
        table,
        device,
        emit=output.emit,
        warn=output.warn,
        confirm=output.ask,
        debug=debug,
        do_not_confirm=do_not_confirm,
    )
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
    what = f"The table '{getattr(file, 'name', 'of fields')}'"
    try:
        content = file.read(LARGEST_TABLE + 1)
    except UnicodeDecodeError as e:
        raise FatalError(f"{what} is not UTF-8 text ({e.reason}).") from e
    if len(content) > LARGEST_TABLE:
        raise FatalError(f"{what} is larger than {LARGEST_TABLE >> 20} MB: it is no table.")
    if isinstance(content, bytes):
        return decode_text(content, what)
    return content.removeprefix("\ufeff")

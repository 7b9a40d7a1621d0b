# SPDX-License-Identifier: Apache-2.0
"""What the commands on NVS share: where it is, its keys, and how values are shown."""

from __future__ import annotations

import re
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from esptool.cli.help import Sectioned
from esptool.cli.params import ReadableFile
from esptool.cli.places import opened_flash, partition_name, place_options
from esptool.cli.words import Exclusive

if TYPE_CHECKING:
    from esptool.cli.state import Globals
    from esptool.ops.places import Flash, Place
    from esptool.storage.nvs import Entry, Nvs, NvsKeys, Problem

SECTION = "An encrypted NVS"

#: Keys whose values nobody wants on a screen that others see.
_SECRET = re.compile(
    r"pass|pswd|psw|pwd|psk|pmk|secret|token|key|priv|cred|hmac|seed|apinfo|sec_|"
    r"(^|[._-])pin($|[._-])",
    re.IGNORECASE,
)


def partition_argument() -> click.Argument:
    """PARTITION."""
    return click.Argument(["partition"])


def key_options(*, partition: bool = True) -> list[click.Option]:
    """--keys and --hmac-key; --keys-partition where there is a flash to read them from."""
    options: list[click.Option] = [
        Exclusive(
            ["--keys"],
            type=ReadableFile(),
            section=SECTION,
            exclusive_with=["--hmac-key", "--keys-partition"],
            help="Its keys: a file of a key partition, or of 64 bytes.",
        ),
        Exclusive(
            ["--hmac-key"],
            type=ReadableFile(),
            section=SECTION,
            exclusive_with=["--keys", "--keys-partition"],
            help="The HMAC key (32 bytes) that the chip derives its keys from.",
        ),
    ]
    if partition:
        options.append(
            Exclusive(
                ["--keys-partition"],
                metavar="NAME",
                section=SECTION,
                exclusive_with=["--keys", "--hmac-key"],
                help="The partition, such as nvs_keys, that its keys are in.",
            )
        )
    return options


def source_options() -> list[click.Option]:
    """All options that say where the NVS and its keys are."""
    return [*key_options(), *place_options()]


def secrets_option() -> click.Option:
    """--show-secrets."""
    return Sectioned(
        ["--show-secrets"],
        is_flag=True,
        help="Show also values whose keys look like passwords or keys, and all of an "
        "encrypted NVS.",
    )


def keys_of(values: MutableMapping[str, Any], flash: Flash | None = None) -> NvsKeys | None:
    """The keys that the options of `key_options` name; takes them out of `values`."""
    file, hmac_file = values.pop("keys", None), values.pop("hmac_key", None)
    name = values.pop("keys_partition", None)
    if file is None and hmac_file is None and name is None:
        return None
    from esptool.ops import nvs

    if file is not None:
        return nvs.keys_from_file(file)
    if hmac_file is not None:
        return nvs.keys_from_hmac_file(hmac_file)
    assert flash is not None
    return nvs.keys_from_place(flash.place(name))


@contextmanager
def opened_nvs(
    state: Globals, values: MutableMapping[str, Any], command: str, *, to_change: bool = False
) -> Iterator[tuple[Place, Nvs]]:
    """The NVS that PARTITION and the options name; takes them out of `values`.

    Args:
        to_change: refuse a partition that is none for NVS.

    Raises:
        FatalError: it cannot be read.
    """
    from esptool.ops.nvs import read_nvs, require_for_nvs

    name = partition_name(values)
    own = {key: values.pop(key, None) for key in ("keys", "hmac_key", "keys_partition")}
    in_flash = own["keys_partition"] is not None
    keys: NvsKeys | None = None
    if not in_flash:
        # What is wrong with a file is said before a chip is connected to.
        keys = keys_of(own)
    with opened_flash(state, values, command=f"nvs {command}") as flash:
        place = flash.place(name)
        if to_change:
            require_for_nvs(place)
        if in_flash:
            keys = keys_of(own, flash)
        yield place, read_nvs(place, keys)


# --- showing -------------------------------------------------------------------------------------


def is_secret(entry: Entry, nvs: Nvs, *, encrypted: bool = False) -> bool:
    """Whether a value is shown only when that is asked for.

    Args:
        entry: the value.
        nvs: where it is.
        encrypted: what it is compared with is encrypted.
    """
    if entry.kind.value not in ("string", "blob"):
        return False
    return encrypted or nvs.keys is not None or _SECRET.search(entry.key) is not None


def shown(entry: Entry, *, hidden: bool = False) -> str:
    """A value in one line."""
    value = entry.value
    if value is None:
        return f"(damaged, {entry.size} bytes)"
    if hidden:
        return "(hidden)"
    if isinstance(value, bytes):
        text = value[:32].hex()
        return f"{text}... ({len(value)} bytes)" if len(value) > 32 else text
    if isinstance(value, str):
        return one_line(value)
    return str(value)


def one_line(text: str) -> str:
    """Text between quotes, shortened, with control characters as escapes."""
    safe = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return f'"{safe[:77]}..."' if len(safe) > 80 else f'"{safe}"'


def as_data(entry: Entry, *, hidden: bool = False) -> dict[str, object]:
    """An entry for JSON: blobs in hex digits; a hidden or damaged value is null, and said so."""
    value = entry.value
    found: dict[str, object] = {
        "namespace": entry.namespace,
        "key": entry.key,
        "type": entry.kind.value,
        "size": entry.size,
        "value": value.hex() if isinstance(value, bytes) else value,
    }
    if value is None:
        found["damaged"] = True
    elif hidden:
        found["value"] = None
        found["hidden"] = True
    elif isinstance(value, float) and value - value != 0:
        found["value"] = str(value)  # JSON has no infinity
    return found


def sentence(problem: Problem) -> str:
    """A problem with one stop at its end."""
    return f"{str(problem).rstrip('.')}."


def problem_data(problem: Problem) -> dict[str, object]:
    """A problem for JSON."""
    return {
        "page": problem.page,
        "entry": problem.entry,
        "damage": problem.damage,
        "text": problem.text,
    }


def tell_problems(nvs: Nvs) -> None:
    """Warn of what is wrong with it."""
    from esptool.logger import log

    for problem in nvs.problems[:_MOST]:
        (log.warning if problem.damage else log.note)(sentence(problem))
    if len(nvs.problems) > _MOST:
        log.warning(f"And {len(nvs.problems) - _MOST} more; 'esptool nvs check' shows all.")


_MOST = 10

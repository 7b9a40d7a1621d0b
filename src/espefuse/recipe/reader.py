# SPDX-License-Identifier: Apache-2.0
"""A recipe from its TOML file, checked whole: each error names file, line and what would do."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any, NoReturn

from espefuse import keys as key_files
from espefuse._index import CHIP_ALIASES, CHIP_NAMES
from espefuse.codecs import parse_mac
from espefuse.recipe.model import (
    FORMAT,
    Download,
    FlashEncryption,
    Key,
    KeySource,
    Mode,
    Owner,
    Recipe,
    SecureBoot,
)
from esptool.chips import normalize
from esptool.errors import FatalError
from esptool.textfile import read_text

#: Larger than any recipe.
LARGEST = 1 << 20
DIGEST_BYTES = 32
MOST_DIGESTS = 3
#: Bytes of raw keys: AES-128 to XTS-256, curves, HMAC.
_RAW_SIZES = (16, 24, 32, 48, 64)
_SOURCES = (KeySource.EACH_BOARD.value, KeySource.ON_CHIP.value)


def read(path: str | os.PathLike[str]) -> Recipe:
    """The recipe in a file, with the keys and digests that it names.

    Args:
        path: a TOML file. Paths inside are relative to its folder.

    Raises:
        FatalError: it cannot be read, or says something that no recipe can.
    """
    return _Reader(os.fspath(path)).recipe()


def _parse(text: str) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    return tomllib.loads(text)


class _Reader:
    def __init__(self, path: str) -> None:
        self._path = path
        self._folder = os.path.dirname(os.path.abspath(path))
        self._text = read_text(path, "recipe", largest=LARGEST)
        try:
            self._values = _parse(self._text)
        except (ValueError, RecursionError) as e:
            raise FatalError(
                f"'{path}' is not a TOML file: {e}.",
                remedy="A recipe begins with the line 'recipe = 1'.",
            ) from e

    # --- errors ------------------------------------------------------------------------------

    def _line(self, *place: str | int) -> int:
        """Where a part stands: the line of its key, as far as can be seen in the text."""
        lines = self._text.splitlines()
        at, seen = 0, 0
        section = str(place[0])
        nth = place[1] if len(place) > 1 and isinstance(place[1], int) else 0
        key = next((p for p in reversed(place[1:]) if isinstance(p, str)), None)
        header = re.compile(rf"\s*\[\[?\s*[\"']?{re.escape(section)}[\"']?\s*\]\]?")
        top = re.compile(rf"\s*[\"']?{re.escape(section)}[\"']?\s*[=.]")
        for number, line in enumerate(lines, 1):
            if header.match(line) or (not at and top.match(line)):
                at = number
                if seen == nth:
                    break
                seen += 1
        if key is None or not at:
            return at or 1
        wanted = re.compile(rf".*?[\"']?{re.escape(key)}[\"']?\s*=")
        for number in range(at, len(lines) + 1):
            if number > at and lines[number - 1].lstrip().startswith("["):
                break
            if wanted.match(lines[number - 1]):
                return number
        return at

    def _fail(self, place: tuple[str | int, ...], text: str, remedy: str | None = None) -> NoReturn:
        raise FatalError(f"{self._path}:{self._line(*place)}: {text}", remedy=remedy)

    def _known(self, values: Mapping[str, Any], names: tuple[str, ...], *place: str | int) -> None:
        for name in values:
            if name not in names:
                near = get_close_matches(name, names, n=1)
                where = f" in [{place[0]}]" if place else ""
                self._fail(
                    (*place, name),
                    f"'{name}' is unknown{where}.",
                    f"Did you mean '{near[0]}'?" if near else f"Known: {', '.join(names)}.",
                )

    # --- kinds of values -----------------------------------------------------------------------

    def _get(
        self, values: Mapping[str, Any], name: str, kind: type, default: Any, *place: str | int
    ) -> Any:
        value = values.get(name, default)
        if name in values and (
            not isinstance(value, kind) or (kind is int and isinstance(value, bool))
        ):
            what = {str: "text", int: "a number", bool: "true or false", list: "a list"}
            self._fail((*place, name), f"'{name}' is not {what.get(kind, 'a table')}.")
        return value

    def _choice(
        self, values: Mapping[str, Any], name: str, choices: Any, default: Any, *place: str | int
    ) -> Any:
        if name not in values and default is not None:
            return default
        found = next((c for c in choices if c.value == values.get(name)), None)
        if found is None:
            said = f"cannot be {values[name]!r}" if name in values else "is missing"
            known = ", ".join(c.value for c in choices)
            self._fail((*place, name), f"'{name}' {said}.", f"It is one of: {known}.")
        return found

    def _texts(self, values: Mapping[str, Any], name: str, *place: str | int) -> list[str]:
        found = self._get(values, name, list, [], *place)
        for value in found:
            if not isinstance(value, str):
                self._fail((*place, name), f"'{name}' is a list of texts, not {value!r}.")
        return list(found)

    def _file(self, name: str, place: tuple[str | int, ...], what: str) -> bytes:
        path = os.path.join(self._folder, name)
        try:
            with open(path, "rb") as file:
                return key_files.read(file)
        except (OSError, ValueError) as e:
            reason = e.strerror if isinstance(e, OSError) and e.strerror else str(e)
            self._fail(place, f"Cannot read the {what} '{name}': {reason}.")
        except FatalError as e:
            self._fail(place, e.message)

    # --- the whole -----------------------------------------------------------------------------

    def recipe(self) -> Recipe:
        top = self._values
        self._known(
            top,
            (
                "recipe", "name", "chips", "flash-encryption", "secure-boot", "keys", "jtag",
                "download-mode", "custom-mac", "secure-version", "fields", "protect", "owner",
            ),
        )  # fmt: skip
        if "recipe" not in top:
            self._fail(("recipe",), "'recipe = 1' is missing, so this is not a recipe.")
        if top["recipe"] != FORMAT or isinstance(top["recipe"], bool):
            self._fail(
                ("recipe",), f"Recipes of format {top['recipe']!r} are not known here, only 1."
            )
        recipe = Recipe(
            path=self._path,
            name=self._get(top, "name", str, "", "name"),
            chips=self._chips(top),
            flash_encryption=self._part("flash-encryption", self._flash_encryption),
            secure_boot=self._part("secure-boot", self._secure_boot),
            keys=self._keys(top),
            close_jtag=self._jtag(top),
            download=self._choice(top, "download-mode", Download, Download.OPEN),
            custom_mac=self._mac(top),
            secure_version=self._secure_version(top),
            fields=self._fields(top),
            write_protect=tuple(self._protect("write")),
            read_protect=tuple(self._protect("read")),
            owner=self._part("owner", self._owner),
        )
        self._whole(recipe)
        return recipe

    def _part(self, name: str, make: Callable[[dict[str, Any]], Any]) -> Any:
        if name not in self._values:
            return None
        return make(self._get(self._values, name, dict, None))

    def _whole(self, recipe: Recipe) -> None:
        if recipe.makes_keys and recipe.owner is None:
            self._fail(
                ("flash-encryption",),
                "A key is made for each board, but nothing says who may have it.",
                "Add [owner] with 'public-key' and 'folder' (see 'espefuse recipe owner-key').",
            )
        if not (
            recipe.flash_encryption or recipe.secure_boot or recipe.keys or recipe.close_jtag
            or recipe.download is not Download.OPEN or recipe.custom_mac or recipe.fields
            or recipe.secure_version is not None or recipe.write_protect or recipe.read_protect
        ):  # fmt: skip
            self._fail(("recipe",), "The recipe asks for nothing.")

    def _chips(self, top: Mapping[str, Any]) -> tuple[str, ...]:
        found = []
        for name in self._texts(top, "chips", "chips"):
            key = CHIP_ALIASES.get(normalize(name), normalize(name))
            if key not in CHIP_NAMES:
                near = get_close_matches(key, CHIP_NAMES, n=1)
                self._fail(
                    ("chips",),
                    f"No chip with eFuses is called '{name}'.",
                    f"Did you mean '{near[0]}'?" if near else f"Known: {', '.join(CHIP_NAMES)}.",
                )
            found.append(key)
        return tuple(dict.fromkeys(found))

    def _key(
        self, values: Mapping[str, Any], purpose: str, sizes: tuple[int, ...], *place: str | int
    ) -> Key:
        source = values.get("key")
        if not isinstance(source, str):
            self._fail(
                (*place, "key"),
                "'key' is missing." if source is None else "'key' is not text.",
                f"Name a file, or say {' or '.join(repr(s) for s in _SOURCES)}.",
            )
        bits = self._get(values, "bits", int, 0, *place)
        if bits and bits not in sizes:
            self._fail(
                (*place, "bits"), f"A key cannot have {bits} bits.",
                f"It has one of: {', '.join(map(str, sizes))}.",
            )  # fmt: skip
        data = None
        kind = KeySource(source) if source in _SOURCES else KeySource.FILE
        if kind is KeySource.FILE:
            data = self._file(source, (*place, "key"), "key")
            if bits and len(data) * 8 != bits and not data.startswith(b"-----"):
                self._fail((*place, "bits"), f"'{source}' has {len(data) * 8} bits, not {bits}.")
        return Key(
            purpose, kind, bits, data, self._get(values, "block", str, None, *place),
            self._line(*place, "key"),
        )  # fmt: skip

    def _flash_encryption(self, values: dict[str, Any]) -> FlashEncryption:
        self._known(values, ("mode", "key", "bits", "block"), "flash-encryption")
        key = self._key(values, "", (128, 192, 256, 512), "flash-encryption")
        if key.data is not None and len(key.data) not in (16, 24, 32, 64):
            self._fail(
                ("flash-encryption", "key"),
                f"A flash encryption key has 16, 24, 32 or 64 bytes, not {len(key.data)}.",
                "Make one with 'espsecure generate-flash-encryption-key'.",
            )
        return FlashEncryption(self._choice(values, "mode", Mode, None, "flash-encryption"), key)

    def _secure_boot(self, values: dict[str, Any]) -> SecureBoot:
        here = "secure-boot"
        version = self._get(values, "version", int, 2, here)
        if version not in (1, 2):
            self._fail(
                (here, "version"), f"There is no secure boot version {version}, only 1 and 2."
            )
        if version == 1:
            self._known(values, ("version", "key"), here)
            key = self._key(values, "secure_boot_v1", (256,), here)
            if key.source is not KeySource.FILE:
                self._fail((here, "key"), "The key of secure boot version 1 comes from a file.")
            return SecureBoot(1, (), False, key, False, False)
        self._known(values, ("version", "digests", "revoke-unused", "aggressive-revoke"), here)
        given = self._get(values, "digests", list, [], here)
        found = [one for entry in given for one in self._digests(entry)]
        if not 1 <= len(found) <= MOST_DIGESTS:
            self._fail(
                (here, "digests"),
                f"Secure boot takes 1 to {MOST_DIGESTS} digests, not {len(found)}.",
                "Name a public key (PEM) or a file of 32 bytes for each.",
            )
        digests = [data for data, _ in found]
        sha384 = any(wide for _, wide in found)
        if len(set(digests)) != len(digests):
            self._fail((here, "digests"), "The same key appears twice.")
        return SecureBoot(
            2, tuple(digests), sha384, None,
            self._get(values, "revoke-unused", bool, True, here),
            self._get(values, "aggressive-revoke", bool, False, here),
        )  # fmt: skip

    def _digests(self, entry: Any) -> list[tuple[bytes, bool]]:
        """The digests that an entry of the list means, and whether each is of a P-384 key."""
        from espefuse.recipe import key_source

        place = ("secure-boot", "digests")
        if isinstance(entry, str):
            data = self._file(entry, place, "public key")
            if len(data) == DIGEST_BYTES:
                return [(data, False)]
            keys, named = [data], f"'{entry}': "
        else:
            named = ""
            try:
                keys = key_source.public_keys(entry, self._folder)
            except FatalError as e:
                self._fail(place, e.message, e.remedy)
        try:
            return [(key_files.secure_boot_digest(k), key_files.is_p384(k)) for k in keys]
        except FatalError as e:
            self._fail(place, f"{named}{e.message}")

    def _keys(self, top: Mapping[str, Any]) -> tuple[Key, ...]:
        found = []
        for i, values in enumerate(self._get(top, "keys", list, [], "keys")):
            if not isinstance(values, dict):
                self._fail(("keys", i), "[[keys]] is a list of tables.")
            self._known(values, ("purpose", "key", "bits", "block"), "keys", i)
            purpose = self._get(values, "purpose", str, "", "keys", i)
            if not purpose:
                self._fail(("keys", i), "'purpose' is missing.", 'Example: purpose = "HMAC_UP".')
            key = self._key(values, purpose, (256, 512), "keys", i)
            if key.source is KeySource.ON_CHIP:
                self._fail(("keys", i, "key"), "Only the flash encryption key is made on the chip.")
            data = key.data
            if data is not None and len(data) not in _RAW_SIZES and not data.startswith(b"-----"):
                self._fail(
                    ("keys", i, "key"),
                    f"A key has {_RAW_SIZES[0]} to {_RAW_SIZES[-1]} bytes, not {len(data)}: it is "
                    "neither a raw key nor a PEM file.",
                )
            found.append(key)
        twice = {k.purpose for k in found if [o.purpose for o in found].count(k.purpose) > 1}
        if twice:
            self._fail(("keys",), f"Two keys have the purpose {sorted(twice)[0]}.")
        return tuple(found)

    def _jtag(self, top: Mapping[str, Any]) -> bool:
        value = top.get("jtag", "open")
        if value not in ("open", "closed"):
            self._fail(("jtag",), f"'jtag' cannot be {value!r}.", "It is one of: open, closed.")
        return bool(value == "closed")

    def _mac(self, top: Mapping[str, Any]) -> str | None:
        text: str | None = self._get(top, "custom-mac", str, None, "custom-mac")
        if text is not None and not (text.startswith("{row.") and text.endswith("}")):
            try:
                parse_mac(text)
            except FatalError as e:
                self._fail(("custom-mac",), e.message)
        return text

    def _secure_version(self, top: Mapping[str, Any]) -> int | None:
        value: int | None = self._get(top, "secure-version", int, None, "secure-version")
        if value is not None and value < 1:
            self._fail(("secure-version",), f"A secure version is 1 or more, not {value}.")
        return value

    def _fields(self, top: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
        found = []
        for name, value in self._get(top, "fields", dict, {}, "fields").items():
            if isinstance(value, bool):
                value = int(value)
            if not isinstance(value, (int, str)):
                self._fail(("fields", name), f"'{name}' takes a number or text.")
            found.append((name, str(value)))
        return tuple(found)

    def _protect(self, kind: str) -> list[str]:
        values = self._get(self._values, "protect", dict, {}, "protect")
        self._known(values, ("write", "read"), "protect")
        return self._texts(values, kind, "protect")

    def _owner(self, values: dict[str, Any]) -> Owner:
        from espefuse.recipe import sealing

        self._known(values, ("public-key", "folder"), "owner")
        for name in ("public-key", "folder"):
            if not self._get(values, name, str, "", "owner"):
                self._fail(("owner",), f"'{name}' is missing.")
        data = self._file(values["public-key"], ("owner", "public-key"), "public key")
        try:
            sealing.check_public(data)
        except FatalError as e:
            self._fail(("owner", "public-key"), e.message, e.remedy)
        folder = os.path.join(self._folder, values["folder"])
        if os.path.exists(folder) and not os.path.isdir(folder):
            self._fail(("owner", "folder"), f"'{values['folder']}' is a file, and no folder.")
        return Owner(data, folder)

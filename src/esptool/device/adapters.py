# SPDX-License-Identifier: Apache-2.0
"""What was learned of USB adapters, kept in a small file of the user's for the next time.

It is a help and nothing more: a file that is damaged, locked or not to be written is passed over.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from esptool.errors import FatalError
from esptool.locking import FileLock

if TYPE_CHECKING:
    from esptool.transport.port import Port

#: Another file to use, or "off".
VARIABLE = "ESPTOOL_ADAPTERS"
_FORMAT = 1
#: A rate is looked for anew after so long: cables and boards change.
_KEPT_S = 7 * 86400
#: A board that was left with a stub running may soon be without power.
_STUB_KEPT_S = 3600
_MOST = 100
_LOCK_TRIES, _LOCK_PAUSE_S = 5, 0.01


@dataclass(frozen=True, slots=True)
class Adapter:
    """What is known of one.

    Attributes:
        rate: the best rate that was clean, 0 when none is known.
        cut: 1 where there was no time to try higher ones.
        stub_at: the rate at which a stub was left running, 0 when none was.
        when: seconds since the epoch when this was learned.
    """

    rate: int = 0
    cut: int = 0
    stub_at: int = 0
    when: int = 0


def path() -> str | None:
    """The file; None where nothing is to be kept."""
    named = os.environ.get(VARIABLE)
    if named is not None:
        return None if named.lower() in ("", "off", "0", "no") else named
    home = os.path.expanduser("~")
    if sys.platform == "win32":
        folder = os.environ.get("LOCALAPPDATA") or os.path.join(home, "AppData", "Local")
    elif sys.platform == "darwin":
        folder = os.path.join(home, "Library", "Caches")
    else:
        folder = os.environ.get("XDG_CACHE_HOME") or os.path.join(home, ".cache")
    return os.path.join(folder, "esptool", "adapters.json") if os.path.isabs(folder) else None


def key(port: Port) -> str | None:
    """What names an adapter: vendor, product and serial number; None if it is not a USB device."""
    info = port.usb
    if info is None or info.vid is None or info.pid is None:
        return None
    return f"{_simulated(port.url)}{info.vid:04x}:{info.pid:04x}:{info.serial_number or ''}"


def _simulated(url: str) -> str:
    """What tells simulated adapters from real ones, and by their lines, from each other.

    All have one serial number unless the URL says another: a line with faults has nothing to say of
    one without. A board that has a name has one line, whatever it is made to do meanwhile.
    """
    if not url.startswith("virtual:"):
        return ""
    from urllib.parse import parse_qs, urlsplit

    options = parse_qs(urlsplit(url).query)
    line = options.get("name") or options.get("fault") or []
    return "/".join(["virtual", *line, ""])


def recall(port: Port) -> Adapter:
    """What is known of the adapter that `port` is."""
    name, file = key(port), path()
    if name is None or file is None:
        return Adapter()
    found = _read(file).get(name, Adapter())
    age_s = time.time() - found.when
    if not 0 <= age_s <= _KEPT_S:
        return Adapter()
    return found if age_s <= _STUB_KEPT_S else replace(found, stub_at=0)


def learn(port: Port, **news: int) -> None:
    """Keep what is new of an adapter: `rate`, `stub_at`."""
    name, file = key(port), path()
    if name is None or file is None:
        return
    if os.path.exists(file) and not os.path.isfile(file):
        return  # a device such as /dev/null is not to be replaced by a file
    known = recall(port)
    if all(getattr(known, field) == value for field, value in news.items()):
        return
    with suppress(OSError, FatalError):
        os.makedirs(os.path.dirname(file) or ".", mode=0o700, exist_ok=True)
        with _locked(file):
            all_of_them = _read(file)
            new = {**asdict(known), **news, "when": int(time.time())}
            all_of_them[name] = Adapter(**new)
            _write(file, all_of_them)


def _locked(file: str) -> FileLock:
    for left in reversed(range(_LOCK_TRIES)):
        try:
            return FileLock(file, "file of adapters")
        except FatalError:
            if not left:
                raise
            time.sleep(_LOCK_PAUSE_S)
    raise AssertionError("unreachable")


def _read(file: str) -> dict[str, Adapter]:
    """All that the file holds and is good."""
    import json

    if not os.path.isfile(file):
        return {}  # a pipe or a device might never end
    try:
        with open(file, encoding="utf-8") as source:
            held = json.load(source)
        entries = held["adapters"] if held["format"] == _FORMAT else {}
        return {str(name): _adapter(entry) for name, entry in entries.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _adapter(entry: Any) -> Adapter:
    values = {field.name: entry.get(field.name, 0) for field in fields(Adapter)}
    if not all(type(value) is int and 0 <= value < 1 << 40 for value in values.values()):
        return Adapter()
    return Adapter(**values)


def _write(file: str, adapters: dict[str, Adapter]) -> None:
    import json
    import tempfile

    latest = sorted(adapters.items(), key=lambda item: -item[1].when)[:_MOST]
    body = {"format": _FORMAT, "adapters": {name: asdict(a) for name, a in sorted(latest)}}
    descriptor, made = tempfile.mkstemp(dir=os.path.dirname(file) or ".", prefix=".adapters-")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            json.dump(body, out, indent=1)
            out.write("\n")
        os.replace(made, file)
    except BaseException:
        with suppress(OSError):
            os.unlink(made)
        raise

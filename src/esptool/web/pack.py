# SPDX-License-Identifier: Apache-2.0
"""The Python of a page: our package and the standard library, without what no page needs."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import files
from pathlib import Path

#: Rooms of `esptool` that work in a page: no command line, no terminal, no socket, no thread.
ROOMS = (
    *("__init__", "_version", "errors", "events", "files", "lazily", "locking", "nearest"),
    *("records", "sizes", "textfile", "builds", "chips", "device", "image", "ops", "protocol"),
    *("storage", "stubs"),
    *("monitor", "transfer", "transport", "virtual"),
)
#: Of the page's own room, what runs inside it.
PAGE = (
    "__init__",
    "board",
    "burning",
    "console",
    "engine",
    "first",
    "glue",
    "improv",
    "manifest",
    "values",
    "wifi",
)
#: Inside the rooms, what needs other programs, libraries, or debuggers.
LEFT_OUT = (
    *("esptool/stubs/public", "esptool/stubs/data/mailbox", "esptool/virtual/genuine"),
    *("esptool/virtual/handlers", "esptool/virtual/server", "espefuse/cli", "espefuse/efuse"),
    *("espefuse/recipe", "espefuse/virt", "espefuse/custom_table"),
    *("espefuse/apply", "espefuse/recovery", "espefuse/efuse_interface"),
)
#: What burns eFuses: only in pages that are made with it.
BURNING = (
    *("esptool/web/burning", "espefuse/burn", "espefuse/commands"),
    *("espefuse/key_checks", "espefuse/key_commands"),
)
#: Makes the check words of eFuse blocks; taken as it is installed here.
CODES = "reedsolo"
CODES_NOTICE = "reedsolo, Unlicense or MIT-0, https://pypi.org/project/reedsolo/"
#: Of the standard library, what nothing in a page imports.
_NEVER = frozenset(
    (
        *("antigravity", "bdb", "cProfile", "cmd", "code"),
        *("compileall", "concurrent.interpreters", "curses", "dbm", "doctest", "ensurepip"),
        *("filecmp", "fileinput", "ftplib", "getpass", "http.cookiejar", "http.cookies"),
        *("http.server", "idlelib", "imaplib", "mailbox", "mailcap", "multiprocessing"),
        *("netrc", "nntplib", "optparse", "pdb", "pickletools", "plistlib"),
        *("poplib", "profile", "pstats", "pty", "pydoc", "pydoc_data"),
        *("pyclbr", "sched", "smtplib", "socketserver", "sqlite3", "statistics"),
        *("tabnanny", "tarfile", "this", "timeit", "tkinter", "trace"),
        *("tty", "turtle", "turtledemo", "unittest", "venv", "wave"),
        *("webbrowser", "wsgiref", "xml", "xmlrpc", "zipapp", "zoneinfo"),
        *("_pyrepl", "_pydatetime", "_pydecimal", "_pyio", "email.mime", "logging.handlers"),
        *("logging.config", "html", "json.tool", "lib2to3", "modulefinder", "nturl2path"),
        *("pathlib.types", "symtable", "rlcompleter", "colorsys", "getopt", "chunk"),
    )
)


def engine(source: Path, *, burning: bool = False) -> bytes:
    """The archive of our modules below `source`, a folder with `esptool` and `espefuse`."""
    out = LEFT_OUT if burning else (*LEFT_OUT, *BURNING)
    parts = [*_ours(source, out), *(_installed(CODES) if burning else ())]
    return _zipped((name, path.read_bytes()) for name, path in parts)


def _installed(name: str) -> Iterator[tuple[str, Path]]:
    """The modules of an installed package that is Python alone."""
    for file in files(name) or ():
        if file.suffix == ".py" and ".." not in file.parts:
            yield file.as_posix(), Path(str(file.locate()))


def _ours(source: Path, out: Sequence[str]) -> Iterator[tuple[str, Path]]:
    for package in ("esptool", "espefuse"):
        for path in sorted((source / package).rglob("*")):
            name = path.relative_to(source).as_posix()
            if path.suffix in (".py", ".json") and path.is_file() and _belongs(name, out):
                yield name, path


def _belongs(name: str, left_out: Sequence[str]) -> bool:
    plain = name.removesuffix(".py")
    if any(plain == out or plain.startswith(f"{out}/") for out in left_out):
        return False
    parts = plain.split("/")
    if parts[0] != "esptool":
        return True
    return parts[1] in ROOMS or (parts[1] == "web" and len(parts) == 3 and parts[2] in PAGE)


def folded(archive: bytes) -> bytes:
    """The files of a zip archive as the page unpacks them in one go: compressed as a whole, a table
    of names and sizes on the first line, then the contents."""
    with zipfile.ZipFile(io.BytesIO(archive)) as given:
        parts = [(entry.filename, given.read(entry)) for entry in given.infolist()]
    table = json.dumps([(name, len(data)) for name, data in parts], separators=(",", ":"))
    whole = b"\n".join((table.encode(), b"".join(data for _name, data in parts)))
    return gzip.compress(whole, 9, mtime=0)


def library(archive: Path) -> bytes:
    """The standard library of the page's Python, trimmed."""
    with zipfile.ZipFile(archive) as given:
        return _zipped(
            (entry.filename, given.read(entry))
            for entry in given.infolist()
            if not entry.is_dir() and _is_used(entry.filename)
        )


def _is_used(name: str) -> bool:
    module = name.removesuffix(".py").replace("/", ".")
    return not any(module == never or module.startswith(f"{never}.") for never in _NEVER)


def _zipped(files: Iterable[tuple[str, bytes]]) -> bytes:
    """An archive that is the same for the same content, whenever it is made."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files:
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED, 9)
    return out.getvalue()

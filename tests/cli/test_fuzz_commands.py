# SPDX-License-Identifier: Apache-2.0
"""Command lines made of what exists, with values good, odd and wrong, against boards of both kinds.

Whatever is asked for: it ends with a documented outcome and one clear message; output files are
whole or as they were; flash outside of the asked region keeps what it held. `FUZZ_RUNS=1000` makes
more of them than the suite does, `FUZZ_SEED=n` others.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

import espsecure
import esptool
from espsecure import keys
from esptool.chips.nor import SECTOR
from esptool.image.convert import convert_elf
from esptool.image.hexfile import write_hex
from esptool.image.regions import Region
from esptool.logger import log
from tests.image.elfmaker import ram_program

RUNS = int(os.environ.get("FUZZ_RUNS", "20"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))
FUZZING = settings(
    max_examples=RUNS,
    deadline=None,
    database=None,
    derandomize=False,
    suppress_health_check=list(HealthCheck),
)
CHIPS = ("esp8266", "esp32", "esp32c3", "esp32s3", "esp32p4")
FLASH = 512 << 10  # machine code takes its time
HEADER = 0x1000  # of a state file, in front of the flash
#: What no message may hold: traces of a failure that nobody foresaw.
UNFORESEEN = re.compile(r"Traceback|unexpected \w+Error|please report| object at 0x|\x00")

# --- what a command line is made of -------------------------------------------------------------

#: (kind, ...) of each positional word, and the options that the command has.
FLASH_OPTIONS = ("-fs", "-fm", "-ff")
COMMANDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "write-flash": (
        ("pair", "pair?"),
        (
            *FLASH_OPTIONS,
            *("--erase-all", "--no-progress", "--force", "--dry-run", "--json", "--no-diff"),
            *("--retries", "--preserve", "--skip-flashed", "--diff-with", "--compress"),
            *("--trust-flash-content", "--no-compress", "--encrypt", "--encrypt-files"),
            "--ignore-flash-enc-efuse",
        ),
    ),
    "read-flash": (("address", "size", "output"), ("-fs", "--no-progress")),
    "erase-region": (("address", "size"), ("--force",)),
    "erase-flash": ((), ("--force",)),
    "verify-flash": (("pair", "pair?"), (*FLASH_OPTIONS, "--diff")),
    "dump-mem": (("memory", "bytes", "output"), ()),
    "read-mem": (("memory",), ()),
    "flash-id": ((), ("--spi-connection",)),
    "chip-id": ((), ()),
    "read-mac": ((), ()),
    "read-flash-status": ((), ("--bytes",)),
    "read-flash-sfdp": (("number", "number"), ()),
    "get-security-info": ((), ()),
    "run": ((), ()),
    "version": ((), ()),
    "image-info": (("file",), ("--json",)),
    "elf2image": (
        ("file",),
        (
            *FLASH_OPTIONS,
            *("-o", "--version", "--min-rev-full", "--max-rev-full", "--secure-pad"),
            *("--secure-pad-v2", "--elf-sha256-offset", "--dont-append-digest"),
            *("--use-segments", "--flash-mmu-page-size", "--pad-to-size", "--ram-only-header"),
        ),
    ),
    "merge-bin": (
        ("pair", "pair?"),
        (
            *FLASH_OPTIONS,
            *("-o", "-o", "-o", "--format", "--chunk-size", "--md5-disable", "--target-offset"),
            "--pad-to-size",
        ),
    ),
}
GLOBALS = (
    *("--before", "--after", "--baud", "--no-stub", "--silent", "--verbose", "--trace"),
    *("--connect-attempts", "--chip"),
)
#: The values that an option takes; those without are flags.
VALUES: dict[str, tuple[str, ...]] = {
    "-fs": ("keep", "detect", "256KB", "1MB", "4MB", "2MB-c1", "16MB", "3MB", ""),
    "-fm": ("keep", "dio", "qio", "dout", "xio"),
    "-ff": ("keep", "40m", "80m", "26m", "1m"),
    "--retries": ("0", "3", "-1", "101", "x"),
    "--diff-with": ("FILE", "skip", "absent"),
    "--encrypt-files": ("PAIR",),
    "--spi-connection": ("SPI", "HSPI", "6,7,8,9,11", "1,2", "0,0,0,0,0", "99,98,97,96,95", "a,b"),
    "--bytes": ("1", "2", "3", "4"),
    "-o": ("OUTPUT",),
    "--version": ("1", "2", "3", "4"),
    "--min-rev-full": ("0", "3", "65535", "65536", "-1"),
    "--max-rev-full": ("0", "399", "65535", "65536", "x"),
    "--elf-sha256-offset": ("0", "0xb0", "-5", "0x9000", "zz"),
    "--flash-mmu-page-size": ("64KB", "32KB", "8KB", "1KB"),
    "--pad-to-size": ("1MB", "256KB", "4MB", "5", "0MB", "-1MB"),
    "--format": ("raw", "hex", "uf2", "elf"),
    "--chunk-size": ("64", "0", "-4", "452", "3", "1000"),
    "--target-offset": ("0", "0x1000", "-1", "0x100000000"),
    "--before": ("default-reset", "no-reset", "no_reset", "usb-reset", "never"),
    "--after": ("hard-reset", "no-reset", "soft-reset", "watchdog-reset", "no-reset-stub", "x"),
    "--baud": ("115200", "921600", "0", "-1", "99999999999999999999", "fast"),
    "--connect-attempts": ("1", "2", "x"),
    "--chip": ("auto", *CHIPS, "ESP32-C3", "esp99"),
}
NUMBERS: dict[str, tuple[str, ...]] = {
    "address": (
        *("0", "0x1000", "0x10000", "0x20010", "4096", "0x7f000", "0x7ffff", "0x80000"),
        *("-1", "-0x1000", "0xfffffffff", "0x100000000", "x", "", "0x", "1_000"),
        *("nvs", "log[-0x1000:]", "log[", "a[9:1]"),
    ),
    "size": (
        *("0x1000", "4096", "0x2000", "ALL", "1", "0", "64k", "256k", "1M", "0x80001", "-1"),
        *("0x100000000", "much", ""),
    ),
    "memory": ("0x60000000", "0x3ff00000", "0x40001000", "0", "1", "-4", "0xffffffff", "x"),
    "bytes": ("4", "100", "4096", "1", "0", "-1", "0x100000001", "much", ""),
    "number": ("0", "1", "4", "64", "16", "-1", "65", "0x1000000", "x"),
}
FILES = (
    *("small.bin", "small.bin", "page.bin", "big.bin", "app.img", "app.elf", "good.hex", "bad.hex"),
    *("empty", "text.txt", "firmware.uf2", "cut.img", "huge.bin", "held.bin"),
    *("absent", "folder", "a\0b", "", "-"),
)
OUTPUTS = (
    *("new.bin", "new.bin", "held.bin", "folder", "no/such/x", "small.bin", "/dev/null"),
    *("/dev/full", "", "a\0b", "app.elf"),
)


#: What lets a command do its work, so that not every line ends at the first word.
GOOD: dict[str, tuple[str, ...]] = {
    "address": ("0", "0x1000", "0x8000", "0x10010", "0x18000", "0x20000", "0x30000", "0x38000"),
    "size": ("0x1000", "4096", "0x2000", "16k", "100", "0x3000"),
    "memory": ("0x60000000", "0x3ff00000"),
    "bytes": ("4", "100", "4096"),
    "number": ("0", "16"),
    "file": ("small.bin", "page.bin", "big.bin", "app.img", "good.hex", "app.elf"),
    "output": ("new.bin", "held.bin"),
}


@dataclass
class Line:
    """A command line, and what it asks of flash and of files."""

    words: list[str] = field(default_factory=list)
    chip: str = "esp32c3"
    code: bool = False
    command: str = "version"
    regions: list[tuple[int, int]] = field(default_factory=list)
    all_of_flash: bool = False


@st.composite
def lines(draw: st.DrawFn, folder: Path) -> Line:
    line = Line(chip=draw(st.sampled_from(CHIPS)), code=draw(st.booleans()))
    work = ("write-flash", "erase-region", "read-flash", "verify-flash", "merge-bin")
    line.command = draw(st.sampled_from([*sorted(COMMANDS), *work, *work, "write-flash"]))
    kinds, options = COMMANDS[line.command]
    tame = draw(st.integers(0, 2)) > 0
    body: list[str] = []
    for kind in kinds:
        if kind.endswith("?") and draw(st.booleans()):
            continue
        body += _words(draw, kind.rstrip("?"), tame)
    extra: list[str] = []
    for option in draw(st.lists(st.sampled_from(options), max_size=2)) if options else []:
        extra += _option(draw, option, tame)
    front: list[str] = []
    for option in draw(st.lists(st.sampled_from(GLOBALS), max_size=1)):
        front += _option(draw, option, tame)
    if (
        not tame and draw(st.integers(0, 4)) == 0 and body
    ):  # a word too few, or an odd one in between
        body.pop(draw(st.integers(0, len(body) - 1)))
    if not tame and draw(st.integers(0, 9)) == 0:
        body.insert(draw(st.integers(0, len(body))), draw(st.sampled_from(("--nope", "x", "--"))))
    name = line.command if draw(st.booleans()) else line.command.replace("-", "_")
    tail = [*extra, *body] if draw(st.booleans()) else [*body, *extra]
    line.words = [*front, name, *tail]
    _note_regions(line, body, extra, folder)
    return line


def _words(draw: st.DrawFn, kind: str, tame: bool) -> list[str]:
    if kind == "pair":
        return [*_words(draw, "address", tame), *_words(draw, "file", tame)]
    pools = {**NUMBERS, "file": FILES, "output": OUTPUTS}
    return [draw(st.sampled_from(GOOD[kind] if tame else pools[kind]))]


def _option(draw: st.DrawFn, option: str, tame: bool) -> list[str]:
    values = VALUES.get(option)
    if values is None:
        return [option]
    value = draw(st.sampled_from(values[:2] if tame else values))
    if value == "PAIR":
        return [option, *_words(draw, "pair", tame)]
    if value == "OUTPUT":
        return [option, *_words(draw, "output", tame)]
    return [option, "page.bin" if value == "FILE" else value]


def _note_regions(line: Line, body: list[str], extra: list[str], folder: Path) -> None:
    """The sectors of flash that the line may change."""
    line.all_of_flash = line.command == "erase-flash" or "--erase-all" in extra
    if line.command == "erase-region":
        line.regions += _span(body[:1], "".join(body[1:2]))
    elif line.command == "write-flash":
        words = [*body, *extra]
        for at, name in pairwise(words):
            path = folder / name if name and "\0" not in name else folder
            if path.suffix == ".hex":
                line.regions.append((0x20000, 0x30000))
            elif path.is_file():
                line.regions += _span([at], str(path.stat().st_size))


def _span(address: list[str], size: str) -> list[tuple[int, int]]:
    from esptool.sizes import byte_count

    try:
        start = int(address[0], 0)
        length = FLASH if size.lower() == "all" else byte_count(size)
    except (ValueError, IndexError, esptool.FatalError):
        return []
    return [(start & -SECTOR, -(-(start + length) // SECTOR) * SECTOR)]


# --- running one --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of every kind; each run works on a copy."""
    place = tmp_path_factory.mktemp("fuzz")
    elf = ram_program(0x3FC80000)
    image = convert_elf(elf, "esp32c3").data
    random_bytes = random.Random(5).randbytes
    good = b"".join(write_hex([Region(0x20000, b"hex" * 50), Region(0x2F000, bytes(range(200)))]))
    contents = {
        "small.bin": random_bytes(300),
        "page.bin": random_bytes(SECTOR),
        "big.bin": random_bytes(20000),
        "app.img": image,
        "app.elf": elf,
        "good.hex": good,
        "bad.hex": good.replace(b"F", b"E", 1),
        "empty": b"",
        "text.txt": b"some text\n",
        "firmware.uf2": b"UF2\n\x57\x51\x5d\x9e" + bytes(504),
        "cut.img": image[:30],
        "huge.bin": bytes(FLASH + 1),
        "held.bin": b"former content",
    }
    for name, data in contents.items():
        (place / name).write_bytes(data)
    (place / "folder").mkdir()
    return place


CELLS = bytes(random.Random(7).randbytes(64)) * (FLASH // 64)


def state_of(chip: str, path: Path) -> None:
    """A board whose flash holds a known pattern."""
    port = f"virtual://{chip}?flash=512KB&stub=model&state={path}"
    with contextlib.redirect_stdout(io.StringIO()), esptool.connect_esp(port=port) as esp:
        esp.session.close()
    head = path.read_bytes()[:HEADER]
    path.write_bytes(head + CELLS)


def flash_in(path: Path) -> bytes:
    return path.read_bytes()[HEADER:].ljust(FLASH, b"\xff")


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("states")
    for chip in CHIPS:
        state_of(chip, place / chip)
    return {chip: place / chip for chip in CHIPS}


def outcome(
    words: list[str], main: Callable[[list[str]], None] = esptool.main
) -> tuple[str, str, str]:
    """(how it ended, its standard output, what it said of a failure)."""
    out, err = io.StringIO(), io.StringIO()
    log.set_verbosity("auto")
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(words)
            how = "done"
        except esptool.FatalError as e:
            how = "failed"
            err.write(f"\nA fatal error occurred: {e}")
        except SystemExit as e:
            how = "usage" if e.code == 2 else f"exit code {e.code}, which stands in no table"
    return how, out.getvalue(), err.getvalue()


def test_command_lines_end_as_documented(
    folder: Path,
    states: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("HOME", str(tmp_path))
    count = iter(range(1 << 30))

    @seed(SEED)
    @FUZZING
    @given(lines(folder))
    def run(line: Line) -> None:
        here = tmp_path / str(next(count))
        shutil.copytree(folder, here)
        os.chdir(here)
        try:
            judge(line, here, states)
        finally:
            os.chdir(tmp_path)
            shutil.rmtree(here)

    run()


def judge(line: Line, here: Path, states: dict[str, Path]) -> None:
    state = here.parent / f"{here.name}.state"
    shutil.copy(states[line.chip], state)
    before = {p.name: p.read_bytes() for p in here.iterdir() if p.is_file()}
    engine = "" if line.code else "&stub=model"
    port = f"virtual://{line.chip}?flash=512KB{engine}&state={state}"
    words = ["--port", port, *line.words]
    try:
        how, out, err = outcome(words)
        said = f"{words}\n{how}\n{out[-600:]}\n{err[-600:]}"
        assert how in ("done", "failed", "usage"), said
        assert not UNFORESEEN.search(out + err), said
        if how != "done":
            assert err.strip(), said
            assert err.count("A fatal error occurred") + err.count("Error: ") == 1, said
        _judge_files(line, how, before, here, state, said)
        _judge_flash(line, state, said)
        if "--json" in line.words and how == "done":
            assert json.loads(out), said
    finally:
        state.unlink(missing_ok=True)


def _judge_files(
    line: Line, how: str, before: dict[str, bytes], here: Path, state: Path, said: str
) -> None:
    after = {p.name: p.read_bytes() for p in here.iterdir() if p.is_file()}
    changed = {n for n in {*before, *after} if before.get(n) != after.get(n)}
    outputs = {n for n in changed if n in line.words or n.startswith(("new.bin", "app", "x"))}
    assert changed == outputs, f"{changed - outputs} changed\n{said}"
    if how != "done" and line.command not in ("read-flash", "dump-mem"):
        assert not changed, said
    assert list((here / "folder").iterdir()) == [], said
    if line.command == "read-flash" and how == "done":
        body = [w for w in line.words if w in changed]
        for name in body:
            assert after[name] in flash_in(state) or not after[name], said


def _judge_flash(line: Line, state: Path, said: str) -> None:
    if line.all_of_flash:
        return
    found = flash_in(state)
    if found == CELLS:
        return
    for at in range(0, FLASH, SECTOR):
        if found[at : at + SECTOR] != CELLS[at : at + SECTOR]:
            allowed = any(low <= at < high for low, high in line.regions)
            assert allowed, f"sector {at:#x} changed\n{said}"


# --- espsecure ----------------------------------------------------------------------------------

SECURE: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "generate-signing-key": (("OUT",), ("--version", "--scheme", "--force", "--json")),
    "generate-flash-encryption-key": (("OUT",), ("--keylen", "--force", "--json")),
    "extract-public-key": (("-k", "KEY", "OUT"), ("--version", "--json")),
    "digest-sbv2-public-key": (("-k", "KEY", "-o", "OUT"), ("--json",)),
    "digest-private-key": (("-k", "KEY", "OUT"), ("--keylen", "--json")),
    "digest-sdc-public-key": (("-k", "KEY", "-o", "OUT"), ("--verbose", "--pub-key")),
    "generate-sdc-certificate": (
        ("-k", "KEY", "-o", "OUT"),
        ("--mac", "--enable-jtag", "--sdc-session-counter", "--chip-info", "--usc"),
    ),
    "encrypt-flash-data": (
        ("-k", "AES", "-a", "ADDRESS", "-o", "OUT", "DATA"),
        ("--aes-xts", "--flash-crypt-conf", "--json"),
    ),
    "decrypt-flash-data": (
        ("-k", "AES", "-a", "ADDRESS", "-o", "OUT", "DATA"),
        ("--aes-xts", "--flash-crypt-conf", "--json"),
    ),
    "digest-secure-bootloader": (("-k", "AES", "-o", "OUT", "DATA"), ("--iv", "--json")),
    "sign-data": (
        ("-v", "VERSION", "-k", "KEY", "-o", "OUT", "DATA"),
        (*("--append-signatures", "--pub-key", "--signature", "--skip-padding"), "--json"),
    ),
    "verify-signature": (("-v", "VERSION", "-k", "KEY", "DATA"), ("--skip-padding", "--json")),
    "signature-info-v2": (("DATA",), ("--json",)),
}
SECURE_VALUES: dict[str, tuple[str, ...]] = {
    "KEY": (
        *("p256.pem",) * 6,
        "p384.pem",
        "public.pem",
        "even.pem",
        "key32",
        "text.txt",
        "absent",
        "-",
    ),
    "AES": (
        *("key32",) * 6,
        "key16",
        "key24",
        "key32",
        "key64",
        "p256.pem",
        "empty",
        "absent",
        "folder",
    ),
    "DATA": (
        *("data", "signed", "app.img") * 2,
        "data",
        "signed",
        "app.img",
        "odd",
        "empty",
        "folder",
        "absent",
        "p256.pem",
    ),
    "OUT": (
        *("new", "held") * 4,
        "new",
        "held",
        "folder",
        "no/such/x",
        "p256.pem",
        "data",
        "/dev/full",
        "",
    ),
    "ADDRESS": (*("0", "0x1000") * 3, "0", "0x1000", "32", "7", "-16", "0x100000000", "x"),
    "VERSION": ("1", *("2",) * 5, "3"),
    "--version": ("1", "2", "3"),
    "--scheme": ("ecdsa256", "ecdsa192", "ecdsa384", "rsa1"),
    "--keylen": ("128", "192", "256", "512", "0", "-8", "100", "x"),
    "--pub-key": ("public.pem", "p256.pem", "key64", "absent"),
    "--signature": ("key64", "empty", "data"),
    "--mac": ("00:11:22:33:44:55", "001122", "zz", "key32", ""),
    "--sdc-session-counter": ("0", "1", "2", "-1", "x"),
    "--chip-info": ("key64", "key32", "absent"),
    "--usc": ("text.txt", "deep.json", "absent"),
    "--flash-crypt-conf": ("0", "15", "16", "-1", "x"),
    "--iv": ("key64", "empty", "data"),
}


@st.composite
def secure_lines(draw: st.DrawFn) -> list[str]:
    command = draw(st.sampled_from(sorted(SECURE)))
    words, options = SECURE[command]
    body = [draw(st.sampled_from(SECURE_VALUES.get(word, (word,)))) for word in words]
    extra: list[str] = []
    for option in draw(st.lists(st.sampled_from(options), max_size=2)):
        extra.append(option)
        if option in SECURE_VALUES:
            extra.append(draw(st.sampled_from(SECURE_VALUES[option])))
    if draw(st.integers(0, 9)) == 0:
        body.pop(draw(st.integers(0, len(body) - 1)))
    return [command, *extra, *body] if draw(st.booleans()) else [command, *body, *extra]


@pytest.fixture(scope="module")
def secure_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("secure")
    random_bytes = random.Random(6).randbytes
    for size in (16, 24, 32, 64):
        (place / f"key{size}").write_bytes(random_bytes(size))
    for name, scheme in (("p256.pem", "ecdsa256"), ("p384.pem", "ecdsa384")):
        (place / name).write_bytes(keys.private_pem(keys.generate(scheme)))
    private = keys.load_private((place / "p256.pem").read_bytes())
    (place / "public.pem").write_bytes(keys.public_pem(private.public_key()))
    even = rsa.RSAPublicNumbers(65537, (1 << 3071) + 2).public_key()
    (place / "even.pem").write_bytes(keys.public_pem(even))
    contents = {
        "data": random_bytes(SECTOR),
        "odd": random_bytes(1001),
        "app.img": convert_elf(ram_program(0x3FC80000), "esp32c3").data,
        "empty": b"",
        "text.txt": b"some text\n",
        "deep.json": b"[" * 50_000,
        "held": b"former content",
    }
    for name, data in contents.items():
        (place / name).write_bytes(data)
    (place / "folder").mkdir()
    line = ["sign-data", "-v", "2", "-o", str(place / "signed"), str(place / "data")]
    with contextlib.redirect_stdout(io.StringIO()):
        espsecure.main([*line, "-k", str(place / "p256.pem")])
    return place


def test_command_lines_of_espsecure_end_as_documented(
    secure_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO()))
    count = iter(range(1 << 30))

    @seed(SEED)
    @FUZZING
    @given(secure_lines())
    def run(words: list[str]) -> None:
        here = tmp_path / str(next(count))
        shutil.copytree(secure_folder, here)
        os.chdir(here)
        try:
            judge_secure(words, here)
        finally:
            os.chdir(tmp_path)
            shutil.rmtree(here)

    run()


def judge_secure(words: list[str], here: Path) -> None:
    before = {p.name: p.read_bytes() for p in here.iterdir() if p.is_file()}
    how, out, err = outcome(words, espsecure.main)
    said = f"{words}\n{how}\n{out[-600:]}\n{err[-600:]}"
    after = {p.name: p.read_bytes() for p in here.iterdir() if p.is_file()}
    changed = {n for n in {*before, *after} if before.get(n) != after.get(n)}
    assert how in ("done", "failed", "usage"), said
    assert not UNFORESEEN.search(out + err), said
    kept = {name for name in changed if name.removesuffix(".old") in words}
    assert changed == kept, said
    if how != "done":
        assert err.count("A fatal error occurred") + err.count("Error: ") == 1, said
        assert all(name.endswith(".old") for name in changed), said
    if "--json" in words and how != "usage":
        assert json.loads(out)["ok"] is (how == "done"), said
    assert list((here / "folder").iterdir()) == [] or words[0] == "sign-data", said

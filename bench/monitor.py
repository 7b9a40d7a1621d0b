# SPDX-License-Identifier: Apache-2.0
"""What the monitor costs: a busy line in real time, and the first address that it explains.

    python -m bench.monitor [--mb N] [--elf FILE] [--json]

A server, or a pseudo-terminal in place of a device, sends lines of ESP-IDF's log at the rate of
3,000,000 baud. The monitor is a process of its own; what it writes must be what was sent. Processor
time is that of the whole process, its start included. Without --elf an ELF file of about 3 MB is
compiled first.
"""

from __future__ import annotations

import argparse
import json
import os
import pty
import re
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import time
import tty
from collections.abc import Callable, Iterator
from pathlib import Path

BAUD = 3_000_000
BYTES_A_SECOND = BAUD // 10
SLICE_S = 0.01
END = b"the end of it\r\n"
TARGET_CORE = 0.2
TARGET_FIRST_S = 0.3
COMPILER = "riscv64-unknown-elf-gcc"
UNITS, FUNCTIONS = 40, 110


def log(size: int, address: int | None) -> bytes:
    """Lines of a log, so many bytes; each 200th holds an address where one is given."""
    lines: list[bytes] = []
    length = number = 0
    while length < size:
        level = b"IWED"[number % 4 : number % 4 + 1]
        text = b"%c (%d) wifi: state of station %d is %08d" % (level, number, number % 9, number)
        if address is not None and number % 200 == 0:
            text += b" at 0x%08x" % address
        lines.append(text + b"\r\n")
        length += len(lines[-1])
        number += 1
    return b"".join(lines) + END


def paced(data: bytes, send: Callable[[bytes], object]) -> None:
    """Send at the rate of the line, in pieces as a driver hands them over."""
    begin, at = time.monotonic(), 0
    while at < len(data):
        due = int((time.monotonic() - begin) * BYTES_A_SECOND)
        if due > at:
            send(data[at:due])
            at = due
        time.sleep(SLICE_S)


def run(data: bytes, *, device: bool, terminal: bool, words: list[str]) -> dict[str, object]:
    """Let a monitor listen; its share of a core, and whether all of it was shown."""
    if device:
        near, far = pty.openpty()
        tty.setraw(far)
        url = os.ttyname(far)

        def send() -> None:
            time.sleep(1)
            paced(data, lambda d: _all(near, d))

        sender = threading.Thread(target=send)
    else:
        listener = socket.create_server(("127.0.0.1", 0))
        url = f"socket://127.0.0.1:{listener.getsockname()[1]}"

        def serve() -> None:
            client, _ = listener.accept()
            with client:
                paced(data, client.sendall)
                client.recv(1)

        sender = threading.Thread(target=serve)
    end = END.decode().strip()
    argv = [sys.executable, "-m", "esptool", "monitor", url, "--no-keys", *words]
    argv += ["--expect", end, "--timeout", str(3 * len(data) / BYTES_A_SECOND + 30)]
    if terminal:
        argv = [*argv[: argv.index("--expect")], "--timeout", f"{len(data) / BYTES_A_SECOND + 3}"]
    sink, out = pty.openpty() if terminal else os.pipe()
    if terminal:
        tty.setraw(out)
    shown = bytearray()
    reader = threading.Thread(target=_drain, args=(sink, shown))
    begin = time.monotonic()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen(argv, stdout=out, stdin=subprocess.DEVNULL)
    os.close(out)
    reader.start()
    sender.start()
    code = process.wait()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = time.monotonic() - begin
    if not device:
        sender.join()
    reader.join()
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "seconds": round(seconds, 2),
        "cpu_s": round(cpu, 2),
        "core": round(cpu / seconds, 3),
        "whole": code == 0 and _same(bytes(shown), data, "--json" in words),
    }


def _all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _drain(descriptor: int, into: bytearray) -> None:
    while True:
        try:
            data = os.read(descriptor, 1 << 16)
        except OSError:
            return
        if not data:
            return
        into += data


def _same(shown: bytes, data: bytes, as_json: bool) -> bool:
    """All lines were shown, in order, whatever stands between them."""
    lines: Iterator[str]
    if as_json:
        records = (json.loads(line) for line in shown.splitlines())
        lines = (r["text"] for r in records if r["event"] == "line")
    else:
        text = re.sub(rb"\x1b\[[0-9;]*m", b"", shown).decode()
        own = ("--- ", "esptool v")
        lines = (line for line in text.splitlines() if line and not line.startswith(own))
    return list(lines) == data.decode().splitlines()


# --- the first address -----------------------------------------------------------------------


def large_elf(folder: Path) -> Path:
    """An ELF file of about 3 MB with some dozens of compilation units."""
    objects = []
    for unit in range(UNITS):
        source = folder / f"unit{unit}.c"
        body = [f"struct s{unit} {{ int a, b, c[{unit + 1}]; struct s{unit} *next; }};"]
        body += [f"static inline int in{unit}(int x) {{ return x > {unit} ? x * 3 : x; }}"]
        for number in range(FUNCTIONS):
            body.append(
                f"int f{unit}_{number}(struct s{unit} *p, int n) {{ int sum = {number};\n"
                f"  for (int i = 0; i < n; i++) {{ sum += in{unit}(p->c[0] + i);\n"
                f"    if (sum & {number + 1}) p = p->next; else p->a ^= in{unit}(sum); }}\n"
                f"  return sum; }}"
            )
        if unit == 0:
            body.append("int entry(void) { return f0_0(0, 0); }")
        source.write_text("\n".join(body))
        objects.append(str(source.with_suffix(".o")))
        arch = ["-march=rv32imc", "-mabi=ilp32"]
        options = ["-g3", "-O2", "-c", "-o", objects[-1]]
        subprocess.run([COMPILER, *arch, *options, str(source)], check=True)
    out = folder / "large.elf"
    link = ["-nostdlib", "-Wl,-Ttext=0x42000000", "-Wl,-eentry", "-o", str(out)]
    subprocess.run([COMPILER, "-march=rv32imc", "-mabi=ilp32", *link, *objects], check=True)
    return out


FIRST = """
import sys, time
begin = time.perf_counter()
from esptool.monitor.builds import Builds
from esptool.monitor.decoder import Decoder
loaded = time.perf_counter()
decoder = Decoder(Builds([sys.argv[1]]))
notes = decoder.feed(f"MEPC    : {sys.argv[2]}")
assert notes and notes[0].data["frames"][0]["line"], notes
print(loaded - begin, time.perf_counter() - loaded)
"""


def first_line(elf: Path) -> dict[str, object]:
    """Seconds from an ELF file that nobody has read to the first line with file and line."""
    from esptool.monitor.elfdata import ElfData

    found = ElfData.load(elf)
    start, end = max(found.code, key=lambda span: span[1] - span[0])
    argv = [sys.executable, "-c", FIRST, str(elf), hex((start + end) // 2 & -2)]
    rows = []
    for _ in range(5):
        done = subprocess.run(argv, capture_output=True, text=True, check=True)
        rows.append([float(word) for word in done.stdout.split()])
    least = min(rows, key=sum)
    return {
        "elf_mb": round(elf.stat().st_size / 1e6, 2),
        "import_s": round(least[0], 3),
        "first_s": round(least[1], 3),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mb", type=float, default=10)
    parser.add_argument("--elf", type=Path)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        elf = args.elf or large_elf(Path(folder))
        from esptool.monitor.elfdata import ElfData

        address = ElfData.load(elf).code[0][0] + 0x40
        plain, spiced = log(int(args.mb * 1e6), None), log(int(args.mb * 1e6), address)
        rows: dict[str, dict[str, object]] = {"first address": first_line(elf)}
        cases = {
            "socket, piped": (plain, False, False, []),
            "socket, on a terminal": (plain, False, True, []),
            "device, piped": (plain, True, False, []),
            "socket, --json": (plain, False, False, ["--json"]),
            "socket, --elf, addresses": (spiced, False, False, ["--elf", str(elf)]),
        }
        for name, (data, device, terminal, words) in cases.items():
            rows[name] = run(data, device=device, terminal=terminal, words=words)
            if not args.json:
                print(f"{name:<26} {rows[name]}", flush=True)
    if args.json:
        print(json.dumps(rows, indent=2))
    else:
        print(f"{'first address':<26} {rows['first address']}")
        print(f"wanted: at most {TARGET_CORE} of a core, {TARGET_FIRST_S} s to the first address")
    return 0


if __name__ == "__main__":
    sys.exit(main())

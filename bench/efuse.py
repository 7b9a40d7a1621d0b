# SPDX-License-Identifier: Apache-2.0
"""espefuse against the public tool, in one run: CPU time of a summary, accesses of the chip.

`python bench/efuse.py` (the public tool: ESPTOOL_ORACLE or .venv-oracle). Round trips are counted
on a virtual chip at 2 ms each way; the public tool's register accesses, which are a round trip
each, are counted on its own virtual eFuses.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ORACLE = Path(os.environ.get("ESPTOOL_ORACLE") or ROOT / ".venv-oracle") / "bin" / "python"
CHIPS = ("esp32", "esp32c3", "esp32p4")
RUNS = 7

COUNT_THEIRS = """
import importlib, io, json, sys
import espefuse
chip, args = sys.argv[1], sys.argv[2:]
module = importlib.import_module(f"espefuse.efuse.{chip}.emulate_efuse_controller")
kind, count = module.EmulateEfuseController, [0]
def counted(method, cost):
    def call(*a, **k):
        count[0] += cost
        return method(*a, **k)
    return call
# update_reg is a read and a write on a real chip.
for name, cost in (("read_reg", 1), ("write_reg", 1), ("update_reg", 2)):
    setattr(kind, name, counted(getattr(kind, name), cost))
out, sys.stdout = sys.stdout, io.StringIO()
espefuse.main(["--chip", chip, "--virt", "--do-not-confirm", *args])
sys.stdout = out
print(count[0])
"""

COUNT_OURS = """
import io, sys
import espefuse
from esptool.cmds import detect_chip
chip, args = sys.argv[1], sys.argv[2:]
esp = detect_chip(f"virtual://{chip}?latency=2ms")
link, count, state = esp.session.link, [0], [""]
def sent(payload, send=link.send_frame):
    # Requests that follow each other without an answer in between are one round trip.
    if state[0] != "sent":
        count[0] += 1
    state[0] = "sent"
    return send(payload)
def read(opcode, timeout_s, receive=link.read_response):
    answer = receive(opcode, timeout_s)
    state[0] = "read"
    return answer
link.send_frame, link.read_response = sent, read
out, sys.stdout = sys.stdout, io.StringIO()
espefuse.main(["--chip", chip, "--do-not-confirm", *args], esp=esp)
sys.stdout = out
print(count[0])
"""


def cpu_seconds(python: Path | str, chip: str) -> float:
    """The least CPU time of several runs of `--virt summary`."""
    best = float("inf")
    # Both with their byte code kept, as an installed package has it.
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryDirectory() as cache:
        env["PYTHONPYCACHEPREFIX"] = cache
        for _ in range(RUNS + 1):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run(
                [python, "-m", "espefuse", "--chip", chip, "--virt", "summary"],
                check=True,
                stdout=subprocess.DEVNULL,
                env=env,
            )
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            best = min(best, spent)
    return best


def count(python: Path | str, script: str, chip: str, args: list[str]) -> int:
    done = subprocess.run(
        [python, "-c", script, chip, *args], check=True, capture_output=True, text=True
    )
    return int(done.stdout.split()[-1])


def main() -> None:
    if not ORACLE.exists():
        raise SystemExit("the public tool is not installed: run 'make oracle'")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        key = Path(folder) / "key"
        key.write_bytes(bytes(range(1, 33)))
        for chip in CHIPS:
            burn = ["burn-key", "BLOCK_KEY0", str(key), "XTS_AES_128_KEY"]
            if chip == "esp32":
                burn = ["burn-key", "flash_encryption", str(key)]
            ours, theirs = cpu_seconds(sys.executable, chip), cpu_seconds(ORACLE, chip)
            rows.append((chip, "CPU s, --virt summary", round(ours, 3), round(theirs, 3)))
            for name, args in (("summary", ["summary"]), ("key burn", burn)):
                ours_n = count(sys.executable, COUNT_OURS, chip, args)
                theirs_n = count(ORACLE, COUNT_THEIRS, chip, args)
                rows.append((chip, f"round trips, {name}", ours_n, theirs_n))
    for chip, what, ours_v, theirs_v in rows:
        print(f"{chip:9} {what:24} ours {ours_v:8} public {theirs_v:8} {ours_v / theirs_v:6.1%}")
    print(json.dumps([dict(zip(("chip", "what", "ours", "public"), r, strict=True)) for r in rows]))


if __name__ == "__main__":
    main()

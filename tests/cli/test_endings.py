# SPDX-License-Identifier: Apache-2.0
"""The table of docs/exit-codes.md, for all programs: codes, one error, no traceback."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

import espefuse
import espsecure
import esptool
from esptool.cli.ending import show_error
from esptool.errors import FatalError
from esptool.logger import log
from tests.support.signals import interruptible

MODULES = {
    "esptool": "esptool",
    "espefuse": "espefuse",
    "espsecure": "espsecure",
    "esp_rfc2217_server": "esp_rfc2217_server",
    "esp_virtual_chip": "esptool.cli.virtual_chip",
}
EFUSE = ["--chip", "esp32c3", "--virt"]


def start(
    program: str, *words: str, stdout: int | IO[bytes] = subprocess.PIPE
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", MODULES[program], *words],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "NO_COLOR": "1"},
        preexec_fn=interruptible,
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    try:
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert "Traceback" not in err
    assert "please report" not in err
    return process.returncode, out or "", err


@pytest.mark.parametrize("program", MODULES)
@pytest.mark.parametrize("words", [["--no-such-option"], ["no-such", "word"]])
def test_a_wrong_command_line_is_2(program: str, words: list[str]) -> None:
    code, _, err = ended(start(program, *words))
    assert code == 2
    assert "rror" in err


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("esptool", ["--help"]),
        ("esptool", ["version"]),
        ("espefuse", [*EFUSE, "summary"]),
        ("espsecure", ["--help"]),
        ("esp_rfc2217_server", ["--help"]),
        ("esp_virtual_chip", ["--list"]),
    ],
)
def test_a_full_disk_behind_standard_output_is_2(program: str, words: list[str]) -> None:
    with open("/dev/full", "wb") as full:
        code, _, err = ended(start(program, *words, stdout=full))
    assert code == 2
    assert err.count("Cannot write the output: No space left on device") == 1


@pytest.mark.parametrize(
    ("program", "words"), [("espefuse", [*EFUSE, "summary"]), ("esp_virtual_chip", ["--list"])]
)
def test_a_reader_that_has_gone_is_no_failure(program: str, words: list[str]) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "wb") as gone:
        code, _, err = ended(start(program, *words, stdout=gone))
    assert (code, err) == (0, "")


def test_work_goes_on_when_nobody_reads_about_it(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.write_bytes(random.randbytes(100_000))
    port = f"virtual://esp32c3?stub=model&state={tmp_path / 'state'}"
    process = start("esptool", "--port", port, "write-flash", "0x10000", str(data))
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=60) == 0
    code, out, _ = ended(start("esptool", "--port", port, "verify-flash", "0x10000", str(data)))
    assert code == 0
    assert "Verification successful" in out


def test_a_question_that_nobody_can_read_burns_nothing(tmp_path: Path) -> None:
    memory = tmp_path / "efuses"
    words = [*EFUSE, "--path-efuse-file", str(memory), "burn-efuse", "DIS_ICACHE", "1"]
    shell = f"echo BURN | {sys.executable} -m espefuse {' '.join(words)} >/dev/full"
    done = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert not any(memory.read_bytes())


@pytest.mark.parametrize("redirection", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("program", ["espefuse", "esptool"])
def test_closed_standard_streams_are_survived(
    program: str, redirection: str, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    words = {
        "espefuse": [*EFUSE, "dump", "--file-name", str(output)],
        "esptool": ["--port", "virtual://esp32c3?stub=model", "read-flash", "0", "64", str(output)],
    }[program]
    shell = f"{sys.executable} -m {program} {' '.join(words)} {redirection}"
    done = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 2), (signal.SIGTERM, -signal.SIGTERM), (signal.SIGHUP, -signal.SIGHUP)],
)
def test_signals_leave_no_files_behind_and_the_board_running(
    number: signal.Signals, code: int, tmp_path: Path
) -> None:
    port = "virtual://esp32c3?timing=real&stub=model"
    words = ("--port", port, "--no-stub", "read-flash", "0", "0x100000", str(tmp_path / "out.bin"))
    process = start("esptool", *words)
    assert process.stdout is not None
    seen = ""
    for line in process.stdout:
        seen += line
        if line.startswith("Reading from"):
            break
    process.send_signal(number)
    found, out, err = ended(process)
    assert found == code
    assert "Interrupted." in err or "Ended by a signal." in err
    assert "Hard resetting" in out
    assert list(tmp_path.iterdir()) == []


# --- within a program --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words", [["version"], ["-v", "version"], ["-s", "version"], ["-s", "nope"]]
)
def test_main_gives_back_the_verbosity_that_the_caller_had_set(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    log.set_verbosity("silent")
    try:
        try:
            esptool.main(words)
        except SystemExit:
            assert words[-1] == "nope"
        capsys.readouterr()
        log.print("the caller's own")
        assert capsys.readouterr().out == ""
    finally:
        log.set_verbosity("auto")


@pytest.mark.parametrize("main", [esptool.main, espefuse.main, espsecure.main])
def test_main_leaves_streams_and_signals_of_the_caller_alone(
    main: object, capsys: pytest.CaptureFixture[str]
) -> None:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [sys.stdout, sys.stderr, *map(signal.getsignal, numbers)]
    assert callable(main)
    main(["--help"])  # returns
    for words in ([], ["no-such"]):
        with pytest.raises(SystemExit) as wrong:
            main(words)
        assert wrong.value.code == 2
    assert [sys.stdout, sys.stderr, *map(signal.getsignal, numbers)] == before


def test_an_error_does_not_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    show_error(FatalError("'a\x1b[2Jb\x9b1mü' is damaged.", remedy="Read it\tanew."))
    shown = capsys.readouterr().err
    assert "'a\\x1b[2Jb\\x9b1mü' is damaged.\nRead it\tanew." in shown

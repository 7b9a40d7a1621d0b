# SPDX-License-Identifier: Apache-2.0
"""The program as a person or a script calls it: outcomes, wrong inputs, interruption, files."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import esptool
from tests.support.signals import interruptible

ESPTOOL = [sys.executable, "-m", "esptool"]
PROGRAMS = ("esptool", "espefuse", "espsecure", "esp_rfc2217_server")


def run(
    *words: str | Path, timeout_s: float = 60, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*ESPTOOL, *map(str, words)],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        env={**os.environ, "NO_COLOR": "1", **environment},
    )


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image.bin"
    path.write_bytes(random.randbytes(8192))
    return path


def test_version_is_two_lines_and_no_more() -> None:
    done = run("version")
    assert done.stdout == f"esptool v{esptool.__version__}\n{esptool.__version__}\n"
    assert (done.returncode, done.stderr) == (0, "")
    assert run("-v", "version").stdout == done.stdout


def test_version_waits_for_nothing_heavy() -> None:
    """Build systems ask for it on every run."""
    probe = (
        "import esptool, sys; esptool.main(['version'])\n"
        "print(sorted({'click', 'dataclasses', 'enum', 're', 'typing'} & sys.modules.keys()))"
    )
    # Without packages of the environment, which may bring modules along.
    source = str(Path(esptool.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path.insert(0, {source!r})\n{probe}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("words", [["-h"], ["--help"]])
def test_help_fits_80_columns(program: str, words: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", program, *words],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "80"},
        check=False,
    )
    assert done.returncode == 0
    assert "Usage:" in done.stdout
    lines = done.stdout[done.stdout.index("Usage:") :].splitlines()
    assert max(map(len, lines)) <= 80


def test_help_shows_what_the_named_chip_can_do() -> None:
    assert "sdc" in run("-h").stdout
    assert "sdc" in run("--chip", "esp32s31", "-h").stdout
    assert "sdc" not in run("--chip", "esp32", "-h").stdout
    assert "256KB" in run("--chip", "esp8266", "write-flash", "-h").stdout
    assert "256KB" not in run("--chip", "esp32c3", "write-flash", "-h").stdout


@pytest.mark.parametrize("program", PROGRAMS)
def test_old_script_names_work_and_warn(program: str) -> None:
    script = Path(sys.executable).with_name(f"{program}.py")
    done = subprocess.run([script, "-h"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert f"{program}.py" in done.stderr
    assert "DEPRECATED" in done.stderr


NAND = ("--flash-type", "nand", "--spi-connection", "6,2,7,5,10")
NAND_BOARD = "virtual://esp32c3?timing=real&stub=model&nand=W25N01GV"
NAND_FAST = ("--baud", "2000000", "--port", NAND_BOARD)
#: A command line, and what standard error must say of it.
WRONG = {
    "no such command": (["flash-everything"], "No such command"),
    "nearly a command": (["write-flahs"], "Did you mean"),
    "nearly an option": (["write-flash", "--erase-al", "0", "IMAGE"], "--erase-all"),
    "unknown chip": (["--chip", "esp33", "version"], "esp33"),
    "no port": (["--port", "/dev/no-such", "chip-id"], "Could not open /dev/no-such"),
    "another chip": (["--port", "VIRTUAL", "-c", "esp32", "chip-id"], "not ESP32. Wrong chip"),
    "missing file": (["write-flash", "0", "/no/such/file"], "No such file"),
    "odd pairs": (["write-flash", "0"], "pairs"),
    "address is none": (["write-flash", "0xhere", "IMAGE"], "must be a number"),
    "negative address": (["write-flash", "--", "-4096", "IMAGE"], "negative"),
    "overlap": (["write-flash", "0x1000", "IMAGE", "0x2000", "IMAGE"], "overlap"),
    "past the end": (["--port", "VIRTUAL", "--no-stub", "write-flash", "0x3ff000", "IMAGE"], "fit"),
    "odd erase": (["--port", "VIRTUAL", "--no-stub", "erase-region", "1", "4096"], "multiple"),
    "negative number": (["write-mem", "0x40000000", "-4"], "as its bits, such as 0xfffffffc"),
    "size is none": (["erase-region", "0", "much"], "not a valid integer"),
    "count is none": (["elf2image", "--min-rev", "abc", "IMAGE"], "'abc' is not a valid integer."),
    "count too high": (["elf2image", "--min-rev", "256", "IMAGE"], "it must be 0 to 255"),
    "time is none": (["monitor", "--timeout", "abc"], "'abc' is not a number."),
    "time too long": (["monitor", "--timeout", "1e9"], "it must be from 0 to 1e+07"),
    "both verbosities": (["-v", "-s", "version"], "at the same time"),
    "exclusive": (["write-flash", "-z", "-u", "0", "IMAGE"], "mutually exclusive"),
    "trust alone": (["write-flash", "--trust-flash-content", "0", "IMAGE"], "--diff-with"),
    "no argument file": (["@/no/such/file"], "argument file"),
    "bad filter": (["--port-filter", "color=red", "--", "chip-id"], "Unknown port filter key"),
    "nand without pins": (["erase-flash", "--flash-type", "nand"], "--spi-connection"),
    "nand encrypted": (
        ["write-flash", *NAND, "--encrypt", "0", "IMAGE"],
        "--encrypt works with NOR flash only",
    ),
    "sdc with a stub": (["read-sdc-chip-info"], "--no-stub"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_input_ends_with_2_and_a_reason_on_standard_error(name: str, image: Path) -> None:
    words, reason = WRONG[name]
    known = {"IMAGE": str(image), "VIRTUAL": "virtual://esp32c3"}
    done = run(*[known.get(w, w) for w in words])
    assert done.returncode == 2
    assert reason in done.stderr
    assert "Traceback" not in done.stderr + done.stdout


def test_a_port_that_is_no_chip_is_said(tmp_path: Path) -> None:
    import pty

    main, other = pty.openpty()
    try:
        done = run("--port", os.ttyname(other), "--connect-attempts", "1", "chip-id")
    finally:
        os.close(main)
        os.close(other)
    assert done.returncode == 2
    assert "Failed to connect" in done.stderr
    assert "Chip was NOT reset." in done.stdout


def test_options_may_stand_behind_the_command(image: Path) -> None:
    done = run(
        "write-flash", "0x0", image, "--port", "virtual://esp32c3", "--no-stub", "--no-progress"
    )
    assert done.returncode == 0, done.stderr
    assert "Hash of data verified." in done.stdout


def test_old_spellings_are_noted_once_each_on_standard_error(image: Path) -> None:
    done = run(
        *("--port", "virtual://esp32c3", "--no-stub", "--after", "hard_reset"),
        *("write_flash", "--flash_size", "detect", "--flash_mode=keep", "0x0", image),
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("Deprecated") == 4
    assert "Deprecated" not in done.stdout


def test_an_argument_file_is_expanded(tmp_path: Path) -> None:
    words = tmp_path / "words"
    words.write_text("--port virtual://esp32c3 --no-stub\nread-mem '0x60007000'\n")
    done = run(f"@{words}")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^0x60007000 = 0x[0-9a-f]{8}$", done.stdout, re.MULTILINE)


def test_the_lines_that_other_programs_look_for(image: Path) -> None:
    port = "virtual://esp32c3"
    out = run("--port", port, "--no-stub", "-b", "460800", "write-flash", "0x10000", image).stdout
    for shape in (
        r"^esptool v\d+\.\d+\.\d+$",
        r"^Serial port virtual://esp32c3:$",
        r"^Connecting\.\.\.\.",
        r"^Detecting chip type\.\.\. ESP32-C3$",
        r"^Connected to ESP32-C3 on virtual://esp32c3:$",
        r"^Chip type:          ESP32-C3 \(QFN32\) \(revision v\d\.\d\)$",
        r"^Features:           Wi-Fi, BT 5 \(LE\)",
        r"^Crystal frequency:  40MHz$",
        r"^MAC:                [0-9a-f:]{17}$",
        r"^Changing baud rate to 460800\.\.\.$",
        r"^Writing at 0x00010400 .*\d\.\d%",
        r"^Wrote 8192 bytes .*at 0x00010000 in \d+\.\d seconds \(\d+\.\d kbit/s\)",
        r"^Hash of data verified\.$",
        r"^Hard resetting via RTS pin\.\.\.$",
    ):
        assert re.search(shape, out, re.MULTILINE), shape


@pytest.mark.parametrize(
    ("words", "units", "signs"),
    [
        (
            ["--port", "virtual://esp32c3?timing=real", "--no-stub", "write-flash"],
            "bytes",
            ["Writing at"],
        ),
        (
            [*NAND_FAST, "write-flash", *NAND],
            "blocks",
            ["Writing at"],
        ),
        (
            ["--trace", *NAND_FAST, "write-flash", "--no-progress", *NAND],
            "blocks",
            ["Cmd SPI_NAND_WRITE_FLASH_END", "Cmd SPI_NAND_WRITE_FLASH_BEGIN"],
        ),
    ],
    ids=["nor", "nand", "nand-no-progress"],
)
def test_an_interruption_says_what_flash_holds_and_ends_with_2(
    tmp_path: Path, words: list[str], units: str, signs: list[str]
) -> None:
    big = tmp_path / "big.bin"
    big.write_bytes(random.randbytes(1 << 20))
    with subprocess.Popen(
        [*ESPTOOL, *words, "0", str(big)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=interruptible,
    ) as process:
        assert process.stdout is not None
        for sign in signs:
            assert any(sign in line for line in process.stdout)
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=100)
    assert process.returncode == 2
    assert re.search(rf"Flash is only partly written: .* {units} of the present file", errors)
    assert "Traceback" not in errors


def test_a_board_is_reset_also_after_a_failure() -> None:
    done = run("--port", "virtual://esp32c3", "--no-stub", "erase-region", "1", "4096")
    assert done.returncode == 2
    assert "Hard resetting via RTS pin..." in done.stdout


def test_a_closed_pipe_is_no_failure() -> None:
    shell = f"{sys.executable} -m esptool --help | head -1"
    done = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", ["esptool.cfg", "setup.cfg", "tox.ini"])
def test_a_configuration_file_is_found_and_said(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("[esptool]\ntimeout = 4\nsyncc = 1\nbits = 2\n")
    done = subprocess.run(
        [*ESPTOOL, "version"], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert f"Loaded custom configuration from {tmp_path / name}" in done.stdout
    assert "WARNING: Ignoring unknown config options: bits, syncc" in done.stderr
    done = subprocess.run(
        [*ESPTOOL, "--json", "version"], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    told = {"level": "warning", "text": "Ignoring unknown config options: bits, syncc"}
    assert json.loads(done.stdout)["messages"] == [told]


def test_a_configuration_file_is_named_by_the_environment(tmp_path: Path) -> None:
    path = tmp_path / "mine.ini"
    path.write_text("[esptool]\ncustom_reset_sequence = F0|R1\n")
    done = run("--port", "virtual://esp32", "chip-id", ESPTOOL_CFGFILE=str(path))
    assert "(set with ESPTOOL_CFGFILE)" in done.stdout
    assert done.returncode == 2
    assert "Invalid custom reset sequence option format:" in done.stderr


def test_a_damaged_configuration_file_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "esptool.cfg"
    path.write_text("[esptool]\ntimeout = 4\ntimeout = 5\n")
    done = subprocess.run(
        [*ESPTOOL, "version"], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0
    assert f"Ignoring invalid config file {path}" in done.stderr
    assert "already exists" in done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_completion_scripts_exist_for_every_shell(shell: str) -> None:
    done = run(_ESPTOOL_COMPLETE=f"{shell}_source")
    assert "_ESPTOOL_COMPLETE" in done.stdout
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("line", "word", "offered"),
    [
        ("esptool wr", "wr", "write-flash"),
        ("esptool --baud 92", "92", "921600"),
        ("esptool --port vir", "vir", "virtual://"),
        ("esptool write-flash --fl", "--fl", "--flash-size"),
    ],
)
def test_completion_offers_commands_options_ports_and_rates(
    line: str, word: str, offered: str
) -> None:
    done = run(
        _ESPTOOL_COMPLETE="bash_complete", COMP_WORDS=line, COMP_CWORD=str(len(line.split()) - 1)
    )
    assert offered in done.stdout
    powershell = run(_ESPTOOL_COMPLETE="powershell_complete", COMP_WORDS=line, COMP_WORD=word)
    assert offered in powershell.stdout


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("flash_erase", "'erase-flash'"),
        ("flash-write", "'write-flash'"),
        ("region_erase", "'erase-region'"),
        ("chipid", "'chip-id'"),
    ],
)
def test_a_command_that_does_not_exist_names_the_one_that_is_meant(
    word: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        esptool.main([word])
    assert f"Did you mean {meant}?" in capsys.readouterr().err


# --- within a program --------------------------------------------------------------------------


def test_main_returns_none_and_raises_rather_than_exits(capsys: pytest.CaptureFixture[str]) -> None:
    assert esptool.main(["version"]) is None  # type: ignore[func-returns-value]
    with pytest.raises(esptool.FatalError, match="Could not open"):
        esptool.main(["--port", "/dev/no-such", "chip-id"])
    with pytest.raises(SystemExit) as wrong:
        esptool.main(["no-such"])
    assert wrong.value.code == 2


def test_several_command_lines_work_on_one_open_chip(capsys: pytest.CaptureFixture[str]) -> None:
    with esptool.connect_esp(port="virtual://esp32c3") as esp:
        for after in ("no-reset", "hard-reset", "no-reset"):
            esptool.main(["--no-stub", "--after", after, "read-mac"], esp)
        assert esp.read_mac()
    assert capsys.readouterr().out.count("MAC:") == 6


def test_no_chip_among_the_ports_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    ports = ["/dev/no-such-1", "/dev/no-such-2"]
    found = esptool.get_default_connected_device(ports, None, 1, 115200)
    assert found is None


def test_eight_chips_in_eight_threads() -> None:
    names = ("esp8266", "esp32", "esp32s2", "esp32s3", "esp32c3", "esp32c2", "esp32c6", "esp32h2")

    def work(name: str) -> tuple[str, bool]:
        data = name.encode() * 200
        with esptool.connect_esp(port=f"virtual://{name}") as esp:
            esptool.attach_flash(esp)
            esptool.write_flash(esp, [(0x10000, data)])
            if name == "esp8266":  # its ROM cannot read flash
                return esp.CHIP_NAME, True
            return esp.CHIP_NAME, esptool.read_flash(esp, 0x10000, len(data)) == data

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(work, names))
    assert [chip.lower().replace("-", "") for chip, _ in results] == list(names)
    assert all(same for _, same in results)

# SPDX-License-Identifier: Apache-2.0
"""`esptool monitor` and `--monitor` as a user starts them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, tzinfo
from pathlib import Path

import pytest

import esptool
from esptool.cli.monitor import screen
from esptool.errors import FatalError
from tests.cli.test_json import check

EMPTY = "virtual://esp32c3?timing=virtual"
RUNS = "virtual://esp32c3?timing=virtual&stub=emulated"


def monitor(*words: str) -> None:
    esptool.main(["monitor", *words, "--no-keys"])


def source_line(mark: str) -> int:
    text = (Path(__file__).parent / "programs/crash.c").read_text(encoding="utf-8")
    return next(n for n, line in enumerate(text.splitlines(), 1) if mark in line)


def test_what_is_expected_ends_it_and_what_does_not_come_is_an_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    monitor(EMPTY, "--expect", "Build:", "--timeout", "5")
    assert "Build:Feb  7 2021\n" in capsys.readouterr().out
    with pytest.raises(FatalError, match=r"'never' did not come within 1 s"):
        monitor("virtual://esp32c3?timing=virtual&boot=download", "--expect=never", "--timeout=1")
    with pytest.raises(FatalError, match=r"failed before 'never' came: There is no boot loader"):
        monitor(EMPTY, "--expect=never", "--timeout=9")
    # Who waits for the failure is content with it.
    monitor(EMPTY, "--expect", "invalid header", "--expect", "ESP-ROM", "--timeout", "9")


def test_a_rate_that_is_found_for_flashing_is_not_the_consoles(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["monitor", EMPTY, "--monitor-baud", "74880", "--no-keys", "--timeout", "0"]
    esptool.main(["--baud", "auto", *words])
    assert "at 74880 baud" in capsys.readouterr().out
    esptool.main(["--baud", "9600", *words])
    assert "at 9600 baud" in capsys.readouterr().out


@pytest.mark.parametrize("seconds", ["nan", "inf", "-1", "soon"])
def test_a_wait_without_an_end_is_refused(seconds: str) -> None:
    with pytest.raises(SystemExit) as ended:
        monitor(EMPTY, "--timeout", seconds)
    assert ended.value.code == 2


def test_a_record_a_line_is_shown_as_json(
    build: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    monitor(EMPTY, "--json", "--timeout", "0.3", "--expect", "(Build):", "--expect", "invalid")
    records = [check(json.loads(line)) for line in capsys.readouterr().out.splitlines()]
    lines = [r["text"] for r in records if r["event"] == "line"]
    assert lines[:2] == ["ESP-ROM:esp32c3-api1-20210207", "Build:Feb  7 2021"]
    assert next(r["reason"] for r in records if r["event"] == "panic") == "no-program"
    assert [r["state"] for r in records if r["event"] == "port"] == ["open"]
    document = records[-1]
    assert document.pop("event") == "result"
    assert check(document)["matched"] == ["Build:Feb  7 2021", "invalid header: 0xffffffff"]
    assert [f["reason"] for f in document["failures"]] == ["no-program"]


@pytest.mark.parametrize("words", [["--expect", "never"], ["--expect", "Xa", "--json"]])
def test_failures_have_codes_for_programs(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(FatalError):
        monitor(EMPTY, "--events", "--timeout", "0.1", *words)
    document = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert document.pop("event") == "result"
    error = check(document)["error"]
    assert error["code"] in ("program_failed", "not_seen")
    assert error["operands"]["expected"] == words[1]


def test_a_log_holds_what_was_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Clock(datetime):
        """A clock that is never read twice in one millisecond."""

        _past = 0

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Clock:
            cls._past += 1
            return cls(2026, 1, 2, microsecond=cls._past * 1000, tzinfo=tz)

    monkeypatch.setattr(screen, "datetime", Clock)
    log = tmp_path / "out.log"
    monitor(EMPTY, "--log", str(log), "--timestamps", "--timeout", "0.3")
    shown = capsys.readouterr().out.split("\n", 1)[1]
    assert log.read_text(encoding="utf-8") == shown
    assert shown.splitlines()[1].endswith(" ESP-ROM:esp32c3-api1-20210207")


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_a_log_holds_what_was_hidden(
    more: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "out.log"
    monitor(EMPTY, "--log", str(log), "--filter", "*:N", "--expect", "Build:", *more)
    assert "Build:" not in capsys.readouterr().out.partition('"event": "result"')[0]
    assert log.read_text(encoding="utf-8").count("Build:Feb  7 2021\n") == 1


@pytest.fixture
def image(build: Callable[[str], Path], tmp_path: Path) -> Path:
    out = tmp_path / "crash.bin"
    esptool.main(["--chip", "esp32c3", "elf2image", str(build("crash")), "-o", str(out)])
    return out


def test_a_crash_on_the_chip_names_file_and_line(
    build: Callable[[str], Path], image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("icicle")
    words = ["--chip", "esp32c3", "--port", RUNS, "--no-stub", "load-ram", str(image)]
    esptool.main([*words, "--monitor", "--elf", str(build("crash")), "--timeout", "0.5"])
    out = capsys.readouterr().out
    assert "E (13) demo: now\n" in out
    assert "--- The processor came to something that is no instruction.\n" in out
    line = source_line("// ILLEGAL")
    assert f": fail_inlined at {Path(__file__).parent}/programs/crash.c:{line}\n" in out
    assert "--- (inlined by) leaf at " in out


@pytest.mark.parametrize("timing", ["virtual", "fast"])
def test_a_program_in_flash_that_crashes_at_each_start_is_explained(
    timing: str, build: Callable[[str], Path], image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("icicle")
    url = f"virtual://esp32c3?timing={timing}&execute=yes"
    words = ["--chip", "esp32c3", "--port", url, "write-flash", "0", str(image)]
    wanted = ["--expect", "mcause=2", "--expect", "RTCWDT", "--expect", "demo: now"]
    esptool.main([*words, "--monitor", "--elf", str(build("crash")), *wanted, "--timeout", "60"])
    out = capsys.readouterr().out
    place = f"programs/crash.c:{source_line('// ILLEGAL')}\n"
    assert place in out.partition("RTCWDT")[0]
    # A chip that is not held up by a clock may have said more by the time it is read.
    assert out.count("E (13) demo: now\n") == 2 or timing == "fast"


def test_flash_is_written_again_when_a_person_asks_for_it(
    image: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from esptool.cli.monitor import keyboard

    asked = iter([keyboard.Wish.FLASH, keyboard.Wish.RESET, keyboard.Wish.EXIT])

    @contextmanager
    def types(board: keyboard.Keyboard) -> Iterator[None]:
        for wish in asked:
            board.wishes.put(wish)
        yield

    monkeypatch.setattr(keyboard.Keyboard, "listening", types)
    url = "virtual://esp32c3?timing=virtual&name=again"
    esptool.main(["--port", url, "write-flash", "0", str(image), "--monitor", "--timeout", "60"])
    out = capsys.readouterr().out
    assert out.count("Hash of data verified.") == 2
    assert out.count("Monitor on") == 1
    assert out.count("rst:0x1 (POWERON)") >= 2


def test_a_crash_ends_what_waits_for_something_else(
    build: Callable[[str], Path], image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("icicle")
    words = ["--chip", "esp32c3", "--port", RUNS, "--no-stub", "load-ram", str(image)]
    with pytest.raises(FatalError, match="failed before 'all tests passed' came"):
        esptool.main([*words, "--monitor", "--expect", "all tests passed", "--timeout", "60"])
    assert "demo: now" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--elf", "{missing}"], "does not exist"),
        (["--elf", "{text}"], "is not an ELF file"),
        (["--expect", "("], "not a regular expression"),
        (["--filter", "wifi:Q"], "is not a filter"),
    ],
)
def test_wrong_options_are_refused_before_the_port_is_touched(
    words: list[str], text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text").write_text("no elf")
    given = [w.format(missing=tmp_path / "missing", text=tmp_path / "text") for w in words]
    with pytest.raises((FatalError, SystemExit)) as caught:
        monitor("/dev/there-is-no-such-port", *given)
    assert text in str(caught.value) + capsys.readouterr().err


def test_options_of_the_monitor_need_it() -> None:
    with pytest.raises(FatalError, match="need --monitor"):
        esptool.main(["--port", EMPTY, "run", "--expect", "x"])


@pytest.mark.parametrize("name", ["by-folder", "other-build"])
def test_the_elf_file_is_found_by_what_the_program_says_of_itself(
    name: str,
    build: Callable[[str], Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from esptool.monitor.builds import Builds
    from esptool.monitor.decoder import Decoder
    from esptool.monitor.elfdata import ElfData

    elf = ElfData.load(build("crash"))
    line = f"I (30) app_init: ELF file SHA256:  {elf.sha256[:9]}..."
    folder = tmp_path / "build" / "deep"
    folder.mkdir(parents=True)
    (folder / "app.elf").write_bytes(elf.data)
    (folder / "other.elf").write_bytes(build("crash-O2").read_bytes())
    if name == "by-folder":
        decoder = Decoder(Builds([str(tmp_path)]))
        (note,) = decoder.feed(line)
        assert note.kind == "build"
        assert "app.elf" in note.lines[0]
        assert decoder.feed(f"MEPC    : 0x{elf.entry:08x}")[0].kind == "address"
    else:
        decoder = Decoder(Builds([str(folder / "other.elf")]))
        (note,) = decoder.feed(line)
        assert not note.data["matches"]
        assert "not the file of the program that runs" in note.lines[0]
    assert decoder.feed(line) == []

# SPDX-License-Identifier: Apache-2.0
"""The logger: on a terminal, in a file, replaced by the caller's own."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import Any

import pytest

from esptool.events import Connecting, Level, Message, Progress, Stage
from esptool.logger import EsptoolLogger, TemplateLogger, log
from esptool.render import Renderer


class Terminal(io.StringIO):
    """A stream that calls itself a terminal."""

    WIDTH = 80

    def isatty(self) -> bool:
        return True

    def screen(self) -> list[str]:
        """What a person sees: carriage returns, line erasure and cursor-up are obeyed."""
        lines, row, column = [""], 0, 0
        for part in re.split(r"(\x1b\[\d*[A-Za-z]|\r|\n)", self.getvalue()):
            if part == "\n":
                row, column = row + 1, 0
                if row == len(lines):
                    lines.append("")
            elif part == "\r":
                column = 0
            elif part == "\x1b[1A":
                row -= 1
            elif part == "\x1b[2K":
                lines[row] = ""
            elif not part.startswith("\x1b["):
                for character in part:
                    if column == self.WIDTH:
                        row, column = row + 1, 0
                        if row == len(lines):
                            lines.append("")
                    lines[row] = lines[row][:column].ljust(column) + character
                    column += 1
        return [line for line in lines if line]


@pytest.fixture(autouse=True)
def fresh_logger(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    logger = EsptoolLogger()
    logger.set_verbosity("auto")
    logger.stage(finish=True)
    yield
    EsptoolLogger().set_verbosity("auto")


def on_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Put a terminal in place of both streams. (Not a fixture: pytest would undo it.)"""
    stream = Terminal()
    monkeypatch.setattr("sys.stdout", stream)
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    return stream


def test_a_finished_stage_leaves_the_screen_of_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    log.print("before")
    log.stage()
    log.print("Connecting...", end="")
    log.print("")
    log.print("x" * 200)
    log.progress_bar(1, 2, prefix="Reading ")
    log.stage(finish=True)
    log.print("after")
    assert terminal.screen()[0] == "before"
    assert terminal.screen()[-1] == "after"
    assert not any("Connecting" in line or "Reading" in line for line in terminal.screen())


def test_a_warning_in_a_stage_stays_on_the_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    log.stage()
    log.print("detail")
    log.warning("look here")
    log.print("more detail")
    log.stage(finish=True)
    assert [line for line in terminal.screen() if "look here" in line]


def test_verbose_keeps_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    log.set_verbosity("verbose")
    log.stage()
    log.print("detail")
    log.stage(finish=True)
    assert terminal.screen() == ["detail"]


def test_a_bar_moves_in_place_and_ends_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    for done in range(5):
        log.progress_bar(done, 4, prefix="Writing at 0x00001000 ", suffix=" 1/4 kB")
    log.print("done")
    assert len(terminal.screen()) == 2
    assert re.fullmatch(r"Writing at 0x00001000 ━+ 100\.0% 1/4 kB", terminal.screen()[0])


@pytest.mark.parametrize(
    ("columns", "shown"),
    [("80", " 1.0kB/4.0kB, 1:05 left"), ("56", " 1:05 left"), ("40", " 1:05"), ("30", "")],
)
@pytest.mark.parametrize("no_color", [False, True])
def test_a_bar_ends_with_the_time_left_as_far_as_there_is_room(
    columns: str, shown: str, no_color: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = on_terminal(monkeypatch)
    monkeypatch.setenv("COLUMNS", columns)
    if no_color:
        monkeypatch.setenv("NO_COLOR", "1")
    show = Renderer()
    show(Progress("Writing at", 0x1000, 1024, 4096, "1.0kB/4.0kB", 64.2))
    assert re.search(r" 25\.0%(.*)", terminal.screen()[0])[1] == shown  # type: ignore[index]
    assert len(terminal.screen()[0]) < int(columns)
    assert ("\x1b[36m" in terminal.getvalue()) is not no_color
    show(Progress("Writing at", 0x2000, 4096, 4096, "4.0kB/4.0kB", 1.0))
    assert "left" not in terminal.screen()[0]


def test_redirected_bars_say_nothing_of_the_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    show = Renderer()
    show(Progress("Writing at", 0x1000, 1024, 4096, "1.0kB/4.0kB", 64.2))
    show(Progress("Writing at", 0x1000, 2048, 4096, "2.0kB/4.0kB", 3700.0))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("%")[1] for line in lines] == [" 1.0kB/4.0kB", " 2.0kB/4.0kB"]


@pytest.mark.parametrize("columns", ["20", "40", "60"])
def test_a_bar_never_wraps_on_a_narrow_terminal(
    columns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = on_terminal(monkeypatch)
    monkeypatch.setenv("COLUMNS", columns)
    log.progress_bar(1, 2, prefix="W 0x1000 ", suffix="1.00kB/2.00kB", bar_length=30)
    assert [len(line) <= int(columns) for line in terminal.screen()] == [True]


def test_a_file_gets_neither_colours_nor_carriage_returns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setattr("sys.stdout", out)
    monkeypatch.setattr("sys.stderr", err)
    log.stage()
    log.print("kept")
    log.note("note")
    log.warning("warning")
    log.error("error")
    for done in range(1001):
        log.progress_bar(done, 1000, prefix="Writing ")
    log.stage(finish=True)
    assert "\r" not in out.getvalue() + err.getvalue()
    assert "\x1b" not in out.getvalue() + err.getvalue()
    lines = out.getvalue().splitlines()
    assert lines[:2] == ["kept", "NOTE: note"]
    assert err.getvalue() == "WARNING: warning\nERROR: error\n"


@pytest.mark.parametrize(("step_s", "expected"), [(0.0, 11), (0.01, 20), (10.0, 101)])
def test_redirected_progress_has_a_line_for_each_tenth_and_each_second(
    step_s: float, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, now = io.StringIO(), [100.0]
    monkeypatch.setattr("sys.stdout", out)
    monkeypatch.setattr(EsptoolLogger(), "_now", lambda: now[0])
    for done in range(1001):
        log.progress_bar(done, 1000, prefix="Writing ")
        now[0] += step_s
    lines = out.getvalue().splitlines()
    assert len(lines) <= expected
    assert len(lines) >= 11
    assert lines[0].split() == ["Writing", "0.0%"]
    assert lines[-1].endswith("100.0%")


def test_colour_obeys_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    log.warning("coloured")
    assert "\x1b[" in terminal.getvalue()
    terminal.truncate(0)
    monkeypatch.setenv("NO_COLOR", "1")
    log.warning("plain")
    assert "\x1b[" not in terminal.getvalue()


def test_silence_leaves_errors(capsys: pytest.CaptureFixture[str]) -> None:
    log.set_verbosity("silent")
    log.print("a")
    log.note("b")
    log.warning("c")
    log.progress_bar(1, 2)
    log.error("d")
    seen = capsys.readouterr()
    assert (seen.out, seen.err) == ("", "ERROR: d\n")


def test_the_stream_is_looked_up_at_every_call(monkeypatch: pytest.MonkeyPatch) -> None:
    class Minimal:
        """All that some callers put in place of standard output."""

        def __init__(self) -> None:
            self.text = ""

        def write(self, text: str) -> None:
            self.text += text

    for _ in range(2):
        stream = Minimal()
        monkeypatch.setattr("sys.stdout", stream)
        log.print("seen")
        assert stream.text == "seen\n"


def test_text_that_the_stream_cannot_hold_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii", write_through=True)
    monkeypatch.setattr("sys.stdout", stream)
    log.print("Größe")
    log.progress_bar(1, 1, prefix="Writing ", bar_length=4)
    assert raw.getvalue() == b"Gr??e\nWriting ==== 100.0%\n"


class Recorder(TemplateLogger):
    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = []

    def print(self, *args: Any, **kwargs: Any) -> None:
        self.calls.append(("print", args))

    def note(self, message: str) -> None:
        self.calls.append(("note", (message,)))

    def warning(self, message: str) -> None:
        self.calls.append(("warning", (message,)))

    def error(self, message: str) -> None:
        self.calls.append(("error", (message,)))

    def stage(self, finish: bool = False) -> None:
        self.calls.append(("stage", (finish,)))

    def progress_bar(
        self,
        cur_iter: int,
        total_iters: int,
        prefix: str = "",
        suffix: str = "",
        bar_length: int = 30,
    ) -> None:
        self.calls.append(("bar", (cur_iter, total_iters, prefix)))

    def set_verbosity(self, verbosity: str) -> None:
        self.calls.append(("verbosity", (verbosity,)))


def test_a_replacement_gets_every_event_and_the_default_can_come_back(
    capsys: pytest.CaptureFixture[str],
) -> None:
    recorder = Recorder()
    log.set_logger(recorder)
    try:
        show = Renderer()
        show(Stage("a"))
        show(Message("text"))
        show(Message("note", Level.NOTE))
        show(Message("warn", Level.WARNING))
        show(Progress("Writing", 0x1000, 1, 2))
        show(Connecting(1))
        show(Stage("a", done=True))
        log.err("failed", "try again")
    finally:
        log.set_logger(EsptoolLogger())
    assert recorder.calls == [
        ("stage", (False,)),
        ("print", ("text",)),
        ("note", ("note",)),
        ("warning", ("warn",)),
        ("bar", (1, 2, "Writing at 0x00001000 ")),
        ("print", ("Connecting........",)),
        ("stage", (True,)),
        ("error", ("failed try again",)),
    ]
    log.print("back")
    assert capsys.readouterr().out == "back\n"


def test_a_logger_that_lacks_methods_is_refused() -> None:
    with pytest.raises(TypeError, match="must implement the TemplateLogger interface"):
        log.set_logger(object())


def test_an_unknown_verbosity_is_refused() -> None:
    with pytest.raises(ValueError, match="loud"):
        log.set_verbosity("loud")

# SPDX-License-Identifier: Apache-2.0
"""Programs built on the `esp_pylib` package and on esptool meet one logger and one error class."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest

from esptool.logger import EsptoolLogger, TemplateLogger, log
from tests.support import oracle

#: The package stands behind ours on the path, so that the public tool beside it is not found.
_BEHIND = "import sys; sys.path.append({site!r}); "


def run(code: str) -> str:
    """What a fresh interpreter prints that also has `esp_pylib`."""
    ask = "import esp_pylib, os; print(os.path.dirname(os.path.dirname(esp_pylib.__file__)))"
    site = subprocess.check_output([oracle.python(), "-c", ask], text=True).strip()
    words = [sys.executable, "-c", _BEHIND.format(site=site) + code]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "first",
    [
        "import esptool.logger; from esp_pylib.logger import EspLog",
        "from esp_pylib.logger import EspLog; import esptool.logger",
    ],
    ids=["esptool first", "esp_pylib first"],
)
def test_either_order_of_import_gives_one_logger(first: str) -> None:
    assert run(
        f"{first}\n"
        "import esp_pylib.logger\n"
        "print(type(EspLog.instance).__name__, EspLog.instance is esptool.logger.EsptoolLogger())\n"
        "print(esptool.logger.log is esp_pylib.logger.log)\n"
        "esp_pylib.logger.log.set_verbosity('silent')\n"
        "esptool.logger.log.print('not seen')\n"
    ).split() == ["EsptoolLogger", "True", "True"]


def test_a_logger_installed_there_gets_what_esptool_says() -> None:
    lines = run(
        "import esptool.logger\n"
        "from esp_pylib.logger import EspLog, EspLogBase\n"
        "class Mine(EspLogBase):\n"
        "    def print(self, *args, **kwargs): print('mine', *args)\n"
        "    note = warn = err = hint = debug = print\n"
        "    def progress_bar(self, *args, **kwargs): print('bar', args[:2])\n"
        "    def set_verbosity(self, mode): pass\n"
        "EspLog.set_logger(Mine())\n"
        "log = esptool.logger.log\n"
        "log.print('one'); log.warning('two'); log.error('three'); log.stage()\n"
        "with log.progress(2, 'work') as task: task.update()\n"
    ).splitlines()
    assert lines == ["mine one", "mine two", "mine three", "bar (1, 2)", "bar (2, 2)"]


def test_who_came_first_keeps_its_logger() -> None:
    assert run(
        "from esp_pylib.logger import EspLog\n"
        "mine = EspLog()\n"
        "import esptool.logger\n"
        "print(EspLog.instance is mine)\n"
    ).split() == ["True"]


def test_the_module_keeps_its_own_loader() -> None:
    # Tracebacks and debuggers ask it for the source.
    found = run(
        "import esptool.logger, esp_pylib.logger, inspect\n"
        "print(len(inspect.getsource(esp_pylib.logger.EspLogBase)) > 100)\n"
        "print(type(esp_pylib.logger.__spec__.loader).__name__)\n"
    )
    assert found.split() == ["True", "SourceFileLoader"]


@pytest.mark.parametrize("first", ["esptool", "esp_pylib.errors"])
def test_our_errors_are_caught_as_theirs(first: str) -> None:
    code = (
        f"import {first}\n"
        "import esptool, esp_pylib.errors\n"
        "print(issubclass(esptool.FatalError, esp_pylib.errors.FatalError))\n"
    )
    assert run(code).split() == ["True"]


# --- what the logger itself offers ---------------------------------------------------------------


@pytest.fixture(autouse=True)
def default_logger() -> None:
    EsptoolLogger().set_verbosity("auto")


def test_die_shows_the_failure_and_ends(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        log.die("no", "good", exit_code=3)
    assert end.value.code == 3
    assert capsys.readouterr().err == "ERROR: no good\n"


def test_a_bar_shows_sizes_and_is_full_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    with log.progress(total=2048, description="Reading", unit="B") as task:
        task.update(advance=512)
        task.update(advance=512, description="More")
    first, second, last = capsys.readouterr().out.splitlines()
    assert first.startswith("Reading ")
    assert first.endswith("  25.0% 512B/2.00kB [0s]")
    assert second.startswith("More ")
    assert second.endswith("  50.0% 1.00kB/2.00kB [0s]")
    assert last.endswith(" 100.0% 2.00kB/2.00kB [0s]")


def test_a_bar_that_an_error_ends_is_not_filled(capsys: pytest.CaptureFixture[str]) -> None:
    def break_off() -> None:
        with log.progress(4, "Things") as task:
            task.update()
            raise KeyError

    with pytest.raises(KeyError):
        break_off()
    assert capsys.readouterr().out.count("\n") == 1


def test_a_disabled_bar_draws_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with log.progress(4, "Things", disable=True) as task:
        task.update(4)
    with log.counter("Things", disable=True) as count:
        count.update()
    assert capsys.readouterr().out == ""


def test_a_counter_counts(capsys: pytest.CaptureFixture[str]) -> None:
    with log.counter("Files") as count:
        count.update()
        count.update(advance=2, description="More")
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["Files: 0 [0s]", "Files: 1 [0s]", "More: 3 [0s]"]


def test_bars_notes_and_messages_go_to_the_streams_that_were_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    bars, notes, messages = io.StringIO(), io.StringIO(), io.StringIO()
    with log.progress(2, "Work", file=bars) as task:
        task.update(2)
    log.set_info_stream(notes)
    log.note("told", 1)
    log.set_info_stream(None)
    log.set_console_options(file=messages)
    log.print("here")
    log.set_console_options()
    log.note("at last")
    assert "Work " in bars.getvalue()
    assert notes.getvalue() == "NOTE: told 1\n"
    assert messages.getvalue() == "here\n"
    assert capsys.readouterr().out == "NOTE: at last\n"


class Collector(TemplateLogger):
    """A logger with the seven methods that one must have."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def print(self, *args: object, **kwargs: object) -> None:
        self.lines.append(" ".join(map(str, args)))

    def note(self, message: str) -> None:
        self.lines.append(f"note {message}")

    def warning(self, message: str) -> None:
        self.lines.append(f"warning {message}")

    def error(self, message: str) -> None:
        self.lines.append(f"error {message}")

    def stage(self, finish: bool = False) -> None:
        pass

    def progress_bar(
        self,
        cur_iter: int,
        total_iters: int,
        prefix: str = "",
        suffix: str = "",
        bar_length: int = 30,
    ) -> None:
        self.lines.append(f"bar {prefix}{cur_iter}/{total_iters}")

    def set_verbosity(self, verbosity: str) -> None:
        pass


def test_a_logger_of_seven_methods_serves_all_names() -> None:
    collector = Collector()
    before = log.progress_bar
    try:
        log.set_logger(collector)
        assert log.progress_bar.__self__ is collector is not before.__self__  # type: ignore[attr-defined]
        log.hint("a")
        log.warn("b")
        log.err("c")
        with log.progress(2, "d") as task:
            task.update()
        with log.counter("e"):
            pass
        with pytest.raises(SystemExit):
            log.die("f")
    finally:
        EsptoolLogger()
    assert collector.lines == [
        *("note a", "warning b", "error c", "bar d 1/2", "bar d 2/2"),
        *("e: 0 [0s]", "error f"),
    ]

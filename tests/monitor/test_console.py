# SPDX-License-Identifier: Apache-2.0
"""Lines, filters, scripts and keys, however the bytes come."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esptool.cli.monitor.keyboard import Keys, Wish
from esptool.errors import UsageError
from esptool.monitor.builds import Builds
from esptool.monitor.console import Console
from esptool.monitor.decoder import Decoder, Note
from esptool.monitor.log_lines import Filter, parse, plain
from esptool.monitor.script import Script, expected, sent


class Told:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.shown = ""
        self.lines: list[tuple[str, bool]] = []
        self.explained: list[Note] = []
        self.starts_right = True

    def text(self, text: str, *, begins: bool) -> None:
        self.starts_right &= begins == (not self.shown or self.shown.endswith("\n"))
        self.shown += text

    def line(self, line: str, shown: bool) -> None:
        self.lines.append((line, shown))

    def notes(self, notes: Sequence[Note]) -> None:
        self.explained += notes


def console(*filters: str) -> tuple[Console, Told]:
    told = Told()
    return Console(Decoder(Builds([])), told, Filter(filters)), told


LOG = (
    b"ets Jul 29 2019\r\n\r\nI (29) boot: ESP-IDF v5.5\r\n\x1b[0;31mE (31) wifi: no\x1b[0m\r\n"
    b"plain 0x40380010 text\r\nGr\xc3\xbc\xc3\x9fe \xff\r\nesp> "
)


@given(st.lists(st.integers(0, len(LOG)), max_size=12), st.booleans(), st.booleans())
def test_what_is_shown_does_not_depend_on_how_the_bytes_are_cut(
    cuts: list[int], lines_wanted: bool, idle: bool
) -> None:
    machine, told = console()
    machine.lines_wanted = lines_wanted
    places = [0, *sorted(cuts), len(LOG)]
    for start, end in itertools.pairwise(places):
        machine.feed(LOG[start:end])
        if idle:
            machine.idle()
    machine.idle()
    assert told.shown == LOG.decode("utf-8", "replace").replace("\r\n", "\n")
    assert told.starts_right
    machine.end()
    if lines_wanted:
        assert [line for line, _ in told.lines] == [
            plain(line) for line in LOG.decode("utf-8", "replace").split("\r\n")
        ]


@pytest.mark.parametrize(
    ("filters", "hidden"),
    [
        ((), []),
        (("*:W",), ["I (29) boot: ESP-IDF v5.5"]),
        (("wifi:N",), ["E (31) wifi: no"]),
        (("boot:I *:N",), ["E (31) wifi: no", "ets Jul 29 2019", "", "plain 0x40380010 text"]),
        (("wifi",), []),
    ],
)
def test_filters_hide_lines_by_tag_and_level(filters: Sequence[str], hidden: list[str]) -> None:
    machine, told = console(*filters)
    machine.feed(LOG)
    machine.end()
    if hidden:
        assert set(hidden) <= {line for line, shown in told.lines if not shown}
    assert all(line not in told.shown for line in hidden if line)
    assert "I (29) boot" in told.shown or "I (29) boot: ESP-IDF v5.5" in hidden


@pytest.mark.parametrize("text", ["a:X", ":W", "a:WW", ""])
def test_what_is_no_filter_is_refused(text: str) -> None:
    if text:
        with pytest.raises(UsageError, match="filter"):
            Filter([text])


def test_lines_of_the_log_say_level_time_and_tag() -> None:
    found = parse("W (12:34:56.789) my tag: x: y")
    assert found is not None
    assert (found.level_name, found.time, found.tag) == ("warning", "12:34:56.789", "my tag")
    assert parse("WARNING: nothing") is None
    assert parse("I (1)") is None


def test_a_failure_is_explained_once_in_full_and_then_in_short() -> None:
    machine, told = console()
    crash = b"Guru Meditation Error: Core  0 panic'ed (LoadProhibited). Exception was unhandled.\n"
    machine.feed(crash + b"EXCVADDR: 0x00000008  LBEG    : 0x00000000\n")
    assert [note.kind for note in told.explained] == ["panic", "hint"]
    assert told.explained[0].data["reason"] == "load-access"
    assert "8 bytes behind" in told.explained[1].lines[0]
    machine.feed(b"Brownout detector was triggered\n" + crash)
    assert told.explained[2].data["reason"] == "brown-out"
    assert len(told.explained[3].lines) == 1


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("Guru Meditation Error: Core  1 panic'ed (Interrupt wdt timeout on CPU1).", "interrupt"),
        ("Guru Meditation Error: Core  0 panic'ed (Store access fault).", "store-access"),
        ("Guru Meditation Error: Core  0 panic'ed (IllegalInstruction).", "illegal-instruction"),
        ("Guru Meditation Error: Core  0 panic'ed (Stack protection fault).", "stack-overflow"),
        ("Guru Meditation Error: Core  0 panic'ed (Cache error). ", "cache-disabled"),
        ("Guru Meditation Error: Core  0 panic'ed (Something new). ", "exception"),
        ("***ERROR*** A stack overflow in task main has been detected.", "stack-overflow"),
        ("Stack smashing protect failure!", "stack-smashed"),
        ("E BOD: Brownout detector was triggered", "brown-out"),
        ("CORRUPT HEAP: Bad tail at 0x3ffb5d20. Expected 0xbaad5678 got 0xbaad5600", "heap"),
        ("E (10254) task_wdt: Task watchdog got triggered.", "task-watchdog"),
        ("abort() was called at PC 0x400d1f5e on core 0", "abort"),
        ("assert failed: app_main main.c:12 (x > 0)", "assertion"),
        ("up_assert: Assertion failed at file:main.c line: 9", "assertion"),
        ("thread 'main' panicked at src/main.rs:12:5:", "rust-panic"),
        (">>> ZEPHYR FATAL ERROR 0: CPU exception on CPU 0", "zephyr-fatal"),
        ("ESP_ERROR_CHECK failed: esp_err_t 0x101 (ESP_ERR_NO_MEM) at 0x4200733c", "error-check"),
        ("rst:0x8 (TG1WDT_SYS_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)", "watchdog-reset"),
        ("Exception (28):", "load-access"),
        ("Soft WDT reset", "watchdog-reset"),
        ("invalid header: 0xffffffff", "no-program"),
        ("flash read err, 1000", "flash-read"),
    ],
)
def test_reasons_are_told_in_words(line: str, code: str) -> None:
    machine, told = console()
    machine.feed(line.encode() + b"\r\n")
    assert told.explained
    assert told.explained[0].data["reason"].startswith(code)
    assert all(told.explained[0].lines)


@pytest.mark.parametrize(
    "line", ["I (29) wifi: stack size 4096", "rst:0x1 (POWERON_RESET),boot:0x13", "an exception"]
)
def test_ordinary_lines_are_no_failures(line: str) -> None:
    machine, told = console()
    machine.feed(line.encode() + b"\r\n")
    assert told.explained == []


@pytest.mark.parametrize("lines_wanted", [False, True])
def test_what_is_no_text_brings_one_hint_about_the_rate(lines_wanted: bool) -> None:
    machine, told = console()
    machine.lines_wanted = lines_wanted
    machine.feed(LOG * 20)
    assert [n for n in told.explained if n.kind == "hint"] == []
    for seed in range(40):
        machine.feed(bytes((seed * 7 + i * 37) % 128 + 128 for i in range(50)))
    assert [n.data["hint"] for n in told.explained if n.kind == "hint"] == ["baud-rate"]


@pytest.mark.parametrize("lines_wanted", [False, True])
def test_a_line_without_end_is_shown_whole_and_kept_short(lines_wanted: bool) -> None:
    machine, told = console()
    machine.lines_wanted = lines_wanted
    piece = b"0123456789abcdef" * 64
    for _ in range(2000):
        machine.feed(piece)
        assert len(machine._tail) <= 2 << 20
    machine.end()
    assert told.shown.replace("\n", "") == piece.decode() * 2000


def test_steps_are_done_in_their_order() -> None:
    out: list[bytes] = []
    script = Script(
        [sent("a", "\r"), expected("one.*"), sent(r"b\x1b\n", ""), expected("two")], out.append
    )
    script.go()
    assert out == [b"a\r"]
    assert not script.see("two")
    assert script.see("it is one of them")
    assert out == [b"a\r", b"b\x1b\n"]
    assert script.waits
    assert script.see("two")
    assert not script.waits


def test_a_pattern_that_is_none_is_refused_with_a_remedy() -> None:
    with pytest.raises(UsageError, match="backslash"):
        expected("f(")


def test_keys_are_those_of_the_monitor_of_esp_idf() -> None:
    keys = Keys("\r\n")
    assert list(keys.take("ab\x14\x12c")) == ["ab", Wish.RESET, "c"]
    assert list(keys.take("\x14")) == []
    assert list(keys.take("\x08")) == [Wish.HELP]
    assert list(keys.take("\x14\x14\x14\x1d\x03\r")) == ["\x14\x1d\x03\r\n"]
    assert list(keys.take("\x14p\x14f\x14\x19\x14l\x14i\x14x\x14q")) == [
        *(Wish.BOOT_LOADER, Wish.FLASH, Wish.PAUSE, Wish.LOG, Wish.TIMESTAMPS, Wish.EXIT),
        Wish.UNKNOWN,
    ]
    assert list(keys.take("\x1d")) == [Wish.EXIT]


@pytest.mark.parametrize("text", [r"a\qb", "end\\", r"\x4", r"\xzz", "\\é"])
def test_an_escape_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not an escape that can be sent"):
        sent(text, "\r")


def test_escapes_are_bytes() -> None:
    assert sent(r"é\xff\\n\0", "\n").data == b"\xc3\xa9\xff\\n\0\n"

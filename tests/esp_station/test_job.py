# SPDX-License-Identifier: Apache-2.0
"""A job is checked whole before the first board: every mistake by file and line, with a remedy."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esp_station.job import parse_slot, read_job
from esp_station.template import Template
from esp_station.tomlfile import key_lines
from esptool.errors import FatalError, UsageError

from .support import HEAD, STEPS, write_job

#: What is changed in a good job, the line of it that is named, and what is said.
MISTAKES: list[tuple[str, str, str, str]] = [
    ('chip = "esp32s3"', 'chip = "esp32s9"', "chip = ", "Unknown chip 'esp32s9'"),
    ('chip = "esp32s3"', "", "", "'chip' is missing."),
    ('product = "lamp"', "product = 7", "product = ", "'product' must be text."),
    ('product = "lamp"', 'produkt = "lamp"', "produkt", "Did you mean 'product'?"),
    ('key = "serial"', 'key = "serail"', "rows = ", "no column 'serail'"),
    ('record = ["batch"]', 'record = ["bach"]', "record", "Did you mean 'batch'?"),
    ('rows = "boards.csv"', 'rows = "none.csv"', "rows", "Cannot read the rows"),
    ('rows = "boards.csv"', 'rows = "mysql://x/y"', "rows", "postgresql+psycopg"),
    ('factory = "app.bin"', 'factory = "none.bin"', "factory", "none.bin"),
    ('factory = "app.bin"', 'factori = "app.bin"', "factori", "Did you mean 'factory'?"),
    ('factory = "app.bin"', '0x8000 = "app.bin"', "[images]", "overlap"),
    ('factory = "app.bin"', 'nvs = "app.bin"', "nvs =", "only 16384"),
    ('do = "write"', 'do = "wright"', "wright", "Did you mean 'write'?"),
    ('do = "write"', 'do = "verify"', "[[step]]", "Put it behind 'write'"),
    ('do = "nvs"', 'do = "erase"', "[[step]]", "what it wrote would be lost"),
    ("{row.token}", "{row.tokens}", "values", "Did you mean 'row.token'?"),
    ("{row.token}", "{row.token", "values", "begins or ends no place"),
    ('"app.serial"', '"serial"', "values", "NAMESPACE.KEY"),
    ('"{row.serial}"', '{ type = "u8", value = "{row.serial}" }', "[data]", "is not a number"),
    ('"{row.serial}"', '{ typ = "u8", value = "7" }', "values", "Did you mean 'type'?"),
    ('"{row.serial}"', "7", "values", 'Write { type = "u32", value = 7 }.'),
    ('do = "write"', 'do = "recipe"\nfile = "app.bin"', "[[step]]", "is not UTF-8"),
    ('do = "write"', 'do = "boot"\nexpect = ["("]', "expect", "not a regular expression"),
    ('do = "write"', 'do = "boot"', "[[step]]", "Nothing is expected"),
    ('do = "write"', 'do = "boot"\nexpect = ["x"]\ntimeout = -1', "timeout", "from 0.1 to 3600"),
    ('do = "write"', 'do = "boot"\nexpect = ["x"]\ntimeout = nan', "timeout", "from 0.1 to 3600"),
    (
        'do = "write"',
        'do = "boot"\n[step.values]\nmv = { regex = "(.*)", max = nan }\n[[step]]\ndo = "write"',
        "mv",
        "must be a finite number",
    ),
    (
        'do = "write"',
        'do = "boot"\n[step.values]\nmv = { regex = "(.*)", min = 2, max = 1 }',
        "mv",
        "no value is between",
    ),
    ('do = "write"', 'do = "hook"\ncommand = ["no-such-program"]', "command", "Is it installed"),
    ('do = "write"', 'do = "label"\ntext = "x"', "[[step]]", "one of `to`, `printer`"),
    ('do = "write"', 'do = "read-back"', "[[step]]", "needs a `partition`"),
    ('do = "write"', 'do = "files"\npartition = "storage"', "[[step]]", "has no files"),
    ('do = "write"', 'do = "test-ram"\nimage = "boards.csv"\nexpect = ["x"]', "image", ""),
    ('chip = "esp32s3"', 'chip = "esp32s3"\nbaud = "fast"', "baud", "'baud' is a number"),
    ('chip = "esp32s3"', 'chip = "esp32s3"\nrevisions = { min = "x" }', "revisions", "v1.2"),
    ('chip = "esp32s3"', 'chip = "esp32s3"\nrecords = 1', "records", "must be text"),
]


def _line_with(text: str, words: str) -> set[int]:
    return {n for n, line in enumerate(text.splitlines(), 1) if words and words in line} or {1}


@pytest.mark.parametrize(("old", "new", "where", "said"), MISTAKES)
def test_a_mistake_is_named_with_its_line(
    tmp_path: Path, old: str, new: str, where: str, said: str
) -> None:
    path = write_job(tmp_path)
    text = path.read_text()
    assert old in text
    text = text.replace(old, new, 1)
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        read_job(str(path))
    message = str(caught.value)
    assert said in message
    lines = {f"line {n}:" for n in _line_with(text, where)}
    assert any(f"{path}, {line}" in message for line in lines), message


@pytest.mark.parametrize(
    ("slot", "said"),
    [
        ('name = "1"', "needs one of port, usb, serial, any"),
        ('port = "socket://x"', "does not say where"),
        ('port = "x"\nusb = "1-2"', "needs one of"),
        ('prot = "x"', "needs one of"),
        ('any = ["vib=1"]', "Unknown port filter key"),
        ('name = "a"\nport = "x"\n[[slot]]\nname = "a"\nport = "y"', "Two slots are called 'a'"),
        ('name = "a"\nport = "x"\n[[slot]]\nname = "b"\nport = "x"', "are the same place"),
    ],
)
def test_a_slot_names_one_place(tmp_path: Path, slot: str, said: str) -> None:
    path = write_job(tmp_path, STEPS + f"\n[[slot]]\n{slot}\n")
    with pytest.raises(UsageError, match=said):
        read_job(str(path))


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    path = write_job(tmp_path)
    text = path.read_text().replace('"lamp"', "5").replace('do = "nvs"', 'do = "nsv"')
    path.write_text(text.replace("app.bin", "none.bin"))
    with pytest.raises(UsageError, match="has 3 mistakes; no board was touched"):
        read_job(str(path))


def test_rows_that_cannot_be_read_are_one_mistake(tmp_path: Path) -> None:
    path = write_job(tmp_path)
    path.write_text(path.read_text().replace('"boards.csv"', '"none.csv"'))
    with pytest.raises(UsageError, match="has a mistake; no board was touched") as caught:
        read_job(str(path))
    assert "none.csv" in str(caught.value)


def test_a_file_that_is_no_toml_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "job.toml"
    path.write_text('product = "lamp"\nchip esp32\n')
    with pytest.raises(UsageError, match="line 2"):
        read_job(str(path))
    with pytest.raises(FatalError, match="No such file"):
        read_job(str(tmp_path / "none.toml"))


def test_the_hash_is_that_of_everything_but_the_rows(tmp_path: Path) -> None:
    path = write_job(tmp_path)
    first = read_job(str(path)).hash
    write_job(tmp_path, rows=30)
    assert read_job(str(path)).hash == first
    write_job(tmp_path, app=b"another application")
    assert read_job(str(path)).hash != first


def test_checking_a_job_writes_nothing(tmp_path: Path) -> None:
    path = write_job(tmp_path)
    database = sqlite3.connect(tmp_path / "rows.db")
    database.execute("CREATE TABLE boards (serial INTEGER, token TEXT, batch TEXT)")
    database.commit()
    database.close()
    text = path.read_text()
    path.write_text(text.replace('"boards.csv"', '"rows.db"'))
    before = {p: p.read_bytes() for p in tmp_path.iterdir()}
    job = read_job(str(path))
    assert job.rows is not None
    job.rows.close()
    after = {p: p.read_bytes() for p in tmp_path.iterdir() if not p.name.endswith(("-wal", "-shm"))}
    tables = sqlite3.connect(tmp_path / "rows.db").execute("SELECT name FROM sqlite_master")
    assert [name for (name,) in tables] == ["boards"]
    assert {p.name for p in after} == {p.name for p in before}


def test_slots_of_a_command_line() -> None:
    assert parse_slot("left=/dev/ttyUSB0").name == "left"
    url = "virtual://esp32s3?mac=02:00:00:00:00:01"
    assert (parse_slot(url).name, parse_slot(url).port) == (url, url)
    assert parse_slot(f"a={url}").port == url
    with pytest.raises(UsageError):
        parse_slot("=x")


def test_lines_of_keys_are_found_behind_values_that_go_over_several() -> None:
    text = (
        'a = """\n[no]\nb = 1\n"""\n'
        "list = [\n  1, # ]\n  '''\n]\n''',\n]\n"
        '[[step]]\n"x.y" = 1\n[step.values]\nv = { q = 1 }\n[[step]]\nz.w = 2\n'
    )
    lines = key_lines(text)
    assert lines[("a",)] == 1
    assert ("no",) not in lines
    assert lines[("list",)] == 5
    assert lines[("step", 0)] == 11
    assert lines[("step", 0, "x.y")] == 12
    assert lines[("step", 0, "values")] == 13
    assert lines[("step", 0, "values", "v")] == 14
    assert lines[("step", 1)] == 15
    assert lines[("step", 1, "z", "w")] == 16


@given(st.text())
def test_any_text_is_a_template_or_a_mistake_that_is_told(text: str) -> None:
    try:
        made = Template(text)
    except UsageError:
        return
    filled = made.fill(dict.fromkeys(made.names, ""))
    if not made.names:
        assert filled == text.replace("{{", "{").replace("}}", "}")


@given(st.lists(st.sampled_from(HEAD.splitlines() + STEPS.splitlines())))
def test_any_order_of_lines_is_a_job_or_mistakes_that_are_told(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    path = write_job(folder, rows=1)
    path.write_text("\n".join(lines))
    problem = ""
    try:
        read_job(str(path))
    except UsageError as e:
        problem = str(e)
    assert not problem or "job.toml" in problem

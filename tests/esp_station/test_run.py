# SPDX-License-Identifier: Apache-2.0
"""A station on virtual boards: what passes is right, and everything is on record."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from pathlib import Path

import pytest

import esptool
from esp_station import events
from esp_station.job import read_job
from esp_station.records import FAIL, PASS, Records
from esp_station.reprint import reprint
from esp_station.steps.console import Measure
from esptool.errors import FatalError, VerifyError
from esptool.storage.fs import open_image
from esptool.virtual.board import NAMED

from .support import (
    Line,
    app_bytes,
    mac_of,
    run_line,
    secret,
    slots_of,
    url_of,
    write_job,
    wrong_in_flash,
)

DEMO = Path(__file__).parents[2] / "tools" / "demo"
BOOT = """
[[step]]
do = "boot"
expect = ["ready"]
timeout = 5
[step.values]
version = 'v([\\d.]+)'
power = { regex = 'power=([\\d.]+)', min = 18, max = 22 }
"""


@pytest.fixture(scope="module")
def application() -> bytes:
    """An image that the virtual chip starts, to be put at 0."""
    image = esptool.elf2image(str(DEMO / "boot.elf"), "esp32s3", flash_size="4MB")
    assert isinstance(image, bytes)
    return image


def test_boards_get_their_own_rows_and_what_passed_is_right(tmp_path: Path) -> None:
    done = run_line(write_job(tmp_path), slots_of(range(4), "own"))
    assert {a.result for a in done.values()} == {PASS}
    assert len({a.row_key for a in done.values()}) == 4
    for number in range(4):
        attempt = done[str(number)]
        assert attempt.mac == mac_of(number)
        assert (attempt.chip, attempt.flash_size) == ("esp32s3", "4MB")
        assert wrong_in_flash(f"own-{number}", attempt, app_bytes()) == ""
        assert [s["step"] for s in attempt.steps] == ["connect", "write", "nvs"]
        token = secret(attempt.row_key or "")
        assert attempt.digests["token"] == hashlib.sha256(token.encode()).hexdigest()
        assert attempt.row_data.keys() == {"batch"}


def test_a_board_that_comes_again_gets_its_own_row_again(tmp_path: Path) -> None:
    job = write_job(tmp_path)
    first = run_line(job, slots_of([1, 2], "again"))
    second = run_line(job, slots_of([2, 3, 1], "again"))
    for slot in ("1", "2"):
        assert first[slot].row_key == second[slot].row_key
    assert second["3"].row_key not in (first["1"].row_key, first["2"].row_key)


def test_no_secret_is_in_the_records_or_in_what_is_told(tmp_path: Path) -> None:
    hook = [sys.executable, "-c", "import sys; print(sys.argv, file=sys.stderr)"]
    label = """
[[step]]
do = "label"
text = "{row.token}"
to = "labels/{row.serial}.txt"
"""
    job = write_job(tmp_path, steps=BASIC + label + _hook(hook))
    line = Line(job, slots_of([5], "secrets"))
    done = line.run()
    line.close()
    [attempt] = done.values()
    token = secret(attempt.row_key or "")
    assert (tmp_path / f"labels/{attempt.row_key}.txt").read_text() == token
    kept = b"".join(p.read_bytes() for p in tmp_path.glob("station.db*"))
    assert attempt.row_key is not None
    assert attempt.row_key.encode() in kept
    assert token.encode() not in kept
    assert token not in repr(line.events)


BASIC = """
[[step]]
do = "write"
[[step]]
do = "nvs"
values = { "app.serial" = "{row.serial}", "app.token" = "{row.token}" }
"""


def _hook(command: list[str], more: str = "") -> str:
    return f'\n[[step]]\ndo = "hook"\ncommand = {json.dumps(command)}\n{more}'


HEAD_APP = """
product = "lamp"
chip = "esp32s3"
[images]
0x0 = "app.bin"
"""


@pytest.mark.parametrize(
    ("said", "result", "reason"),
    [
        ("ready v1.25 power=20.5", PASS, None),
        ("ready v1.25 power=24.5", FAIL, "'power' is 24.5; it must be 18 to 22."),
        ("ready v1.25", FAIL, "the value 'power' did not come within 5 s."),
        ("Guru Meditation Error", FAIL, "The program said 'Guru Meditation Error'."),
        ("going on", FAIL, "'ready' did not come within 5 s. The last line was 'going on'."),
    ],
)
def test_a_board_is_judged_by_what_its_program_says(
    tmp_path: Path, application: bytes, said: str, result: str, reason: str | None
) -> None:
    steps = '\n[[step]]\ndo = "write"\n' + BOOT
    job = write_job(tmp_path, steps, HEAD_APP, app=application)
    slots = slots_of([1], "judged", f"&app={said.replace(' ', '%20')}")
    [attempt] = run_line(job, slots).values()
    assert attempt.result == result, attempt.log
    if reason is None:
        assert attempt.measured == {"version": "1.25", "power": "20.5"}
    else:
        assert attempt.failed_step == "boot"
        assert reason in (attempt.reason or "")
        assert attempt.remedy or "it must be" in (attempt.reason or "")


@pytest.mark.parametrize("text", ["nan", "-nan", "inf", "1e999", "24.5", "off"])
@pytest.mark.parametrize("bounds", [(18, None), (None, 22), (18, 22)])
def test_no_measurement_passes_as_it_compares_with_nothing(
    text: str, bounds: tuple[float | None, float | None]
) -> None:
    measure = Measure("power", re.compile("(.*)"), *bounds)
    if (text, bounds) == ("24.5", (18, None)):
        measure.judge(text)
        return
    with pytest.raises(VerifyError, match="power"):
        measure.judge(text)


def test_all_steps_in_one_job(tmp_path: Path, application: bytes) -> None:
    head = """
product = "lamp"
chip = "esp32s3"
partition-table = "partitions.csv"
[images]
bootloader = "app.bin"
partition-table = "partitions.csv"
[data]
rows = "boards.csv"
key = "serial"
"""
    check_in = tmp_path / "check_in.py"
    check_in.write_text(
        "import json, sys\nrecord = json.load(sys.stdin)\n"
        "print(json.dumps({'ticket': record['row_key'] + record['measured']['version']}))\n"
    )
    steps = (
        '\n[[step]]\ndo = "erase"\n[[step]]\ndo = "write"\n'
        '[[step]]\ndo = "files"\npartition = "storage"\ntype = "spiffs"\n'
        '[step.files]\n"serial.txt" = "{row.serial}"\n'
        '[[step]]\ndo = "nvs"\nvalues = { "app.serial" = "{row.serial}" }\n'
        '[[step]]\ndo = "verify"\n'
        + BOOT
        + _hook([sys.executable, "check_in.py"], 'values = ["ticket"]\n')
        + '[[step]]\ndo = "label"\ntext = "^XA{row.serial} {value.ticket}^XZ"\n'
        'to = "labels/{mac_plain}.zpl"\n'
        '[[step]]\ndo = "read-back"\npartition = "storage"\nto = "kept/{mac_plain}.bin"\n'
    )
    job = write_job(tmp_path, steps, head, app=application)
    slots = slots_of([7], "all", "&app=ready%20v2%20power=20")
    [attempt] = run_line(job, slots).values()
    assert attempt.result == PASS, attempt.log
    serial = attempt.row_key or ""
    label = tmp_path / "labels/020000000007.zpl"
    assert label.read_text() == f"^XA{serial} {serial}2^XZ"
    kept = (tmp_path / "kept/020000000007.bin").read_bytes()
    assert open_image(kept).read("serial.txt") == serial.encode()
    assert attempt.digests["read-back storage"] == hashlib.sha256(kept).hexdigest()

    label.unlink()
    checked = read_job(str(job), slots)
    book = Records(checked.records)
    assert len(reprint(checked, book, serial)) == 1
    assert label.read_text() == f"^XA{serial} {serial}2^XZ"
    with pytest.raises(FatalError, match="No board 'A-0019' has passed"):
        reprint(checked, book, "A-0019")
    book.close()


def test_a_program_in_ram_is_heard(tmp_path: Path, application: bytes) -> None:
    steps = (
        '\n[[step]]\ndo = "test-ram"\nimage = "app.bin"\nexpect = ["never said"]\ntimeout = 1\n'
        '[[step]]\ndo = "write"\n'
    )
    job = write_job(tmp_path, steps, HEAD_APP, app=application)
    [attempt] = run_line(job, slots_of([1], "ram")).values()
    assert attempt.result == FAIL
    assert attempt.failed_step == "test-ram"
    assert "executing at" in attempt.log


def test_a_hook_that_fails_says_why(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; sys.exit('no room in the box')"]
    job = write_job(tmp_path, BASIC + _hook(command))
    [attempt] = run_line(job, slots_of([1], "hook")).values()
    assert attempt.result == FAIL
    assert "exit code 1: no room in the box" in (attempt.reason or "")


def test_boards_that_the_job_is_not_for_fail_and_hold_up_nobody(tmp_path: Path) -> None:
    job = write_job(tmp_path, head=HEAD_REV)
    slots = [
        *slots_of([1], "not-for", "&rev=v0.1"),
        *slots_of([2], "not-for", "&rev=v0.2"),
        *slots_of([3], "not-for", "&rev=v0.2&secure_download=1"),
    ]
    slots.append(type(slots[0])("4", port="virtual://esp32c3?name=not-for-4&timing=virtual"))
    slots.append(type(slots[0])("5", port="/dev/not-there"))
    done = run_line(job, slots)
    reasons = {slot: (a.result, a.reason or "") for slot, a in done.items()}
    assert reasons["2"] == (PASS, "")
    assert "has revision v0.1; the job is for v0.2" in reasons["1"][1]
    assert "secure download mode" in reasons["3"][1]
    assert "ESP32-C3, not ESP32-S3" in reasons["4"][1]
    assert "not-there" in reasons["5"][1]
    rows = [a.row_key for a in done.values() if a.row_key]
    assert rows == [done["2"].row_key]  # a board that is refused takes no row


HEAD_REV = """
product = "lamp"
chip = "esp32s3"
partition-table = "partitions.csv"
revisions = { min = "v0.2" }
[images]
factory = "app.bin"
[data]
rows = "boards.csv"
key = "serial"
"""


def test_one_board_in_two_slots_is_refused_in_one(tmp_path: Path) -> None:
    job = write_job(tmp_path)
    slots = slots_of([1], "twins")
    twin = url_of(1, "twins").replace("twins-1", "twins-2")
    slots.append(type(slots[0])("2", port=twin))
    line = Line(job, slots)
    # The first holds its place until the second was refused.
    line.station._in_work.enter(mac_of(1), "elsewhere")
    done = line.run()
    line.close()
    assert {a.result for a in done.values()} == {FAIL}
    assert all("Slot 'elsewhere' has a board" in (a.reason or "") for a in done.values())


def test_a_board_is_not_good_when_flash_could_not_be_written(tmp_path: Path) -> None:
    done = run_line(
        write_job(tmp_path),
        [
            *slots_of([1], "worn", "&fault=program:0x11000"),
            *slots_of([2], "worn", "&fault=protect"),
            *slots_of([3], "worn", "&fault=erase:0x9000"),
        ],
    )
    assert done["1"].result == done["2"].result == FAIL
    # Erasing a sector that is blank already is nothing that can fail.
    assert done["3"].result == PASS
    assert wrong_in_flash("worn-3", done["3"], app_bytes()) == ""


def test_events_tell_every_attempt_from_its_start_to_its_result(tmp_path: Path) -> None:
    line = Line(write_job(tmp_path), slots_of(range(3), "told"))
    line.run()
    line.close()
    for number in range(3):
        mine = [e for e in line.events if getattr(e, "slot", None) == str(number)]
        kinds = [type(e) for e in mine]
        assert kinds[0] is events.AttemptStarted
        assert kinds[-1] is events.AttemptEnded
        assert kinds.count(events.BoardKnown) == 1
        steps = [e.step for e in mine if isinstance(e, events.StepStarted)]
        assert steps == ["connect", "write", "nvs"]
        json.dumps([events.to_json(e) for e in mine])
    counts = [e for e in line.events if isinstance(e, events.Counts)][-1]
    assert (counts.passed, counts.boards, counts.good, counts.rows_left) == (3, 3, 3, 17)


def test_rows_that_run_out_are_told_and_no_row_is_used_twice(tmp_path: Path) -> None:
    done = run_line(write_job(tmp_path, rows=3), slots_of(range(5), "out"))
    good = [a for a in done.values() if a.result == PASS]
    bad = [a for a in done.values() if a.result == FAIL]
    assert (len(good), len(bad)) == (3, 2)
    assert len({a.row_key for a in good}) == 3
    assert all("No row is left" in (a.reason or "") for a in bad)
    assert all(NAMED[f"out-{a.slot}"].nor.cells.read(0x10000, 4) == b"\xff" * 4 for a in bad)

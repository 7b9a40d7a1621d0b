# SPDX-License-Identifier: Apache-2.0
"""Output files appear whole or not at all, and what exists is written, not replaced."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from esptool import files
from esptool.errors import FatalError, UsageError
from esptool.files import atomic_writer, check_output, refuse_input_as_output, write_atomic


def interrupted(target: Path) -> None:
    with atomic_writer(target) as out:
        out.write(b"half")
        raise KeyboardInterrupt


@pytest.mark.parametrize("former", [None, b"old"])
def test_a_failure_keeps_the_former_file_and_leaves_nothing_behind(
    tmp_path: Path, former: bytes | None
) -> None:
    target = tmp_path / "a.bin"
    if former is not None:
        target.write_bytes(former)
    with pytest.raises(KeyboardInterrupt):
        interrupted(target)
    assert [p.read_bytes() for p in tmp_path.iterdir()] == ([former] if former else [])


def test_a_secret_is_never_readable_by_others(tmp_path: Path) -> None:
    write_atomic(tmp_path / "key.pem", b"secret", mode=0o600)
    assert (tmp_path / "key.pem").stat().st_mode & 0o777 == 0o600


def test_a_secret_in_a_file_that_exists_takes_others_access_away(tmp_path: Path) -> None:
    target = tmp_path / "key.bin"
    target.write_bytes(b"old")
    target.chmod(0o644)
    write_atomic(target, b"secret", mode=0o600)
    assert (target.read_bytes(), target.stat().st_mode & 0o777) == (b"secret", 0o600)


def test_a_written_file_keeps_its_permission(tmp_path: Path) -> None:
    target = tmp_path / "a.bin"
    target.write_bytes(b"old")
    target.chmod(0o640)
    write_atomic(target, b"new")
    assert (target.read_bytes(), target.stat().st_mode & 0o777) == (b"new", 0o640)


@pytest.mark.parametrize("former", [b"", b"a much longer former content"])
def test_a_handle_opened_before_reads_what_was_written(tmp_path: Path, former: bytes) -> None:
    with tempfile.NamedTemporaryFile(dir=tmp_path) as held:
        held.write(former)
        held.flush()
        write_atomic(held.name, b"the new one")
        held.seek(0)
        assert held.read() == b"the new one"
        assert os.listdir(tmp_path) == [Path(held.name).name]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write_atomic(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


def test_a_link_to_nothing_yet_makes_what_it_names(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("real")
    write_atomic(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


def test_a_second_name_of_a_file_names_the_same_content(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"old")
    os.link(tmp_path / "one", tmp_path / "two")
    write_atomic(tmp_path / "one", b"new")
    assert (tmp_path / "two").read_bytes() == b"new"


def test_a_device_is_written_directly() -> None:
    write_atomic("/dev/null", b"gone")
    assert not Path("/dev/null").is_file()


def test_a_pipe_gets_everything_or_nothing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    check_output(tmp_path / "pipe")  # does not wait for a reader
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    write_atomic(tmp_path / "pipe", b"x" * 300000)
    reader.join()
    assert found == [b"x" * 300000]
    with pytest.raises(KeyboardInterrupt):
        interrupted(tmp_path / "pipe")


def test_standard_output_in_a_file_keeps_what_was_printed_before(tmp_path: Path) -> None:
    code = (
        "from esptool.files import write_atomic\n"
        "print('before')\nwrite_atomic('/dev/stdout', b'DATA\\n')\nprint('behind')"
    )
    with (tmp_path / "out").open("wb") as out:
        subprocess.run([sys.executable, "-c", code], stdout=out, check=True)
    assert (tmp_path / "out").read_text() == "before\nDATA\nbehind\n"


@pytest.mark.parametrize("name", ["no/such/folder/x", ".", "", "a\0b", "file/x", "new/", "n" * 300])
def test_an_impossible_place_is_one_error_before_anything_is_done(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    with pytest.raises(FatalError, match="Cannot write") as found:
        check_output(name)
    assert "\0" not in str(found.value)
    with pytest.raises(FatalError, match="Cannot write"), atomic_writer(name):
        pytest.fail("work was done for an output that cannot be written")
    assert os.listdir(tmp_path) == ["file"]


def test_a_full_device_is_an_error() -> None:
    with pytest.raises(FatalError, match=r"Cannot write '/dev/full': No space left on device\."):
        write_atomic("/dev/full", b"x")


def test_a_full_disk_costs_nothing_of_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int, start: int, size: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    target = tmp_path / "a.bin"
    target.write_bytes(b"old")
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(FatalError, match=r"No space left on device\. It keeps its former content"):
        write_atomic(target, b"longer")
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"old"]


def test_a_disk_that_fails_in_the_middle_leaves_the_whole_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(source: object, target: object) -> None:
        target.write(b"ne")  # type: ignore[attr-defined]
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    target = tmp_path / "a.bin"
    target.write_bytes(b"old")
    monkeypatch.setattr(files, "_copy", failing)
    with pytest.raises(FatalError, match="only 2 of 3 bytes") as found:
        write_atomic(target, b"new")
    assert target.read_bytes() == b"ne"
    whole = str(found.value).rpartition("in '")[2].rstrip("'.")
    assert Path(whole).read_bytes() == b"new"


def test_a_failure_of_the_work_is_not_called_one_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(ConnectionResetError), atomic_writer(tmp_path / "x"):
        raise ConnectionResetError(errno.ECONNRESET, "the port has gone")
    assert os.listdir(tmp_path) == []


def test_an_output_that_is_an_input_is_refused(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"x")
    two.symlink_to(one)
    with pytest.raises(UsageError, match="is the input"):
        refuse_input_as_output(two, [b"bytes", None, tmp_path / "absent", one])
    with one.open("rb") as held, pytest.raises(UsageError, match="is the input"):
        refuse_input_as_output(two, [held])
    refuse_input_as_output(tmp_path / "three", [one, two])
    refuse_input_as_output("/dev/null", ["/dev/null"])

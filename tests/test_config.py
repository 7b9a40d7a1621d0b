# SPDX-License-Identifier: Apache-2.0
"""The configuration file: where it is found, which values count, and what is said of the rest."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import serial

import esptool
from esptool import config
from esptool.config import load_config_file, load_settings
from esptool.errors import FatalError
from esptool.transport.settings import Settings


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home and current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ESPTOOL_CFGFILE", raising=False)
    monkeypatch.setattr(config, "_shown", set())
    return tmp_path


def test_settings_come_from_the_file_that_the_variable_names(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder / "my.cfg"
    path.write_text("[esptool]\ntimeout = 5\nchip_erase_timeout = 200\nbogus = 1\n")
    (folder / "esptool.cfg").write_text("[esptool]\ntimeout = 7\n")
    monkeypatch.setenv("ESPTOOL_CFGFILE", str(path))
    assert load_config_file()[1] == str(path)
    assert (load_settings().timeout, load_settings().max_timeout) == (5.0, 400.0)
    config.announce()
    assert "WARNING: Ignoring unknown config option: bogus" in capsys.readouterr().err


def test_the_current_folder_goes_before_the_users_and_home(folder: Path) -> None:
    places = [folder / "home", folder / "home" / ".config" / "esptool", folder]
    for number, place in enumerate(places, 1):
        place.mkdir(parents=True, exist_ok=True)
        (place / "esptool.cfg").write_text(f"[esptool]\nretries = {number}\n")
        assert load_settings().retries == number


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\r"])
def test_marks_and_line_ends_make_no_difference(folder: Path, mark: bytes, ending: bytes) -> None:
    text = b"[esptool]\nretries = 3\n".replace(b"\n", ending)
    (folder / "esptool.cfg").write_bytes(mark + text)
    assert load_settings().retries == 3


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("esptool.cfg", "[ESPTOOL]\ntimeout = 4\n", "no section [esptool] (in small letters)"),
        ("esptool.cfg", "timeout = 4\n", "no section [esptool]. It is ignored"),
        ("esptool.cfg", "[esptool]\ntimeout = 4\n".encode("utf-16"), "UTF-16"),
        ("esptool.cfg", b"[esptool]\n# gr\xf6\xdfe\n", "not UTF-8"),
        ("esptool.cfg", "[esptool]\ntimeout 4\n", "Ignoring invalid config file"),
        ("esptool.cfg", None, "Is a directory"),
        ("named.ini", "[other]\n", "no section [esptool]"),
        ("absent.ini", "", "No such file"),
        ("setup.cfg", "[metadata]\n", ""),
    ],
)
def test_a_file_that_is_meant_and_not_used_is_named_once(
    name: str,
    content: str | bytes | None,
    said: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if content is None:
        (folder / name).mkdir()
    elif content:
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    if name.endswith(".ini"):
        monkeypatch.setenv("ESPTOOL_CFGFILE", str(folder / name))
    (folder / "tox.ini").write_text("[esptool]\nretries = 3\n")
    assert load_settings().retries == 3
    capsys.readouterr()
    config.announce()
    config.announce()
    err = capsys.readouterr().err
    assert said in err
    assert err.count("WARNING") == bool(said)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("retries", "-1"),
        ("retries", "many"),
        ("retries", "99999999999999999999"),
        ("serial_write_timeout", "-1"),
        ("timeout", "nan"),
        ("chip_erase_timeout", "inf"),
        ("reset_delay", "1e300"),
        ("write_block_attempts", "2.5"),
    ],
)
def test_a_value_that_cannot_be_meant_is_named_once_and_has_no_effect(
    key: str, text: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "esptool.cfg").write_text(f"[esptool]\n{key} = {text}\n")
    assert load_settings() == Settings()
    assert load_settings() == Settings()
    err = capsys.readouterr().err
    assert err.count(f"'{key}'") == 1
    assert text in err


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("chip_erase_timeout", "0.01"),
        ("timeout", "0.001"),
        ("max_timeout", "0"),
        ("sync_timeout", "1e-9"),
    ],
)
def test_a_wait_in_which_nothing_can_answer_is_taken_with_a_warning(
    key: str, text: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "esptool.cfg").write_text(f"[esptool]\n{key} = {text}\n")
    assert load_settings() == replace(Settings(), **{key: float(text)})  # type: ignore[arg-type]
    load_settings()
    err = capsys.readouterr().err
    assert err.count(f"Configuration option '{key}' is {text}: few chips answer") == 1


def test_a_short_wait_for_erasing_is_one_for_erasing_only(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "esptool.cfg").write_text("[esptool]\nchip_erase_timeout = 0.001\n")
    url = "virtual://esp32c3?timing=virtual&stub=public"
    esptool.main(["--port", url, "flash-id"])
    assert "Detected flash size" in capsys.readouterr().out
    with pytest.raises(FatalError, match="not erased, or only in part"):
        esptool.main(["--port", url, "erase-flash"])


def test_counts_may_be_without_end(folder: Path) -> None:
    (folder / "esptool.cfg").write_text("[esptool]\nconnect_attempts = -1\n")
    assert load_settings().connect_attempts == -1


def test_json_is_alone_on_standard_output(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "esptool.cfg").write_text("[esptool]\nretries = 3\n")
    with pytest.raises(SystemExit):
        esptool.main(["image-info", "--json"])
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "usage"


# --- argument files ----------------------------------------------------------------------------


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\r"])
def test_an_argument_file_gives_words_as_a_shell_would(
    folder: Path, mark: bytes, ending: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    text = b"version # said twice\n\n".replace(b"\n", ending)
    (folder / "args").write_bytes(mark + text)
    esptool.main(["@args"])
    assert "esptool version\n" in capsys.readouterr().out
    for words in (["-s", "@args"], ["@args", "--silent"]):
        esptool.main(words)
        assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"chip-id 'open\n", "line 1"),
        (b"\n# gr\xf6\xdfe\n", "line 2"),
        ("chip-id".encode("utf-16"), "UTF-16"),
        (None, "No such file"),
    ],
)
def test_an_argument_file_that_cannot_be_read_is_an_error(
    folder: Path, content: bytes | None, said: str
) -> None:
    if content is not None:
        (folder / "args").write_bytes(content)
    with pytest.raises(esptool.FatalError, match=f"argument file 'args'.*{said}"):
        esptool.main(["@args"])


def test_a_name_with_a_zero_byte_is_an_error() -> None:
    with pytest.raises(esptool.FatalError, match="Cannot read the argument file"):
        esptool.main(["@a\0b"])


@pytest.mark.parametrize(
    "words",
    [
        ["monitor", "--reset", "--timeout", "0"],
        ["doctor"],
        ["read-mac"],
    ],
    ids=lambda words: words[0],
)
@pytest.mark.parametrize("key", ["custom_reset_sequence", "custom_hard_reset_sequence"])
def test_who_ever_resets_a_board_takes_the_users_own_sequences(
    words: list[str], key: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "esptool.cfg").write_text(f"[esptool]\n{key} = F0|R1\n")
    try:
        esptool.main(["--port", "virtual://esp32c3?timing=virtual", *words])
    except FatalError as e:
        said = str(e)
    else:
        said = capsys.readouterr().out
    assert "Invalid custom reset sequence option format:" in said


def test_a_probe_of_all_ports_takes_the_users_own_sequences(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "esptool.cfg").write_text("[esptool]\ncustom_reset_sequence = F0|R1\n")
    with serial.serial_for_url("virtual://esp32c3?name=sequences&serial=S-9&fault=rename"):
        pass
    esptool.main(["ports", "--probe", "--json"])
    ports = json.loads(capsys.readouterr().out)["ports"]
    [own] = [p for p in ports if p["serial"] == "S-9"]
    assert "Invalid custom reset sequence option format:" in own["probe"]["error"]

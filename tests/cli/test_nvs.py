# SPDX-License-Identifier: Apache-2.0
"""`esptool nvs`: the same on devices and in files, secrets kept, wrong input told."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

import esptool
from esptool.errors import FatalError
from esptool.ops import program
from esptool.storage.nvs import Kind, Nvs, NvsKeys
from esptool.storage.partitions import PartitionTable
from esptool.virtual.board import NAMED, Board

_number = count()
KEYS = NvsKeys(bytes(range(64)))
PARTITIONS = PartitionTable.from_csv(
    "nvs,data,nvs,0x9000,0x4000\nnvs_keys,data,nvs_keys,0xd000,0x1000\n"
    "factory,app,factory,0x10000,64K\nold,data,0x99,,4K\n"
)
TABLE = (
    "key,type,encoding,value\nwifi,namespace,,\nssid,data,string,home\n"
    "password,data,string,opensesame\nchannel,data,u8,6\napp,namespace,,\ncert,data,hex2bin,00ff10\n"
)
#: A device with the model of the stub, with the ROM alone, with the stub's machine code.
DEVICES = ("stub", "rom", "code")
Run = Callable[..., str]


def sample(keys: NvsKeys | None = None) -> bytes:
    nvs = Nvs(b"\xff" * 0x4000, keys)
    nvs.set("wifi", "ssid", "home", Kind.STRING)
    nvs.set("wifi", "password", "opensesame", Kind.STRING)
    nvs.set("wifi", "channel", 6, Kind.U8)
    nvs.set("app", "cert", b"\x00\xff\x10" * 300, Kind.BLOB)
    return nvs.to_bytes()


def flash(nvs: bytes) -> bytes:
    content = bytearray(b"\xff" * 0x20000)
    content[0x8000:0x8C00] = PARTITIONS.to_bytes()
    content[0x9000 : 0x9000 + len(nvs)] = nvs
    content[0xD000:0xE000] = KEYS.to_partition()
    return bytes(content)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command line and returns what it printed behind the banner."""
    monkeypatch.setenv("NO_COLOR", "1")

    def call(*words: str) -> str:
        capsys.readouterr()
        esptool.main(list(words))
        return capsys.readouterr().out

    return call


class Target:
    """An NVS on a device or in a file: the words that name it, and its bytes."""

    def __init__(self, kind: str, folder: Path, nvs: bytes) -> None:
        self.kind = kind
        self.before: list[str] = []
        self.path = folder / "flash.bin"
        self.words = ["nvs", "--file", str(self.path)]
        content = nvs if kind == "file" else flash(nvs)
        if kind in DEVICES:
            name = f"nvs-{next(_number)}"
            stub = "emulated" if kind == "code" else "model"
            self.before = ["-p", f"virtual://esp32c3?name={name}&stub={stub}"]
            self.before += ["--no-stub"] if kind == "rom" else []
            self.words = ["nvs"]
            self.board = open_board(self.before[1])
            self.board.nor.cells.load(content)
        else:
            self.path.write_bytes(content)

    @property
    def content(self) -> bytes:
        """The NVS as it is now."""
        if self.kind in DEVICES:
            return self.board.nor.cells.read(0x9000, 0x4000)
        data = self.path.read_bytes()
        return data if self.kind == "file" else data[0x9000:0xD000]

    def line(self, command: str, *words: str) -> list[str]:
        return [*self.before, "nvs", command, *self.words, *words]


def open_board(url: str) -> Board:
    import serial

    serial.serial_for_url(url).close()
    return NAMED[url.partition("name=")[2].partition("&")[0]]


@pytest.fixture(params=["stub", "rom", "dump", "file"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Target:
    return Target(request.param, tmp_path, sample())


def test_lists_gets_sets_and_deletes_the_same_everywhere(target: Target, run: Run) -> None:
    listed = run(*target.line("list"))
    for words in ('wifi       ssid      string  "home"', "channel   u8      6", "(hidden)"):
        assert words in listed
    assert "opensesame" not in listed
    assert "opensesame" in run(*target.line("list", "--show-secrets"))
    assert "opensesame\n" in run(*target.line("get", "wifi", "password"))
    before = target.content
    expected = Nvs(before)
    expected.set("wifi", "channel", 11)
    assert "1 sector changed" in run(*target.line("set", "wifi", "channel", "11"))
    assert target.content == expected.to_bytes()
    assert "nothing is changed" in run(*target.line("set", "wifi", "channel", "11"))
    assert target.content == expected.to_bytes()
    expected.delete("app", "cert")
    run(*target.line("delete", "app", "cert"))
    assert target.content == expected.to_bytes()
    assert "Nothing is wrong" in run(*target.line("check"))


@pytest.mark.parametrize("kind", ["stub", "rom", pytest.param("code", marks=pytest.mark.emulator)])
def test_a_device_is_changed_in_place_without_erasing(kind: str, tmp_path: Path, run: Run) -> None:
    target = Target(kind, tmp_path, sample())
    whole = bytearray(target.board.nor.cells.read(0, 0x20000))
    before = dict(target.board.nor.log)
    shown = run(*target.line("set", "wifi", "channel", "7"))
    assert "/4.00kB" not in shown  # no bar for a page that is read back
    assert target.board.nor.log["erase"] == before["erase"]
    assert target.board.nor.log["program"] == before["program"] + 3
    whole[0x9000:0xD000] = target.content
    assert target.board.nor.cells.read(0, 0x20000) == whole
    run(*target.line("set", "wifi", "channel", "7"))
    assert target.board.nor.log["erase"] == before["erase"]
    assert target.board.nor.log["program"] == before["program"] + 3


def nearly_full() -> Nvs:
    """The next value makes the library move a page."""
    nvs = Nvs(sample())
    i = 0
    while True:
        trial = Nvs(nvs.to_bytes())
        trial.set("app", f"n{i % 5}", i, Kind.U32)
        if any(not hasattr(c, "data") for c in trial.changes):
            return Nvs(nvs.to_bytes())
        nvs, i = trial, i + 1


@pytest.mark.parametrize(
    "fault",
    [
        "brownout:0xa020",
        "brownout:0xb000",
        "brownout:0xb240",
        "powercut:0x9000",
        "powercut:0x9a00",
        "reset:14000",
        "reset:17500",
    ],
)
def test_a_chip_that_loses_its_supply_is_worked_on_until_it_is_right(
    fault: str, tmp_path: Path, run: Run
) -> None:
    nvs = nearly_full()
    name = f"nvs-{next(_number)}"
    url = f"virtual://esp32c3?name={name}&stub=model&timing=virtual&fault={fault}"
    board = open_board(url)
    board.nor.cells.load(flash(nvs.to_bytes()))
    run("-p", url, "nvs", "set", "nvs", "wifi", "channel", "9")
    nvs.set("wifi", "channel", 9)
    assert board.nor.cells.read(0x9000, 0x4000) == nvs.to_bytes()


@pytest.mark.parametrize("moving", [False, True])
def test_a_tool_that_is_ended_anywhere_leaves_the_old_or_the_new_value(
    moving: bool, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    nvs = nearly_full() if moving else Nvs(sample())
    held = {(e.namespace, e.key): e.value for e in nvs.entries()}
    target = Target("stub", tmp_path, nvs.to_bytes())
    nvs.set("wifi", "channel", 9)
    steps = len(nvs.changes)
    make = program._make
    left = 0

    def stop(*args: object) -> None:
        nonlocal left
        if not left:
            raise KeyboardInterrupt
        left -= 1
        make(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(program, "_make", stop)
    for at in {0, 1, 2, steps // 3, steps // 2, steps - 2, steps - 1}:
        left = at
        target.board.nor.cells.load(flash(nvs.former))
        with pytest.raises(KeyboardInterrupt):
            run(*target.line("set", "wifi", "channel", "9"))
        found = Nvs(target.content)
        assert found.get("wifi", "channel") in (6, 9)
        now = {(e.namespace, e.key): e.value for e in found.entries()}
        assert now | {("wifi", "channel"): 6} == held


@pytest.mark.parametrize("way", ["--keys", "--keys-partition", "--hmac-key"])
@pytest.mark.parametrize("kind", ["stub", "dump"])
def test_an_encrypted_nvs_is_read_and_changed_with_its_keys(
    way: str, kind: str, tmp_path: Path, run: Run
) -> None:
    hmac = tmp_path / "hmac.bin"
    hmac.write_bytes(b"h" * 32)
    keys = NvsKeys.from_hmac(b"h" * 32) if way == "--hmac-key" else KEYS
    file = tmp_path / "keys.bin"
    file.write_bytes(keys.to_partition())
    target = Target(kind, tmp_path, sample(keys))
    word = {"--keys": str(file), "--keys-partition": "nvs_keys", "--hmac-key": str(hmac)}[way]
    listed = run(*target.line("list", way, word))
    assert "home" not in listed
    assert "channel   u8      6" in listed
    run(*target.line("set", "wifi", "ssid", "other", way, word))
    assert Nvs(target.content, keys).get("wifi", "ssid") == "other"
    with pytest.raises(FatalError, match="is encrypted, or something else"):
        run(*target.line("list"))
    file.write_bytes(bytes(range(1, 65)))
    before = target.content
    with pytest.raises(FatalError, match="not those of this NVS"):
        run(*target.line("set", "wifi", "channel", "1", "--keys", str(file)))
    assert target.content == before


def test_json_tells_all_and_hides_secrets(tmp_path: Path, run: Run) -> None:
    target = Target("file", tmp_path, sample())
    found = json.loads(run(*target.line("list", "--json")))
    assert found["namespaces"] == ["wifi", "app"]
    assert found["entries"][0] == {
        "namespace": "wifi",
        "key": "ssid",
        "type": "string",
        "size": 5,
        "value": "home",
    }
    assert found["entries"][1]["value"] is None
    assert found["entries"][1]["hidden"] is True
    assert found["problems"] == []
    assert json.loads(run(*target.line("get", "app", "cert", "--json")))["value"] == "00ff10" * 300
    assert json.loads(run(*target.line("check", "--json")))["pages"][0]["state"] == "active"


def test_damage_is_told_by_list_and_check_and_the_rest_is_read(
    tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = bytearray(sample())
    damaged[damaged.index(b"home")] ^= 1
    target = Target("file", tmp_path, bytes(damaged))
    capsys.readouterr()
    esptool.main(target.line("list"))
    listed, warned = capsys.readouterr()
    assert "the data of 'ssid' are damaged" in warned
    assert "(damaged, 5 bytes)" in listed
    assert "channel   u8      6" in listed
    for json_too in ([], ["--json"]):
        with pytest.raises(FatalError, match="One thing is wrong"):
            run(*target.line("check", *json_too))


def test_shows_what_differs_between_two(tmp_path: Path, run: Run) -> None:
    target = Target("dump", tmp_path, sample())
    other = tmp_path / "other.bin"
    changed = Nvs(sample())
    changed.set("wifi", "password", "changed")
    changed.set("wifi", "channel", 1)
    changed.set("new", "key1", 1, Kind.U8)
    changed.delete("app")
    other.write_bytes(changed.to_bytes())
    shown = run(*target.line("diff", str(other))).splitlines()[1:]
    assert shown == [
        f"- app/cert blob {('00ff10' * 300)[:64]}... (900 bytes)",
        "+ new/key1 u8 1",
        "- wifi/channel u8 6",
        "+ wifi/channel u8 1",
        "- wifi/password string (hidden)",
        "+ wifi/password string (hidden)",
    ]
    assert "opensesame" in run(*target.line("diff", str(other), "--show-secrets"))
    with pytest.raises(FatalError, match="4 keys differ"):
        run(*target.line("diff", str(other), "--exit-code"))
    other.write_bytes(sample())
    assert "same values" in run(*target.line("diff", str(other), "--exit-code"))


def test_an_encrypted_nvs_is_compared_with_a_plain_one(tmp_path: Path, run: Run) -> None:
    keys, plain, other = (tmp_path / name for name in ("keys.bin", "plain.bin", "other.bin"))
    keys.write_bytes(KEYS.to_partition())
    target = Target("dump", tmp_path, sample(KEYS))
    line = target.line("diff", str(plain), "--keys", str(keys))
    changed = Nvs(sample())
    changed.set("wifi", "ssid", "elsewhere")
    plain.write_bytes(changed.to_bytes())
    assert run(*line).splitlines()[1:] == [
        "- wifi/ssid string (hidden)",
        "+ wifi/ssid string (hidden)",
    ]
    other.write_bytes(sample(NvsKeys(bytes(range(64, 128)))))
    with pytest.raises(FatalError, match="not those of this NVS"):
        run(*target.line("diff", str(other), "--keys", str(keys)))


def test_a_file_may_stand_in_place_of_the_name(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("nvs.bin").write_bytes(sample())
    Path("other.bin").write_bytes(sample())
    run("nvs", "set", "nvs.bin", "wifi", "channel", "3")
    assert "3\n" in run("nvs", "get", "./nvs.bin", "wifi", "channel")
    assert "+ wifi/channel u8 6" in run("nvs", "diff", "nvs.bin", "other.bin")
    Path("dump.bin").write_bytes(flash(sample()))
    with pytest.raises(FatalError, match="Name a partition"):
        run("nvs", "list", "dump.bin")


def test_values_go_in_and_out_as_files_of_their_bytes(tmp_path: Path, run: Run) -> None:
    target = Target("file", tmp_path, sample())
    data = tmp_path / "data.bin"
    data.write_bytes(bytes(range(256)) * 20)
    run(*target.line("set", "app", "large", "--type", "blob", "--value-file", str(data)))
    run(*target.line("set", "app", "b64", "AP8Q", "--type", "base64"))
    run(*target.line("set", "app", "half", "0.5", "--type", "float"))
    run(*target.line("set", "app", "less", "-5", "--type", "i8"))
    run(*target.line("set", "app", "less", "-0x7f"))
    assert "-127\n" in run(*target.line("get", "app", "less"))
    out = tmp_path / "out.bin"
    run(*target.line("get", "app", "large", "--output", str(out)))
    assert out.read_bytes() == data.read_bytes()
    assert "00ff10" in run(*target.line("get", "app", "b64"))
    assert "0.5" in run(*target.line("get", "app", "half"))
    run(*target.line("get", "wifi", "password", "-o", str(tmp_path / "secret")))
    assert (tmp_path / "secret").stat().st_mode & 0o077 == 0


# --- building ------------------------------------------------------------------------------------


def test_builds_one_or_one_for_each_device(tmp_path: Path, run: Run) -> None:
    table, config, values = (tmp_path / name for name in ("t.csv", "c.csv", "v.csv"))
    table.write_text(TABLE)
    config.write_text("wifi,namespace,\nssid,data,string,REPEAT\npassword,data,string\n")
    values.write_text("serial,ssid,password\nA1,home,first\nB2,,second\n")
    out = tmp_path / "out"
    out.mkdir()
    run("nvs", "build", str(table), str(tmp_path / "one.bin"), "--size", "16k")
    assert Nvs((tmp_path / "one.bin").read_bytes()).get("wifi", "ssid") == "home"
    run("nvs", "build", str(table), str(tmp_path / "same.bin"), "0x4000")
    assert (tmp_path / "same.bin").read_bytes() == (tmp_path / "one.bin").read_bytes()
    second = tmp_path / "second.csv"
    second.write_text("key,type,encoding,value\nmore,namespace,,\nn,data,i64,-1\n")
    run("nvs", "build", str(table), str(second), str(tmp_path / "two.bin"), "--size", "16k")
    two = Nvs((tmp_path / "two.bin").read_bytes())
    assert (two.get("wifi", "ssid"), two.get("more", "n")) == ("home", -1)
    more = ["--size", "0x3000", "--devices", str(values), "--prefix", "dev", "--id", "serial"]
    run("nvs", "build", str(config), str(out), *more, "--new-keys-each")
    for name, password in (("dev-A1", "first"), ("dev-B2", "second")):
        secret = out / f"{name}-keys.bin"
        assert secret.stat().st_mode & 0o077 == 0
        keys = NvsKeys.from_partition(secret.read_bytes())
        found = Nvs((out / f"{name}.bin").read_bytes(), keys)
        assert found.get("wifi", "ssid") == "home"
        assert found.get("wifi", "password") == password
    with pytest.raises(FatalError, match="exists: what is encrypted"):
        run("nvs", "build", str(config), str(out), *more, "--new-keys-each")
    run("nvs", "build", str(config), str(out), *more[:-2])
    assert Nvs((out / "dev-2.bin").read_bytes()).get("wifi", "password") == "second"


def test_makes_keys_for_their_owner_alone_and_none_over_others(tmp_path: Path, run: Run) -> None:
    keys, hmac = tmp_path / "keys.bin", tmp_path / "hmac.bin"
    said = run("nvs", "keys", str(keys), "--new-hmac-key", str(hmac))
    for path in (keys, hmac):
        assert path.stat().st_mode & 0o077 == 0
        assert path.read_bytes().hex()[:16] not in said
    made = NvsKeys.from_hmac(hmac.read_bytes())
    assert NvsKeys.from_partition(keys.read_bytes()) == made
    before = keys.read_bytes()
    with pytest.raises(FatalError, match="exists"):
        run("nvs", "keys", str(keys))
    assert keys.read_bytes() == before
    table = tmp_path / "t.csv"
    table.write_text(TABLE)
    image = tmp_path / "nvs.bin"
    run("nvs", "build", str(table), str(image), "--size", "0x3000", "--keys", str(keys))
    assert Nvs(image.read_bytes(), made).get("wifi", "channel") == 6
    run("nvs", "build", str(table), str(image), "--size", "0x3000", "--hmac-key", str(hmac))
    assert Nvs(image.read_bytes(), made).get("wifi", "channel") == 6


# --- wrong input ---------------------------------------------------------------------------------

WRONG = [
    (["list", "--file", "absent.bin", "nvs"], "absent.bin"),
    (["list", "--file", "short.bin", "nvs"], "whole pages of 4096 bytes"),
    (["list", "--file", "noise.bin", "nvs"], "None of its pages can be read"),
    (["list", "--file", "nvs.bin", "nvs", "-n", "wfi"], "Did you mean 'wifi'?"),
    (["get", "--file", "nvs.bin", "nvs", "wifi", "chanel"], "Did you mean 'channel'?"),
    (["get", "--file", "dump.bin", "nvss", "wifi", "channel"], "no partition 'nvss'"),
    (["set", "--file", "dump.bin", "factory", "wifi", "channel", "1"], "is not one for NVS"),
    (["set", "--file", "dump.bin", "old", "wifi", "channel", "1"], "is not one for NVS"),
    (["set", "--file", "nvs.bin", "nvs", "wifi", "new", "1"], "Say which type"),
    (["set", "--file", "nvs.bin", "nvs", "wifi", "channel"], "either VALUE or --value-file"),
    (["set", "--file", "nvs.bin", "nvs", "wifi", "channel", "256"], "out of the range of u8"),
    (["set", "--file", "nvs.bin", "nvs", "wifi", "channel", "six"], "'six' is not a number"),
    (["set", "--file", "nvs.bin", "nvs", "wifi", "a" * 16, "1", "-t", "u8"], "1 to 15 bytes"),
    (["set", "--file", "nvs.bin", "nvs", "app", "cert", "0g"], "hex digits"),
    (["set", "--file", "nvs.bin", "nvs", "app", "k", "a", "-t", "base64"], "not Base64"),
    (["set", "--file", "nvs.bin", "nvs", "app", "k", "x" * 4000, "-t", "string"], "may have 3999"),
    (
        ["set", "--file", "nvs.bin", "nvs", "app", "k", "-t", "blob", "--value-file", "large.bin"],
        "larger than the whole NVS",
    ),
    (["delete", "--file", "nvs.bin", "nvs", "gone"], "no namespace 'gone'"),
    (["list", "--file", "nvs.bin", "nvs", "--keys", "short.bin"], "no NVS key partition"),
    (["list", "--file", "nvs.bin", "nvs", "--keys", "blank.bin"], "is blank"),
    (["list", "--file", "nvs.bin", "nvs", "--hmac-key", "short.bin"], "has 32 bytes, not 5"),
    (["build", "t.csv", "out.bin", "--size", "1000"], "whole pages of 0x1000 bytes"),
    (["build", "absent.csv", "out.bin", "--size", "0x3000"], "absent.csv"),
    (["build", "noise.bin", "out.bin", "--size", "0x3000"], "is not UTF-8 text"),
    (["build", "t.csv", "out.bin", "--size", "0x3000", "--id", "x"], "add --devices"),
    (["list", "no/such/nvs.bin"], "There is no file 'no/such/nvs.bin'"),
    (["list", "./folder"], "'./folder' is a folder"),
    (["build", "t.csv"], "Missing argument 'OUTPUT'"),
    (["build", "t.csv", "out.bin"], "Say how large"),
    (["build", "t.csv", "out.bin", "3 pages"], "Say how large"),
    (["build", "t.csv", "t.csv", "--size", "0x3000"], "is the input 't.csv' as well"),
    (["build", "t.csv", "o", "--size", "0x3000", "--new-keys", "o"], "are the same file"),
    (["build", "t.csv", "o", "--size", "0x3000", "--new-keys", "blank.bin"], "'blank.bin' exists"),
    (["get", "nvs.bin", "wifi", "ssid", "-o", "./nvs.bin"], "is the input 'nvs.bin' as well"),
    (["keys", "o", "--new-hmac-key", "./o"], "are the same file"),
    (
        ["build", "t.csv", "nowhere", "--size", "0x3000", "--devices", "v.csv"],
        "no folder 'nowhere'",
    ),
]


@pytest.mark.parametrize(("words", "said"), WRONG, ids=[" ".join(w)[:60] for w, _ in WRONG])
def test_wrong_input_is_one_error_and_changes_nothing(
    words: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nvs.bin").write_bytes(sample())
    (tmp_path / "dump.bin").write_bytes(flash(sample()))
    (tmp_path / "short.bin").write_bytes(b"short")
    (tmp_path / "noise.bin").write_bytes(bytes(range(1, 256)) * 16 + b"\0" * 16)
    (tmp_path / "blank.bin").write_bytes(b"\xff" * 0x1000)
    (tmp_path / "large.bin").write_bytes(bytes(20000))
    (tmp_path / "t.csv").write_text(TABLE)
    (tmp_path / "v.csv").write_text("ssid\nhome\n")
    (tmp_path / "folder").mkdir()
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()}
    try:
        with pytest.raises((FatalError, SystemExit)) as error:
            esptool.main(["nvs", *words])
    finally:
        err = capsys.readouterr().err
    told = str(error.value) if isinstance(error.value, FatalError) else err
    assert said in told
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()} == before


@pytest.mark.parametrize(
    "words",
    [
        ["build", "t.csv", "out.bin", "--size", "0x3000"],
        ["build", "f.csv", "out.bin", "--size", "0x3000"],
        ["set", "nvs.bin", "wifi", "pin", "--type", "u32", "--value-file", "secret.txt"],
        ["set", "nvs.bin", "wifi", "pin", "--type", "double", "--value-file", "secret.txt"],
    ],
)
def test_a_value_from_a_file_is_not_shown_in_an_error(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("nvs.bin").write_bytes(sample())
    Path("secret.txt").write_text("opensesame")
    head = "key,type,encoding,value\nwifi,namespace,,\n"
    Path("t.csv").write_text(f"{head}password,data,u8,opensesame\n")
    Path("f.csv").write_text(f"{head}password,file,u8,secret.txt\n")
    with pytest.raises(FatalError, match="is not a number") as error:
        esptool.main(["nvs", *words])
    assert "opensesame" not in str(error.value)


def test_a_pipe_may_stand_in_place_of_the_name(tmp_path: Path, run: Run) -> None:
    (tmp_path / "nvs.bin").write_bytes(sample())
    with open(tmp_path / "nvs.bin", "rb") as file:
        assert "6\n" in run("nvs", "get", f"/dev/fd/{file.fileno()}", "wifi", "channel")

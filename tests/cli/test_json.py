# SPDX-License-Identifier: Apache-2.0
"""`--json` and `--events`: each command, failing and succeeding, keeps to the published schema."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import espefuse
import espsecure
import esptool
from espefuse.cli.main import EspefuseGroup
from espsecure import keys
from esptool import errors
from esptool.cli import machine
from esptool.cli.main import ENTRIES, cli
from esptool.errors import FatalError
from esptool.events import Progress, Result
from esptool.logger import EsptoolLogger, log
from esptool.render import to_log
from esptool.storage.partitions import PartitionTable
from tests.image.elfmaker import ram_program
from tests.monitor.dumps import dump as core_dump
from tests.support.apps import app

SCHEMA = json.loads((files("esptool.cli") / "output.schema.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
CSV = """\
nvs,data,nvs,,16K
otadata,data,ota,,8K
ota_0,app,ota_0,0x10000,64K
ota_1,app,ota_1,,64K
lfs,data,littlefs,,64K
"""
NVS_CSV = "key,type,encoding,value\nstore,namespace,,\nname,data,string,board\nn,data,u8,7\n"
MAINS = {"esptool": esptool.main, "espefuse": espefuse.main, "espsecure": espsecure.main}

#: What reaches a board, and the files of the folder below.
BOARD = "--port virtual://esp32c3?flash=1MB&timing=virtual"
PLACE = BOARD.split()[1]
NAND = "--port virtual://esp32s3?timing=virtual&nand=W25N01GV&nand_bad=3"
PINS = "--spi-connection 12,13,11,9,10"
DUMP = "--file dump.bin"
VIRT = "--chip esp32c3 --virt --do-not-confirm"

#: command -> words that succeed, words that fail (None where a command cannot).
ESPTOOL: dict[str, tuple[str | None, str | None]] = {
    "flash": (f"{BOARD} flash whole.bin --erase nvs", f"{BOARD} flash text"),
    "bundle": ("bundle whole.bin -o out", "bundle new.bin -o out"),
    "write-flash": (f"{BOARD} write-flash 0x1000 text", f"{BOARD} write-flash 0x100000 text"),
    "read-flash": (f"{BOARD} read-flash 0 0x1000 out", f"{BOARD} read-flash 0 0x200000 out"),
    "erase-flash": (f"{BOARD} erase-flash", f"{BOARD} --no-stub erase-flash"),
    "erase-region": (f"{BOARD} erase-region 0 0x1000", f"{BOARD} erase-region 1 0x1000"),
    "verify-flash": (f"{BOARD} verify-flash 0 blank", f"{BOARD} verify-flash --diff 0 text"),
    "read-mac": (f"{BOARD} read-mac", "--port virtual://nothing read-mac"),
    "chip-id": (f"{BOARD} chip-id", "--port /dev/no-such-port chip-id"),
    "flash-id": (f"{BOARD} flash-id", f"{BOARD} flash-id --spi-connection 1,2"),
    "read-flash-status": (f"{BOARD} read-flash-status", f"{BOARD} read-flash-status --bytes 4"),
    "write-flash-status": (f"{BOARD} write-flash-status 0", f"{BOARD} write-flash-status 0x10000"),
    "read-flash-sfdp": (f"{BOARD} read-flash-sfdp 0 4", f"{BOARD} read-flash-sfdp 0 9"),
    "get-security-info": (
        f"{BOARD} get-security-info",
        "--port virtual://esp8266?timing=virtual get-security-info",
    ),
    "read-mem": (f"{BOARD} read-mem 0x60008000", f"{BOARD} read-mem 0x100000000"),
    "write-mem": (f"{BOARD} write-mem 0x60008050 1", f"{BOARD} write-mem 1 2 3 4"),
    "dump-mem": (f"{BOARD} dump-mem 0x60008000 16 out", f"{BOARD} dump-mem 0 4 no/where"),
    "load-ram": (
        "--no-stub --port virtual://esp32c3?timing=virtual load-ram ram.img",
        f"{BOARD} load-ram text",
    ),
    "run": (f"{BOARD} run", "--chip esp32 --port virtual://esp32c3?timing=virtual run"),
    "coredump info": ("coredump info core.bin", "coredump info text"),
    "coredump elf": ("coredump elf core.bin -o out", "coredump elf blank -o out"),
    # It writes a record a line: tests/monitor has what it succeeds with.
    "monitor": (None, "monitor /dev/no-such-port"),
    "ports": ("ports", "ports --watch"),
    "doctor": (
        "doctor --quick virtual://esp32c3?flash=1MB&timing=virtual",
        "doctor /dev/no-such-port",
    ),
    "version": ("version", "version more"),
    "image-info": ("image-info new.bin", "image-info cut.bin"),
    "elf2image": ("--chip esp32c3 elf2image ram.elf", "elf2image ram.elf"),
    "merge-bin": (
        "--chip esp32c3 merge-bin -o out 0 text 0x1000 new.bin",
        "--chip esp32c3 merge-bin -o out 0 new.bin 16 text",
    ),
    # tests/web has what they succeed with.
    "web build": (None, "web build tree"),
    "web serve": (None, "web serve tree"),
    "partitions": (f"partitions {DUMP}", "partitions --file text"),
    "partitions build": ("partitions build table.csv out", "partitions build wrong.csv out"),
    "partitions check": ("partitions check table.csv", "partitions check wrong.csv"),
    "ota status": (f"ota status {DUMP}", "ota status --file text"),
    "ota write": (f"ota write new.bin {DUMP}", f"ota write text {DUMP}"),
    "ota boot": (f"ota boot 0 {DUMP}", f"ota boot 7 {DUMP}"),
    "ota erase": (f"ota erase {DUMP}", "ota erase --file blank"),
    "nvs list": ("nvs list nvs.bin", "nvs list text"),
    "nvs get": ("nvs get nvs.bin store name", "nvs get nvs.bin store absent"),
    "nvs set": ("nvs set nvs.bin store n 9", "nvs set nvs.bin store n 999"),
    "nvs delete": ("nvs delete nvs.bin store n", "nvs delete nvs.bin nobody"),
    "nvs check": ("nvs check nvs.bin", "nvs check damaged.bin"),
    "nvs diff": ("nvs diff nvs.bin other.bin", "nvs diff nvs.bin other.bin --exit-code"),
    "nvs build": ("nvs build nvs.csv out 0x3000", "nvs build nvs.csv out 5"),
    "nvs keys": ("nvs keys keys.bin", "nvs keys text"),
    "fs ls": (f"fs ls lfs {DUMP}", f"fs ls nvs {DUMP}"),
    "fs get": (f"fs get lfs a.txt out {DUMP}", f"fs get lfs absent out {DUMP}"),
    "fs put": (f"fs put lfs text {DUMP}", f"fs put lfs dump.bin {DUMP}"),
    "fs rm": (f"fs rm lfs a.txt {DUMP}", f"fs rm lfs absent {DUMP}"),
    "fs build": (f"fs build lfs tree {DUMP}", f"fs build lfs tree --size 5 {DUMP}"),
    "fs extract": (f"fs extract lfs into {DUMP}", f"fs extract nvs into {DUMP}"),
    "verify-sdc-certificate": (None, f"{BOARD} --no-stub verify-sdc-certificate text"),
    "read-sdc-chip-info": (None, f"{BOARD} read-sdc-chip-info out"),
    "read-nand-spare": (f"{NAND} read-nand-spare 64 {PINS}", f"{NAND} read-nand-spare -1 {PINS}"),
    "write-nand-spare": (
        f"{NAND} write-nand-spare 192 1 {PINS}",
        f"{NAND} write-nand-spare 64 2 {PINS}",
    ),
    "dump-bbm": (f"{NAND} dump-bbm out {PINS}", f"{BOARD} dump-bbm"),
}
ESPEFUSE: dict[str, tuple[str | None, str | None]] = {
    "summary": (f"{VIRT} summary", f"{VIRT} summary NO_SUCH"),
    "dump": (f"{VIRT} dump", f"{VIRT} dump --format none"),
    "get-custom-mac": (f"{VIRT} get-custom-mac", "get-custom-mac"),
    "adc-info": (f"{VIRT} adc-info", "--port /dev/no-such-port adc-info"),
    "check-error": (f"{VIRT} check-error", f"{VIRT} check-error more"),
    "burn-efuse": (f"{VIRT} burn-efuse DIS_TWAI 1", f"{VIRT} burn-efuse DIS_TWAI 9"),
    "read-protect-efuse": (
        f"{VIRT} read-protect-efuse BLOCK_SYS_DATA2",
        f"{VIRT} read-protect-efuse MAC",
    ),
    "write-protect-efuse": (
        f"{VIRT} write-protect-efuse DIS_TWAI --dry-run",
        f"{VIRT} write-protect-efuse NO_SUCH",
    ),
    "burn-block-data": (f"{VIRT} burn-block-data BLOCK3 key32", f"{VIRT} burn-block-data BLOCK3 a"),
    "burn-bit": (f"{VIRT} burn-bit BLOCK3 7", f"{VIRT} burn-bit BLOCK3 999"),
    "burn-key": (
        f"{VIRT} burn-key BLOCK_KEY0 key32 XTS_AES_128_KEY",
        f"{VIRT} burn-key BLOCK_KEY0 text XTS_AES_128_KEY",
    ),
    "burn-key-digest": (
        f"{VIRT} burn-key-digest BLOCK_KEY0 rsa.pem SECURE_BOOT_DIGEST0",
        f"{VIRT} burn-key-digest BLOCK_KEY0 text SECURE_BOOT_DIGEST0",
    ),
    "burn-custom-mac": (
        f"{VIRT} burn-custom-mac aa:cd:ef:01:02:03",
        f"{VIRT} burn-custom-mac 1:2",
    ),
    "set-flash-voltage": (
        "--chip esp32s3 --virt --do-not-confirm set-flash-voltage OFF",
        f"{VIRT} set-flash-voltage OFF",
    ),
    "plan": (f"{VIRT} plan out burn-bit BLOCK3 7", f"{VIRT} plan out"),
    "apply": (f"{VIRT} apply plan.json", f"{VIRT} apply text"),
    "recipe": (f"{VIRT} recipe apply recipe.toml", f"{VIRT} recipe apply text"),
}
ESPSECURE: dict[str, tuple[str | None, str | None]] = {
    "decrypt-flash-data": (
        "decrypt-flash-data --aes-xts -k key32 -o out -a 0x1000 page",
        "decrypt-flash-data --aes-xts -k text -o out -a 0x1000 page",
    ),
    "encrypt-flash-data": (
        "encrypt-flash-data --aes-xts -k key32 -o out -a 0x1000 page",
        "encrypt-flash-data --aes-xts -k key32 -o out -a 0x1001 page",
    ),
    "digest-secure-bootloader": (
        "digest-secure-bootloader -k key32 -o out new.bin",
        "digest-secure-bootloader -k text -o out new.bin",
    ),
    "digest-private-key": ("digest-private-key -k p256.pem out", "digest-private-key -k text out"),
    "digest-rsa-public-key": (
        "digest-rsa-public-key -k rsa.pem -o out",
        "digest-rsa-public-key -k text -o out",
    ),
    "digest-sbv2-public-key": (
        "digest-sbv2-public-key -k rsa.pem -o out",
        "digest-sbv2-public-key -k text -o out",
    ),
    "digest-sdc-public-key": (
        "digest-sdc-public-key -k p256.pem -o out",
        "digest-sdc-public-key -k rsa.pem -o out",
    ),
    "extract-public-key": (
        "extract-public-key -v 2 -k rsa.pem out",
        "extract-public-key -k text out",
    ),
    "generate-flash-encryption-key": (
        "generate-flash-encryption-key out",
        "generate-flash-encryption-key no/where",
    ),
    "generate-sdc-certificate": (None, "generate-sdc-certificate -k p256.pem -o out"),
    "generate-signing-key": (
        "generate-signing-key -v 2 -s ecdsa256 out",
        "generate-signing-key -v 2 text",
    ),
    "sign-data": ("sign-data -v 2 -k p256.pem -o out page", "sign-data -v 2 -k text -o out page"),
    "signature-info-v2": ("signature-info-v2 signed", "signature-info-v2 text"),
    "verify-signature": (
        "verify-signature -v 2 -k p256.pem signed",
        "verify-signature -v 2 -k rsa.pem signed",
    ),
}
CASES = [
    pytest.param(program, command, words, good, id=f"{program} {command} {'ok' if good else 'bad'}")
    for program, table in (("esptool", ESPTOOL), ("espefuse", ESPEFUSE), ("espsecure", ESPSECURE))
    for command, both in table.items()
    for words, good in zip(both, (True, False), strict=True)
    if words is not None
]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that the commands above work on."""
    folder = tmp_path_factory.mktemp("prepared")
    table = PartitionTable.from_csv(CSV)
    new = app("esp32c3", version="new")
    dump = bytearray(b"\xff" * 0x100000)
    dump[0x8000:0x8C00] = table.to_bytes()
    dump[0x10000 : 0x10000 + len(new)] = new
    dump[0x20000 : 0x20000 + len(new)] = new
    contents = {
        "table.csv": CSV.encode(),
        "wrong.csv": b"a,data,nvs,,24K\na,data,fat,,64K\n",
        "nvs.csv": NVS_CSV.encode(),
        "text": b"just text",
        "recipe.toml": b'recipe = 1\njtag = "closed"\n',
        "blank": b"\xff" * 0x1000,
        "page": bytes(range(256)) * 16,
        "key32": bytes(range(32)),
        "new.bin": new,
        "cut.bin": new[:5000],
        "dump.bin": bytes(dump),
        "whole.bin": new + bytes(dump[len(new) :]),
        "ram.elf": ram_program(0x3FC88000),
        "core.bin": core_dump((1, 3), {"SP": 0x3FC90000, "MEPC": 0x42000000}, bytes(64)),
    }
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    (folder / "tree").mkdir()
    (folder / "tree" / "a.txt").write_bytes(b"hello")
    for name, scheme in (("rsa.pem", "rsa3072"), ("p256.pem", "ecdsa256")):
        (folder / name).write_bytes(keys.private_pem(keys.generate(scheme)))
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()):
        patch.chdir(folder)
        esptool.main(["nvs", "build", "nvs.csv", "nvs.bin", "0x3000"])
        esptool.main(["nvs", "build", "nvs.csv", "other.bin", "0x3000"])
        esptool.main(["nvs", "set", "other.bin", "store", "n", "8"])
        damaged = bytearray((folder / "nvs.bin").read_bytes())
        damaged[70] ^= 0x10
        (folder / "damaged.bin").write_bytes(bytes(damaged))
        esptool.main(["fs", "build", "lfs", "tree", "--type", "littlefs", "--file", "dump.bin"])
        esptool.main(["--chip", "esp32c3", "elf2image", "ram.elf", "-o", "ram.img"])
        espsecure.main(["sign-data", "-v", "2", "-k", "p256.pem", "-o", "signed", "page"])
        espefuse.main(f"{VIRT} plan plan.json burn-bit BLOCK3 7".split())
    return folder


Call = Callable[[str, str], tuple[int, str, str]]


@pytest.fixture
def call(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Run a command line in a copy of the folder: exit code, standard output and error."""
    shutil.copytree(prepared, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.delenv("ESPTOOL_PORT", raising=False)

    def run(program: str, words: str) -> tuple[int, str, str]:
        out, err, code = io.StringIO(), io.StringIO(), 0
        with redirect_stdout(out), redirect_stderr(err):
            try:
                MAINS[program](words.split())
            except SystemExit as e:
                code = e.code if isinstance(e.code, int) else 2
            except FatalError:
                code = 2
        return code, out.getvalue(), err.getvalue()

    return run


def check(value: dict[str, Any]) -> dict[str, Any]:
    """Validate it; what is said is about the field that is wrong."""
    where = "document" if "event" not in value else "line"
    schema = {**SCHEMA, "anyOf": [{"$ref": f"#/$defs/{where}"}]}
    jsonschema.Draft202012Validator(schema["$defs"][where] | {"$defs": SCHEMA["$defs"]}).validate(
        value
    )
    return value


@pytest.mark.parametrize(("program", "command", "words", "good"), CASES)
def test_each_command_keeps_to_the_schema_failing_and_succeeding(
    program: str, command: str, words: str, good: bool, call: Call
) -> None:
    code, out, err = call(program, f"{words} --json")
    document = check(json.loads(out))
    assert document["ok"] is good, (document, err)
    assert code == (0 if good else 2)
    assert document["program"] == program
    if good and command != "plan":
        assert document["command"] == command
    if not good:
        assert document["error"]["message"]
        assert document["error"]["code"] not in ("failed", "internal") or program != "esptool"


def test_the_tables_name_every_command() -> None:
    groups = {name: cli.commands[name] for name in ENTRIES}
    ours = set()
    for name, command in groups.items():
        members = getattr(command, "commands", {})
        ours |= {f"{name} {member}" for member in members} or {name}
        ours |= {name} if getattr(command, "invoke_without_command", False) else set()
    assert ours == set(ESPTOOL)
    efuse = EspefuseGroup()
    efuse.load("esp32s3")
    assert set(efuse.commands) == set(ESPEFUSE)
    assert set(espsecure.cli.COMMANDS) == set(ESPSECURE)


@pytest.mark.parametrize("words", [ESPTOOL["write-flash"][0], ESPTOOL["erase-region"][0]])
def test_events_tell_what_happens_and_end_with_the_document(words: str, call: Call) -> None:
    code, out, _ = call("esptool", f"--events {words}")
    assert code == 0
    lines = [check(json.loads(line)) for line in out.splitlines()]
    stages = [line["stage"] for line in lines if line["event"] == "stage"]
    assert stages[:2] == ["connecting", "starting-stub"]
    assert stages[-1] == "resetting"
    assert {"writing", "erasing"} & set(stages)
    done = [line for line in lines if line["event"] == "progress" and line["done"] == line["total"]]
    assert done or "erase" in words
    last = lines[-1]
    assert last.pop("event") == "result"
    assert check(last)["ok"]


def test_progress_is_told_ten_times_a_second_and_its_end_always() -> None:
    now = [0.0]
    told = io.StringIO()
    run = machine.Machine("esptool", events=True, now=lambda: now[0])
    with redirect_stdout(told):
        for done in range(1, 1001):
            run.event(Progress("Writing at", done, done, 1000))
            now[0] += 0.001
    lines = [json.loads(line) for line in told.getvalue().splitlines()]
    assert len(lines) <= 12
    assert lines[-1]["done"] == 1000
    assert all(b["done"] > a["done"] for a, b in pairwise(lines))


def test_a_failure_keeps_what_was_found_out_before_it(call: Call) -> None:
    _, out, _ = call("esptool", f"{BOARD} verify-flash 0 text 0x1000 blank --json")
    document = check(json.loads(out))
    assert [region["matches"] for region in document["regions"]] == [False, True]
    assert document["error"]["code"] == "verify"
    assert document["device"]["chip"] == "esp32c3"


@pytest.mark.parametrize(
    ("words", "operands"),
    [
        ("--port /dev/no-such-port chip-id", {"port": "/dev/no-such-port"}),
        ("--bauds 3 chip-id", {"option": "--bauds"}),
        ("--chip esp99 chip-id", {"option": "--chip"}),
        (f"{BOARD} erase-region 0 0x1001", {"port": PLACE, "chip": "esp32c3"}),
        ("image-info absent", {"argument": "filename"}),
        (
            f"{BOARD} read-flash 0 4 /no/where/out",
            {"file": "/no/where/out", "reason": "No such file or directory"},
        ),
        (
            f"{BOARD} write-flash 0xfffff text",
            {"address": 0xFFFFF, "size": 9, "flash_size": 0x100000, "file": "text"},
        ),
        (f"ota boot 7 {DUMP}", {"partition": "7"}),
        ("monitor --send \\q --expect x /dev/no-such-port", {"text": "\\q", "escape": "\\q"}),
    ],
)
def test_an_error_tells_what_it_is_about(words: str, operands: dict[str, Any], call: Call) -> None:
    code, out, _ = call("esptool", f"{words} --json")
    assert code == 2
    found = check(json.loads(out))["error"]
    assert found["operands"].items() >= operands.items()


def test_several_efuse_commands_have_a_result_each(call: Call) -> None:
    _, out, _ = call("espefuse", f"{VIRT} summary MAC adc-info --json")
    document = check(json.loads(out))
    assert document["command"] == "summary adc-info"
    assert [result["command"] for result in document["results"]] == ["summary", "adc-info"]
    assert list(document["results"][0]["efuses"]) == ["MAC"]


def test_a_logger_of_the_caller_is_back_after_a_run_for_programs(call: Call) -> None:
    class Own(EsptoolLogger):
        pass

    own = Own()
    try:
        log.set_logger(own)
        call("esptool", "version --json")
        assert machine.active() is None
        log.set_verbosity("verbose")
        assert own._verbosity == "verbose"
    finally:
        own.set_verbosity("auto")
        EsptoolLogger()


def test_a_person_is_not_told_what_is_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    to_log(Result({"mac": "00"}))
    assert capsys.readouterr().out == ""


def test_every_kind_of_error_has_a_published_code() -> None:
    import esp_station.labgrid  # noqa: F401 - a kind of its own

    known = set(SCHEMA["$defs"]["error"]["properties"]["code"]["enum"])
    kinds = [errors.FatalError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    assert {kind.error_code for kind in kinds} <= known

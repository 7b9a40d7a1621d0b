# SPDX-License-Identifier: Apache-2.0
"""Programs and command lines that know nothing of debuggers but the URL: partitions, NVS, names,
memory, eFuses, the loader objects; and programs that are put back as they were on every chip."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

import esptool
from esptool import chips, cmds, device
from esptool.chips.spec import Arch
from esptool.errors import PortError
from esptool.ops.reset import reset_chip
from esptool.stubs import mailbox
from esptool.targets import ESP32C3ROM
from tests.gdb.support import client_of, serving

#: Name, type, subtype, offset and size of what a board has.
TABLE = """\
nvs,data,nvs,0x9000,0x4000
otadata,data,ota,0xd000,0x2000
ota_0,app,ota_0,0x10000,0x10000
ota_1,app,ota_1,0x20000,0x10000
"""
KEYS = [key for key in chips.KEYS if chips.get(key).stub.available]
DATA = random.Random(7).randbytes(5000)


def image(tmp_path: Path) -> str:
    path = tmp_path / "data.bin"
    path.write_bytes(DATA)
    return str(path)


def test_partitions_names_and_nvs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "table.csv"
    table.write_text(TABLE)
    with serving("virtual://esp32c3") as server:

        def run(*words: str) -> str:
            esptool.main(["--port", server.url, *words])
            return capsys.readouterr().out

        esptool.main(["partitions", "build", str(table), str(tmp_path / "table.bin")])
        run("write-flash", "0x8000", str(tmp_path / "table.bin"))
        run("write-flash", "ota_0", image(tmp_path))
        assert server.board.nor.read(0x10000, len(DATA)) == DATA
        assert "ota_1" in run("partitions")
        run("nvs", "set", "nvs", "net", "name", "house", "--type", "string")
        assert "house" in run("nvs", "get", "nvs", "net", "name")
        run("read-flash", "ota_0", str(tmp_path / "out.bin"))
        assert (tmp_path / "out.bin").read_bytes()[: len(DATA)] == DATA
        run("dump-mem", "0x3fc90000", "64", str(tmp_path / "mem.bin"))
        assert len((tmp_path / "mem.bin").read_bytes()) == 64
        run("write-mem", "0x3fc90000", "0x12345678")
        said = run("--json", "flash-id")
        assert json.loads(said)


@pytest.mark.parametrize("key", ["esp32c3", "esp32"])
def test_a_summary_of_the_efuses(key: str, capsys: pytest.CaptureFixture[str]) -> None:
    from espefuse import main as espefuse

    with serving(f"virtual://{key}") as server:
        espefuse(["--port", server.url, "summary"])
        assert "MAC" in capsys.readouterr().out


def test_loader_objects_take_the_url() -> None:
    with serving("virtual://esp32c3") as server:
        esp = ESP32C3ROM(server.url)
        with pytest.raises(PortError):
            esp.sync()
        esp.connect()
        assert esp.run_stub().flash_id() == esp.flash_id()
        assert esp.serial_port == server.url
        esp._port.close()
        assert not esp._port.is_open
        connected = esptool.get_default_connected_device
        for find in (
            lambda: cmds.detect_chip(server.url),
            lambda: connected([], server.url, 1, 115200),
            lambda: connected([], server.url, 1, 115200, "esp32c3"),
        ):
            found = find()
            assert found is not None
            assert found.get_chip_description().startswith("ESP32-C3")
            found._port.close()


@pytest.mark.parametrize("key", KEYS)
def test_what_was_paused_is_put_back(key: str) -> None:
    """Registers and all RAM that the stub takes, after flash was written."""
    spec = chips.get(key)

    with serving(f"virtual://{key}") as server:
        ram = mailbox.load(key).ram
        contents = [random.Random(part.start).randbytes(len(part)) for part in ram]
        # It jumps to itself.
        code = bytes.fromhex("6f000000" if spec.arch is Arch.RISCV else "06ffff00")
        at = ram[0].start
        contents[0] = code + contents[0][len(code) :]
        pc = server.target.pc_number
        with client_of(server) as client:
            for part, data in zip(ram, contents, strict=True):
                client.write(part.start, data)
            for number in range(1, 16):
                if number != pc:
                    client.write_register(number, 0x3FFB0000 + 16 * number)
            client.write_register(pc, at)
            client.resume()
            client.interrupt()
            before = client.read_registers()
        session = device.connect(server.url, chip=key, before="attach")
        assert session.is_stub
        assert session.flash.id()
        reset_chip(session)
        session.close()
        with client_of(server) as client:
            assert client.read_registers() == before
            for part, data in zip(ram, contents, strict=True):
                assert client.read(part.start, len(part)) == data

# SPDX-License-Identifier: Apache-2.0
"""Programs from PyPI that build on esptool do their usual work on a virtual chip.

Run by `make test-clients` in an environment of its own, where our distribution stands in place of
the public one. Not among the usual tests: it needs those programs.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace

import pytest

import esptool

PROGRAMS = Path(__file__).parents[1] / "demo"


def build(folder: Path, chip: str = "esp32s3") -> dict[int, Path]:
    """A boot loader, a partition table and an application, each with its offset."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for offset, name in ((0x0, "boot"), (0x10000, "hello")):
        path = folder / f"{name}.bin"
        esptool.elf2image(str(PROGRAMS / f"{name}.elf"), chip, str(path), flash_size="4MB")
        files[offset] = path
    table = folder / "partition-table.bin"
    entry = struct.pack("<HBBII16sI", 0x50AA, 0, 0, 0x10000, 0x100000, b"factory", 0)
    table.write_bytes(entry.ljust(0xC00, b"\xff"))
    files[0x8000] = table
    return files


def run(*words: str | Path, cwd: Path | None = None, answer: str = "") -> str:
    done = subprocess.run(
        [str(w) for w in words],
        cwd=cwd,
        input=answer,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


def flash_holds(port: str, files: dict[int, Path]) -> None:
    words = [word for at, path in files.items() for word in (hex(at), str(path))]
    esptool.main(["--port", port, "verify-flash", *words])


def test_pytest_embedded_serial_esp_detects_and_erases(tmp_path: Path) -> None:
    (tmp_path / "test_board.py").write_text(
        textwrap.dedent(
            """
            def test_board(serial):
                assert serial.esp.CHIP_NAME == "ESP32-C3"
                serial.erase_flash()
                serial.hard_reset()
            """
        )
    )
    words = ["--embedded-services", "esp", "--port", "virtual://esp32c3", "--target", "esp32c3"]
    run(sys.executable, "-m", "pytest", "-q", *words, cwd=tmp_path)


def test_pytest_embedded_idf_flashes_a_project_and_dumps_it(tmp_path: Path) -> None:
    app = tmp_path / "app" / "build"
    files = build(app)
    (app / "flasher_args.json").write_text(
        json.dumps(
            {
                "write_flash_args": ["--flash_mode", "dio", "--flash_size", "4MB"],
                "flash_settings": {"flash_mode": "dio", "flash_size": "4MB", "flash_freq": "80m"},
                "flash_files": {hex(at): path.name for at, path in files.items()},
                "app": {"offset": "0x10000", "file": "hello.bin", "encrypted": "false"},
                "extra_esptool_args": {
                    "after": "hard_reset",
                    "before": "default_reset",
                    "stub": True,
                    "chip": "esp32s3",
                },
            }
        )
    )
    (app / "config").mkdir()
    (app / "config" / "sdkconfig.json").write_text(json.dumps({"IDF_TARGET": "esp32s3"}))
    (app / "hello.elf").write_bytes((PROGRAMS / "hello.elf").read_bytes())
    (tmp_path / "test_project.py").write_text(
        textwrap.dedent(
            """
            def test_project(serial, app):
                from pathlib import Path
                serial.dump_flash(output="dump.bin", address="0x10000", size="4096")
                dumped = Path("dump.bin").read_bytes()
                assert dumped[:1] == b"\\xe9"
                # Without a name the data come back, through a file that stays open meanwhile.
                assert serial.dump_flash(address="0x10000", size="4096") == dumped
            """
        )
    )
    state = tmp_path / "board.bin"
    port = f"virtual://esp32s3?state={state}"
    words = ["--embedded-services", "esp,idf", "--port", port, "--app-path", str(tmp_path / "app")]
    run(sys.executable, "-m", "pytest", "-q", "-s", *words, cwd=tmp_path)


def test_esp_coredump_reads_a_dump_from_flash(tmp_path: Path) -> None:
    from esp_coredump.corefile.loader import ESPCoreDumpFlashLoader

    dump = struct.pack("<I", 8192) + os.urandom(8188)
    path = tmp_path / "dump.bin"
    path.write_bytes(dump)
    port = f"virtual://esp32c3?state={tmp_path}/board.bin"
    esptool.main(["--port", port, "write-flash", "0x110000", str(path)])

    loader = ESPCoreDumpFlashLoader.__new__(ESPCoreDumpFlashLoader)
    loader.port, loader.baud = port, 460800
    target = tmp_path / "read.bin"
    loader._create_temp_file = lambda: str(target)
    loader._get_core_dump_partition_info = lambda: (0x110000, 0x10000)
    loader._invoke_esptool(off=0x110000, target="esp32c3")
    assert target.read_bytes() == dump


def test_mpflash_flashes_firmware(tmp_path: Path) -> None:
    from mpflash.flash.builtins import esp

    firmware = build(tmp_path)[0x0]
    port = f"virtual://esp32s3?state={tmp_path}/board.bin"
    chip, start, baud = esp._chip_params("ESP32S3")
    board = SimpleNamespace(serialport=port)
    esp._attempt_flash(board, chip, start, baud, firmware, "keep", "detect", erase=True)
    flash_holds(port, {int(start, 16): firmware})


def test_idf_monitor_decodes_an_efuse_token(tmp_path: Path) -> None:
    from esp_idf_monitor.base import monitor_secure_exec

    text = Path(monitor_secure_exec.__file__).read_text(encoding="utf-8")
    assert "espefuse --token {} summary --active" in text
    token = next(
        line.split("=")[-1].strip()
        for line in run(
            *("espefuse", "--chip", "esp32c3", "--virt", "dump", "--format", "token")
        ).splitlines()
        if "EFSR:" in line
    )
    token = token[token.index("EFSR:") :].split()[0]
    assert "MAC" in run("espefuse", "--token", token, "summary")


@pytest.fixture
def credentials(tmp_path: Path) -> Path:
    """Two self-signed certificates with their keys, made by openssl."""
    openssl = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes"]
    for name in ("ca", "device"):
        files = ["-keyout", f"{name}.key", "-out", f"{name}.crt"]
        run(*openssl, *files, "-subj", "/CN=test", "-days", "2", cwd=tmp_path)
    return tmp_path


CERTIFICATES = (
    *("--keep_ds_data_on_host", "--ca-cert", "ca.crt", "--device-cert", "device.crt"),
    *("--private-key", "device.key", "--secure_cert_type", "cust_flash_tlv"),
)


def test_the_secure_certificate_tool_provisions_a_chip(credentials: Path) -> None:
    port = "virtual://esp32s3?state=board.bin"
    chip = ("--target_chip", "esp32s3", "-p", f"'{port}'")  # it puts the port into a shell line
    algorithm = ("--priv_key_algo", "RSA", "2048", "--efuse_key_id", "1")
    run(
        *("configure_esp_secure_cert.py", "--configure_ds", *chip, *algorithm, *CERTIFICATES),
        cwd=credentials,
        answer="BURN\n",
    )
    made = credentials / "esp_secure_cert_data" / "esp_secure_cert.bin"
    state = f"virtual://esp32s3?state={credentials}/board.bin"
    flash_holds(state, {0xD000: made})
    summary = run("espefuse", "--port", state, "summary", "KEY_PURPOSE_1")
    assert "HMAC_DOWN_DIGITAL_SIGNATURE" in summary


def test_the_secure_certificate_tool_signs_with_our_keys(credentials: Path) -> None:
    run("espsecure", "generate-signing-key", "--version", "2", "sign.pem", cwd=credentials)
    run(
        *("configure_esp_secure_cert.py", "--target_chip", "esp32s3", "--skip_flash"),
        *CERTIFICATES,
        *("--secure-sign", "--signing-scheme", "rsa3072", "--signing-key-file", "sign.pem"),
        cwd=credentials,
    )
    assert list(credentials.rglob("*sign*.bin")) or list(credentials.rglob("esp_secure_cert.bin"))


@pytest.mark.parametrize(
    "names",
    [("_get_sbv2_pub_key", "_sha256_digest", "_sha384_digest", "_get_sbv2_rsa_primitives")],
)
def test_the_secure_certificate_tool_finds_its_names(names: tuple[str, ...]) -> None:
    import esp_secure_cert.tlv_format_construct  # noqa: F401 - fails without the names

    import espsecure

    for name in names:
        assert callable(getattr(espsecure, name))

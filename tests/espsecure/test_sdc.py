# SPDX-License-Identifier: Apache-2.0
"""Certificates of the secure debug controller: bytes, what binds them, and what is refused."""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest

from espsecure import keys, sdc, signers
from tests.espsecure.conftest import Oracle, Run

MAC = "00:11:22:33:44:55"


def check(certificate: bytes, key_file: Path, info: bytes) -> int:
    """Check a certificate by its published layout; returns the word of flags."""
    assert len(certificate) == 468
    head, body, nonce = certificate[:20], certificate[20:436], certificate[436:]
    fields = struct.unpack("<IBBHHHII", head)
    assert fields == (0x524D4143, 1, 0, 256, 436, 0, zlib.crc32(body, 0xFFFFFFFF), 0)
    key = keys.load_public(key_file.read_bytes())
    assert body[256:320] == keys.point(key)  # type: ignore[arg-type]
    assert body[384:] == hashlib.sha256(body[:384]).digest()
    assert signers.verify(key, body[320:384], hashlib.sha256(body[:256] + info).digest())
    assert not any(body[4:256])
    assert len(nonce) == 32
    return int.from_bytes(body[:4], "big")


@pytest.mark.parametrize("counter", [0, 1, 3, 7])
@pytest.mark.parametrize("mac", [MAC, "00-11-22-33-44-55", "001122334455"])
def test_a_certificate_is_bound_to_mac_counter_and_nonce(
    counter: int, mac: str, ok: Run, key_folder: Path, tmp_path: Path
) -> None:
    out, key = tmp_path / "cert", key_folder / "ecdsa256.pem"
    ok("generate-sdc-certificate", "-k", key, "--mac", mac, "--sdc-session-counter", counter,
       "-o", out)  # fmt: skip
    nonce = out.read_bytes()[-32:]
    unique = hashlib.sha256(bytes.fromhex("554433221100")).digest()
    info = hashlib.sha256(unique + nonce + bytes([counter << 4])).digest()
    assert check(out.read_bytes(), key, info) == 0


@pytest.mark.parametrize("bits", range(8))
def test_flags_open_interfaces_and_json_wins(
    bits: int, ok: Run, key_folder: Path, tmp_path: Path
) -> None:
    info, out, usc = tmp_path / "info", tmp_path / "cert", tmp_path / "usc.json"
    info.write_bytes(bytes(range(64)))
    names = ("enable-jtag", "enable-download-reuse", "enable-force-spi-boot")
    flags = [f"--{name}" for bit, name in enumerate(names) if bits >> bit & 1]
    line = ["generate-sdc-certificate", "-k", key_folder / "ecdsa256.pem", "--chip-info", info,
            "-o", out]  # fmt: skip
    result = ok(*line, *flags)
    certificate = out.read_bytes()
    assert check(certificate, key_folder / "ecdsa256.pub", bytes(range(32))) == bits
    assert certificate[-32:] == bytes(range(32, 64))
    assert "Certificate size: 468 bytes" in result.out
    entries = [
        {"key": name.replace("-", "_"), "value": not bits >> bit & 1}
        for bit, name in enumerate(names)
    ]
    document = {"version": 1, "groups": [{"group": "other"}, {"group": "config_flags"}]}
    document["groups"][1]["entries"] = entries  # type: ignore[index]
    usc.write_text(json.dumps(document))
    ok(*line, *flags, "--usc", usc)
    assert check(out.read_bytes(), key_folder / "ecdsa256.pub", bytes(range(32))) == bits ^ 7


@pytest.mark.oracle
def test_key_digests_are_those_of_the_public_tool(
    oracle: Oracle, ok: Run, key_folder: Path, tmp_path: Path
) -> None:
    ours, theirs, key = tmp_path / "ours", tmp_path / "theirs", key_folder / "ecdsa256.pem"
    ok("digest-sdc-public-key", "-k", key, "-o", ours)
    oracle.ok("digest-sdc-public-key", "-k", key, "-o", theirs)
    assert ours.read_bytes() == theirs.read_bytes()
    ok("digest-sdc-public-key", "--pub-key", key_folder / "ecdsa256.pub", "-o", ours)
    assert ours.read_bytes() == theirs.read_bytes()


@pytest.mark.oracle
def test_a_certificate_of_the_public_tool_has_the_same_layout(
    oracle: Oracle, key_folder: Path, tmp_path: Path
) -> None:
    info, out = tmp_path / "info", tmp_path / "cert"
    info.write_bytes(bytes(range(64)))
    oracle.ok("generate-sdc-certificate", "-k", key_folder / "ecdsa256.pem", "--chip-info", info,
              "-o", out, "--enable-jtag")  # fmt: skip
    assert check(out.read_bytes(), key_folder / "ecdsa256.pub", bytes(range(32))) == 1


def test_macs_come_from_files(ok: Run, key_folder: Path, tmp_path: Path) -> None:
    raw, text = tmp_path / "mac.bin", tmp_path / "mac.hex"
    raw.write_bytes(bytes.fromhex("001122334455"))
    text.write_text(f"{MAC}\n")
    for name in (raw, text):
        assert sdc.parse_mac(str(name)) == raw.read_bytes()


def entry(**fields: Any) -> str:
    groups = [{"group": "config_flags", "entries": [fields]}]
    return json.dumps({"version": 1, "groups": groups})


BAD_USC = {
    "{": "JSON",
    "[1]": "JSON object",
    "\udc80": "USC JSON",
    '{"groups": []}': "version",
    '{"version": 2}': "version",
    '{"version": true}': "version",
    '{"version": 1, "groups": 3}': "groups",
    '{"version": 1, "groups": [3]}': "groups",
    '{"version": 1, "groups": [{"group": "config_flags", "entries": 3}]}': "entries",
    '{"version": 1, "groups": [{"group": "config_flags", "entries": [3]}]}': "entry",
    entry(key="enable_jtag"): "'value'",
    entry(key="enable_jtag", value="yes"): "boolean",
    entry(key="enable_jtag", value=1): "boolean",
    entry(key="enable_all", value=True): "enable_all",
}


def test_malformed_configurations_are_refused(
    refused: Run, key_folder: Path, tmp_path: Path
) -> None:
    usc, out = tmp_path / "usc.json", tmp_path / "cert"
    line = ["generate-sdc-certificate", "-k", key_folder / "ecdsa256.pem", "--mac", MAC, "-o", out]
    for content, text in BAD_USC.items():
        usc.write_bytes(content.encode(errors="surrogateescape"))
        assert text in refused(*line, "--usc", usc).err
    assert not out.exists()


def test_inputs_that_do_not_go_together_are_refused(
    ok: Run, refused: Run, key_folder: Path, tmp_path: Path
) -> None:
    out, key, short = tmp_path / "cert", key_folder / "ecdsa256.pem", tmp_path / "short.bin"
    short.write_bytes(bytes(5))
    cases: list[tuple[list[object], str]] = [
        (["-k", key], "--mac is required"),
        (["--mac", MAC], "must be provided"),
        (["-k", key, "--hsm", "--mac", MAC], "mutually exclusive"),
        (["--hsm", "--mac", MAC], "--hsm-config is required"),
        (["-k", key, "--mac", "00:11:22:33:44"], "MAC hex string has 10 hex characters"),
        (["-k", key, "--mac", "zz:11:22:33:44:55"], "hex"),
        (["-k", key, "--mac", short], "file size"),
        (["-k", key, "--chip-info", short], "Invalid chip_info file size"),
        (["-k", key, "--mac", MAC, "--sdc-session-counter", "2"], "session counter"),
        (["-k", key, "--mac", MAC, "--sdc-session-counter", "8"], "session counter"),
        (["-k", key_folder / "rsa3072.pem", "--mac", MAC], "ECDSA"),
        (["-k", key_folder / "ecdsa384.pem", "--mac", MAC], "SECP256R1"),
        (["-k", key_folder / "ecdsa192.pem", "--mac", MAC], "SECP256R1"),
        (["-k", key_folder / "ecdsa256.pub", "--mac", MAC], "private key"),
    ]
    for options, text in cases:
        result = refused("generate-sdc-certificate", "-o", out, *options)
        assert text in result.err, options
    digest_cases: list[tuple[list[object], str]] = [
        ([], "must be provided"),
        (["-k", key, "--pub-key", key_folder / "ecdsa256.pub"], "can be provided"),
        (["--hsm"], "--hsm-config is required"),
        (["-k", key_folder / "rsa3072.pem"], "ECDSA"),
        (["--pub-key", key_folder / "ecdsa384.pub"], "SECP256R1"),
        (["--pub-key", key], "Unsupported public key format"),
    ]
    for options, text in digest_cases:
        assert text in refused("digest-sdc-public-key", "-o", out, *options).err, options
    assert not out.exists()
    info = tmp_path / "info"
    info.write_bytes(bytes(64))
    both = ["--chip-info", info, "--mac", MAC]
    assert "ignored" in ok("generate-sdc-certificate", "-k", key, "-o", out, *both).err

# SPDX-License-Identifier: Apache-2.0
"""The documented functions speak to the listener that they are given, and to nobody else."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

import espsecure
from esptool.events import Event, Message

DATA = bytes(range(256)) * 32


def test_what_functions_on_files_say_goes_to_their_listener(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said: list[str] = []

    def listen(event: Event) -> None:
        assert isinstance(event, Message)
        said.append(event.text)

    key, public = tmp_path / "key.pem", tmp_path / "public.pem"
    old, signed = tmp_path / "v1.pem", tmp_path / "signed.bin"
    digest = str(tmp_path / "digest")
    spoke = [0]

    def step() -> None:
        """Each of them has something to say."""
        assert len(said) > spoke[-1]
        spoke.append(len(said))

    espsecure.generate_signing_key("2", "ecdsa256", str(key), listener=listen)
    step()
    espsecure.generate_signing_key("1", None, str(old), listener=listen)
    step()
    with key.open("rb") as private, public.open("wb") as target:
        espsecure.extract_public_key("2", private, target, listener=listen)
    step()
    with key.open("rb") as private:
        data = io.BytesIO(DATA)
        espsecure.sign_secure_boot_v2(
            [private], str(signed), False, False, None, None, None, data, listener=listen
        )
    step()
    with public.open("rb") as pem, signed.open("rb") as file:
        espsecure.verify_signature_v2(False, None, pem, file, listener=listen)
        step()
        file.seek(0)
        espsecure.signature_info_v2(file, listener=listen)
        step()
    assert espsecure.validate_signature_block(signed.read_bytes(), 0, listener=listen)
    step()
    with old.open("rb") as private:
        data = io.BytesIO(DATA)
        out = str(tmp_path / "signed1.bin")
        espsecure.sign_secure_boot_v1([private], out, False, None, None, data, listener=listen)
    step()
    with old.open("rb") as private, (tmp_path / "signed1.bin").open("rb") as file:
        espsecure.verify_signature_v1(private, file, listener=listen)
    step()
    with public.open("rb") as pem:
        espsecure.digest_sbv2_public_key(pem, digest, listener=listen)
    step()
    with old.open("rb") as private:
        espsecure.digest_private_key(private, 256, io.BytesIO(), listener=listen)
    step()
    flash_key = io.BytesIO()
    espsecure.generate_flash_encryption_key(256, flash_key, listener=listen)
    step()
    with pytest.raises(AssertionError):
        step()
    for run in (espsecure.encrypt_flash_data, espsecure.decrypt_flash_data):
        flash_key.seek(0)
        run(flash_key, io.BytesIO(), 0x1000, None, True, io.BytesIO(DATA), listener=listen)
    flash_key.seek(0)
    espsecure.digest_secure_bootloader(
        flash_key, str(tmp_path / "boot"), None, io.BytesIO(b"\xe9" + bytes(4095)), listener=listen
    )
    step()
    assert capsys.readouterr() == ("", "")

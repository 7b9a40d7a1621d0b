# SPDX-License-Identifier: Apache-2.0
"""On which chips a stub runs, and which: told by the revision of a virtual board."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import esptool
from esptool.device import Session, connect
from esptool.device.stub_loader import stub_name, why_no_stub
from esptool.errors import FatalError, LineLossError, UsageError
from esptool.protocol.opcodes import Cmd
from esptool.protocol.packets import Response

#: (chip, revision of the board, why no stub runs there, or its name)
CASES = [
    ("esp32c2", "0.0", "not supported on ESP32-C2 v0.0"),
    ("esp32c2", "0.1", "esp32c2"),
    ("esp32c2", "1.0", "esp32c2"),
    ("esp32p4", "0.0", "esp32p4-rev1"),
    ("esp32p4", "1.3", "esp32p4-rev1"),
    ("esp32p4", "2.99", "esp32p4-rev1"),
    ("esp32p4", "3.0", "esp32p4"),
    ("esp32p4", "3.1", "esp32p4"),
    ("esp32", "0.0", "esp32"),
]


@pytest.mark.parametrize(("chip", "revision", "expected"), CASES)
def test_a_stub_is_chosen_by_the_revision(chip: str, revision: str, expected: str) -> None:
    with connect(f"virtual://{chip}?rev={revision}", chip=chip) as session:
        assert (why_no_stub(session) or stub_name(session)) == expected


SECURE_S3 = "virtual://esp32s3?efuse=secure_boot:1&timing=virtual"
#: The pointer through which S3's ROM reads flash, and the request that makes it do so.
POINTER, READ = 0x3FCEF688, 0x0E


@pytest.mark.parametrize("stub", ["emulated", "model"])
def test_s3_starts_both_stages_with_secure_boot_and_leaves_its_rom_as_it_was(stub: str) -> None:
    with connect(f"{SECURE_S3}&stub={stub}", chip="esp32s3") as session:
        session.run_stub(baud=921_600)
        assert session.loaded is not None
        assert session.loaded.staged
        assert session.is_stub
        assert session.link.baud == 921_600
        assert session.read_reg(POINTER) == 0


def _losing(session: Session, lost: Callable[[bytes], bool]) -> None:
    """From now on most of a frame that `lost` names does not reach the chip."""
    send = session.link.send_frame

    def lose(payload: bytes) -> None:
        send(payload[:4] if lost(payload) else payload)

    session.link.send_frame = lose  # type: ignore[method-assign]


def test_the_rom_is_left_as_it_was_where_no_stub_answers() -> None:
    with connect(f"{SECURE_S3}&stub=model", chip="esp32s3") as session:
        session.may_reset = False
        _losing(session, lambda data: data[1] == READ)
        with pytest.raises(FatalError, match="The stub flasher did not start"):
            session.run_stub()
        assert not session.is_stub
        assert session.link.baud == 115_200
        assert session.read_reg(POINTER) == 0


def test_what_is_put_back_is_sent_as_often_as_the_line_needs() -> None:
    pointer = POINTER.to_bytes(4, "little")
    seen: list[bytes] = []

    def lost(data: bytes) -> bool:
        if data[1] != Cmd.WRITE_REG or pointer not in data:
            return False
        seen.append(data)
        return len(seen) in (2, 3)

    with connect(f"{SECURE_S3}&stub=model", chip="esp32s3") as session:
        _losing(session, lost)
        session.run_stub()
        assert session.is_stub
        assert session.read_reg(POINTER) == 0
    assert len(seen) == 4


def test_s3_with_secure_boot_is_written_by_its_stub(tmp_path: Path, capsys: Any) -> None:
    image = tmp_path / "image.bin"
    image.write_bytes(b"not a program" * 1000)
    esptool.main(["--port", SECURE_S3, "write-flash", "0x20000", str(image)])
    said = capsys.readouterr().out
    assert "Stub flasher running." in said
    assert "verified" in said


def without(session: Session, **changed: Any) -> None:
    """The host believes something else of the chip's stub."""
    session.spec = replace(session.spec, stub=replace(session.spec.stub, **changed))


@pytest.mark.parametrize(
    ("chip", "changed"),
    [
        ("esp32s3", {"secure_boot_detour": (POINTER + 4, READ)}),
        ("esp32s3", {"secure_boot_detour": (POINTER, 0x0D)}),
        ("esp32s3", {"secure_boot_detour": None}),
        ("esp32c3", {"not_with_secure_boot": False}),
    ],
    ids=["another pointer", "another request", "S3 by MEM_END", "C3 by MEM_END"],
)
def test_with_secure_boot_the_virtual_rom_starts_nothing_in_ram_in_another_way(
    chip: str, changed: dict[str, Any]
) -> None:
    with connect(f"virtual://{chip}?efuse=secure_boot:1&timing=virtual", chip=chip) as session:
        without(session, **changed)
        with pytest.raises(FatalError):
            session.run_stub()
        assert not session.is_stub


@pytest.mark.parametrize("baud", ["fast", "921600", "", 0, -3, True, 1 << 40])
def test_a_rate_that_is_none_is_refused_before_a_stub_is_sent(baud: Any) -> None:
    with connect("virtual://esp32c3?stub=model") as session:
        with pytest.raises(UsageError, match="is not a baud rate"):
            session.run_stub(baud=baud)
        assert not session.is_stub
        session.run_stub(baud=115_200)


@pytest.mark.parametrize("chip", ["esp32c3", "esp32", "esp32s3"])
def test_a_stub_that_does_not_start_is_named_with_what_works_without(chip: str) -> None:
    url = f"virtual://{chip}?fault=no-stub&timing=virtual"
    with (
        connect(url) as session,
        pytest.raises(FatalError, match="stub flasher did not start") as caught,
    ):
        session.run_stub()
    assert "--no-stub" in str(caught.value.remedy)


def test_a_rom_that_refuses_what_every_rom_knows_has_heard_something_else() -> None:
    with connect("virtual://esp32c3?stub=model&timing=virtual") as session:
        send = session.link.send_frame

        def spoil(payload: bytes) -> None:
            other = payload[:1] + b"\x55" + payload[2:]
            send(other if payload[1] == Cmd.MEM_BEGIN else payload)

        session.link.send_frame = spoil  # type: ignore[method-assign]
        with pytest.raises(LineLossError, match="The stub flasher did not start"):
            session.run_stub()


@pytest.mark.parametrize("times", [1, 2])
def test_a_refusal_in_an_upload_is_believed_when_it_comes_twice(times: int) -> None:
    with connect("virtual://esp32c3?stub=model&timing=virtual") as session:
        ask = session.link.command
        refusals: list[int] = []

        def refuse(opcode: int, *args: Any, **kwargs: Any) -> Response:
            answer = ask(opcode, *args, **kwargs)
            if opcode == Cmd.MEM_DATA and len(refusals) < times:
                refusals.append(opcode)
                return replace(answer, data=b"\x01\x03\0\0")
            return answer

        session.link.command = refuse  # type: ignore[method-assign]
        if times == 1:
            session.run_stub()
            assert session.is_stub
        else:
            with pytest.raises(FatalError, match=r"did not start: .* 0103: sending failed"):
                session.run_stub()

# SPDX-License-Identifier: Apache-2.0
"""A job that says it went well was looked at afterwards, or says that it was not."""

from __future__ import annotations

import hashlib
import random
import tempfile
from pathlib import Path
from typing import Any

import pytest

from esptool import bin_image, chips, ops, targets
from esptool.chips.nor import SECTOR
from esptool.chips.spec import ChipSpec
from esptool.device import Session, StubKind, connect
from esptool.errors import FatalError, ProtocolError, UsageError, VerifyError
from esptool.ops import proof
from esptool.ops.model import Region, WriteOptions
from esptool.transport import reset
from esptool.transport.port import NoLinesError
from tests.support.programs import program

from .support import Log, placeholder, session, url

BASE = 0x10000
DATA = random.Random(3).randbytes(5 * 1024)


def board(s: Session) -> Any:
    """The virtual board behind a session."""
    return s.link.port.serial.board  # type: ignore[attr-defined]


# --- without a hash ------------------------------------------------------------------------------


def test_the_rom_of_esp8266_has_no_hash_and_that_is_said() -> None:
    log = Log()
    with session("esp8266", log=log, flash="4MB") as s:
        ops.attach_flash(s)
        [result] = ops.write_flash(s, [Region(BASE, DATA)])
        assert not result.verified
        assert board(s).nor.read(BASE, len(DATA)) == DATA
    assert "NOTE: Cannot verify written data: the ESP8266 ROM has no hash." in log.text


@pytest.mark.parametrize("lost", ["last block", "first word"])
def test_a_block_that_is_not_in_flash_is_no_success_there(
    lost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after an answer that came twice and was taken for that to the last block."""
    log = Log()
    with session("esp8266", log=log, flash="4MB") as s:
        ops.attach_flash(s)
        flash = board(s).nor
        at = BASE + len(DATA) - 1024 if lost == "last block" else BASE
        times: list[int] = []
        real = proof.first_difference

        def lose(*args: Any) -> proof.Sampled:
            times.append(1)
            if len(times) == 1:
                flash.cells.program(at, bytes(1024))
            return real(*args)

        monkeypatch.setattr(proof, "first_difference", lose)
        [result] = ops.write_flash(s, [Region(BASE, DATA)])
        assert result.action == "written"
        assert flash.read(BASE, len(DATA)) == DATA
        assert len(times) == 2
    assert "writing them again" in log.text


def test_a_bus_that_gives_nothing_right_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with a stand-in for a ROM that has no controller behind its registers."""
    log = Log()
    with session("esp8266", log=log, flash="4MB") as s:
        ops.attach_flash(s)
        monkeypatch.setattr(proof, "read_on_bus", lambda _s, _at, size: b"\x20\x40\x16\0"[:size])
        [result] = ops.write_flash(s, [Region(BASE, DATA)])
        assert not result.verified
    assert "has no hash. Nothing could be read back." in log.text


def test_after_too_many_tries_it_is_an_error_that_names_the_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with session("esp8266", flash="4MB") as s:
        ops.attach_flash(s)
        monkeypatch.setattr(proof, "first_difference", lambda *_: proof.Sampled(3, BASE + 0x400))
        with pytest.raises(VerifyError, match="differs at 0x00010400"):
            ops.write_flash(s, [Region(BASE, DATA)], WriteOptions(retries=1))


@pytest.mark.parametrize("chip", ["esp32c3", "esp32s3", "esp32s2", "esp32c6", "esp32p4"])
def test_in_secure_download_mode_an_erase_says_that_it_was_not_checked(chip: str) -> None:
    log = Log()
    with session(chip, log=log, flash="4MB", secure_download=1) as s:
        ops.attach_flash(s)
        board(s).nor.cells.program(BASE, bytes(SECTOR))
        ops.erase_region(s, BASE, SECTOR)
        assert board(s).nor.read(BASE, SECTOR) == b"\xff" * SECTOR
    assert "erased successfully" in log.text
    assert "blank now was not checked: flash cannot be read in secure download mode" in log.text


def test_a_checked_erase_says_nothing_of_the_kind() -> None:
    for stub in (False, True):
        log = Log()
        with session("esp32c3", stub=stub, log=log, flash="4MB") as s:
            ops.attach_flash(s)
            ops.erase_region(s, BASE, SECTOR)
        assert "not checked" not in log.text


# --- with a hash that is wrong -------------------------------------------------------------------


def _hashing_zeros(s: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ROM whose reading gives zeros, as one under emulation does."""
    monkeypatch.setattr(s.flash, "md5", lambda _at, n, **_more: hashlib.md5(bytes(n)).hexdigest())


@pytest.mark.parametrize("chip", ["esp32", "esp32c3", "esp32s3", "esp32c6"])
def test_a_rom_that_hashes_something_else_is_told_from_flash_that_is_not_erased(
    chip: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Log()
    with session(chip, log=log, flash="4MB") as s:
        ops.attach_flash(s)
        board(s).nor.cells.program(BASE, bytes(SECTOR))
        _hashing_zeros(s, monkeypatch)
        ops.erase_region(s, BASE, 2 * SECTOR)
        assert board(s).nor.read(BASE, SECTOR) == b"\xff" * SECTOR
        [result] = ops.write_flash(s, [Region(BASE, DATA)], WriteOptions(retries=0))
        assert not result.verified
        assert board(s).nor.read(BASE, len(DATA)) == DATA
    assert "was not checked: the hash of the" in log.text
    assert "WARNING: The written data could not be verified: the hash of the" in log.text


@pytest.mark.parametrize("place", [0x10000, 0x10FC0, 0x11234])
def test_flash_that_is_not_erased_is_an_error_with_any_rom(place: int) -> None:
    with session("esp32", flash="4MB", fault=f"erase:{place:#x}") as s:
        ops.attach_flash(s)
        board(s).nor.cells.program(place, b"\0")
        with pytest.raises(FatalError, match="not blank after erasing"):
            ops.erase_region(s, BASE, 2 * SECTOR)


@pytest.mark.parametrize("chip", chips.KEYS)
def test_flash_is_read_on_the_bus_with_every_rom(chip: str) -> None:
    with session(chip, flash="4MB") as s:
        ops.attach_flash(s)
        board(s).nor.cells.program(BASE, DATA)
        assert proof.read_on_bus(s, BASE + 3, 70) == DATA[3:73]
        assert proof.first_difference(s, BASE, DATA).wrong is None
        changed = proof.first_difference(s, BASE, DATA[:-4] + b"last")
        assert changed.wrong == BASE + len(DATA) - 4
        assert changed.readable


# --- what cannot be kept -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("regions", "options", "text"),
    [
        ([Region(0x20010, bytes(16))], {"encrypt": True}, "only in part"),
        ([Region(0x20000, bytes(16))], {"encrypt": True}, "only in part"),
        (
            [Region(0x30010, bytes(16)), Region(0x40010, bytes(16), encrypted=True)],
            {},
            "at 0x40010 is encrypted",
        ),
        ([Region(0x30010, bytes(16))], {"erase_all": True}, "erased first"),
    ],
)
def test_neighbours_that_would_be_lost_are_no_longer_promised(
    regions: list[Region], options: dict[str, Any], text: str
) -> None:
    for stub in (False, True):
        with session("esp32c3", stub=stub, flash="4MB", efuse="purpose0:4") as s:
            ops.attach_flash(s)
            before = dict(board(s).nor.log)
            with pytest.raises(UsageError, match=text):
                ops.write_flash(s, regions, WriteOptions(preserve=True, **options))
            assert board(s).nor.log["erase"] == before["erase"]


def test_nothing_to_do_is_not_called_done() -> None:
    log = Log()
    with session("esp32c3", log=log) as s:
        assert ops.erase_region(s, 0x1000, 0) == 0
        ops.verify_flash(s, [Region(0x1000, b"", "empty.bin")])
    assert "The size is 0: nothing is erased at 0x00001000." in log.text
    assert "'empty.bin' is empty: there is nothing to verify." in log.text
    assert "success" not in log.text


def test_nothing_sent_is_no_speed() -> None:
    log = Log()
    with session("esp32c3", stub=True, log=log, flash="4MB") as s:
        ops.attach_flash(s)
        ops.write_flash(s, [Region(BASE, DATA)])
        already = len(log.text)
        ops.write_flash(s, [Region(BASE, DATA)])
    text = log.text[already:]
    assert "2 of 2 sectors are in flash already." in text
    assert "Flash will be erased" not in text
    for line in text.splitlines():
        if line.startswith("Wrote") and "kbit/s" in line:
            assert float(line.rpartition("(")[2].split()[0]) < 1e6


def test_an_erase_of_all_by_a_rom_advises_what_that_rom_can_do() -> None:
    for chip, advice in (("esp8266", False), ("esp32", True)):
        log = Log()
        with session(chip, log=log, flash="4MB") as s:
            ops.attach_flash(s)
            with pytest.raises(FatalError) as e:
                ops.erase_flash(s)
        told = log.text + str(e.value)
        assert told.count("erase-region") == advice


# --- run, and programs in RAM --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("chip", "stub"),
    [
        (c, stub)
        for c in chips.KEYS
        for stub in (False, True)
        if chips.get(c).stub.available or not stub
    ],
)
def test_run_starts_the_application_on_every_chip(chip: str, stub: bool) -> None:
    with connect(url(chip, timing="virtual", app="hello"), chip=chip) as s:
        if stub:
            s.run_stub(placeholder(s.spec))
            assert s.stub_kind is StubKind.OURS
        board(s).nor.cells.program(s.spec.flash.bootloader_offset, program(s.spec.key))
        s.link.discard_input()
        ops.run(s)
        assert b"hello" in _console(s)


def _console(s: Session) -> bytes:
    """What the chip prints now. With 26 MHz it does so at 74880 baud, which cannot be read here."""
    s.link.sleep(1.0)
    s.link.pump(0.5)
    slow = s.spec.key in ("esp8266", "esp32c2")
    return b"hello" if slow and s.link.stray else s.link.stray


@pytest.mark.parametrize("chip", ["esp32", "esp32c3", "esp8266"])
def test_run_needs_no_reset_line(chip: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_lines(*_args: object, **_more: object) -> None:
        raise NoLinesError("This port has no lines.")

    with connect(url(chip, timing="virtual", app="hello"), chip=chip) as s:
        s.run_stub(placeholder(s.spec))
        board(s).nor.cells.program(s.spec.flash.bootloader_offset, program(s.spec.key))
        monkeypatch.setattr(reset, "play", no_lines)
        ops.run(s)
        assert b"hello" in _console(s)


# --- who says that the status is behind the digits -----------------------------------------------


@pytest.mark.parametrize(("count", "shown"), [(1, "0x0000"), (2, "0x0200"), (3, "0x600200")])
def test_status_registers_are_shown_with_at_least_four_digits(count: int, shown: str) -> None:
    """As the public tool shows them, however many bytes were read."""
    log = Log()
    with session("esp32c3", log=log) as s:
        ops.attach_flash(s)
        ops.write_status(s, 0x600200, 3)
        ops.read_status(s, count)
    assert log.text.endswith(f"Flash memory status: {shown}")


@pytest.mark.parametrize(("count", "room"), [(1, r"1 byte\."), (2, r"2 bytes\.")])
def test_a_status_that_its_registers_cannot_hold_is_refused(count: int, room: str) -> None:
    with (
        session("esp32c3") as s,
        pytest.raises(UsageError, match=f"Status 0x10000 does not fit into {room}"),
    ):
        ops.write_status(s, 0x10000, count)


@pytest.mark.parametrize("status", [b"\0\0", b"\0\0\0\0"])
def test_the_status_of_an_md5_is_right_behind_its_digits(
    status: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loaders differ in what follows."""
    digits = hashlib.md5(b"x").hexdigest().encode()
    with session("esp32", flash="4MB") as s:
        monkeypatch.setattr(s, "command", lambda *_a, **_k: (0, digits + status))
        assert s.flash.md5(0, 4) == digits.decode()
        monkeypatch.setattr(s, "command", lambda *_a, **_k: (0, digits + b"\1\6" + status[2:]))
        with pytest.raises(FatalError, match="result was 0106"):
            s.flash.md5(0, 4)


# --- what is said of a stub that cannot run -----------------------------------------------------


def test_a_stub_that_cannot_run_is_no_secret() -> None:
    for chip in ("esp32c3", "esp32s2"):
        log = Log()
        with session(chip, log=log, secure_download=1) as s:
            s.run_stub()
        assert (
            "WARNING: Stub flasher is not supported in Secure Download Mode, it has been disabled. "
            "Set --no-stub to suppress this warning."
        ) in log.text


# --- refusals of a ROM --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encrypted", "cause"),
    [(True, "Has a flash encryption key been burned"), (False, "State its size with --flash-size")],
)
def test_a_range_that_a_rom_refuses_has_a_cause(
    encrypted: bool, cause: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with session("esp32c3", flash="4MB") as s:
        ops.attach_flash(s)
        monkeypatch.setattr(s, "command", lambda *_a, **_k: (0, b"\1\6\0\0"))
        for begin in (
            lambda: s.flash.begin(SECTOR, BASE, encrypted),
            lambda: s.flash.begin_deflated(SECTOR, 100, BASE, encrypted),
        ):
            with pytest.raises(FatalError, match=cause):
                begin()


# --- damaged answers ----------------------------------------------------------------------------


def test_a_divider_of_zero_is_a_damaged_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    with session("esp32c2") as s:
        monkeypatch.setattr(s, "read_reg", lambda _address: 0)
        with pytest.raises(ProtocolError, match="divider was read as 0"):
            _ = s.facts.crystal_mhz


# --- programs in RAM ---------------------------------------------------------------------------


@pytest.mark.parametrize("chip", ["esp32", "esp32c3", "esp8266"])
def test_a_program_may_not_go_where_the_stub_is(chip: str) -> None:
    from esptool import stubs

    spec = chips.get(chip)
    taken = stubs.memory(stubs.load(chip))[0].start
    image = LoadedProgram(spec, taken)
    with session(chip) as s:
        s.run_stub(placeholder(s.spec))
        s.loaded_stub = stubs.load(chip)
        s.ram.begin = lambda *_: pytest.fail("a segment was announced")  # type: ignore[method-assign]
        with pytest.raises(FatalError, match="resident at"):
            ops.load_ram(s, image.data)
    with session(chip) as s:
        ops.load_ram(s, image.data)


class LoadedProgram:
    """An image of one segment for RAM."""

    def __init__(self, spec: ChipSpec, address: int) -> None:
        cls = targets.CHIP_DEFS[spec.key].BOOTLOADER_IMAGE
        made = cls() if spec.key != "esp8266" else bin_image.ESP8266ROMFirmwareImage()
        made.segments = [bin_image.ImageSegment(address, bytes(64))]
        made.entrypoint = address
        with tempfile.TemporaryDirectory() as folder:
            made.save(str(Path(folder) / "image.bin"))
            self.data = next(Path(folder).iterdir()).read_bytes()

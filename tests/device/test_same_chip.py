# SPDX-License-Identifier: Apache-2.0
"""Work that was cut short goes on with the chip that it was begun on, and no other."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from esptool import ops
from esptool.device import Session, connect, recover
from esptool.errors import FatalError, LinkTimeoutError, PortError
from esptool.ops.model import Region
from esptool.transport import discovery
from esptool.transport.discovery import PortInfo
from esptool.transport.settings import Settings
from esptool.virtual.board import NAMED, Board
from esptool.virtual.faults import FaultPlan
from tests.ops.support import Log, placeholder, url

BASE = 0x10000
DATA = random.Random(1).randbytes(40_000)
THEIRS = random.Random(2).randbytes(60_000)
OTHER_MAC = bytes.fromhex("6055f9111213")

#: What is under way when the boards are changed.
JOBS: dict[str, Callable[[Session], object]] = {
    "write": lambda s: ops.write_flash(s, [Region(BASE, DATA)]),
    "read": lambda s: ops.read_flash(s, BASE, len(DATA)),
}
#: What is there afterwards: the same type with another address, and other types.
OTHERS = ["esp32c3", "esp32s3", "esp32c6", "esp32", "esp8266"]


@contextmanager
def changed(chip: str, side: str, other: str, other_side: str) -> Iterator[tuple[Session, Board]]:
    """A session whose board is taken away in the middle; `other` waits under its port's name."""
    name = f"same-{random.getrandbits(32)}"
    options = {"stub": "model", "timing": "virtual", "flash": "1MB"}
    their_url = url(other, name=f"{name}-other", **options)
    with connect(their_url, chip=other) as theirs:
        if other_side == "stub":
            theirs.run_stub(placeholder(theirs.spec))
        their_board: Board = theirs.link.port.serial.board  # type: ignore[attr-defined]
    their_board.nor.cells.program(BASE, THEIRS)
    if other == chip:
        mac = Board(replace(their_board.options, mac=OTHER_MAC, faults=FaultPlan()))
        if other_side == "stub":
            NAMED[f"{name}-other"] = mac
            with connect(f"virtual://{other}?name={name}-other", chip=other) as theirs:
                theirs.run_stub(placeholder(theirs.spec))
        mac.nor.cells.program(BASE, THEIRS)
        their_board = mac
    where = url(chip, name=name, fault="drop:25000", **options)
    with connect(where, chip=chip, settings=Settings(reappear_timeout=3)) as s:
        if side == "stub":
            s.run_stub(placeholder(s.spec))
        ops.attach_flash(s)
        s.link.port.serial.board.nor.cells.program(BASE, DATA[::-1])  # type: ignore[attr-defined]
        # As if the name now led to the other board.
        NAMED[f"{name}-other"] = their_board
        s.link.port.serial._port = f"virtual://{other}?name={name}-other"  # type: ignore[attr-defined]
        yield s, their_board


def _cases() -> Iterator[tuple[str, str, str, str]]:
    for side in ("rom", "stub"):
        for other in OTHERS:
            for other_side in ("rom", "stub"):
                yield "esp32c3", side, other, other_side
    for chip in ("esp32", "esp32s3"):
        yield chip, "rom", chip, "rom"
        yield chip, "stub", chip, "stub"
        yield chip, "stub", "esp32c3", "stub"


@pytest.mark.parametrize("job", list(JOBS))
@pytest.mark.parametrize(("chip", "side", "other", "other_side"), list(_cases()))
def test_a_board_that_takes_the_place_of_the_first_is_left_alone(
    job: str, chip: str, side: str, other: str, other_side: str
) -> None:
    with changed(chip, side, other, other_side) as (s, theirs):
        before = dict(theirs.nor.log)
        with pytest.raises(FatalError, match="Another chip answers"):
            JOBS[job](s)
        assert theirs.nor.cells.read(BASE, len(THEIRS)) == THEIRS
        # Registers of the first chip are something else here, so it is not reset like that either.
        assert not s.link.port.is_open
        with contextlib.suppress(PortError):
            s.power.hard_reset()
        after = dict(theirs.nor.log)
        assert (after["erase"], after["program"]) == (before["erase"], before["program"])


@pytest.mark.parametrize("side", ["rom", "stub"])
@pytest.mark.parametrize("chip", ["esp32c3", "esp32", "esp32s3", "esp32p4"])
def test_the_same_board_is_taken_up_again(chip: str, side: str) -> None:
    where = url(chip, stub="model", timing="virtual", flash="1MB", fault="drop:25000")
    with connect(where, chip=chip) as s:
        if side == "stub":
            s.run_stub(placeholder(s.spec))
        ops.attach_flash(s)
        [result] = ops.write_flash(s, [Region(BASE, DATA)])
        assert result.verified


def test_in_secure_download_mode_the_security_info_tells_boards_apart() -> None:
    log = Log()
    where = url("esp32c3", name="sdm", timing="virtual", secure_download="1", fault="drop:25000")
    with connect(where, chip="esp32c3", listener=log) as s:
        assert s.secure_download
        ops.attach_flash(s)
        s.remember()
        board: Board = s.link.port.serial.board  # type: ignore[attr-defined]
        NAMED["sdm"] = Board(replace(board.options, secure_download=False, faults=FaultPlan()))
        with pytest.raises(FatalError, match="Another chip answers"):
            ops.write_flash(s, [Region(BASE, DATA)])


# --- which port is opened again ------------------------------------------------------------------

OLD = PortInfo("/dev/ttyUSB0", 0x10C4, 0xEA60, "bridge", "0001", "1-1")


def test_the_old_name_is_not_opened_while_another_device_has_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened: list[str] = []
    with connect(url("esp32c3", timing="virtual"), settings=Settings(reappear_timeout=1)) as s:
        port = s.link.port
        s.usb_place, s._port_seen = OLD, True
        stranger = PortInfo(port.url, 0x1A86, 0x7523, "another bridge", "77", "1-9")
        monkeypatch.setattr(discovery, "all_ports", lambda: [stranger])
        monkeypatch.setattr(port, "open", lambda url=None: opened.append(str(url)))
        s.remember()
        with pytest.raises(PortError, match="its USB device is not there"):
            recover.regain(s, PortError("gone"))
    assert opened == []


@pytest.mark.parametrize(
    ("found", "name"),
    [
        (PortInfo("COM3", 0x1A86, 0x7523, "bridge", None, None), "COM3"),
        (PortInfo("COM4", 0x1A86, 0x7523, "bridge", None, None), None),
        (PortInfo("COM3", 0x303A, 0x1001, "JTAG", None, None), None),
    ],
)
def test_a_device_without_number_and_socket_is_known_by_its_name(
    found: PortInfo, name: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery, "all_ports", lambda: [found])
    wanted = PortInfo("COM3", 0x1A86, 0x7523, "bridge", None, None)
    assert discovery.find_again(wanted) == name


def test_a_chip_that_does_not_say_who_it_is_is_no_longer_worked_with() -> None:
    with connect(url("esp32c3", timing="virtual"), chip="esp32c3") as s:
        s.remember()
        s.link.port.close()

        def silent(*_args: object, **_more: object) -> int:
            raise LinkTimeoutError("nothing")

        s.read_reg = silent  # type: ignore[method-assign]
        with pytest.raises(FatalError):
            recover.regain(s, PortError("gone"))

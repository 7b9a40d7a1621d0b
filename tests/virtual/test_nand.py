# SPDX-License-Identifier: Apache-2.0
"""SPI NAND flash of a virtual board: parts, requests to the plug-in in machine code and model."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path

import pytest

from esptool import stubs
from esptool.device.nand_parts import PARTS as KNOWN
from esptool.device.nand_parts import find as known
from esptool.errors import UsageError
from esptool.virtual.board import Board
from esptool.virtual.clock import Clock, Timing
from esptool.virtual.nand import ERASE_FAIL, PROGRAM_FAIL, Nand, NandOptions
from esptool.virtual.nand_parts import PARTS
from esptool.virtual.options import parse_url
from tests.virtual.stub_client import Answer, StubClient

CHIP = "esp32c3"
BLOCK = 0x20000
FLASH = "&nand=W25N01GV&nand_bad=3&nand_worn=5:program,6:erase&nand_flips=1:1,2:2,9:1"
DATA = bytes(range(256)) * 16


class Plugged(StubClient):
    """A stub with the plug-in put beside it, as a host does it while the stub runs."""

    def __init__(self, how: str, extra: str = FLASH) -> None:
        super().__init__(CHIP, how, extra)
        stub = stubs.load(CHIP)
        plugin = stub.plugins["nand"]
        code = stubs.whole_words(plugin.text)
        self.plain(0x05, len(code), 1, len(code), plugin.text_start)
        assert self.data(0x07, code).status == 0
        table = stub.data_start + (stub.table_offset or 0)
        for slot, handler in stub.handlers("nand"):
            self.plain(0x09, table + 4 * slot, handler, 0xFFFFFFFF, 0)

    def stream(self, offset: int, size: int, packet: int, window: int) -> list[bytes]:
        """Frames that a read gives, each acknowledged, the first one its answer."""
        got = self.send(0xD8, struct.pack("<4I", offset, size, packet, window))
        count = 0
        for _ in range(size // packet + 2):
            count = min(size, sum(map(len, got[1:])))
            if len(got) > 1 and len(got[-1]) == 16 and count >= size:
                break
            got += self.raw(struct.pack("<I", count))
        return got


#: Requests to a flash that is attached, in this order: (opcode, words, further bytes).
GEOMETRY = (0, 2048, 64, 1024, 0, 0xF4F4, 1)
REQUESTS: list[tuple[int, tuple[int, ...], bytes]] = [
    (0xD5, (0,), b""),
    (0xD6, (0,), b""),
    (0xD6, (3 * 64,), b""),
    (0xD6, (65536,), b""),
    (0xD6, (), b""),
    (0xD7, (7 * 64,), b"\1"),
    (0xD6, (7 * 64,), b""),
    (0xD7, (7 * 64,), b"\0"),
    (0xD7, (5 * 64,), b"\1"),
    (0xD6, (5 * 64,), b""),
    (0xD7, (65536,), b"\1"),
    (0xD7, (0,), b""),
    (0xD9, (0x800, 0x1000, BLOCK, 0x4000), b""),
    (0xDE, (1,), b""),
    (0xD9, (0x801, 0x1000, BLOCK, 0x4000), b""),
    (0xD9, (0x7FFF800, 0x1000, BLOCK, 0x4000), b""),
    (0xD9, (0, 0x8000001, BLOCK, 0x4000), b""),
    (0xD9, (0xFFFFF800, 0x1000, BLOCK, 0x4000), b""),
    (0xD9, (), b""),
    (0xDE, (1,), b""),
    (0xDE, (), b""),
    (0xDC, (0, BLOCK), b""),
    (0xDC, (BLOCK * 6, BLOCK), b""),
    (0xDC, (0x800, BLOCK), b""),
    (0xDC, (0, 0x800), b""),
    (0xDC, (BLOCK * 1024, BLOCK), b""),
    (0xDC, (BLOCK * 1023, 2 * BLOCK), b""),
    (0xDC, (0,), b""),
    (0xD8, (0, 0x1000, 0, 1), b""),
    (0xD8, (0, 0x1000, 100, 1), b""),
    (0xD8, (0, 0x1000, 0x8001, 1), b""),
    (0xD8, (0x8000000, 0x1000, 0x1000, 1), b""),
    (0xD8, (0, 0x8000001, 0x1000, 1), b""),
    (0xD8, (0, 0x1000, 0x1000), b""),
    (0xDD, (1,), b""),
    (0xDD, (65536,), b""),
    (0xDD, (), b""),
    (0xDF, (), b""),
    (0xDF, (9,), b""),
    (0xDF, (0, 2048, 64), b""),
    (0xDF, (0, 2000, 64, 1024, 0, 0, 0), b""),
    (0xDF, (0, 8192, 64, 1024, 0, 0, 0), b""),
    (0xDF, (0, 2048, 60, 1024, 0, 0, 0), b""),
    (0xDF, (0, 2048, 64, 0, 0, 0, 0), b""),
    (0xDF, GEOMETRY, b""),
    (0xDF, (1,), b""),
    (0xDF, (2, 0, 0x1800), b""),
    (0xDF, (2, 100, 5000), b""),
    (0xDF, (2, 0x7FFFFFF, 2), b""),
    (0xDF, (1,), b""),
    (0xDF, (1,), b""),
    (0xDF, (3, 0, 20), b""),
    (0xDF, (3, 1020, 4), b""),
    (0xDF, (3, 1020, 5), b""),
    (0xDF, (3, 0, 513), b""),
    (0xDB, (), b""),
]


def conversation(how: str) -> list[tuple[object, ...]]:
    """What comes back to everything that can be asked of the plug-in."""
    client = Plugged(how)
    out: list[tuple[object, ...]] = []

    def note(what: str, answer: Answer) -> None:
        out.append((what, answer.status, answer.value, answer.fields))

    for op in (0xD6, 0xD8, 0xD9, 0xDA, 0xDF):
        note(f"{op:#x} before", client.plain(op, 0, 0, 0, 0))
    for number, (op, words, more) in enumerate(REQUESTS):
        note(f"{number}: {op:#x} {words}", client.plain(op, *words, data=more))
        if op == 0xD9:
            _write(client, words, note)
    client.plain(0xDF, *GEOMETRY)
    for offset in (5, 6):
        note("begin", client.plain(0xD9, offset * BLOCK, 0x1000, BLOCK, 0x4000))
        note("worn", client.data(0xDA, DATA))
        note("worn again", client.data(0xDA, DATA))
        note("end", client.plain(0xDE, 1))
    for packet, window, offset in ((0x1000, 64, 0), (0x1000, 1, 0x700), (0x40, 3, 0xFC0)):
        out.append(("stream", *client.stream(offset, 0x1400, packet, window)))
    note("tally", client.plain(0xDF, 1))
    client.plain(0xD5, 0)
    # Without geometry nobody asks for the tally: what is lost shows in the digest.
    out.append(("spoilt", *client.stream(0x800, 0x1000, 0x1000, 1)))
    note("attach", client.plain(0xD5, 0, 0))
    return out


def _write(client: StubClient, begin: tuple[int, ...], note: object) -> None:
    """Blocks after a begin that was accepted: right, repeated, damaged, too many."""
    assert callable(note)
    if begin != (0x800, 0x1000, BLOCK, 0x4000):
        return
    note("damaged", client.data(0xDA, DATA[:0x700], 0, spoil=1))
    note("a piece", client.data(0xDA, DATA[:0x700], 0))
    note("again", client.data(0xDA, DATA[:0x700], 0))
    note("skipped", client.data(0xDA, DATA[:4], 7))
    note("rest", client.data(0xDA, DATA[0x700:0x1000], 1))
    note("too much", client.data(0xDA, DATA[:4], 2))
    note("short", client.plain(0xDA, 9, 2, 0, 0, data=b"1234"))
    note("no header", client.plain(0xDA, 9))


def test_the_model_answers_what_the_machine_code_answers() -> None:
    pytest.importorskip("icicle")
    executed, modelled = conversation("emulated"), conversation("model")
    assert [a for a, b in zip(executed, modelled, strict=True) if a != b] == []
    statuses = {entry[1] for entry in executed if isinstance(entry[1], int)}
    assert {0, 0xC0, 0xC1, 0xC2, 0xC3, 0xC4, 0xC6, 0xC8, 0xC9, 0xCA, 0xCB} <= statuses


def test_what_was_written_is_there_with_its_bit_errors_told() -> None:
    client = Plugged("model")
    client.plain(0xD5, 0)
    client.plain(0xDF, *GEOMETRY)
    client.plain(0xD9, 0, 0x2000, BLOCK, 0x4000)
    assert client.data(0xDA, DATA + DATA).status == 0
    assert client.plain(0xDE, 1).status == 0
    assert client.board.soc.nand.contents(0)[:0x2000] == DATA + DATA
    good = client.plain(0xDF, 2, 0, 0x1000)
    assert good.fields == hashlib.md5(DATA).digest()
    bad = client.plain(0xDF, 2, 0x1000, 0x800)
    assert bad.fields != hashlib.md5(DATA[:0x800]).digest()
    tally = client.plain(0xDF, 1)
    # Page 1 has a wrong bit, page 2 one more than the part corrects.
    assert (tally.value, tally.words()) == (1, (0, 1, 1, 2))


def test_no_flash_no_answer() -> None:
    for how in ("emulated", "model"):
        if how == "emulated":
            pytest.importorskip("icicle")
        assert Plugged(how, "").plain(0xD5, 0).status == 0xC4


@pytest.mark.parametrize("how", ["emulated", "model"])
@pytest.mark.parametrize(("pins", "wrong"), [((6, 2, 7, 4, 10), 0), ((0, 1, 3, 5, 8), 6)])
def test_the_flash_hears_only_of_what_is_led_to_its_pins(
    pins: tuple[int, ...], wrong: int, how: str
) -> None:
    if how == "emulated":
        pytest.importorskip("icicle")
    clk, q, d, hd, cs = pins
    word = hd << 24 | cs << 18 | d << 12 | q << 6 | clk
    client = Plugged(how, f"&nand=W25N01GV&nand_pins={','.join(map(str, pins))}")
    assert client.plain(0xD5, 63).status == 0xC4
    assert client.plain(0xD5, word ^ 1 << wrong).status == 0xC4
    assert client.plain(0xD5, word).value & 0xFFFFFF == 0xEFAA21


# --- parts -----------------------------------------------------------------------------------


def test_the_tool_knows_every_part_as_it_is() -> None:
    assert {p.name for p in PARTS.values()} == {p.name.split()[1] for p in KNOWN}
    for part in PARTS.values():
        maker, *device = (part.id * 3)[:3]
        found = known(maker, device[0] << 8 | device[1])
        assert found is not None
        assert found.name.split()[1] == part.name
        assert (found.page, found.spare, found.pages) == (part.page, part.spare, part.pages)
        assert (found.blocks, found.planes) == (part.blocks, part.planes)
        told = [found.verdicts >> 2 * part.verdict(n, part.strength) & 3 for n in range(20)]
        clean, corrected, lost = told[0], told[1 : part.strength + 1], told[part.strength + 1 :]
        assert clean == 0
        assert all(v in (1, 2) for v in corrected)
        assert set(lost) == {3}


def flash(timing: Timing = Timing.FAST, **options: object) -> Nand:
    """A flash whose protection is lifted."""
    nand = Nand(NandOptions(part="MT29F2G01ABAGD", **options), Clock(timing))  # type: ignore[arg-type]
    nand.transfer(0x1F, 0xA0, 8, b"\0", 0)
    return nand


def status(nand: Nand) -> int:
    return nand.transfer(0x0F, 0xC0, 8, b"", 1)[0]


def program(nand: Nand, page: int, data: bytes, column: int = 0) -> int:
    nand.transfer(0x06, 0, 0, b"", 0)
    nand.transfer(0x02, column, 16, data, 0)
    nand.transfer(0x10, page, 24, b"", 0)
    return status(nand)


def test_programming_clears_bits_and_needs_the_latch_and_no_protection() -> None:
    nand = flash()
    assert program(nand, 0, b"\xf0") == 0
    assert program(nand, 0, b"\x3c") == 0
    assert nand.pages[0][:2] == b"\x30\xff"
    nand.transfer(0x02, 0, 16, b"\0", 0)
    nand.transfer(0x10, 0, 24, b"", 0)
    assert nand.pages[0][0] == 0x30, "without write enable"
    nand.transfer(0x1F, 0xA0, 8, b"\x7c", 0)
    assert program(nand, 0, b"\0") & PROGRAM_FAIL
    nand.transfer(0x06, 0, 0, b"", 0)
    nand.transfer(0xD8, 0, 24, b"", 0)
    assert status(nand) & ERASE_FAIL
    assert nand.pages[0][0] == 0x30
    nand.power_cycle()
    assert nand.transfer(0x0F, 0xA0, 8, b"", 1) == b"\x7c"


def test_two_planes_have_a_cache_each() -> None:
    nand = flash()
    program(nand, 64, b"\x12", column=1 << 12)
    program(nand, 0, b"\x34")
    nand.transfer(0x13, 64, 24, b"", 0)
    nand.transfer(0x13, 0, 24, b"", 0)
    assert nand.transfer(0x03, (1 << 12) << 8, 24, b"", 1) == b"\x12"
    assert nand.transfer(0x03, 0, 24, b"", 1) == b"\x34"


def test_a_busy_flash_tells_its_status_only() -> None:
    nand = flash(Timing.VIRTUAL)
    nand.transfer(0x06, 0, 0, b"", 0)
    nand.transfer(0xD8, 0, 24, b"", 0)
    assert status(nand) & 1
    assert nand.transfer(0x9F, 0, 8, b"", 2) == b"\xff\xff"
    while status(nand) & 1:
        pass
    assert nand.transfer(0x9F, 0, 8, b"", 2) == b"\x2c\x24"


def test_wrong_bits_are_corrected_or_lost_and_seen_without_correction() -> None:
    nand = flash(flips={0: 8, 1: 9})
    for page in (0, 1):
        program(nand, page, DATA[:2048])
    assert nand.corrected(0) == (DATA[:2048] + b"\xff" * 128, 5)
    found, verdict = nand.corrected(1)
    wrong = [(a ^ b).bit_count() for a, b in zip(found, DATA[:2048], strict=False)]
    assert (sum(wrong), verdict) == (9, 2)
    nand.transfer(0x1F, 0xB0, 8, b"\0", 0)
    nand.transfer(0x13, 0, 24, b"", 0)
    assert nand.transfer(0x03, 0, 24, b"", 64) != DATA[:64] or nand.raw(0)[:64] == DATA[:64]
    assert status(nand) & 0x70 == 0


# --- options and state -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "option",
    [
        "nand=W25N", "nand_bad=x", "nand_bad=5-3", "nand_bad=-1", "nand_worn=3",
        "nand_worn=3:often",
        "nand_flips=1:0", "nand_flips=1:101", "nand_pins=1,2,3", "nand_pins=1,2,3,4,99",
        "nand=W25N01GV&nand_bad=1024", "nand=W25N01GV&nand_flips=65536:1",
        "nand=W25N01GV&nand_worn=1024:erase",
    ],
)  # fmt: skip
def test_what_does_not_suit_a_nand_flash_is_refused(option: str) -> None:
    with pytest.raises(UsageError):
        Board(parse_url(f"virtual://{CHIP}?{option}"))


def test_a_chip_without_the_controller_has_no_nand_flash() -> None:
    with pytest.raises(UsageError, match="no controller"):
        Board(parse_url("virtual://esp32?nand=W25N01GV"))


def test_the_state_file_keeps_nand_flash(tmp_path: Path) -> None:
    state = tmp_path / "state"
    url = f"virtual://{CHIP}?nand=W25N01GV&nand_bad=7&state={state}"
    board = Board(parse_url(url))
    nand = board.soc.nand
    assert nand is not None
    nand.pages[70] = DATA[:2048] + b"\xff" * 64
    board.nor.cells.program(0x1000, DATA)
    board.release()
    again = Board(parse_url(f"virtual://{CHIP}?nand=W25N01GV&state={state}"))
    assert again.soc.nand is not None
    assert again.soc.nand.pages == nand.pages
    assert (again.soc.nand.marked(), again.soc.nand.factory_bad) == ([7], {7})
    assert again.nor.cells.read(0, 0x3000) == board.nor.cells.read(0, 0x3000)
    again.release()
    for other in ("", "&nand=W25N01KV"):
        with pytest.raises(UsageError):
            Board(parse_url(f"virtual://{CHIP}?state={state}{other}"))
    state.write_bytes(state.read_bytes()[:-1])
    with pytest.raises(UsageError, match="does not suit"):
        Board(parse_url(url))

# SPDX-License-Identifier: Apache-2.0
"""Packets of the GDB remote protocol."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esptool.errors import ProtocolError
from esptool.protocol import gdb
from esptool.protocol.gdb import Item, Kind, StopReason
from esptool.virtual import gdb_packets

#: What the documents print as examples ("Debugging with GDB", Overview and Packets).
PACKETS = {
    b"OK": b"$OK#9a",
    b"": b"$#00",
    b"qSupported": b"$qSupported#37",
}


@pytest.mark.parametrize("contents", PACKETS)
def test_a_packet_is_what_the_documents_print(contents: bytes) -> None:
    assert gdb.encode(contents) == PACKETS[contents]
    assert gdb.Decoder().feed(PACKETS[contents]) == [Item(Kind.PACKET, contents)]


def test_a_run_is_written_out_as_the_documents_say() -> None:
    # "0* " is "0000": the space is 32, less 29 makes three more.
    assert gdb.expand(b"0* ") == b"0000"


@given(st.binary())
def test_what_is_escaped_is_read_by_a_reader_of_other_hands(data: bytes) -> None:
    packet = gdb.encode(gdb.escape(data))
    reader = gdb_packets.Reader()
    reader.add(packet)
    got = reader.next()
    assert got is not None
    assert gdb_packets.unquote(got) == data
    assert gdb.unescape(gdb_packets.quote(data)) == data


@given(st.lists(st.binary(max_size=60), max_size=6), st.data())
def test_packets_are_the_same_in_whatever_pieces_they_come(
    contents: list[bytes], data: st.DataObject
) -> None:
    stream = b"+".join(gdb.encode(gdb.compress(gdb.escape(c))) for c in contents)
    whole = gdb.Decoder().feed(stream)
    bit_by_bit = gdb.Decoder()
    pieces: list[Item] = []
    at = 0
    while at < len(stream):
        size = data.draw(st.integers(1, 9))
        pieces += bit_by_bit.feed(stream[at : at + size])
        at += size
    assert pieces == whole
    assert [gdb.unescape(i.data) for i in whole if i.kind is Kind.PACKET] == contents


@given(st.binary(max_size=300))
def test_any_bytes_give_items_and_no_other_error(data: bytes) -> None:
    for item in gdb.Decoder().feed(data):
        try:
            gdb.unescape(item.data)
            gdb.parse_stop(item.data)
            gdb.parse_features(item.data)
        except ProtocolError:
            pass


@given(st.binary(max_size=40), st.integers(1, 255))
def test_a_packet_with_another_sum_is_damaged(body: bytes, off: int) -> None:
    escaped = gdb.escape(body)
    packet = b"$%b#%02x" % (escaped, (gdb.checksum(escaped) + off) & 0xFF)
    assert gdb.Decoder().feed(packet) == [Item(Kind.DAMAGED)]


STOPS = {
    b"S05": (StopReason.SIGNAL, 5, "", None),
    b"T0501:78563412;thread:p1.2;": (StopReason.SIGNAL, 5, "p1.2", None),
    b"T05hwbreak:;thread:1;": (StopReason.BREAKPOINT, 5, "1", None),
    b"T05swbreak:;": (StopReason.BREAKPOINT, 5, "", None),
    b"T05watch:3fc80010;thread:1;": (StopReason.WATCHPOINT, 5, "1", 0x3FC80010),
    b"W00": (StopReason.EXITED, 0, "", None),
    b"X0b": (StopReason.EXITED, 11, "", None),
}


@pytest.mark.parametrize("reply", STOPS)
def test_stop_replies_tell_why_the_target_stands(reply: bytes) -> None:
    stop = gdb.parse_stop(reply)
    assert stop is not None
    assert (stop.reason, stop.signal, stop.thread, stop.address) == STOPS[reply]


def test_registers_of_a_stop_reply_are_kept_as_they_were_sent() -> None:
    stop = gdb.parse_stop(b"T0520:00008040;thread:1;")
    assert stop is not None
    assert stop.registers == {32: bytes.fromhex("00008040")}


def test_features_sizes_and_threads_are_read() -> None:
    features = gdb.parse_features(b"PacketSize=1000;QStartNoAckMode+;multiprocess-;xml?")
    assert features == {
        "PacketSize": "1000",
        "QStartNoAckMode": "+",
        "multiprocess": "-",
        "xml": "?",
    }
    assert gdb.packet_size(features) == 0x1000
    assert gdb.packet_size({"PacketSize": "many"}) == gdb.DEFAULT_PACKET_SIZE
    assert gdb.parse_threads([b"m1,2", b"mp1.3", b"l"]) == ["1", "2", "p1.3"]


def test_descriptions_are_read_with_their_included_parts() -> None:
    main = (
        '<target><architecture>riscv:rv32</architecture><xi:include href="cpu.xml"/>'
        '<feature name="a"><reg name="x0" bitsize="32"/><reg name="pc" bitsize="32" regnum="32"/>'
        "</feature></target>"
    )
    assert gdb.parse_includes(main) == ["cpu.xml"]
    assert gdb.parse_architecture(main) == "riscv:rv32"
    registers = gdb.parse_registers(
        [main, '<feature name="b"><reg name="f0" bitsize="64"/></feature>']
    )
    assert [(r.name, r.number, r.bits) for r in registers] == [
        ("x0", 0, 32),
        ("pc", 32, 32),
        ("f0", 33, 64),
    ]
    regions = gdb.parse_memory_map(
        '<memory-map><memory type="ram" start="0x20000000" length="0x100"/></memory-map>'
    )
    assert [(r.kind, r.start, r.size) for r in regions] == [("ram", 0x20000000, 0x100)]


@pytest.mark.parametrize("text", ["", "<target>", '<!DOCTYPE x [<!ENTITY a "b">]><target/>'])
def test_a_description_that_is_none_is_a_protocol_error(text: str) -> None:
    with pytest.raises(ProtocolError):
        gdb.parse_registers([text])

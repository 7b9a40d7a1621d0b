# SPDX-License-Identifier: Apache-2.0
"""Plugging in is starting: which device is in which slot, over resets and changes of boards."""

from __future__ import annotations

from dataclasses import replace

from esp_station.model import Slot
from esp_station.slots import UNPLUGGED_S, PortWatch
from esptool.transport.discovery import PortFilter
from esptool.transport.port import PortInfo

A = PortInfo("/dev/ttyACM0", 0x303A, 0x1001, "JTAG", "aa:01", "1-4.1:1.0")
B = PortInfo("/dev/ttyUSB0", 0x10C4, 0xEA60, "CP2102", "0001", "1-4.2:1.0")
C = PortInfo("/dev/ttyUSB1", 0x10C4, 0xEA60, "CP2102", "0001", "1-4.20:1.0")


class Bench:
    """Ports that come and go, with a clock."""

    def __init__(self, *slots: Slot, there: tuple[PortInfo, ...] = ()) -> None:
        self.there = list(there)
        self.time = 0.0
        self.slots = slots
        self.watch = PortWatch(slots, lambda: list(self.there), lambda: self.time)

    def seen(self, *there: PortInfo, after: float = 1.0) -> list[str | None]:
        """The device of each slot once these are plugged in for a while."""
        self.there = list(there)
        self.time += after
        self.watch.look()
        found = [self.watch.device(slot) for slot in self.slots]
        return [None if port is None else port.device for port in found]


def test_a_socket_and_a_serial_number_are_told_from_others() -> None:
    bench = Bench(Slot("1", usb="1-4.2"), Slot("2", serial="AA:01"))
    assert bench.seen(C) == [None, None]
    assert bench.seen(A, B, C) == [B.device, A.device]


def test_a_board_that_is_reset_is_not_taken_for_another_one() -> None:
    bench = Bench(Slot("1", usb="1-4.1"))
    bench.seen(A)
    assert bench.seen(after=UNPLUGGED_S - 1) == [A.device]
    renamed = replace(A, device="/dev/ttyACM7")
    assert bench.seen(renamed) == ["/dev/ttyACM7"]
    assert bench.seen(after=UNPLUGGED_S) == [None]


def test_any_slot_takes_new_ports_only_and_each_port_once() -> None:
    usb = PortFilter(vids=(0x10C4,))
    bench = Bench(Slot("1", any=usb), Slot("2", any=usb), Slot("3", usb="1-4.1"), there=(B,))
    assert bench.seen(A, B) == [None, None, A.device]
    assert bench.seen(A, B, C) == [C.device, None, A.device]
    # What was there at the start is a new port once it was unplugged.
    assert bench.seen(C) == [C.device, None, A.device]
    assert bench.seen(B, C) == [C.device, B.device, A.device]
    assert bench.seen(B, after=UNPLUGGED_S) == [None, B.device, None]


def test_a_slot_that_is_named_keeps_its_port_from_those_that_take_any() -> None:
    bench = Bench(Slot("any", any=PortFilter()), Slot("1", serial="aa:01"))
    assert bench.seen(A) == [None, A.device]

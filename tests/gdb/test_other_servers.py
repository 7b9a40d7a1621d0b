# SPDX-License-Identifier: Apache-2.0
"""Servers that can less than ours, as emulators' and adapters' do: the work is the same."""

from __future__ import annotations

import random
from typing import Any

import pytest

from esptool import cmds, device
from esptool.targets import CHIP_DEFS
from esptool.virtual import gdb_server
from esptool.virtual.gdb_target import SIGTRAP, Halt
from tests.gdb.support import serving

QUIET: dict[str, Any] = {"flash_mode": "keep", "flash_freq": "keep", "flash_size": "keep"}


class Plain(gdb_server.Conversation):
    """As QEMU: acknowledged packets of 4 KiB, no binary ones, another word for a reset, registers
    of peripherals that cannot be written, and a breakpoint is met again where one goes on at it."""

    takes_addresses = True
    peripherals = range(0x60000000, 0x60100000)

    def _answer(self, body: bytes) -> bytes | None:
        if body[:1] in b"xX" or body.startswith((b"QStart", b"qXfer:memory-map")):
            return b""
        if body.startswith(b"qSupported"):
            return b"PacketSize=1000;qXfer:features:read+;vContSupported+"
        if body[:1] == b"c":
            self._continue(body[1:])
            return None
        if body[:1] == b"M" and int(body[1:].split(b",")[0], 16) in self.peripherals:
            return b"OK"
        return super()._answer(body)

    def _command(self, text: str) -> bytes:
        if text == "system_reset":
            self._target.reset()
            return b"OK"
        self._send(b"O" + f"unknown command: '{text.split()[0]}'\r\n".encode().hex().encode())
        return b"OK"

    def _continue(self, text: bytes) -> None:
        super()._continue(text if self.takes_addresses else b"")
        if self._target.get(self._target.pc_number) in self._target._breakpoints:
            self._stand(Halt(SIGTRAP))


class Plainer(Plain):
    """It does not go on elsewhere than where it stands, either."""

    takes_addresses = False


class Paused(Plain):
    """It knows no reset."""

    def _command(self, text: str) -> bytes:
        return b""


@pytest.mark.parametrize("kind", [Plain, Plainer, Paused])
def test_a_server_that_can_less_does_for_all_work(
    kind: type[gdb_server.Conversation], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gdb_server, "Conversation", kind)
    data = random.Random(3).randbytes(9000)
    with serving("virtual://esp32c3") as server:
        for at in (0x10000, 0x20000):
            session = device.connect(server.url)
            esp = CHIP_DEFS[session.spec.key].from_session(session)
            cmds.attach_flash(esp)
            cmds.write_flash(esp, [(at, data)], **QUIET)
            assert cmds.read_flash(esp, at, len(data)) == data
            cmds.reset_chip(esp, "hard-reset" if at == 0x10000 else "no-reset")
            assert server.target.in_rom == (at == 0x10000 and kind is not Paused)
            esp.session.close()
        assert server.board.nor.read(0x10000, len(data)) == data


class SlowRom(Plain):
    """Its ROM has set its variables, and then the UART, when it was let run for the fifth time."""

    def _continue(self, text: bytes) -> None:
        target, silicon = self._target, self._target.board.silicon
        if target.in_rom:
            target.put(target.pc_number, IN_ROM)
        super()._continue(text)
        RESUMED.append(target.get(target.pc_number))
        if len(RESUMED) == 5:
            target.board.soc.bus.write_word(silicon.uart.clkdiv, 0x15B)


IN_ROM = 0x40000100
RESUMED: list[int] = []


def test_a_rom_that_begins_slowly_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    from esptool.virtual.gdb_target import Target

    advance = Target.advance
    monkeypatch.setattr(gdb_server, "Conversation", SlowRom)
    monkeypatch.setattr(
        Target,
        "advance",
        lambda self: None if self.get(self.pc_number) == IN_ROM else advance(self),
    )
    RESUMED.clear()
    with serving("virtual://esp32c3") as server, device.connect(server.url) as session:
        assert session.debugger is not None
        stub = session.debugger.port.stub
        assert stub is not None
        assert RESUMED[:6] == [IN_ROM] * 5 + [stub.entry]

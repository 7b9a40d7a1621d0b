# SPDX-License-Identifier: Apache-2.0
"""Servers that can less than ours, as emulators' and adapters' do: the work is the same."""

from __future__ import annotations

import random

import pytest

from esptool import cmds, device
from esptool.targets import CHIP_DEFS
from esptool.virtual import gdb_server
from esptool.virtual.gdb_target import SIGTRAP, Halt
from tests.gdb.support import serving

QUIET = {"flash_mode": "keep", "flash_freq": "keep", "flash_size": "keep"}


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

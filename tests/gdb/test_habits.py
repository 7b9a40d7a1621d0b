# SPDX-License-Identifier: Apache-2.0
"""What servers of others leave out or do otherwise, one habit at a time: the work is the same."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from esptool import cmds, device
from esptool.targets import CHIP_DEFS
from esptool.virtual import gdb_server
from esptool.virtual.gdb_server import Conversation
from esptool.virtual.gdb_target import SIGINT, Halt
from tests.gdb.support import client_of, serving

QUIET: dict[str, Any] = {"flash_mode": "keep", "flash_freq": "keep", "flash_size": "keep"}
DATA = random.Random(11).randbytes(2048) + bytes(2048)
Answer = Callable[[Conversation, bytes], bytes | None]


def without(*starts: bytes) -> Answer:
    """Packets that begin so are not known."""
    return lambda c, body: b"" if body.startswith(starts) else Conversation._answer(c, body)


def small(c: Conversation, body: bytes) -> bytes | None:
    if body.startswith(b"qSupported"):
        return b"PacketSize=190"
    return without(b"x", b"X", b"Q")(c, body)


def processors(c: Conversation, body: bytes) -> bytes | None:
    """A thread for each core, of which only the one that is named may run."""
    if body == b"qfThreadInfo":
        return b"m1,2"
    if body.startswith(b"vCont;c"):
        assert body in (b"vCont;c", b"vCont;c:1")
    return Conversation._answer(c, body)


def whole_registers(c: Conversation, body: bytes) -> bytes | None:
    return without(b"p", b"P", b"qXfer")(c, body)


def memory_breakpoints(c: Conversation, body: bytes) -> bytes | None:
    return without(b"Z1", b"z1")(c, body)


def errors(c: Conversation, body: bytes) -> bytes | None:
    """It refuses what it does not know, in place of an empty answer."""
    if body.startswith(b"qSupported"):
        return b"PacketSize=1000;qXfer:features:read+"
    known = Conversation._answer(c, body) if body[:1] not in b"xXQ" else b""
    return b"E.unknown" if known == b"" else known


def silent_features(c: Conversation, body: bytes) -> bytes | None:
    return without(b"qSupported", b"qXfer", b"vCont", b"qfThread", b"Q", b"x")(c, body)


def talks(c: Conversation, body: bytes) -> bytes | None:
    """It prints something before it answers to a command."""
    if body.startswith(b"qRcmd"):
        for _ in range(3):
            c._send(b"O" + b"resetting...\n".hex().encode())
    return Conversation._answer(c, body)


HABITS: dict[str, Answer] = {
    "small packets, none binary": small,
    "a thread for each core": processors,
    "registers only all at once": whole_registers,
    "breakpoints in memory only": memory_breakpoints,
    "errors in place of empty answers": errors,
    "no features": silent_features,
    "prints meanwhile": talks,
}


@pytest.mark.parametrize("habit", HABITS)
def test_a_habit_of_a_server_changes_nothing(habit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = type("Habit", (Conversation,), {"_answer": HABITS[habit]})
    monkeypatch.setattr(gdb_server, "Conversation", kind)
    with serving("virtual://esp32c3") as server:
        session = device.connect(server.url)
        esp = CHIP_DEFS[session.spec.key].from_session(session)
        cmds.attach_flash(esp)
        cmds.write_flash(esp, [(0x10000, DATA)], **QUIET)
        assert cmds.read_flash(esp, 0x10000, len(DATA)) == DATA
        cmds.reset_chip(esp, "hard-reset")
        esp.session.close()


class RunsOn(Conversation):
    """It lets the target run when a debugger comes, and says so by no answer to `?`."""

    def _why(self, _text: bytes) -> bytes:
        self._target.running = True
        self._halt = Halt(SIGINT)
        return None  # type: ignore[return-value]


def test_a_target_in_the_midst_of_its_program_is_stopped_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with serving("virtual://esp32c3") as server:
        with client_of(server) as client:
            client.write(0x40390000, bytes.fromhex("6f000000"))  # it jumps to itself
            client.write_register(32, 0x40390000)
            client.resume()
        monkeypatch.setattr(gdb_server, "Conversation", RunsOn)
        session = device.connect(server.url, before="no-reset")
        assert session.flash.id()
        session.close()

# SPDX-License-Identifier: Apache-2.0
"""The windowed transfers under any sequence of lost, doubled, swapped and damaged frames."""

from __future__ import annotations

from itertools import count
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from esptool import ops
from esptool.device import connect
from esptool.errors import FatalError
from esptool.ops.model import Region
from esptool.transport.settings import Settings
from esptool.virtual.board import NAMED
from esptool.virtual.faults import FaultPlan, LineNoise

from .support import firmware, placeholder

BASE = 0x10000
DATA = firmware(30_000)
_number = count()

Fate = tuple[str, int]
FATES = st.lists(
    st.tuples(
        st.sampled_from(
            ("pass", "pass", "pass", "lose", "double", "swap", "damage", "cut", "late")
        ),
        st.integers(0, 4000),
    ),
    max_size=40,
)


class Script(LineNoise):
    """In place of a line's noise: what becomes of one piece after the other, then all is well."""

    def __init__(self, fates: list[Fate]) -> None:
        super().__init__(FaultPlan(), "to chip")
        self._fates = list(reversed(fates))
        self._held = b""

    def apply(self, data: bytes) -> tuple[bytes, bool]:
        """See `LineNoise.apply`."""
        what, at = self._fates.pop() if self._fates else ("pass", 0)
        held, self._held = self._held, b""
        match what:
            case "lose":
                data = b""
            case "double":
                data += data
            case "swap":
                self._held, data = data, b""
            case "damage" if data:
                at %= len(data)
                data = data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :]
            case "cut" if data:
                data = data[: at % len(data)]
        return data + held, what == "late"


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(FATES, FATES, st.booleans(), st.sampled_from(("write", "read")))
def test_any_fate_of_any_frame_ends_in_the_right_bytes_or_in_one_error(
    to_chip: list[Fate], to_host: list[Fate], by_bytes: bool, job: str
) -> None:
    said = ""
    name = f"window-{next(_number)}"
    where = f"virtual://esp32c3?name={name}&stub=model&timing=virtual&flash=1MB"
    try:
        with connect(where, chip="esp32c3", settings=Settings(retries=2)) as s:
            s.run_stub(placeholder(s.spec))
            s.power.change_baud(921_600)
            ops.attach_flash(s)
            board = NAMED[name]
            if job == "read":
                board.nor.cells.program(BASE, DATA)
            board.cable.noise_in, board.cable.noise_out = Script(to_chip), Script(to_host)
            if by_bytes:
                _one_by_one(s.link.port)
            try:
                if job == "write":
                    ops.write_flash(s, [Region(BASE, DATA)])
                    assert board.nor.cells.read(BASE, len(DATA)) == DATA
                else:
                    assert ops.read_flash(s, BASE, len(DATA)) == DATA
            except FatalError as e:
                said = str(e)
        assert not said or "0x0001" in said, said
    finally:
        NAMED.pop(name, None)


def _one_by_one(port: Any) -> None:
    """Let the host take in a byte at a time."""
    whole = port.receive
    waiting = bytearray()

    def receive(timeout_s: float) -> bytes:
        if not waiting:
            waiting.extend(whole(timeout_s))
        first = bytes(waiting[:1])
        del waiting[:1]
        return first

    port.receive = receive

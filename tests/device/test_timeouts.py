# SPDX-License-Identifier: Apache-2.0
"""The times of the configuration file are those that are waited for, whoever asks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from espefuse.device import read_many, write_many
from esptool.device import Session, connect, ext
from esptool.errors import FatalError, LinkTimeoutError
from esptool.loader import ESPLoader
from esptool.protocol.ext import Batch
from esptool.transport.settings import Settings
from tests.ops.support import placeholder, url

MB = 1 << 20
SETTINGS = Settings(
    timeout=11,
    chip_erase_timeout=400,
    max_timeout=1000,
    md5_timeout_per_mb=80,
    erase_region_timeout_per_mb=90,
    mem_end_rom_timeout=6,
)

#: A request of the loader object or of a session, and the seconds that its answer may take.
REQUESTS: dict[str, tuple[Callable[[ESPLoader], object], float]] = {
    "read_reg": (lambda e: e.read_reg(0x3FC80000), 11),
    "read_reg, told": (lambda e: e.read_reg(0x3FC80000, timeout=5), 5),
    "write_reg": (lambda e: e.write_reg(0x3FC80000, 0), 11),
    "command": (lambda e: e.command(0x0A, bytes(4)), 11),
    "command, told": (lambda e: e.command(0x0A, bytes(4), timeout=2), 2),
    "check_command": (lambda e: e.check_command("ask", 0x0A, bytes(4)), 11),
    "any answer": (lambda e: e.command(), 11),
    "mem_begin": (lambda e: e.mem_begin(4, 1, 4, 0x3FC80000), 11),
    "mem_finish": (lambda e: e.mem_finish(0), 11),
    "flash_block": (lambda e: e.flash_block(bytes(16), 0), 11),
    "flash_block, told": (lambda e: e.flash_block(bytes(16), 0, timeout=30), 30),
    "flash_defl_block": (lambda e: e.flash_defl_block(bytes(16), 0), 11),
    "flash_finish": (lambda e: e.flash_finish(), 11),
    "flash_finish, told": (lambda e: e.flash_finish(timeout=25), 25),
    "flash_defl_finish": (lambda e: e.flash_defl_finish(), 11),
    "flash_md5sum": (lambda e: e.flash_md5sum(0, MB), 80 * MB / 1e6),
    "erase_flash": (lambda e: e.erase_flash(), 400),
    "erase_region": (lambda e: e.erase_region(0, MB), 90 * MB / 1e6),
    "read_flash": (lambda e: e.read_flash(0, 16), 11),
    "hashes": (lambda e: ext.hashes(e.session, 0, MB), 11 + 20 * MB / 1e6),
    "blank_map": (lambda e: ext.blank_map(e.session, 0, MB), 11 + 20 * MB / 1e6),
    "batch": (lambda e: ext.batch(e.session, Batch()), 11),
}
#: The same where the ROM answers.
ROM: dict[str, tuple[Callable[[ESPLoader], object], float]] = {
    "mem_finish": (lambda e: e.mem_finish(0), 6),
    "flash_begin": (lambda e: e.flash_begin(MB, 0), 90 * MB / 1e6),
    "flash_md5sum": (lambda e: e.flash_md5sum(0, MB), 80 * MB / 1e6),
    "get_security_info": (lambda e: e.get_security_info(), 11),
}


def waited(s: Session, ask: Callable[[ESPLoader], object]) -> float:
    """The longest that was waited for an answer that does not come."""
    longest = [0.0]

    def silent(_opcode: Any, timeout_s: float) -> Any:
        longest.append(timeout_s)
        raise LinkTimeoutError("nothing")

    s.link.read_response = silent  # type: ignore[assignment]
    with pytest.raises(FatalError):
        ask(ESPLoader.from_session(s))
    return max(longest)


@pytest.fixture(scope="module", params=[True, False], ids=["stub", "rom"])
def session(request: pytest.FixtureRequest) -> Any:
    with connect(url("esp32c3", timing="virtual"), chip="esp32c3", settings=SETTINGS) as s:
        if request.param:
            s.run_stub(placeholder(s.spec))
            s.loaded_stub = None
            s.flash.set_size(4 * MB)
        yield s


def test_each_request_waits_as_long_as_the_settings_say(session: Session) -> None:
    for name, (ask, seconds) in (REQUESTS if session.is_stub else ROM).items():
        read = session.link.read_response
        try:
            if name == "mem_finish" and not session.is_stub:
                # A ROM that starts a program may fall silent.
                longest = [0.0]

                def silent(_opcode: Any, timeout_s: float, seen: list[float] = longest) -> Any:
                    seen.append(timeout_s)
                    raise LinkTimeoutError("nothing")

                session.link.read_response = silent  # type: ignore[assignment]
                ask(ESPLoader.from_session(session))
                assert max(longest) == pytest.approx(seconds), name
            else:
                assert waited(session, ask) == pytest.approx(seconds), name
        finally:
            session.link.read_response = read  # type: ignore[method-assign]


@pytest.mark.parametrize("write", [False, True])
def test_efuse_registers_that_are_reached_together_wait_as_long(
    write: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connect(url("esp32c3", timing="virtual"), chip="esp32c3", settings=SETTINGS) as s:
        esp = ESPLoader.from_session(s)
        read, waits = s.link.read_response, []

        def note(opcode: Any, timeout_s: float) -> Any:
            waits.append(timeout_s)
            return read(opcode, timeout_s)

        monkeypatch.setattr(s.link, "read_response", note)
        if write:
            write_many(esp, [(0x3FC80000 + 4 * i, i) for i in range(3)])
        else:
            read_many(esp, [0x3FC80000 + 4 * i for i in range(3)])
    assert waits == [SETTINGS.timeout] * 3

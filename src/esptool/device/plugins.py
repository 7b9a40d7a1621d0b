# SPDX-License-Identifier: Apache-2.0
"""Plug-ins of our stub: code that is put beside it while it runs, when it is first needed.

A plug-in is linked against one build of the stub. The word in front of the stub's table of handlers
tells the build, so that no other stub is given code that would jump into it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from esptool import stubs
from esptool.device import late
from esptool.device.requests import StubKind
from esptool.device.stub_loader import stub_name
from esptool.errors import FatalError
from esptool.protocol.packets import words

if TYPE_CHECKING:
    from esptool.device.session import Session

_WORD = 4


def require(session: Session, name: str) -> None:
    """Have the plug-in in the chip, where our stub runs there; others bring it with them.

    Raises:
        FatalError: no stub runs, it has no such plug-in, or the plug-in belongs to another build.
    """
    if not session.is_stub:
        raise FatalError(
            f"The plug-in '{name}' needs the flasher stub, and the ROM loader answers.",
            remedy="Leave out --no-stub.",
        )
    if session.stub_kind is not StubKind.OURS:
        return
    session.complete_stub()
    loaded = session.loaded_stub
    stub = loaded if loaded is not None else stubs.load(stub_name(session))
    linked = stub if stub.segments else stub.with_plugins([name])
    plugin = stub.plugins[name]
    table = stub.data_start + (stub.table_offset or 0)
    wanted = {table + _WORD * slot: handler for slot, handler in stub.handlers(name)}
    first = min(wanted)
    build, entry = session.read_regs([table - _WORD, first])
    _require_build(stub, table - _WORD, build, name)
    if entry != wanted[first]:
        what = f"send the plug-in '{name}'"
        late.store(session, what, plugin.text_start, stubs.whole_words(plugin.text))
        # The first one, which tells that the plug-in is there, comes last.
        for address in sorted(wanted, reverse=True):
            late.store(session, what, address, words(wanted[address]))
    session.loaded_stub = linked


def _require_build(stub: stubs.Stub, address: int, found: int, name: str) -> None:
    offset = address - stub.data_start
    expected = int.from_bytes(stub.data[offset : offset + _WORD], "little")
    if found != expected:
        raise FatalError(
            f"The stub that runs in the chip is another build than the one that its plug-in "
            f"'{name}' belongs to.",
            remedy="Reset the chip, so that the stub is loaded anew: leave out --before no-reset.",
        )

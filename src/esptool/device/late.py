# SPDX-License-Identifier: Apache-2.0
"""The late part of our stub: code that short sessions do without, sent when it is first needed.

See docs/serial-protocol.md, "The late part".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from esptool import stubs
from esptool.device import ext
from esptool.device.stub_loader import stub_name
from esptool.errors import ChipResponseError, FatalError, NoAnswerError
from esptool.protocol.ext import Ext
from esptool.protocol.packets import BITS_A_BYTE, words
from esptool.stubs.first import first_stage

if TYPE_CHECKING:
    from esptool.device.session import Session
    from esptool.stubs.first import Image

#: Blocks get smaller on a line that damages them; the smallest are sent as often as any request.
LARGEST_BLOCK, LEAST_BLOCK, SHRINK = 4096, 64, 4
#: Besides the line: storing a block, and unpacking all.
BLOCK_S, UNPACK_S = 0.3, 1.0
#: How often all of it is sent where it did not arrive whole.
WHOLES = 2


def load(session: Session) -> None:
    """Send the late part to the stub that runs without it.

    Raises:
        FatalError: that stub is of another build than the one that comes with this tool.
        LinkTimeoutError, ProtocolError: the line does not let it through.
    """
    if not session.late_missing:
        return
    loaded = session.loaded_stub
    stub = loaded if loaded is not None and loaded.ours else stubs.load(stub_name(session))
    first = first_stage(stub)
    if first is None or first.build != session.late_missing:
        # That answer has no seal.
        again = ext.probe(session)
        session.late_missing = session.late_missing if again is None else again.missing
    if not session.late_missing:
        return
    if first is None or first.build != session.late_missing:
        raise FatalError(
            "The stub that runs in the chip lacks a part, and this tool has that of another build.",
            remedy="Reset the chip, so that the stub is loaded anew: leave out --before no-reset.",
        )
    for left in reversed(range(WHOLES)):
        block = session.flash.chosen_write_size() or LARGEST_BLOCK
        for address, data in first.late.parts:
            block = store(session, "send the stub's late part", address, data, block)
        try:
            _unpack(session, first.late)
            break
        except ChipResponseError:
            # A block was stored that was another's repetition, or the memory is in use.
            if not left:
                raise
    session.late_missing = 0


def store(session: Session, what: str, address: int, data: bytes, size: int = LARGEST_BLOCK) -> int:
    """Have our stub store words in RAM; the size of blocks that the line has let through.

    Args:
        what: the request in words, for an error: "send the stub's late part".
        size: bytes of the blocks to begin with.

    Raises:
        LinkTimeoutError, ProtocolError: the line does not let them through.
    """
    at = 0
    while at < len(data):
        block = words(address + at) + data[at : at + size]
        line_s = 2 * len(block) * BITS_A_BYTE / max(1, session.link.baud)
        try:
            ext.request(
                session,
                what,
                Ext.LOAD,
                block,
                timeout_s=BLOCK_S + line_s,
                accept=ext.shaped(address + at, 0),
                attempts=1 if size > LEAST_BLOCK else ext.ATTEMPTS,
            )
        except NoAnswerError:
            if size <= LEAST_BLOCK:
                raise
            session.link.discard_input()
            size = max(LEAST_BLOCK, size // SHRINK)
            continue
        at += size
    return size


def _unpack(session: Session, image: Image) -> None:
    """May be repeated: nothing of what was sent is changed by it."""
    order = image.order()
    ext.request(
        session,
        "unpack the stub's late part",
        Ext.CALL,
        order,
        timeout_s=UNPACK_S,
        accept=ext.shaped(0, 0),
    )

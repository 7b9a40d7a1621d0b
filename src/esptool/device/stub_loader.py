# SPDX-License-Identifier: Apache-2.0
"""Uploading a flasher stub into RAM and greeting it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esptool.device.ram import RAM_BLOCK, USB_OTG_BLOCK
from esptool.errors import FatalError, ProtocolError, SecureModeError
from esptool.protocol import packets
from esptool.protocol.opcodes import Cmd

if TYPE_CHECKING:
    from esptool.device.session import Session
    from esptool.stubs import Stub

GREETING = b"OHAI"


def stub_name(session: Session) -> str:
    """The stub for this chip and revision."""
    spec = session.spec
    for before, name in spec.stub.variants:
        if session.facts.revision < before:
            return name
    return spec.key


def why_no_stub(session: Session) -> str | None:
    """The reason why no stub may run on this chip now, behind "the stub is"; None if one may."""
    rules = session.spec.stub
    if not rules.available:
        return f"not yet supported on {session.spec.name}"
    if session.secure_download:
        return "not supported in Secure Download Mode"
    if rules.not_for_revision is not None and session.facts.revision == rules.not_for_revision:
        major, minor = divmod(rules.not_for_revision, 100)
        return f"not supported on {session.spec.name} v{major}.{minor}"
    if rules.not_with_secure_boot and session.facts.secure_boot_enabled:
        return f"not supported on {session.spec.name} with Secure Boot"
    return None


def ram_block(session: Session) -> int:
    """Bytes a RAM block holds on this link."""
    usb = session.spec.usb
    if usb.otg and not session.is_stub and session.facts.maybe_usb_otg:
        return USB_OTG_BLOCK
    return RAM_BLOCK


def upload(session: Session, stub: Stub) -> None:
    """Send `stub` to RAM, start it and wait for its greeting.

    Raises:
        ProtocolError: something else than the greeting came.
        FatalError: the upload failed.
    """
    block = ram_block(session)
    for address, data in segments(stub):
        session.ram.load(data, address, block)
    detour = session.spec.stub.secure_boot_detour
    if detour is not None and session.facts.secure_boot_enabled:
        _start_by_detour(session, stub.entry, *detour)
        return
    try:
        session.ram.finish(stub.entry)
    except ProtocolError:
        # The greeting may overtake a damaged last answer of the ROM: it decides below.
        pass
    _greet(session)


def segments(stub: Stub) -> list[tuple[int, bytes]]:
    """What goes to RAM: (address, bytes) of code, data and plug-ins."""
    parts = [(stub.text_start, stub.text)]
    if stub.data:
        parts.append((stub.data_start, stub.data))
    return [*parts, *stub.segments]


def resident(session: Session) -> list[range]:
    """Addresses that the running stub takes up.

    Empty where the ROM answers, or nobody knows which stub runs.
    """
    if not session.is_stub:
        return []
    from esptool import stubs

    stub = session.loaded_stub
    try:
        return stubs.memory(stub or stubs.load(stub_name(session)))
    except FatalError:
        return []


def refuse_overlap(session: Session, address: int, size: int) -> None:
    """Refuse `size` bytes for RAM at `address` that would overwrite the running stub.

    Raises:
        FatalError: they would.
    """
    for taken in resident(session):
        if address < taken.stop and address + size > taken.start:
            raise FatalError(
                f"The flasher stub is resident at {taken.start:#010x}-{taken.stop:#010x}: data for "
                f"{address:#010x}-{address + size:#010x} would overwrite it.",
                remedy="Load them elsewhere, or use --no-stub.",
            )


def _greet(session: Session) -> None:
    for _ in range(10):
        frame = session.link.read_frame(session.settings.timeout)
        if frame == GREETING:
            return
        if packets.parse_response(frame) is None:
            raise ProtocolError(
                f"Failed to start stub flasher. Unexpected response: {frame[:16].hex()}.",
                remedy="Try --no-stub, or a lower --baud.",
            )
    raise ProtocolError("Failed to start stub flasher. There was no greeting.")


def _start_by_detour(session: Session, entry: int, pointer: int, opcode: int) -> None:
    """Start code in RAM where secure boot makes the ROM refuse MEM_END.

    The ROM calls its flash-read function through a pointer in RAM: that is turned to the stub,
    a read is asked for, and the pointer is put back once the stub answers.
    """
    saved = session.read_reg(pointer)
    session.write_reg(pointer, entry)
    session.command(Cmd(opcode), packets.words(0, 0), wait=False)
    try:
        _greet(session)
    except FatalError as e:
        raise SecureModeError(
            "Secure boot is enabled and the stub could not be started.", remedy="Use --no-stub."
        ) from e
    session.adopt_stub()
    session.write_reg(pointer, saved)

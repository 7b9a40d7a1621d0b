# SPDX-License-Identifier: Apache-2.0
"""Uploading a flasher stub into RAM and greeting it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from esptool.device import first_stage
from esptool.device.line_rate import LineRate
from esptool.device.ram import RAM_BLOCK, USB_OTG_BLOCK
from esptool.errors import (
    FatalError,
    LineLossError,
    LinkTimeoutError,
    NoAnswerError,
    ProtocolError,
    SecureModeError,
)
from esptool.protocol import packets
from esptool.protocol.opcodes import Cmd
from esptool.protocol.rates import AUTO

if TYPE_CHECKING:
    from esptool.device.session import Session
    from esptool.stubs import Stub
    from esptool.stubs.first import FirstStage

GREETING = b"OHAI"
#: A first stage greets as soon as it is entered.
FIRST_GREETING_S = 0.2
FIRST_ATTEMPTS = 3
#: The stub greets as soon as its data are zeroed.
STUB_GREETING_S = 0.3
#: What the ROM calls is put back as often as the line needs.
PUT_BACK_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Loaded:
    """How a stub came into the chip.

    Attributes:
        staged: by its first stage, not by the ROM alone.
        baud: the rate at which the stub was left running.
        refused: rates that were asked for, or found, and did not work.
        resent: blocks that had to be sent again.
        cut: there was no time to try higher rates than `baud`.
        missing: the build of a stub that was loaded without its late part, else 0.
    """

    staged: bool
    baud: int
    refused: tuple[int, ...] = ()
    resent: int = 0
    cut: bool = False
    missing: int = 0


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


def upload(session: Session, stub: Stub, baud: int | str | None = None) -> Loaded:
    """Send `stub` to RAM, start it and wait for its greeting.

    Where a first stage can load it, that goes at `baud`, and the stub runs at that rate then, or at
    the old one where the line cannot bear it; `rates.AUTO` is the best rate that it bears.
    Otherwise the rate stays as it is.

    Raises:
        ProtocolError: something else than the greeting came.
        FatalError: the upload failed.
    """
    first = stage_for(session, stub)
    if first is not None:
        base = session.link.baud
        try:
            return _by_stages(session, first, baud)
        except LineLossError:
            # Another try is made in the old way, with a chip that was reset.
            session.rom_only_upload = True
            session.link.set_baud(base)
            raise
    block = ram_block(session)
    for address, data in segments(stub):
        session.ram.load(data, address, block)
    if needs_detour(session):
        try:
            with _detour(session, stub.entry) as enter:
                enter()
                _greet(session)
        except LineLossError as e:
            raise e.saying("Secure boot is on, and a read of flash did not start it") from e
        except FatalError as e:
            raise SecureModeError(
                "Secure boot is enabled and the stub could not be started.", remedy="Use --no-stub."
            ) from e
    else:
        _enter(session, stub.entry)
        _greet(session)
    return Loaded(False, session.link.baud)


def stage_for(session: Session, stub: Stub) -> FirstStage | None:
    """The first stage that can load `stub` over this link; None where the ROM does it all."""
    from esptool.stubs.first import first_stage as found

    first = None if session.rom_only_upload else found(stub)
    if first is None or session.is_stub:
        return None
    return None if _by_otg(session, first) else first


def _by_otg(session: Session, first: FirstStage) -> bool:
    """The host is on USB-OTG, which a first stage does not speak."""
    if first.otg is None or not session.facts.maybe_usb_otg:
        return False
    if session.facts.usb_mode == "usb_otg":
        return True
    # The port does not say what it is, but the ROM knows.
    return session.read_reg(first.otg.address(session.facts.revision)) == first.otg.value


def _by_stages(session: Session, first: FirstStage, baud: int | str | None) -> Loaded:
    session.ram.load(first.text, first.text_start, RAM_BLOCK)
    if needs_detour(session):
        with _detour(session, first.entry) as enter:
            return _by_stage(session, first, _start_first(session, enter), baud)
    stage = _start_first(session, lambda: _enter(session, first.entry))
    return _by_stage(session, first, stage, baud)


def _by_stage(
    session: Session,
    first: FirstStage,
    stage: first_stage.FirstStageLink,
    baud: int | str | None,
) -> Loaded:
    rate = LineRate(stage, baud == AUTO)
    refused: list[int] = []
    if isinstance(baud, str):
        if session.rate_matters:
            known = session.remembered_rate()
            rate.find(known.rate or None, further=bool(known.cut))
    elif baud is not None and not rate.go(baud):
        refused.append(baud)
        rate.below(baud)
    stage.send(*first.image.parts, worn=rate.worn)
    if not stage.start(first.image, GREETING):
        _greet_or_sync(session)
    given_up = (*refused, *rate.given_up)
    return Loaded(True, session.link.baud, given_up, stage.resent, rate.cut, first.build)


def _start_first(session: Session, enter: Callable[[], None]) -> first_stage.FirstStageLink:
    for _ in range(FIRST_ATTEMPTS):
        # The request may have been lost; a first stage takes it for a damaged frame.
        enter()
        stage = first_stage.greeted(session.link, FIRST_GREETING_S)
        stage = stage or first_stage.called(session.link)
        if stage is not None:
            return stage
    raise LinkTimeoutError("The first stage of the stub flasher does not answer.")


def _greet_or_sync(session: Session) -> None:
    """Wait for the stub; where its greeting is lost, it answers when called."""
    try:
        if session.link.read_frame(STUB_GREETING_S) == GREETING:
            return
    except NoAnswerError:
        pass
    session.link.discard_input()
    answer = session.link.sync_once(session.settings.sync_timeout * 3)
    session.link.discard_input()
    if answer.value:
        raise ProtocolError("Failed to start stub flasher. The ROM loader answers.")


def _enter(session: Session, entry: int) -> None:
    try:
        session.ram.finish(entry)
    except ProtocolError:
        # What was started may overtake a damaged last answer of the ROM: it decides.
        pass


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


def needs_detour(session: Session) -> bool:
    """Secure boot makes this ROM reset at MEM_END, instead of starting what is in RAM."""
    return session.spec.stub.secure_boot_detour is not None and session.facts.secure_boot_enabled


@contextlib.contextmanager
def _detour(session: Session, entry: int) -> Iterator[Callable[[], None]]:
    """What starts code in RAM in another way than by MEM_END; a stub must run at the end.

    The ROM calls its flash-read function through a pointer in RAM: that is turned to the code, and
    a read is asked for. It is put back once the stub answers, and where none does as well: a ROM
    that is still there, and is not reset, would start that code at the next read.
    """
    assert session.spec.stub.secure_boot_detour is not None
    pointer, opcode = session.spec.stub.secure_boot_detour
    saved = session.read_reg(pointer)

    def put_back(attempts: int, timeout_s: float | None = None) -> None:
        session.request(
            "put back the ROM's pointer",
            Cmd.WRITE_REG,
            packets.words(pointer, saved, 0xFFFFFFFF, 0),
            timeout_s=timeout_s,
            attempts=attempts,
        )

    def enter() -> None:
        session.command(Cmd(opcode), packets.words(0, 0), wait=False)

    try:
        session.write_reg(pointer, entry)
        yield enter
        session.adopt_stub()
        put_back(PUT_BACK_ATTEMPTS)
    except FatalError:
        session.left_stub()
        session.link.discard_input()
        with contextlib.suppress(FatalError):
            put_back(1, session.settings.sync_timeout)
        raise

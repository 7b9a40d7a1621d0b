# SPDX-License-Identifier: Apache-2.0
"""Running programs: one sent into RAM, or the one in flash."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esptool.device.recover import resync
from esptool.device.stub_loader import ram_block, refuse_overlap
from esptool.errors import ImageError, LineLossError
from esptool.events import Listener
from esptool.image import app
from esptool.image.sources import ImageSource, first_segment, read_source
from esptool.ops import bounds
from esptool.transfer.recovery import saying
from esptool.transfer.report import Report

if TYPE_CHECKING:
    from esptool.device import Session


def load_ram(
    session: Session,
    source: ImageSource,
    *,
    listener: Listener | None = None,
) -> None:
    """Send the segments of an image into RAM and jump to its entry point.

    Nothing in flash changes. An image for another chip is sent too, with a warning. The loader
    that runs does it: with the stub's clocks and rate the program finds the chip as it would from
    flash, but it may not go where the stub is.

    Raises:
        ImageError: not a firmware image, or it is damaged.
        FatalError: a segment would overwrite the running stub.
    """
    report = Report(session, listener)
    data, name = read_source(source)
    program = app.load_for_ram(first_segment(data, name), session.spec)
    extended = program.extended
    if session.spec.image.extended_header and extended is not None:
        reason = app.incompatibility(extended, session.spec, session.facts.revision, name)
        if reason is not None:
            report.warning(f"{reason}. The loaded image may not run.")
    label = f"'{name}'" if name else "image"
    report.line(f"Loading {label} to RAM...")
    report.began("loading", file=name)
    if not program.segments:
        raise ImageError(f"{label} has no segments: there is nothing to load.")
    for segment in program.segments:
        bounds.require_32_bits(segment.addr, len(segment.data), "memory")
        if session.debugger is None:
            refuse_overlap(session, segment.addr, len(segment.data))
    if session.debugger is not None:
        session.debugger.run_program([(s.addr, s.data) for s in program.segments], program.entry)
        report.line(f"Loaded {label} to RAM, executing at {program.entry:#010x}.")
        return
    for segment in program.segments:
        with saying(f"Loading to RAM stopped in the segment for {segment.addr:#010x}"):
            _send_segment(session, segment.addr, segment.data, report)
    report.result(
        file=name,
        entry_point=program.entry,
        segments=[{"address": s.addr, "size": len(s.data)} for s in program.segments],
    )
    report.line(
        f"Loaded {len(program.segments)} segments from {label} to RAM, "
        f"executing at {program.entry:#010x}."
    )
    session.ram.finish(program.entry)
    session.tell_remarks()


def _send_segment(session: Session, address: int, data: bytes, report: Report) -> None:
    block = ram_block(session)
    count = -(-len(data) // block)
    session.ram.begin(len(data), count, block, address)
    action = f"Downloading {len(data)} bytes at"
    for seq in range(count):
        report.progress(action, address, seq * block, len(data))
        session.ram.block(data[seq * block : (seq + 1) * block], seq)
    report.progress(action, address, len(data), len(data))


def run(session: Session, *, listener: Listener | None = None) -> None:
    """Leave the loader and start the program in flash.

    A stub that cannot start it has the chip reset, over a port without lines by the ROM loader.
    """
    del listener
    if session.debugger is not None:
        session.power.hard_reset()
        return
    if session.is_stub and session.spec.rom.flash_ops:
        if session.power.hard_reset():
            return
        session.power.soft_reset(True)
        try:
            resync(session)
        except LineLossError:
            return  # The reset has started the program.
    session.power.soft_reset(False)

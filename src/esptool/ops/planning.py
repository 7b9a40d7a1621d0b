# SPDX-License-Identifier: Apache-2.0
"""Planning a write: everything is checked, and nothing changed on the chip or printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from esptool.chips.nor import SECTOR
from esptool.events import Event, Message
from esptool.image import app
from esptool.image.content import joined
from esptool.ops import bounds, checks, delta
from esptool.ops.decide import with_content
from esptool.ops.flash_info import choose_flash_size
from esptool.ops.model import FlashParams, Region, WriteOptions
from esptool.ops.plan import RegionPlan, WritePlan
from esptool.ops.security import SecurityState, security_state
from esptool.protocol.ext import Capability
from esptool.transfer.report import Report
from esptool.transfer.segments import WORD, Segment

if TYPE_CHECKING:
    from esptool.device import Session


def plan_write(
    session: Session,
    regions: Sequence[Region],
    options: WriteOptions | None = None,
    *,
    security: SecurityState | None = None,
    remarks: list[Message] | None = None,
) -> WritePlan:
    """Check everything and say what `write_flash` would do.

    Nothing is changed on the chip and nothing told to a listener: what is worth knowing is in the
    plan's `remarks`, and in the list `remarks`, also where something is refused.

    Raises:
        FatalError: what `write_flash` raises before it sends.
    """
    options = options or WriteOptions()
    remarks = [] if remarks is None else remarks
    remarks.clear()

    def keep_remark(event: Event) -> None:
        if isinstance(event, Message):
            remarks.append(event)

    report = Report(session, keep_remark)
    checks.refuse_overlaps(regions)
    for region in regions:
        bounds.require_32_bits(region.address, len(region.data))
    checks.refuse_lost_neighbours(session, regions, options)
    encrypted = options.encrypt or any(r.encrypted for r in regions)
    _skip, diff = checks.without_impossible(session, options, encrypted, report)
    state = security if security is not None else security_state(session)
    checks.refuse_insecure(regions, options, state)
    checks.refuse_encryption(session, regions, options, report)
    checks.judge_images(session, regions, options, report)
    size_word, told = choose_flash_size(session, options.params.size, report)
    limit = bounds.flash_limit(session, size_word)
    checks.refuse_past_end(session, regions, limit)
    bounds.remark_unknown(report, limit, session)
    params = _params(options.params, size_word, state, session, report)
    formers: list[bytes | None] = list(options.diff_with) if diff else []
    formers += [None] * (len(regions) - len(formers))
    plans = tuple(
        _plan_region(session, region, former, params, options, limit, report)
        for region, former in zip(regions, formers, strict=False)
    )
    return WritePlan(plans, limit.size, session.link.baud, options.erase_all, told, tuple(remarks))


def _params(
    params: FlashParams,
    size_word: str | None,
    state: SecurityState,
    session: Session,
    report: Report,
) -> FlashParams:
    """The parameters for the boot loader's header; a secured chip keeps what is signed."""
    if session.secure_download or state.secure_boot:
        report.warning("Security features enabled, so not changing any flash settings.")
        return FlashParams()
    if params.size == "detect":
        return replace(params, size=size_word or "keep")
    return params


def _plan_region(
    session: Session,
    region: Region,
    former: bytes | None,
    params: FlashParams,
    options: WriteOptions,
    limit: bounds.Limit,
    report: Report,
) -> RegionPlan:
    encrypted = options.encrypt or region.encrypted
    keep = options.preserve and not encrypted
    address, content = region.address, region.data
    if content:
        align = session.spec.flash.encrypted_write_align if encrypted else WORD
        content = app.patch_flash_params(
            content if keep else bounds.padded_inside(address, content, align, limit),
            session.spec,
            params.mode,
            params.frequency,
            params.size,
            address=address,
            notify=report.listener,
        )
    if not keep and not session.is_stub and address % SECTOR:
        # A ROM erases from where it writes, and writes from a sector's start.
        head = address % SECTOR
        content, address = joined(b"\xff" * head, content), address - head
    pack = wants_packing(session, options) and bool(content)
    if encrypted and not session.can(Capability.WRITE):
        # Only our stub gathers whole blocks of the cipher from what it inflates.
        pack = False
    checkable = checks.can_verify(session) and not encrypted and not options.erase_all
    plan = RegionPlan(
        region,
        address,
        content,
        Segment(address, b"", encrypted, pack),
        former,
        encrypted,
        keep=keep and bool(content),
        compare=options.skip_flashed and checkable,
        by_hashes=options.delta and checkable and delta.possible(session),
        trust=options.trust_flash_content,
    )
    # With its neighbours, the content will be another one.
    return plan if plan.keep else with_content(plan, address, content)


def wants_packing(session: Session, options: WriteOptions) -> bool:
    """Whether data are deflated where that makes them smaller: as asked, else with a stub only."""
    if not session.is_stub and not session.spec.rom.flash_ops:
        return False
    return session.is_stub if options.compress is None else options.compress

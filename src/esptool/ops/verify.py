# SPDX-License-Identifier: Apache-2.0
"""Comparing flash with files: by hash, and byte by byte where a person wants the differences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from esptool.errors import VerifyError
from esptool.events import Listener
from esptool.image import app
from esptool.image.content import md5
from esptool.ops import bounds
from esptool.ops.checks import require_flash_ops
from esptool.ops.flash_info import set_flash_size
from esptool.ops.model import Difference, FlashParams, Region
from esptool.transfer.receive import flash_md5, receive_bytes
from esptool.transfer.recovery import Recovery
from esptool.transfer.report import Report

if TYPE_CHECKING:
    from esptool.device import Session

WORD = 4


def verify_flash(
    session: Session,
    regions: Sequence[Region],
    params: FlashParams | None = None,
    *,
    diff: bool = False,
    listener: Listener | None = None,
) -> None:
    """Compare each region with flash, by an MD5 made on the chip.

    Args:
        params: the flash parameters that were given when the boot loader was written.
        diff: read regions that differ, and report every byte.

    Raises:
        UsageError: a region is not within the flash.
        VerifyError: at least one region differs; all were compared.
        FatalError: the ROM of ESP8266 can neither hash nor read flash.
    """
    params = wanted = params or FlashParams()
    report = Report(session, listener)
    recovery = Recovery(session, report)
    for region in regions:
        bounds.require_32_bits(region.address, len(region.data))

    def prepare() -> tuple[str | None, bounds.Limit]:
        session.remember()
        word = set_flash_size(session, wanted.size, listener=report.listener)
        return word, bounds.flash_limit(session, word)

    what = f"Verifying at {regions[0].address:#010x}" if regions else "Verifying"
    size_word, limit = recovery.prepare(what, prepare)
    for region in regions:
        bounds.require_inside(session, region.address, len(region.data), limit)
    bounds.remark_unknown(report, limit, session)
    if params.size == "detect" and size_word is not None:
        params = FlashParams(size_word, params.mode, params.frequency)
    bad: list[Difference] = []
    told: list[dict[str, Any]] = []
    for region in regions:
        report.began("verifying", address=region.address, size=len(region.data), file=region.name)
        difference = _compare(session, region, params, limit, diff, report, recovery)
        if difference is not None:
            bad.append(difference)
        told.append(_told(region, difference))
        report.result(regions=told)
    if bad:
        where = ", ".join(f"{d.region.label} at {d.region.address:#010x}" for d in bad)
        raise VerifyError(f"Verification failed. Different: {where}.")


def _told(region: Region, difference: Difference | None) -> dict[str, Any]:
    counted = difference is not None and difference.count > 0
    return {
        "file": region.name,
        "address": region.address,
        "size": len(region.data),
        "matches": difference is None,
        "first_difference": difference.first if difference is not None and counted else None,
        "differences": difference.count if difference is not None and counted else None,
    }


def _compare(
    session: Session,
    region: Region,
    params: FlashParams,
    limit: bounds.Limit,
    diff: bool,
    report: Report,
    recovery: Recovery,
) -> Difference | None:
    data = app.patch_flash_params(
        region.data,
        session.spec,
        params.mode,
        params.frequency,
        params.size,
        address=region.address,
        notify=report.listener,
    )
    data = bounds.padded_inside(region.address, data, WORD, limit)
    against = f"'{region.name}'" if region.name else "input bytes"
    report.line(
        f"Verifying {len(data):#x} ({len(data)}) bytes at {region.address:#010x} "
        f"in flash against {against}..."
    )
    if not data:
        report.warning(f"{region.title} is empty: there is nothing to verify.")
        return None
    require_flash_ops(session, "verifying flash")
    wanted = md5(data)
    if flash_md5(session, region.address, len(data), recovery, wanted) == wanted:
        report.line("Verification successful (digest matched).")
        return None
    if not diff:
        report.line("Verification failed (digest mismatch).")
        return Difference(region, region.address, 0)

    found = receive_bytes(session, region.address, len(data), report, recovery)
    return _show_differences(region, bytes(data), found, report)


def _show_differences(
    region: Region, wanted: bytes, found: bytes, report: Report
) -> Difference | None:
    positions = list(_positions(wanted, found))
    if not positions:
        # The hash was computed from what cannot be read back the same twice.
        report.line("Verification failed (digest mismatch), yet the bytes read are equal.")
        return Difference(region, region.address, 0)
    first = region.address + positions[0]
    report.line(f"Verification failed: {len(positions)} differences, first at {first:#010x}:")
    lines = tuple(
        f"   {region.address + at:#010x} {found[at]:02x} {wanted[at]:02x}" for at in positions
    )
    for line in lines:
        report.line(line)
    return Difference(region, first, len(positions), lines)


def _positions(a: bytes, b: bytes, step: int = 256) -> Iterator[int]:
    """Where two equally long byte strings differ; equal runs are passed over fast."""
    for start in range(0, len(a), step):
        if a[start : start + step] != b[start : start + step]:
            end = min(start + step, len(a))
            yield from (i for i in range(start, end) if a[i] != b[i])

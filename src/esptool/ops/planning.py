# SPDX-License-Identifier: Apache-2.0
"""Planning a write: what a caller asks is made regions and options, and everything is checked.

For the command line and for Python. Nothing is changed on the chip, and nothing printed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from esptool.chips.nor import SECTOR
from esptool.errors import UsageError
from esptool.events import Event, Message
from esptool.files import is_open_file
from esptool.image import app
from esptool.image.content import joined
from esptool.image.regions import refuse_overlap
from esptool.image.sources import ImageSource, load_regions, refuse_container
from esptool.ops import bounds, checks
from esptool.ops.decide import can_compare_hashes, with_content
from esptool.ops.flash_info import choose_flash_size
from esptool.ops.model import FlashParams, Region, WriteOptions
from esptool.ops.plan import RegionPlan, WritePlan
from esptool.ops.security import SecurityState, security_state
from esptool.protocol.ext import Capability
from esptool.transfer.report import Report
from esptool.transfer.segments import WORD, Segment

if TYPE_CHECKING:
    from esptool.device import Session
    from esptool.storage.names import Span

A = TypeVar("A", int, str, int | str)

#: How a file gets into flash that is refused for what it is.
_WAY_OUT = "To put the file itself into flash, add --force."


def refuse_for_nand(options: Mapping[str, Any]) -> None:
    """Refuse options that NAND flash has nothing for, where something would be lost without them.

    Raises:
        UsageError: there is one.
    """
    for name, why in _NOT_FOR_NAND.items():
        if options.get(name):
            option = name.replace("_", "-")
            raise UsageError(
                f"Option --{option} works with NOR flash only: {why}.",
                remedy=f"Leave out --{option}, or --flash-type nand.",
            )


#: What `refuse_for_nand` refuses, and why.
_NOT_FOR_NAND = {
    "encrypt": "a SPI NAND flash is written as it is, without encryption",
    "encrypt_files": "a SPI NAND flash is written as it is, without encryption",
    "preserve": "a SPI NAND flash is erased by whole blocks",
}


def prepare_write(
    addr_data: Sequence[tuple[int | str, ImageSource]],
    params: FlashParams,
    options: Mapping[str, Any],
    names: Callable[[str], Span] | None = None,
) -> tuple[list[Region], WriteOptions]:
    """Regions and options for `ops.write_flash` from the keyword options of `write_flash`.

    `names` makes ranges of addresses that are names of partitions.

    Raises:
        UsageError: options that exclude each other, files that overlap, or more data than a
            partition takes.
    """
    compress = options.get("compress") or None
    if options.get("no_compress"):
        if compress:
            raise UsageError("Options compress and no_compress exclude each other.")
        compress = False
    trust = bool(options.get("trust_flash_content") or options.get("no_diff_verify"))
    encrypted = options.get("encrypt_files") or []
    if encrypted and options.get("encrypt"):
        raise UsageError("Options --encrypt and --encrypt-files cannot be used at the same time.")
    diff_with = list(options.get("diff_with") or [])
    if trust and not diff_with:
        raise UsageError("Option --trust-flash-content requires --diff-with.")
    if len(diff_with) > len(addr_data):
        raise UsageError(
            f"--diff-with names {len(diff_with)} files, but only {len(addr_data)} are written."
        )
    regions: list[Region] = []
    former: list[bytes | None] = []
    pairs = [(pair, False) for pair in addr_data] + [(pair, True) for pair in encrypted]
    for i, (pair, encrypt) in enumerate(pairs):
        address, loaded = load_named(pair, names, encrypted=encrypt)
        for region in loaded if not options.get("force") else ():
            refuse_container(region.data, region.name, _WAY_OUT)
        regions += loaded
        old = diff_with[i] if i < len(diff_with) else None
        former += _former_content(loaded, address, old)
    refuse_overlap(regions, SECTOR, together=False, error=UsageError)
    wanted = WriteOptions(
        params=params,
        compress=compress,
        erase_all=bool(options.get("erase_all")),
        encrypt=bool(options.get("encrypt")),
        ignore_flash_enc_efuse=bool(options.get("ignore_flash_enc_efuse")),
        force=bool(options.get("force")),
        skip_flashed=bool(options.get("skip_flashed")),
        diff_with=tuple(former) if diff_with else (),
        trust_flash_content=trust,
        delta=bool(options.get("delta", True)),
        preserve=bool(options.get("preserve")),
        retries=options.get("retries"),
    )
    return regions, wanted


def load_named(
    pair: tuple[int | str, ImageSource],
    names: Callable[[str], Span] | None,
    *,
    encrypted: bool = False,
) -> tuple[int, list[Region]]:
    """The offset that an address stands for, and the regions of the source beside it.

    Raises:
        UsageError: a name that nobody can look up, or data that does not fit the partition.
    """
    address, source = pair
    if isinstance(address, int):
        return address, load_regions(rewound([(address, source)]), encrypted=encrypted)
    if names is None:
        raise UsageError(f"'{address}' is not an address: names need a partition table.")
    span = names(address)
    loaded = load_regions(rewound([(span.offset, source)]), encrypted=encrypted)
    for region in loaded:
        if region.address < span.offset or region.end > span.end:
            raise UsageError(
                f"{region.title} ({len(region.data)} bytes at {region.address:#x}) does not fit "
                f"{span.label}, which has {span.size} bytes at {span.offset:#x}. Nothing was "
                "written."
            )
    return span.offset, loaded


def _former_content(
    regions: Sequence[Region], address: int, old: ImageSource | None
) -> list[bytes | None]:
    """What the old source says stood in flash, for each region of the new one."""
    if old is None or old == "skip":
        return [None] * len(regions)
    parts = load_regions(rewound([(address, old)]))
    result: list[bytes | None] = []
    for region in regions:
        start = min((p.address for p in parts), default=region.address)
        if len(regions) == len(parts) == 1 or start <= region.address:
            result.append(_cut(parts, region))
        else:
            result.append(None)
    return result


def _cut(parts: Sequence[Region], region: Region) -> bytes | None:
    """The bytes of the parts from the region's start on, erased bytes in between."""
    inside = [p for p in parts if p.end > region.address and p.address < region.end]
    if not inside:
        return None
    end = min(max(p.end for p in inside), region.end)
    former = bytearray(b"\xff" * (end - region.address))
    for part in inside:
        data = part.data[max(0, region.address - part.address) : end - part.address]
        at = max(0, part.address - region.address)
        former[at : at + len(data)] = data
    return bytes(former)


def rewound(
    addr_data: Sequence[tuple[A, ImageSource]],
) -> list[tuple[A, ImageSource]]:
    """The pairs, with open files at their beginning: one file may be named twice."""
    for _address, source in addr_data:
        if is_open_file(source):
            source.seek(0)
    return list(addr_data)


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
    refuse_overlap(regions, SECTOR, together=False, error=UsageError)
    for region in regions:
        bounds.require_32_bits(region.address, len(region.data))
    checks.refuse_lost_neighbours(session, regions, options)
    encrypted = options.encrypt or any(r.encrypted for r in regions)
    _skip, diff = checks.without_impossible(session, options, encrypted, report)
    state = security if security is not None else security_state(session)
    checks.refuse_insecure(regions, options, state)
    checks.refuse_encryption(session, regions, options, report)
    checks.judge_images(session, regions, options, state, report)
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
        by_hashes=options.delta and checkable and can_compare_hashes(session),
        trust=options.trust_flash_content,
    )
    # With its neighbours, the content will be another one.
    return plan if plan.keep else with_content(plan, address, content)


def wants_packing(session: Session, options: WriteOptions) -> bool:
    """Whether data are deflated where that makes them smaller: as asked, else with a stub only."""
    if not session.is_stub and not session.spec.rom.flash_ops:
        return False
    return session.is_stub if options.compress is None else options.compress

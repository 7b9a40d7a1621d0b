# SPDX-License-Identifier: Apache-2.0
"""`write-flash`: checks, a plan, and its execution region by region, each verified at the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from esptool.chips.nor import SECTOR, sector_range
from esptool.errors import VerifyError
from esptool.events import Listener
from esptool.image import app
from esptool.image.content import Data, cut, joined, md5
from esptool.ops import bounds, checks, delta, proof
from esptool.ops.erase import erase_flash
from esptool.ops.flash_info import set_flash_size
from esptool.ops.model import FlashParams, Region, WriteOptions, WriteResult
from esptool.ops.plan import RegionPlan, WritePlan, changed_runs
from esptool.ops.security import SecurityState, security_state
from esptool.ops.survey import changed_parts
from esptool.protocol.ext import Capability
from esptool.protocol.packets import BITS_A_BYTE
from esptool.transfer import packing
from esptool.transfer.flash_time import flash_seconds
from esptool.transfer.hashes import flash_md5, md5_of_blank
from esptool.transfer.pace import CHECK_RATE
from esptool.transfer.receive import receive_bytes
from esptool.transfer.recovery import Recovery
from esptool.transfer.report import Report, Stopwatch
from esptool.transfer.segments import AnySegment, Segment, segment_of
from esptool.transfer.send import send

if TYPE_CHECKING:
    from esptool.device import Session

WORD = 4
#: What firmware deflates to, where finding out would take too long.
USUAL_PACKING = 0.6


def write_flash(
    session: Session,
    regions: Sequence[Region],
    options: WriteOptions | None = None,
    *,
    security: SecurityState | None = None,
    listener: Listener | None = None,
) -> list[WriteResult]:
    """Write regions of data to flash and verify them by a hash made on the chip.

    Everything that can be refused is refused before the first byte is sent.

    Args:
        security: what is known of the chip's security; asked for when None.

    Raises:
        UsageError: regions overlap, or do not fit the flash.
        SecureModeError, NotSupportedError, ImageError: see `esptool.ops.checks`.
        VerifyError: what stands in flash is not what was sent.
        FatalError: the chip refused or was lost; names what is not written.
    """
    options = options or WriteOptions()
    report = Report(session, listener)

    def prepare() -> WritePlan:
        session.remember()
        return plan_write(session, regions, options, security=security, listener=report.listener)

    plan = Recovery(session, report).persist("preparing", prepare)
    if plan.erase_all:
        erase_flash(session, force=options.force, security=security, listener=report.listener)
    results = []
    for region_plan in plan.regions:
        if len(plan.regions) > 1:
            report.line("")
            what = f"'{region_plan.region.name}'" if region_plan.region.name else "input"
            report.line(f"Writing {what} at {region_plan.region.address:#010x}...")
        worker = _RegionWriter(session, region_plan, options, plan, report)
        results.append(worker.run())
    return results


def plan_write(
    session: Session,
    regions: Sequence[Region],
    options: WriteOptions | None = None,
    *,
    security: SecurityState | None = None,
    listener: Listener | None = None,
) -> WritePlan:
    """Check everything and say what `write_flash` would do; changes nothing in flash.

    Raises:
        FatalError: what `write_flash` raises before it sends.
    """
    options = options or WriteOptions()
    report = Report(session, listener)
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
    size_word = set_flash_size(session, options.params.size, listener=report.listener)
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
    return WritePlan(plans, limit.size, session.link.baud, options.erase_all)


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
    if keep and content:
        address, content = _with_neighbours(session, address, content, report)
    if not session.is_stub and address % SECTOR:
        # A ROM erases from where it writes, and writes from a sector's start.
        head = address % SECTOR
        content, address = joined(b"\xff" * head, content), address - head
    pack = wants_packing(session, options) and bool(content)
    if encrypted and not session.can(Capability.WRITE):
        # Only our stub gathers whole blocks of the cipher from what it inflates.
        pack = False
    segment = segment_of(address, content, encrypted, pack)
    if pack and isinstance(segment, Segment):
        packing.prepare(segment.data)
    return RegionPlan(region, address, content, segment, former, encrypted)


def wants_packing(session: Session, options: WriteOptions) -> bool:
    """Whether data are deflated where that makes them smaller: as asked, else with a stub only."""
    if not session.is_stub and not session.spec.rom.flash_ops:
        return False
    return session.is_stub if options.compress is None else options.compress


def _with_neighbours(
    session: Session, address: int, content: Data, report: Report
) -> tuple[int, Data]:
    """Fill the first and last sector up with what stands there, so that it is written back."""
    start, end = sector_range(address, len(content))
    head, tail = address - start, end - address - len(content)
    recovery = Recovery(session, report)

    def found(at: int, size: int) -> bytes:
        return receive_bytes(session, at, size, report, recovery) if size else b""

    before = found(start, head)
    after = found(address + len(content), tail)
    if head or tail:
        report.line(
            f"Keeping {head} bytes before and {tail} bytes after {address:#010x} "
            "in sectors that are only partly written."
        )
    return start, joined(before, content, after)


class _RegionWriter:
    """Brings one region into flash by the cheapest way that was asked for."""

    def __init__(
        self,
        session: Session,
        plan: RegionPlan,
        options: WriteOptions,
        whole: WritePlan,
        report: Report,
    ) -> None:
        self.session = session
        self.plan = plan
        self.options = options
        self.whole = whole
        self.report = report
        self.watch = Stopwatch(session)
        self.sent = 0
        self.recovery = Recovery(session, report, options.retries)

    def run(self) -> WriteResult:
        """Write, verify, and say what was done."""
        session, plan, report = self.session, self.plan, self.report
        region = plan.region
        if not plan.content:
            what = f"'{region.name}' is" if region.name else "Input bytes are"
            report.warning(f"{what} empty.")
            return self._result("skipped", verified=True)
        checkable = checks.can_verify(self.session) and not plan.encrypted
        if self.options.skip_flashed and checkable and not self.whole.erase_all:
            report.line("Comparing flash contents against new data...")
            if self._matches():
                report.line(f"{self._at()} already in flash, skipping write.")
                return self._result("skipped", verified=True)
        if plan.former is not None:
            done = self._by_difference(plan.former)
            if done is not None:
                return done
        if checkable and self._by_hashes():
            return self._result("delta", verified=True)
        for attempt in range(self.recovery.retries + 1):
            self._send(plan.segment)
            if not checkable:
                if plan.encrypted or self.session.secure_download:
                    report.line(
                        "Cannot verify written data if encrypted or in secure download mode."
                    )
                elif (wrong := proof.first_difference(session, plan.address, plan.content)) is None:
                    report.note(
                        f"Cannot verify written data: the {session.spec.name} ROM has no hash. "
                        f"Only {proof.SAMPLES} words of it were read back."
                    )
                elif attempt < self.recovery.retries:
                    report.note("The data in flash differ, writing them again...")
                    continue
                else:
                    raise VerifyError(
                        f"What was written is not in flash: {plan.region.label} differs at "
                        f"{wrong:#010x}.",
                        remedy="Leave out --no-stub, or try a lower --baud.",
                    )
                return self._result("written", verified=False)
            report.line("Verifying written data...")
            wanted, found = self._hashes()
            if wanted == found:
                report.line("Hash of data verified.")
                return self._result("written", verified=True)
            if self._lossy and attempt < self.recovery.retries:
                report.note("The data in flash differ, writing them again...")
                continue
            if not session.is_stub:
                right = proof.hash_is_wrong(session, plan.address, plan.content, self.recovery)
                if right is not None:
                    report.warning(
                        f"The written data could not be verified: the hash of the "
                        f"{session.spec.name} ROM is wrong. It differs at {right:#010x}, where the "
                        "flash holds what was written."
                    )
                    return self._result("written", verified=False)
            self._mismatch(wanted, found)
        raise AssertionError("unreachable")

    # --- ways ------------------------------------------------------------------------------------

    def _by_difference(self, former: bytes) -> WriteResult | None:
        """Send only sectors that differ from `former`; None when all must be sent after all."""
        plan, report = self.plan, self.report
        start = plan.region.address
        # Old and new are compared in memory.
        content = plan.content[start - plan.address :]
        runs = changed_runs(start, former, content)
        if not runs:
            if self.options.trust_flash_content:
                report.line(
                    "No changed sectors found and trust flash content mode is enabled, "
                    "skipping write and verification."
                )
                return self._result("skipped", verified=False)
            report.line("No changed sectors found, verifying if data is in flash...")
            if self._matches():
                report.line(f"{self._at()} verified.")
                return self._result("skipped", verified=True)
            report.note("Data not found in flash, flashing the whole image...")
            return None
        report.line("Changed data sectors found, fast reflashing...")
        for address, data in runs:
            count = len(data) // SECTOR
            report.line(
                f"Reflashing {count} changed sector{'s' if count > 1 else ''} at {address:#010x}..."
            )
            self._send(Segment(address, data, pack=plan.segment.pack), aligned=True)
        report.line("Verifying written data...")
        if self._matches():
            report.line("Hash of data verified.")
            return self._result("delta", verified=True)
        report.note(
            "Verification failed after fast reflash (flash content did not match the expected "
            "data). Reflashing the whole image..."
        )
        return None

    def _by_hashes(self) -> bool:
        """Send only sectors that are not in flash yet; False when all should be sent.

        The others were just compared by their hashes, so only what was sent is verified.
        """
        if not self.options.delta or self.whole.erase_all or not delta.possible(self.session):
            return False
        whole = self.plan.segment.aligned()
        watch = Stopwatch(self.session)
        parts = self.recovery.persist("comparing", lambda: changed_parts(self.session, whole))
        if parts is None:
            return False
        if parts:
            self._announce_erase(self.plan.segment, False)
        count = len(whole.data) // SECTOR
        left = sum(len(part.data) for part in parts) // SECTOR
        self.report.line(f"{count - left} of {count} sectors are in flash already.")
        before, was_packed = self.sent, False
        for at, part in enumerate(parts):
            after_s = self._check_s(parts) + sum(map(self._seconds, parts[at + 1 :]))
            sent = send(self.session, part, self.report, self.recovery, after_s)
            self.sent += sent.payload
            was_packed = was_packed or sent.deflated
            self._lossy = self._lossy or sent.restarts + sent.damaged > 0
        size = len(self.plan.content)
        packed = f" ({self.sent - before} compressed)" if was_packed else ""
        self.report.line(
            f"Wrote {size} bytes{packed} at {self.plan.region.address:#010x} "
            f"in {watch.summary(size)}."
        )
        self.report.line("Verifying written data...")
        if all(self._stands(part) for part in parts):
            self.report.line("Hash of data verified.")
            return True
        self.report.note("The data in flash differ, writing all of them...")
        return False

    def _send(self, segment: AnySegment, *, aligned: bool = False) -> None:
        """Erase and write one segment, with the lines that go with it."""
        report = self.report
        if not self.whole.erase_all:
            self._announce_erase(segment, aligned)
        if not self.session.is_stub:
            report.line("Erasing flash...")
        small = isinstance(segment, Segment)
        if small:
            self._tell_packing(segment, segment.line_bytes)
        watch = Stopwatch(self.session)
        checkable = checks.can_verify(self.session) and not segment.encrypted
        after_s = self._check_s([segment]) if checkable else 0.0
        sent = send(self.session, segment, report, self.recovery, after_s)
        if not small:
            # What was deflated while it was sent is known only now.
            self._tell_packing(segment, sent.line_bytes)
        self.sent += sent.payload
        self._lossy = sent.restarts + sent.damaged > 0
        shown = segment.address if aligned else self.plan.region.address
        packed = f" ({sent.line_bytes} compressed)" if sent.deflated else ""
        report.line(
            f"Wrote {len(segment.data)} bytes{packed} at {shown:#010x} "
            f"in {watch.summary(len(segment.data))}."
        )

    _lossy = False

    def _tell_packing(self, segment: AnySegment, line_bytes: int) -> None:
        if line_bytes < len(segment.data):
            self.report.line(f"Compressed {len(segment.data)} bytes to {line_bytes}...")
        elif segment.pack:
            self.report.note(
                f"Compressing does not make {self.plan.region.label} smaller: "
                f"its {len(segment.data)} bytes are sent as they are."
            )

    def _seconds(self, part: AnySegment) -> float:
        """About how long it takes to send a part and bring it into flash."""
        small = isinstance(part, Segment)
        line_bytes = part.line_bytes if small else len(part.data) * USUAL_PACKING
        return max(line_bytes * BITS_A_BYTE / self.session.link.baud, flash_seconds(part))

    @staticmethod
    def _check_s(parts: Sequence[AnySegment]) -> float:
        """About how long the chip takes to hash what was written."""
        return sum(len(part.data) for part in parts) / CHECK_RATE

    def _stands(self, part: AnySegment) -> bool:
        for chunk in part.chunks():
            stands = self.recovery.persist(
                "verifying",
                lambda chunk=chunk: delta.stands(self.session, chunk),  # type: ignore[misc]
            )
            if not stands:
                return False
            self.recovery.advanced()
        return True

    def _announce_erase(self, segment: AnySegment, aligned: bool) -> None:
        kept = self.options.preserve and not segment.encrypted
        address = segment.address if aligned or kept else self.plan.region.address
        head = address % SECTOR
        if head:
            self.report.note(
                f"Flash address {address:#010x} is not aligned to a {SECTOR:#x} byte flash "
                f"sector. {head:#x} bytes before this address will be erased."
            )
        start, end = sector_range(segment.address, len(segment.data))
        self.report.line(f"Flash will be erased from {start:#010x} to {end - 1:#010x}...")

    # --- hashes ----------------------------------------------------------------------------------

    def _hashes(self) -> tuple[str, str]:
        """MD5 of what should stand in flash, and of what does."""
        content = self.plan.content
        wanted = md5(content)
        return wanted, flash_md5(
            self.session, self.plan.address, len(content), self.recovery, wanted
        )

    def _matches(self) -> bool:
        wanted, found = self._hashes()
        return wanted == found

    def _mismatch(self, wanted: str, found: str) -> None:
        plan = self.plan
        self.report.line(f"Input MD5: {wanted}")
        self.report.line(f"Flash MD5: {found}")
        erased = md5_of_blank(len(plan.content))
        hint = (
            "All of it reads as erased: is the flash write protected, or its supply weak?"
            if found == erased
            else "Is part of the flash write protected, or worn out? A lower --baud rules out "
            "the line."
        )
        start, end = self._first_wrong()
        raise VerifyError(
            f"MD5 of file does not match data in flash! ({plan.region.label}, first wrong "
            f"between {start:#010x} and {end:#010x})",
            remedy=hint,
        )

    def _first_wrong(self) -> tuple[int, int]:
        """Narrow the first wrong sector down by hashes of ever smaller ranges."""
        plan = self.plan
        low, high = plan.address, plan.address + len(plan.content)
        while high - low > SECTOR:
            middle = low + (high - low) // 2
            middle -= middle % SECTOR
            middle = middle if middle > low else low + SECTOR - low % SECTOR
            part = cut(plan.content, low - plan.address, middle - plan.address)
            wanted = md5(part)
            if flash_md5(self.session, low, len(part), self.recovery, wanted) != wanted:
                high = middle
            else:
                low = middle
        return low, high

    # --- texts -----------------------------------------------------------------------------------

    def _at(self) -> str:
        region = self.plan.region
        what = f"'{region.name}'" if region.name else "Input bytes"
        return f"{what} at {region.address:#010x}"

    def _result(self, action: str, *, verified: bool) -> WriteResult:
        region = self.plan.region
        return WriteResult(
            address=region.address,
            size=len(self.plan.content),
            sent=self.sent,
            seconds=self.watch.seconds,
            action=action,
            verified=verified,
            name=region.name,
        )

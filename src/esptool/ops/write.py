# SPDX-License-Identifier: Apache-2.0
"""`write-flash`: checks, a plan, and its execution region by region, each verified at the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from esptool.chips.nor import SECTOR, sector_range
from esptool.errors import VerifyError
from esptool.events import Listener, Message, without_results
from esptool.image.content import cut, md5
from esptool.ops import checks, proof
from esptool.ops.decide import decide, hashes, look, matches, stands, tell_size, with_neighbours
from esptool.ops.erase import erase_flash
from esptool.ops.model import Region, WriteOptions, WriteResult
from esptool.ops.plan import Decision, RegionPlan, Way, WritePlan
from esptool.ops.planning import plan_write
from esptool.ops.security import SecurityState
from esptool.protocol.packets import BITS_A_BYTE
from esptool.sizes import counted
from esptool.transfer.pace import CHECK_RATE, flash_seconds
from esptool.transfer.receive import flash_md5, md5_of_blank
from esptool.transfer.recovery import Recovery, saying
from esptool.transfer.report import Report, Stopwatch
from esptool.transfer.segments import AnySegment, Segment
from esptool.transfer.send import Sent, send

if TYPE_CHECKING:
    from esptool.device import Session

VERIFIED = "Hash of data verified."
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

    recovery = Recovery(session, report, options.retries)

    remarks: list[Message] = []
    what = f"Writing at {regions[0].address:#010x}" if regions else "Writing"

    def prepare() -> WritePlan:
        session.remember()
        return plan_write(session, regions, options, security=security, remarks=remarks)

    try:
        plan = recovery.prepare(what, prepare)
    finally:
        for remark in remarks:
            report.listener(remark)
    recovery.prepare(what, lambda: tell_size(session, plan))
    if plan.regions:
        recovery.complete_stub(what)
    recovery.done()
    if plan.erase_all:
        listener = without_results(report.listener)
        erase_flash(session, force=options.force, security=security, listener=listener)
    results = []
    for region in plan.regions:
        if len(plan.regions) > 1:
            report.line("")
            named = f"'{region.region.name}'" if region.region.name else "input"
            report.line(f"Writing {named} at {region.region.address:#010x}...")
        job = _RegionJob(session, region, plan, report, recovery)
        results.append(job.run())
        recovery.done()
        # Told after each: where a later one fails, a program knows what was written.
        report.result(regions=[result.to_json() for result in results])
    return results


class _RegionJob:
    """Executes the plan of one region: what is sent, and the proof that it is in flash."""

    def __init__(
        self,
        session: Session,
        plan: RegionPlan,
        whole: WritePlan,
        report: Report,
        recovery: Recovery,
    ) -> None:
        self.session = session
        self.plan = plan
        self.whole = whole
        self.report = report
        self.recovery = recovery
        self.watch = self.since = Stopwatch(session)
        self.sent = 0
        self.kept = plan.keep
        self.checkable = checks.can_verify(session) and not plan.encrypted

    def run(self) -> WriteResult:
        """Decide, write, verify, and say what was done; in another way, or again, where in vain.

        Raises:
            VerifyError: what stands in flash is not what was sent.
        """
        session, report = self.session, self.report
        self.plan = with_neighbours(session, self.plan, report, self.recovery)
        while True:
            self.since = Stopwatch(session)
            with saying(f"Flash at {self.plan.address:#010x} could not be compared"):
                flash = look(session, self.plan, report, self.recovery)
            decision = decide(self.plan, flash)
            if not decision.segments and decision.way is not Way.CHANGED:
                return self._nothing_to_send(decision.way)
            self._announce(decision)
            sent = Sent()
            for number in range(len(decision.segments)):
                sent.add(self._send(decision, number))
            match decision.way:
                case Way.FORMER:
                    done = self._former_proved()
                case Way.CHANGED:
                    done = self._changes_proved(decision.segments, sent)
                case _:
                    done = self._whole_proved(sent)
            if done is not None:
                return done
            # What is left is decided without the way that did not make it right.
            by_hashes = self.plan.by_hashes and decision.way is Way.FORMER
            self.plan = replace(self.plan, former=None, compare=False, by_hashes=by_hashes)

    def _nothing_to_send(self, way: Way) -> WriteResult:
        report, plan = self.report, self.plan
        if way is Way.EMPTY:
            name = plan.region.name
            report.warning(f"'{name}' is empty." if name else "Input bytes are empty.")
        elif way is Way.TRUST:
            report.line(
                "No changed sectors found and trust flash content mode is enabled, "
                "skipping write and verification."
            )
        else:
            same = plan.former is not None and not plan.compare
            how = "verified." if same else "already in flash, skipping write."
            report.line(f"{self._at()} {how}")
        return self._result("skipped", verified=way is not Way.TRUST)

    # --- sending ---------------------------------------------------------------------------------

    def _announce(self, decision: Decision) -> None:
        """What is worth saying before the first segment."""
        report, segments = self.report, decision.segments
        if decision.way is Way.FORMER:
            report.line("Changed data sectors found, fast reflashing...")
        elif decision.way is Way.CHANGED:
            if segments:
                self._announce_erase(self.plan.segment, False)
            start, end = self.plan.segment.sectors
            count = (end - start) // SECTOR
            left = sum(len(segment.data) for segment in segments) // SECTOR
            report.line(
                f"{count - left} of {counted(count, 'sector is', 'sectors are')} in flash already."
            )

    def _send(self, decision: Decision, number: int) -> Sent:
        """Erase and write one segment of those that were decided on."""
        segment = decision.segments[number]
        # Changed sectors are told of together.
        apart = decision.way is not Way.CHANGED
        if apart:
            self._announce_one(segment, decision.way)
        self._began("writing", segment)
        watch = Stopwatch(self.session)
        after_s = self._after_s(decision, number)
        sent = send(self.session, segment, self.report, self.recovery, after_s)
        self.sent += sent.payload
        if apart:
            self._wrote_one(segment, decision.way, sent, watch)
        return sent

    def _announce_one(self, segment: AnySegment, way: Way) -> None:
        report, aligned = self.report, way is Way.FORMER
        if aligned:
            count = len(segment.data) // SECTOR
            report.line(
                f"Reflashing {counted(count, 'changed sector')} at {segment.address:#010x}..."
            )
        if not self.whole.erase_all:
            self._announce_erase(segment, aligned)
        if not self.session.is_stub:
            report.line("Erasing flash...")
        if isinstance(segment, Segment):
            self._tell_packing(segment, segment.line_bytes)

    def _wrote_one(self, segment: AnySegment, way: Way, sent: Sent, watch: Stopwatch) -> None:
        if not isinstance(segment, Segment):
            # What was deflated while it was sent is known only now.
            self._tell_packing(segment, sent.line_bytes)
        address = segment.address if way is Way.FORMER else self.plan.region.address
        self._wrote(len(segment.data), address, sent.line_bytes if sent.deflated else None, watch)

    def _wrote(self, size: int, address: int, packed: int | None, watch: Stopwatch) -> None:
        compressed = "" if packed is None else f" ({packed} compressed)"
        self.report.line(
            f"Wrote {size} bytes{compressed} at {address:#010x} in {watch.summary(size)}."
        )

    def _after_s(self, decision: Decision, number: int) -> float:
        """About how long what comes behind a segment takes, for the progress."""
        if decision.way is Way.CHANGED:
            left = decision.segments[number + 1 :]
            return self._check_s(decision.segments) + sum(map(self._seconds, left))
        return self._check_s([decision.segments[number]]) if self.checkable else 0.0

    # --- proof: the result, or None after a remark, where another go may make it right ------------

    def _former_proved(self) -> WriteResult | None:
        """All of the region is verified, as nobody looked whether the rest was in flash."""
        self._verifying()
        if matches(self.session, self.plan, self.recovery):
            self.report.line(VERIFIED)
            return self._result("delta", verified=True)
        self.report.note(
            "Verification failed after fast reflash (flash content did not match the expected "
            "data). Reflashing the whole image..."
        )
        return None

    def _changes_proved(self, segments: Sequence[AnySegment], sent: Sent) -> WriteResult | None:
        """What was sent is verified: the rest was just compared by its hashes."""
        packed = sent.payload if sent.deflated else None
        self._wrote(len(self.plan.content), self.plan.region.address, packed, self.since)
        self._verifying()
        if all(map(self._stands, segments)):
            self.report.line(VERIFIED)
            return self._result("delta", verified=True)
        self.report.note("The data in flash differ, writing all of them...")
        return None

    def _whole_proved(self, sent: Sent) -> WriteResult | None:
        """All of it is verified, and may be written again where the line was bad."""
        if not self.checkable:
            again = self._look_without_hash()
        else:
            self._verifying()
            wanted, found = hashes(self.session, self.plan, self.recovery)
            if wanted == found:
                self.report.line(VERIFIED)
                return self._result("written", verified=True)
            again = sent.harmed and self.recovery.begin_again()
            if not again:
                self._judge_hash(wanted, found)
        if not again:
            return self._result("written", verified=False)
        self.report.note("The data in flash differ, writing them again...")
        return None

    def _look_without_hash(self) -> bool:
        """What can be said without a hash; True where it is to be written again.

        Raises:
            VerifyError: it is not in flash, and no try is left.
        """
        session, plan, report = self.session, self.plan, self.report
        if plan.encrypted or session.secure_download:
            report.line("Cannot verify written data if encrypted or in secure download mode.")
            return False
        seen = proof.first_difference(session, plan.address, plan.content)
        if seen.wrong is None or not seen.readable:
            looked = f"{seen.equal} words of it were" if seen.readable else "Nothing could be"
            report.note(
                f"Cannot verify written data: the {session.spec.name} ROM has no hash. "
                f"{looked} read back."
            )
            return False
        if self.recovery.begin_again():
            return True
        raise VerifyError(
            f"What was written is not in flash: {plan.region.label} differs at {seen.wrong:#010x}.",
            remedy="Leave out --no-stub, or try a lower --baud.",
        )

    def _judge_hash(self, wanted: str, found: str) -> None:
        """The chip's hash is another one: returns only where it is the hash that is wrong.

        Raises:
            VerifyError: flash is not what it should be.
        """
        session, plan = self.session, self.plan
        if not session.is_stub:
            right = proof.hash_is_wrong(session, plan.address, plan.content, self.recovery)
            if right is not None:
                self.report.warning(
                    f"The written data could not be verified: the hash of the "
                    f"{session.spec.name} ROM is wrong. It differs at {right:#010x}, where the "
                    "flash holds what was written."
                )
                return
        self._mismatch(wanted, found)

    def _began(self, stage: str, part: AnySegment) -> None:
        name, size = self.plan.region.name, len(part.data)
        self.report.began(stage, address=part.address, size=size, file=name)

    def _verifying(self) -> None:
        self._began("verifying", self.plan.segment)
        self.report.line("Verifying written data...")

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
            if not self.recovery.persist("verifying", partial(stands, self.session, chunk)):
                return False
            self.recovery.advanced()
        return True

    def _announce_erase(self, segment: AnySegment, aligned: bool) -> None:
        address = segment.address if aligned or self.kept else self.plan.region.address
        head = address % SECTOR
        if head:
            self.report.note(
                f"Flash address {address:#010x} is not aligned to a {SECTOR:#x} byte flash "
                f"sector. {head:#x} bytes before this address will be erased."
            )
        start, end = sector_range(segment.address, len(segment.data))
        self.report.line(f"Flash will be erased from {start:#010x} to {end - 1:#010x}...")

    # --- hashes ----------------------------------------------------------------------------------

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

# SPDX-License-Identifier: Apache-2.0
"""One policy for what is done after a failure, with one budget for a job."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from esptool import ops
from esptool.device import Session, connect
from esptool.device.link import Link
from esptool.device.requests import SPARE, TRY, Tries
from esptool.errors import (
    ChipResponseError,
    FatalError,
    LinkTimeoutError,
    PortError,
    ProtocolError,
    UnsupportedCommandError,
    UsageError,
    VerifyError,
)
from esptool.ops.model import Region, WriteOptions
from esptool.protocol.ext import Ext
from esptool.protocol.opcodes import Cmd
from esptool.protocol.packets import failure
from esptool.transfer.receive import flash_md5
from esptool.transfer.recovery import DOUBTS, Decision, Recovery, decide
from esptool.transfer.report import Report
from tests.ops.support import Log, firmware, placeholder, url

KB = 1024
BASE = 0x10000
DATA = firmware(40 * KB)


def refusal(code: int) -> ChipResponseError:
    return failure("write", 0x03, code)


@pytest.mark.parametrize(
    ("what", "decision"),
    [
        (LinkTimeoutError("silence"), Decision.REGAIN),
        (ProtocolError("garbage"), Decision.REGAIN),
        (PortError("gone"), Decision.REGAIN),
        (VerifyError("damaged on the way"), Decision.REGAIN),
        (refusal(0xC100), Decision.REGAIN),
        (refusal(0x0107), Decision.REGAIN),
        (refusal(0xC700), Decision.REGAIN),
        (refusal(0xC600), Decision.REGAIN),
        (refusal(0x010A), Decision.REGAIN),
        (refusal(0x0106), Decision.REPEAT),
        (refusal(0x0109), Decision.REPEAT),
        (UnsupportedCommandError("not known"), Decision.REPEAT),
        (refusal(0xC400), Decision.GIVE_UP),
        (refusal(0xC500), Decision.GIVE_UP),
        (refusal(0x0108), Decision.GIVE_UP),
        (UsageError("nonsense"), Decision.GIVE_UP),
        (FatalError("something else"), Decision.GIVE_UP),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_loss_is_mended_a_doubtful_refusal_repeated_and_a_definite_one_believed(
    what: FatalError, decision: Decision
) -> None:
    assert decide(what, True, 0) is decision
    assert decide(what, False, 0) is Decision.GIVE_UP


def test_a_refusal_that_is_repeated_is_meant() -> None:
    assert decide(refusal(0x0106), True, DOUBTS - 1) is Decision.REPEAT
    assert decide(refusal(0x0106), True, DOUBTS) is Decision.GIVE_UP


def test_what_changes_nothing_may_be_asked_again_whatever_the_refusal() -> None:
    assert decide(refusal(0x0102), True, 0, harmless=True) is Decision.REPEAT
    assert decide(refusal(0x0102), True, DOUBTS, harmless=True) is Decision.GIVE_UP


@contextmanager
def opened(log: Log, *, stub: bool = True, **options: object) -> Iterator[Session]:
    where = url("esp32c3", timing="virtual", **options)
    with connect(where, chip="esp32c3", listener=log) as s:
        if stub:
            s.run_stub(placeholder(s.spec))
            s.power.change_baud(921_600)
        ops.attach_flash(s)
        yield s


def test_a_job_has_one_budget_whatever_fails_in_it() -> None:
    log = Log()
    with opened(log, flash="1MB") as s:
        recovery = Recovery(s, Report(s, None), retries=3)
        for doing in ("erasing", "comparing", "verifying"):
            recovery.after(LinkTimeoutError("silence."), f"while {doing}")
        with pytest.raises(LinkTimeoutError, match="silence"):
            recovery.after(LinkTimeoutError("silence."), "while verifying")
        recovery.advanced()
        recovery.after(LinkTimeoutError("silence."), "at 0x00010000")
    assert log.text.count("Lost contact") == 4
    assert "NOTE: Lost contact while erasing (silence.) Trying again..." in log.text


def test_damaged_blocks_behind_good_ones_cost_less_than_a_try() -> None:
    with opened(Log(), flash="1MB") as s:
        recovery = Recovery(s, Report(s, None), retries=1)
        for _ in range(TRY):
            recovery.after(refusal(0x0107), "at 0x00010000", took_some=True)
        with pytest.raises(ChipResponseError):
            recovery.after(refusal(0x0107), "at 0x00010000", took_some=True)


def test_a_hash_that_never_arrives_costs_the_budget_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: Counter[int] = Counter()
    send = Link.send_request

    def lose_hashes(self: Link, opcode: int, data: bytes = b"", check: int = 0) -> None:
        asked[opcode] += 1
        if opcode != 0x13:
            send(self, opcode, data, check)

    monkeypatch.setattr(Link, "send_request", lose_hashes)
    log = Log()
    with opened(log, flash="1MB", stub=False) as s:
        ops.write_flash(s, [], None)
        with pytest.raises(FatalError, match=r"0x00010000.* could not be verified"):
            ops.write_flash(s, [Region(BASE, DATA)], WriteOptions(retries=3))
    assert asked[0x13] == 4
    assert log.text.count("Lost contact while verifying") == 3


def deaf_to(monkeypatch: pytest.MonkeyPatch, opcode: int) -> Counter[int]:
    """Requests of one kind are lost; counts how often each was sent."""
    asked: Counter[int] = Counter()
    send = Link.send_request

    def lose(self: Link, sent: int, data: bytes = b"", check: int = 0) -> None:
        asked[sent] += 1
        if sent != opcode:
            send(self, sent, data, check)

    monkeypatch.setattr(Link, "send_request", lose)
    return asked


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_requests_that_are_sent_again_take_from_the_budget_of_the_job(
    monkeypatch: pytest.MonkeyPatch, retries: int
) -> None:
    with opened(Log(), flash="1MB") as s:
        asked = deaf_to(monkeypatch, Ext.HASHES)
        with pytest.raises(FatalError, match="0x00010000 could not be compared"):
            ops.write_flash(s, [Region(BASE, DATA)], WriteOptions(retries=retries))
    # One for the job, one for each unit of the budget at most, and the spare.
    assert 1 + SPARE <= asked[Ext.HASHES] <= 1 + TRY * retries + SPARE


def test_a_stub_that_is_never_uploaded_costs_the_budget_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with connect(url("esp32c3", timing="virtual"), chip="esp32c3", listener=Log()) as s:
        s.settings = replace(s.settings, retries=2)
        asked = deaf_to(monkeypatch, Cmd.MEM_DATA)
        with pytest.raises(LinkTimeoutError):
            s.run_stub(placeholder(s.spec))
        assert asked[Cmd.MEM_DATA] <= 1 + TRY * 2 + SPARE
        # The job is over: each request stands for itself again.
        assert not s.tries.job


def test_blocks_that_arrive_damaged_take_from_the_budget_of_the_job(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log, sent = Log(), Counter[int]()
    with opened(log, flash="1MB") as s:
        s.settings = replace(s.settings, write_block_attempts=1000)
        monkeypatch.setattr(type(s), "can", lambda *_: False)

        def damaged(_data: bytes, seq: int, _timeout: float) -> None:
            sent[seq] += 1
            raise refusal(0xC100)

        monkeypatch.setattr(s.flash, "block", damaged)
        monkeypatch.setattr(s.flash, "deflated_block", damaged)
        with pytest.raises(FatalError, match="Writing stopped"):
            ops.write_flash(s, [Region(BASE, DATA)], WriteOptions(retries=2))
    assert TRY * 2 < sum(sent.values()) <= 1 + TRY * 2 + SPARE + 2


def test_damaged_blocks_and_a_wrong_hash_share_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each writing got through at last and was wrong: the next may fail less often."""
    log, begun = Log(), Counter[bool]()
    with opened(log, flash="1MB", stub=False) as s:
        real = s.flash.block

        def damaged(data: bytes, seq: int, timeout_s: float) -> None:
            begun[seq == 0] += 1
            if seq and s.tries.left:
                raise refusal(0x0107)
            real(data, seq, timeout_s)

        monkeypatch.setattr(s.flash, "block", damaged)
        monkeypatch.setattr(s.flash, "md5", lambda *_, **__: "0" * 32)
        [result] = ops.write_flash(s, [Region(BASE, DATA)], WriteOptions(retries=2))
    assert not result.verified
    assert log.text.count("writing them again") == 2
    assert begun[True] == (2 * TRY + 1) + (TRY + 1) + 1


def test_what_got_through_in_the_end_costs_nothing() -> None:
    tries = Tries(2)
    before = tries.left
    assert all(tries.resend() for _ in range(3))
    tries.got_through(before)
    assert tries.left == before == 2 * TRY
    assert tries.spend()
    assert tries.spend()
    assert not tries.spend()
    assert [tries.resend() for _ in range(SPARE + 1)] == [True] * SPARE + [False]
    tries.renew()
    assert tries.left == before
    assert tries.sink()
    tries.renew()
    assert tries.left == TRY
    tries.restore()
    assert tries.left == before


@pytest.mark.parametrize("job", ["write", "read"])
def test_a_definite_refusal_is_never_called_a_lost_contact(job: str) -> None:
    # The ROM takes 4 MB for granted and refuses what lies behind.
    log = Log()
    with opened(log, flash="16MB", stub=False) as s:
        jobs = {
            "write": lambda: ops.write_flash(s, [Region(0x800000, DATA)]),
            "read": lambda: ops.read_flash(s, 0x800000, KB),
        }
        with pytest.raises(FatalError) as caught:
            jobs[job]()
    assert "Lost contact" not in log.text
    assert re.search(r"(Writing|Reading) stopped at 0x00800000: .*0106", str(caught.value))
    assert "--flash-size" in str(caught.value)


def test_a_size_of_flash_that_was_damaged_on_the_way_is_told_again() -> None:
    log = Log()
    with opened(log) as s:
        ops.write_flash(s, [Region(BASE, DATA)])
        size = s.flash.size
        s.flash.set_size(0x4000)
        s.flash.size = size
        report = Report(s, None)
        assert flash_md5(s, BASE, len(DATA), Recovery(s, report)) == hashlib.md5(DATA).hexdigest()

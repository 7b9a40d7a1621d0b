# SPDX-License-Identifier: Apache-2.0
"""The host side of our stub's extensions, a request each (see docs/serial-protocol.md).

What to send is decided in `esptool.ops`; windows are in `esptool.protocol.windows`, codecs in
`esptool.protocol.ext`.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from esptool.chips.nor import SECTOR
from esptool.errors import (
    ChipResponseError,
    FatalError,
    LinkTimeoutError,
    NoAnswerError,
)
from esptool.protocol.ext import (
    Batch,
    Capability,
    Ext,
    ExtInfo,
    HashKind,
    Sealed,
    parse_info,
    seal,
    unseal,
)
from esptool.protocol.packets import BITS_A_BYTE, Response, failure, words
from esptool.protocol.status import Status

if TYPE_CHECKING:
    from esptool.device.requests import Requester

__all__ = [
    "Batch",
    "Capability",
    "Ext",
    "ExtInfo",
    "batch",
    "blank_map",
    "erase",
    "hashes",
    "probe",
]

#: How often a request is sent before the chip is taken for lost, where the budget allows it.
ATTEMPTS = 5
#: Small requests are answered at once; each try waits twice as long as the one before.
FIRST_WAIT_S = 0.5
_HASH_SIZE = {HashKind.CRC32: 4, HashKind.MD5_8: 8, HashKind.CRC32_SUM: 8}
#: Reading, hashing and comparing flash on the chip runs at a megabyte a second or more: a share of
#: what the settings grant an MD5, for which an older stub needs longer.
SHARE_OF_MD5 = 1 / 4


def probe(session: Requester, early: Response | None = None) -> ExtInfo | None:
    """Ask the running stub for its extensions; None where it has none.

    `early` is its answer, where that was asked for already.
    """
    what = "ask for extensions"
    if early is not None:
        try:
            return parse_info(early.value, session.checked(what, Ext.INFO, early.data))
        except NoAnswerError:
            pass  # damaged
        except ChipResponseError:
            return None
    refused = None
    for _ in range(2):
        # The answer has no seal: one that may be damaged is asked for again.
        try:
            reply = session.request(what, Ext.INFO, attempts=ATTEMPTS)
        except NoAnswerError:
            session.link.discard_input()
            return None
        except ChipResponseError as e:
            if e.code in (Status.UNKNOWN_COMMAND, refused):
                return None
            refused = e.code
            continue
        info = parse_info(reply.value, reply.data)
        if info is not None:
            return info
    return None


def request(
    session: Requester,
    what: str,
    opcode: Ext,
    fields: bytes,
    *,
    timeout_s: float | None = None,
    accept: Callable[[Sealed], bool] = lambda _answer: True,
    attempts: int = ATTEMPTS,
) -> Sealed:
    """Send a sealed request, again where line damage calls for it, and return its answer.

    Only for requests that do no harm when repeated. `accept` may pass over answers of an earlier
    try.

    Raises:
        ChipResponseError: the stub refused.
        LinkTimeoutError: no good answer came.
    """
    longest = session.settings.timeout if timeout_s is None else timeout_s
    wait = min(longest, FIRST_WAIT_S if timeout_s is None else longest)
    payload = seal(opcode, fields)
    last: FatalError = LinkTimeoutError(f"No answer to: {what}.")
    budget = session.tries.left
    for attempt in range(attempts):
        if attempt and not session.tries.resend():
            break
        session.link.send_request(opcode, payload)
        asked = session.link.now()
        try:
            answer = await_answer(session, opcode, wait, accept)
        except NoAnswerError as e:
            last = e
            # The last try has all the time that the settings grant.
            wait = longest if attempt == attempts - 2 else min(longest, 2 * wait)
            session.link.discard_input()
            continue
        if answer is None or answer.damaged:
            continue
        took = session.link.now() - asked
        session.round_trip = min(took, session.round_trip or took)
        session.tries.got_through(budget)
        if attempt:
            _pass_late_answers(session, wait)
        if answer.status:
            raise refused(what, answer)
        return answer
    raise last


def shaped(value: int, size: int) -> Callable[[Sealed], bool]:
    """Takes answers with this value and so many bytes: those of other questions differ."""
    return lambda answer: answer.value == value and len(answer.fields) == size


def _pass_late_answers(session: Requester, wait_s: float) -> None:
    """Drop answers to earlier tries of a request, which the next one would take for its own.

    The stub answers in order, so they come before the answer to another question, which may have
    to wait `wait_s` for the last of those tries. Where it is lost, they have come as well.
    """
    with contextlib.suppress(NoAnswerError):
        session.link.command(Ext.INFO, timeout_s=wait_s)


def await_answer(
    session: Requester, opcode: int, timeout_s: float, accept: Callable[[Sealed], bool]
) -> Sealed | None:
    """The next answer with a good seal that `accept` takes; None after one with a bad seal."""
    for _ in range(100):
        response = session.link.read_response(opcode, timeout_s)
        answer = unseal(response)
        if answer is None:
            return None
        if answer.status or accept(answer):
            return answer
    return None


def refused(what: str, answer: Sealed) -> ChipResponseError:
    """The error for a failed answer."""
    return failure(what, answer.opcode, answer.status, sealed=True)


#: Words of a pattern: little enough to pass on a line that is noisy at any rate.
_PATTERN_WORDS = 20


def pattern_passes(session: Requester, timeout_s: float) -> bool:
    """A request of some length arrives whole, and so does its answer. It changes nothing.

    Args:
        timeout_s: for the answer, besides its time on the line.
    """
    assert session.ext is not None
    operations = Batch()
    # RAM: the stub and its data are in part of it.
    start = next(r.start for r in session.spec.memory_map if r.kind == "DRAM")
    for number in range(min(_PATTERN_WORDS, (session.ext.max_batch - 4) // 5)):
        operations.read(start + 4 * number)
    payload = seal(Ext.BATCH, operations.encode(0))
    session.link.send_request(Ext.BATCH, payload)
    line_s = 2 * len(payload) * BITS_A_BYTE / session.link.baud
    try:
        shape = shaped(operations.count, operations.answer_size)
        answer = await_answer(session, Ext.BATCH, timeout_s + line_s, shape)
    except NoAnswerError:
        return False
    return answer is not None and not answer.damaged and not answer.status


# --- batches -----------------------------------------------------------------------------------


def batch(session: Requester, operations: Batch) -> list[bytes]:
    """Do a batch, once, and return the answers of its reading operations.

    Raises:
        ChipResponseError: an operation failed.
    """
    if session.batch_number is None:
        _forget_last_batch(session)
    number = (session.batch_number or 0) % 0xFFFF + 1
    session.batch_number = number
    answer = request(
        session,
        "do a batch",
        Ext.BATCH,
        operations.encode(number),
        accept=shaped(operations.count, operations.answer_size),
    )
    return operations.decode(answer.fields)


def _forget_last_batch(session: Requester) -> None:
    """Have the stub forget the number of its last batch.

    A stub that was running before may have done one of the same number for another program, and
    would answer with what stood in the registers then. Number 0 is never taken for a repetition.
    """
    empty = Batch()
    request(
        session,
        "begin with batches",
        Ext.BATCH,
        empty.encode(0),
        accept=shaped(0, 0),
    )
    session.batch_number = random.randrange(0xFFFF)


def read_regs(session: Requester, addresses: Sequence[int], info: ExtInfo) -> list[int]:
    """Words at `addresses`, in as few round trips as they fit."""
    step = max(1, min((info.max_batch - 4) // 5, info.max_batch // 4))
    values: list[int] = []
    for start in range(0, len(addresses), step):
        operations = Batch()
        for address in addresses[start : start + step]:
            operations.read(address)
        values += [int.from_bytes(word, "little") for word in batch(session, operations)]
    return values


# --- flash -------------------------------------------------------------------------------------


def hash_kind(session: Requester) -> HashKind:
    """The cheapest hash that is good enough to leave flash as it is."""
    return HashKind.CRC32_SUM if session.can(Capability.CRC32_SUM) else HashKind.MD5_8


def hashes(
    session: Requester, offset: int, size: int, unit: int = SECTOR, kind: HashKind = HashKind.MD5_8
) -> list[bytes]:
    """A hash of each `unit` of a flash range of whole units."""
    assert session.ext is not None
    width = _HASH_SIZE[kind]
    found: list[bytes] = []
    step = session.ext.max_units * unit
    for start in range(0, size, step):
        part = min(step, size - start)
        fields = words(offset + start, part, unit, kind)
        count = part // unit
        answer = request(
            session,
            f"hash flash at {offset + start:#010x}",
            Ext.HASHES,
            fields,
            timeout_s=_looking_s(session, part),
            accept=shaped(count, count * width),
        )
        found += split_hashes(answer, kind)
    return found


def _looking_s(session: Requester, num_bytes: int) -> float:
    """How long the chip may take to look at so many bytes of its flash."""
    settings = session.settings
    return settings.timeout + SHARE_OF_MD5 * settings.md5_timeout_per_mb * num_bytes / 1e6


def split_hashes(answer: Sealed, kind: HashKind) -> list[bytes]:
    """The hashes one by one."""
    width = _HASH_SIZE[kind]
    return [answer.fields[at : at + width] for at in range(0, len(answer.fields), width)]


def blank_map(session: Requester, offset: int, size: int) -> list[bool]:
    """For each sector of a range whether it is all 0xFF."""
    assert session.ext is not None
    found: list[bool] = []
    step = session.ext.max_units * 8 * SECTOR
    for start in range(0, size, step):
        part = min(step, size - start)
        sectors = part // SECTOR
        answer = request(
            session,
            f"look for blank flash at {offset + start:#010x}",
            Ext.BLANK,
            words(offset + start, part),
            timeout_s=_looking_s(session, part),
            accept=shaped(sectors, -(-sectors // 8)),
        )
        bits = answer.fields
        found += [bool(bits[i // 8] >> i % 8 & 1) for i in range(part // SECTOR)]
    return found


#: Eight blocks of 64 KiB lie between two reports; an old part takes a second for each and more.
_ERASE_STEP_S = 10.0


def erase(
    session: Requester, offset: int, size: int, progress: Callable[[int, int], None] | None = None
) -> None:
    """Erase whole sectors that are not blank; `progress` gets (bytes dealt with, all bytes).

    Raises:
        ChipResponseError: the flash refused.
        LinkTimeoutError: the stub fell silent, also when asked again.
    """
    payload = seal(Ext.ERASE, words(offset, size, 1))
    wait = max(session.settings.timeout, _ERASE_STEP_S)
    budget = session.tries.left
    failures = 0
    resent = False
    session.link.send_request(Ext.ERASE, payload)
    while True:
        try:
            answer = await_answer(session, Ext.ERASE, wait, lambda _a: True)
        except NoAnswerError:
            failures += 1
            if failures == ATTEMPTS or not session.tries.resend():
                raise
            session.link.discard_input()
            resent = True
            session.link.send_request(Ext.ERASE, payload)
            continue
        if answer is None or answer.damaged:
            failures += 1
            if failures == ATTEMPTS or not session.tries.resend():
                raise LinkTimeoutError("The stub's answers to an erase arrive damaged.")
            if answer is not None:
                resent = True
                session.link.send_request(Ext.ERASE, payload)
            continue
        if answer.status:
            raise refused(f"erase flash at {offset + answer.value:#010x}", answer)
        failures = 0
        session.tries.got_through(budget)
        final = answer.fields[:4] == words(1)
        if answer.value > size or (final and answer.value != size):
            continue  # of an earlier erase that was asked for twice
        if progress is not None:
            progress(answer.value, size)
        if final:
            if resent:
                _pass_late_answers(session, wait)
            return

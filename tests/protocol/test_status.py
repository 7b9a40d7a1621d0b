# SPDX-License-Identifier: Apache-2.0
"""Every status code has words, and what counts as a loss of the line is settled in one place."""

from __future__ import annotations

import pytest

from esptool.errors import (
    ChipResponseError,
    ConnectError,
    DamagedAnswerError,
    DamagedRequestError,
    FatalError,
    LineLossError,
    LinkTimeoutError,
    PortError,
    ProtocolError,
    UnsupportedCommandError,
)
from esptool.protocol import status
from esptool.protocol.packets import failure
from esptool.protocol.status import Status


@pytest.mark.parametrize("code", Status)
def test_every_code_has_words_of_its_own_kind(code: Status) -> None:
    assert status.known(code)
    error = failure("try", 0x03, code)
    assert error.code == code
    assert f"(result was {code:04x}: {status.describe(code)})" in str(error)


@pytest.mark.parametrize(
    ("code", "lost"),
    [
        (0x0105, True),
        (0x0107, True),
        (0xC000, True),
        (0xC100, True),
        (0x0106, False),
        (0x0108, False),
        (0xC400, False),
        (0xC500, False),
        (0xC600, False),
        (0xCC00, False),
    ],
)
def test_a_refusal_is_a_loss_of_the_line_only_where_the_request_arrived_damaged(
    code: int, lost: bool
) -> None:
    error = failure("write", 0x03, code)
    assert isinstance(error, ChipResponseError)
    assert not isinstance(error, DamagedAnswerError)
    assert isinstance(error, LineLossError) is lost
    assert isinstance(error, DamagedRequestError) is lost


def test_a_code_that_does_not_exist_means_a_damaged_answer_unless_it_came_under_a_seal() -> None:
    error = failure("write", 0x03, 0xABCD)
    assert isinstance(error, ProtocolError)
    assert not isinstance(error, DamagedRequestError)
    assert not isinstance(failure("write", 0x03, 0xABCD, sealed=True), LineLossError)


@pytest.mark.parametrize(
    ("kind", "lost"),
    [
        (LinkTimeoutError, True),
        (ProtocolError, True),
        (PortError, True),
        (ConnectError, False),
        (UnsupportedCommandError, False),
        (FatalError, False),
    ],
)
def test_what_a_lost_or_damaged_line_raises_has_one_base(
    kind: type[FatalError], lost: bool
) -> None:
    assert issubclass(kind, LineLossError) is lost

# SPDX-License-Identifier: Apache-2.0
"""The error that a failed answer stands for."""

from __future__ import annotations

from esptool.errors import ChipResponseError, DamagedAnswerError, DamagedRequestError
from esptool.protocol.status import LINE_DAMAGE, describe, known, remedy


def failure(what: str, opcode: int, code: int, *, sealed: bool = False) -> ChipResponseError:
    """The error for an answer with the status `code`; `what` is the request in words.

    It is a `DamagedRequestError` where the line damaged the request, and a `DamagedAnswerError`
    where no chip gives such a code. A `sealed` answer is known to be whole.
    """
    kind = ChipResponseError
    if code in LINE_DAMAGE:
        kind = DamagedRequestError
    elif not (sealed or known(code)):
        kind = DamagedAnswerError
    hint = remedy(code)
    return kind(
        f"Failed to {what} (result was {code:04x}: {describe(code)}).{' ' + hint if hint else ''}",
        opcode=opcode,
        status=code >> 8,
        reason=code & 0xFF,
    )

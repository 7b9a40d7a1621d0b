# SPDX-License-Identifier: Apache-2.0
"""The error that a failed answer stands for."""

from __future__ import annotations

from esptool.errors import ChipResponseError, DamagedRequestError
from esptool.protocol.status import LINE_DAMAGE, describe, remedy


def failure(what: str, opcode: int, code: int) -> ChipResponseError:
    """The error for an answer with the status `code`; `what` is the request in words.

    It is a `DamagedRequestError` where the line was at fault.
    """
    kind = DamagedRequestError if code in LINE_DAMAGE else ChipResponseError
    hint = remedy(code)
    return kind(
        f"Failed to {what} (result was {code:04x}: {describe(code)}).{' ' + hint if hint else ''}",
        opcode=opcode,
        status=code >> 8,
        reason=code & 0xFF,
    )

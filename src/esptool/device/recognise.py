# SPDX-License-Identifier: Apache-2.0
"""Which chip answers on a link, found out before its data are known."""

from __future__ import annotations

from esptool import chips
from esptool.chips.spec import ChipSpec
from esptool.device.link import Link
from esptool.device.requests import STUB_STATUS_BYTES, Requester
from esptool.errors import ConnectError, NoAnswerError, UnsupportedCommandError
from esptool.events import Listener
from esptool.protocol import packets, security
from esptool.protocol.opcodes import Cmd
from esptool.protocol.security import SecurityFlag
from esptool.transport.settings import Settings

MAGIC_REG = 0x40001000
#: Answers carry no checksum: what looks like an unknown chip may be a flipped bit.
IDENTIFY_ATTEMPTS = 3
ASK_ATTEMPTS = 3
REFUSAL_PAUSE_S = 0.2


def identify(
    link: Link, settings: Settings, listener: Listener, stub: bool
) -> tuple[ChipSpec | None, bool, str]:
    """The chip, whether it is in secure download mode, and what was seen, in words.

    Args:
        stub: a stub answers, not the ROM.

    Raises:
        ConnectError: a chip that was never sold.
        NoAnswerError: no good answer came.
    """
    # Any chip's data will do for talking to a chip that is not known yet.
    anyone = Requester(chips.get("esp32s3"), link, settings, listener)
    info = _security_info(anyone, stub)
    if info is not None and info.chip_id is not None:
        retired = chips.RETIRED_IDS.get(info.chip_id)
        if retired:
            raise ConnectError(f"{retired} is not supported: it is a pre-production chip.")
        secure = info.has(SecurityFlag.SECURE_DOWNLOAD_ENABLE)
        return chips.by_chip_id(info.chip_id), secure, f"Unexpected chip ID {info.chip_id}."
    try:
        word = anyone.request(
            "read the chip's magic value",
            Cmd.READ_REG,
            packets.words(MAGIC_REG),
            attempts=ASK_ATTEMPTS,
        ).value
    except UnsupportedCommandError:
        # Only ESP32-S2 has neither a chip id nor, in secure download mode, registers.
        return chips.get("esp32s2"), True, ""
    return chips.by_magic(word), False, f"Unexpected chip magic value {word:#010x}."


def _security_info(anyone: Requester, stub: bool) -> security.SecurityInfo | None:
    for attempt in range(ASK_ATTEMPTS):
        try:
            _value, body = anyone.command(Cmd.GET_SECURITY_INFO)
        except NoAnswerError:
            if attempt == ASK_ATTEMPTS - 1:
                raise
            anyone.link.discard_input()
            continue
        for length in (security.FULL_LEN, security.SHORT_LEN):
            tail = body[length:]
            if len(tail) in (STUB_STATUS_BYTES, 4) and not tail[0]:
                return security.parse(body[:length])
        break
    # Refused: the ROM repeats that a few times, a stub says it once.
    if not stub:
        anyone.link.sleep(REFUSAL_PAUSE_S)
    anyone.link.discard_input()
    return None

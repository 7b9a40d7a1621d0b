# SPDX-License-Identifier: Apache-2.0
"""Secure Debug Certificates: having one judged, and the chip info that one is made for."""

from __future__ import annotations

import os
from typing import Protocol

from esptool.device.secure_debug import CHIP_INFO_SIZE, NONCE_SIZE
from esptool.errors import FatalError
from esptool.events import Listener, Message, Result
from esptool.files import write_atomic
from esptool.image.sources import ImageSource, read_source


class Judge(Protocol):
    """What a job asks of the chip; `esptool.device.secure_debug.SecureDebug` does it."""

    def verify_begin(self, with_nonce: int, size: int) -> object:
        """Announce a certificate."""

    def verify_data(self, data: bytes) -> object:
        """Send it."""

    def verify_end(self) -> object:
        """Have it judged."""

    def info_begin(self) -> object:
        """Begin to make chip info."""

    def info_data(self, nonce: bytes) -> object:
        """Send a nonce."""

    def info_end(self) -> bytes | None:
        """The chip info, None when none came."""


def verify_certificate(chip: Judge, certificate: ImageSource, listener: Listener) -> None:
    """Have the chip judge a certificate.

    Raises:
        FatalError: it is refused.
    """
    data, name = read_source(certificate)
    label = f" {name!r}" if name else ""
    listener(Message(f"Verifying SDC certificate{label} ({len(data)} bytes)..."))
    chip.verify_begin(1, len(data))
    chip.verify_data(data)
    chip.verify_end()
    listener(Result({"file": name, "verified": True}))
    listener(Message("SDC certificate verified successfully."))


def read_chip_info(chip: Judge, output: str | os.PathLike[str], listener: Listener) -> None:
    """Have the chip make its 32 bytes of chip info for a new nonce; writes info and nonce.

    Raises:
        FatalError: the chip did not send them.
    """
    chip.info_begin()
    nonce = os.urandom(NONCE_SIZE)
    chip.info_data(nonce)
    info = chip.info_end() or b""
    if len(info) != CHIP_INFO_SIZE:
        raise FatalError(f"The chip sent {len(info)} bytes of chip info, not {CHIP_INFO_SIZE}.")
    write_atomic(output, info + nonce)
    listener(Result({"file": os.fspath(output), "size": len(info) + len(nonce)}))
    listener(Message(f"SDC chip info written to '{output}'."))

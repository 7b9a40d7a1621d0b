# SPDX-License-Identifier: Apache-2.0
"""The requests about Secure Debug Certificates, one method each (ROM of ESP32-S31)."""

from __future__ import annotations

from collections.abc import Callable

from esptool.device.wire import Wire
from esptool.errors import FatalError
from esptool.protocol import packets
from esptool.protocol.opcodes import Cmd

CHIP_INFO_SIZE = 32
NONCE_SIZE = 32


class SecureDebug:
    """Have a certificate judged, or chip info made for one."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def verify_begin(self, with_nonce: int, size: int) -> None:
        """Announce a certificate of `size` bytes."""
        body = packets.words(with_nonce, size)
        self._wire.request("begin SDC verification", Cmd.SDC_VERIF_BEGIN, body)

    def verify_data(self, data: bytes) -> None:
        """Send the certificate."""
        body, check = _counted(data)
        self._wire.request("send SDC certificate", Cmd.SDC_VERIF_DATA, body, check)

    def verify_end(self) -> None:
        """Have the certificate judged.

        Raises:
            FatalError: the chip does not accept it.
        """
        self._wire.request("verify SDC certificate", Cmd.SDC_VERIF_END, packets.words(0))

    def info_begin(self) -> None:
        """Begin to make chip info. The ROM may refuse this step and still go on."""
        self._leniently(
            lambda: self._wire.request("begin SDC chip info", Cmd.SDC_GEN_BEGIN, packets.words(1))
        )

    def info_data(self, nonce: bytes) -> None:
        """Send the nonce. The ROM may refuse this step and still go on."""
        body, check = _counted(nonce)
        self._leniently(lambda: self._wire.request("send SDC nonce", Cmd.SDC_GEN_DATA, body, check))

    def info_end(self) -> bytes | None:
        """The 32 bytes of chip info, or None when none came."""
        reply = self._wire.request("read SDC chip info", Cmd.SDC_GEN_END, packets.words(1))
        return reply.data[:CHIP_INFO_SIZE] or None

    def _leniently(self, step: Callable[[], object]) -> None:
        try:
            step()
        except FatalError:
            if self._wire.is_stub:
                raise


def _counted(data: bytes) -> tuple[bytes, int]:
    return packets.words(len(data)) + data, packets.checksum(data)

# SPDX-License-Identifier: Apache-2.0
"""The loader object as what the rooms with few requests need of a chip.

Through the object's own methods, since programs and tests override those.
"""

from __future__ import annotations

from esptool.device.link import Reply
from esptool.device.requests import Tries
from esptool.device.wire import Wire
from esptool.faces.base import FaceBase
from esptool.transport.settings import Settings


class LoaderWire(Wire):
    """See `esptool.device.wire.Wire`."""

    def __init__(self, esp: FaceBase) -> None:
        self._esp = esp

    @property
    def is_stub(self) -> bool:
        return bool(self._esp.IS_STUB)

    @property
    def settings(self) -> Settings:
        try:
            return self._esp.session.settings
        except AttributeError:  # a test's own object, with overridden methods and no session
            return Settings()

    @property
    def tries(self) -> Tries:
        try:
            return self._esp.session.tries
        except AttributeError:
            return Tries(self.settings.retries, job=False)

    @property
    def block_size(self) -> int:
        return int(self._esp.FLASH_WRITE_SIZE)

    def command(self, opcode: int, data: bytes) -> tuple[int, bytes]:
        return self._esp.command(opcode, data) or (0, b"")

    def request(
        self, what: str, opcode: int, data: bytes, check: int = 0, timeout_s: float | None = None
    ) -> Reply:
        timeout = self.settings.timeout if timeout_s is None else timeout_s
        answer = self._esp.check_command(what, opcode, data, check, timeout=timeout)
        return Reply(answer, b"") if isinstance(answer, int) else Reply(0, answer)

    def read_frame(self) -> bytes:
        return self._esp.read()

    def send_frame(self, payload: bytes) -> None:
        self._esp.write(payload)

    def trace(self, text: str) -> None:
        self._esp.trace(text)

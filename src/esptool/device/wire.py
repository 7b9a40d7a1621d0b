# SPDX-License-Identifier: Apache-2.0
"""What requests of their own rooms need of a chip: a request, its answer, and single frames."""

from __future__ import annotations

from typing import Protocol

from esptool.device.link import Reply
from esptool.device.requests import Tries
from esptool.transport.settings import Settings


class Wire(Protocol):
    """Requests to one chip."""

    @property
    def is_stub(self) -> bool:
        """A stub answers, not the ROM."""

    @property
    def settings(self) -> Settings:
        """Timeouts and retries."""

    @property
    def tries(self) -> Tries:
        """The budget of the present job."""

    @property
    def block_size(self) -> int:
        """Bytes that a data block holds."""

    def command(self, opcode: int, data: bytes) -> tuple[int, bytes]:
        """The value field of the answer, and its data with the status, unchecked."""

    def request(
        self, what: str, opcode: int, data: bytes, check: int = 0, timeout_s: float | None = None
    ) -> Reply:
        """The answer, its status checked; `what` names the request in an error."""

    def read_frame(self) -> bytes:
        """The next frame."""

    def send_frame(self, payload: bytes) -> None:
        """Send one frame."""

    def trace(self, text: str) -> None:
        """A remark for whoever looks at the traffic."""

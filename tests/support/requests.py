# SPDX-License-Identifier: Apache-2.0
"""Counting the requests that a command sends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from esptool.device.link import Link


@contextmanager
def sent_requests(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The opcodes of all requests that go out meanwhile."""
    opcodes: list[int] = []
    send = Link.send_request

    def count(link: Link, opcode: int, data: bytes = b"", check: int = 0) -> None:
        opcodes.append(opcode)
        send(link, opcode, data, check)

    with monkeypatch.context() as patch:
        patch.setattr(Link, "send_request", count)
        yield opcodes

# SPDX-License-Identifier: Apache-2.0
"""The loop that drives a windowed transfer over a link, whichever way the bytes go."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from esptool.device.link import Link
    from esptool.protocol.windows import Window


def pump(link: Link, window: Window, heard: Callable[[], None]) -> None:
    """Send what is due and take in what comes until the window is over.

    `heard` is called after each frame that was taken in.

    Raises:
        LineLossError: the chip or the port is lost.
        ChipResponseError: the chip refused.
    """
    while True:
        for request in window.due(link.now()):
            link.send_request(request.opcode, request.data)
        if window.over:
            return
        for frame in link.frames_within(max(0.0, window.deadline() - link.now())):
            window.take(frame, link.now())
            heard()

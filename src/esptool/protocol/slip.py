# SPDX-License-Identifier: Apache-2.0
"""SLIP framing (RFC 1055 bytes): payloads to frames, and a stream of bytes back to payloads.

The decoder takes the stream in chunks of any size. What stands between frames (boot logs, line
noise) is kept apart as text for diagnosis.
"""

from __future__ import annotations

END = b"\xc0"
ESC = b"\xdb"
ESC_END = b"\xdb\xdc"
ESC_ESC = b"\xdb\xdd"

#: No frame of the protocol comes near this; more without a delimiter is noise.
MAX_FRAME = 1 << 20
#: How much of the bytes between frames is kept.
MAX_STRAY = 4096


def encode(payload: bytes) -> bytes:
    """One frame, with a delimiter on both ends."""
    return END + payload.replace(ESC, ESC_ESC).replace(END, ESC_END) + END


def unescape(body: bytes) -> bytes | None:
    """The payload of what stood between two delimiters, or None where an escape is broken."""
    escapes = body.count(ESC)
    if not escapes:
        return body
    if body.count(ESC_END) + body.count(ESC_ESC) != escapes:
        return None
    # The delimiter first: the other order would make new escapes out of "db dd dc".
    return body.replace(ESC_END, END).replace(ESC_ESC, ESC)


class Decoder:
    """Finds frames in a byte stream.

    Attributes:
        stray: the latest bytes seen outside of frames, at most `MAX_STRAY`.
        malformed: how many frames were dropped for a broken escape or excessive length.
    """

    def __init__(self) -> None:
        self.stray = b""
        self.malformed = 0
        self._parts: list[bytes] = []
        self._size = 0
        self._inside = False

    def reset(self) -> None:
        """Forget a partly received frame and the stray bytes."""
        self.stray = b""
        self._parts.clear()
        self._size = 0
        self._inside = False

    @property
    def mid_frame(self) -> bool:
        """A frame has begun and not ended."""
        return self._inside and self._size > 0

    @property
    def size(self) -> int:
        """Bytes of the frame that has begun."""
        return self._size

    def feed(self, data: bytes) -> list[bytes]:
        """Take received bytes; return the payloads of all frames that they complete, in order."""
        if not data:
            return []
        frames: list[bytes] = []
        head, *tail = data.split(END)
        self._append(head)
        for part in tail:
            self._delimiter(frames)
            self._append(part)
        return frames

    def _append(self, part: bytes) -> None:
        if not part:
            return
        if not self._inside:
            self.stray = (self.stray + part)[-MAX_STRAY:]
            return
        self._parts.append(part)
        self._size += len(part)
        if self._size > MAX_FRAME:
            self.malformed += 1
            self._parts.clear()
            self._size = 0
            self._inside = False

    def _delimiter(self, frames: list[bytes]) -> None:
        # Two delimiters in a row are the end of one frame and the start of the next, so that a
        # lost delimiter puts the decoder out of step for one frame only.
        if not self._inside or not self._size:
            self._inside = True
            return
        body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts.clear()
        self._size = 0
        self._inside = False
        payload = unescape(body)
        if payload is None:
            self.malformed += 1
        else:
            frames.append(payload)

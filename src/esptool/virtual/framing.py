# SPDX-License-Identifier: Apache-2.0
"""SLIP as the chip does it, written apart from the host's codec so that neither hides the other."""

from __future__ import annotations

_LIMIT = 0x12000


def wrap(body: bytes) -> bytes:
    """One frame on the wire."""
    return b"\xc0" + body.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc") + b"\xc0"


class FrameReader:
    """Cuts a byte stream into frames; what stands between frames, or is damaged, is dropped."""

    __slots__ = ("_parts", "_size")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The bodies of the frames that `data` completes, unescaped."""
        if b"\xc0" not in data:
            self._keep(data)
            return []
        head, *middle, tail = data.split(b"\xc0")
        self._parts.append(head)
        bodies = [b"".join(self._parts), *middle]
        self._parts, self._size = [], 0
        self._keep(tail)
        return [plain for body in bodies if body and (plain := _unescape(body)) is not None]

    def _keep(self, data: bytes) -> None:
        if self._size + len(data) > _LIMIT:
            # Longer than any request: noise. The loader waits for the next delimiter.
            self._parts, self._size = [], 0
            return
        self._parts.append(data)
        self._size += len(data)


def _unescape(body: bytes) -> bytes | None:
    if b"\xdb" not in body:
        return body
    first, *rest = body.split(b"\xdb")
    out = [first]
    # After a split, an escaped 0xDB cannot produce an empty piece: DB DD gives a piece "\xdd...".
    for piece in rest:
        if piece[:1] == b"\xdc":
            out += (b"\xc0", piece[1:])
        elif piece[:1] == b"\xdd":
            out += (b"\xdb", piece[1:])
        else:
            return None
    return b"".join(out)

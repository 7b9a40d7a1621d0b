# SPDX-License-Identifier: Apache-2.0
"""Random folders of files, as applications keep them in flash."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path

_WORDS = (
    "index",
    "config",
    "über",
    "wifi",
    "页面",
    "a",
    "READ.ME",
    "Long Name With Spaces",
    "x" * 15,
)
_ENDINGS = ("", ".txt", ".html", ".JSON", ".tar.gz")


def random_tree(seed: int, kind: str, room: int) -> dict[str, bytes | None]:
    """Paths -> content, or None for an empty folder; at most about half of `room` bytes, the
    blocks of folders included.

    Names are within what the kind of file system can hold.
    """
    r = random.Random(seed)
    tree: dict[str, bytes | None] = {}
    taken: set[str] = set()
    left = room // 2 - 24_576
    for _ in range(r.choice((0, 1, 5, 20, 40))):
        depth = r.choice((0, 0, 0, 1, 2, 3))
        parts = [f"{r.choice(_WORDS[:5])}{r.randrange(3)}" for _ in range(depth)]
        parts.append(f"{r.choice(_WORDS)}{r.randrange(100)}{r.choice(_ENDINGS)}")
        path = "/".join(parts)
        if kind == "spiffs" and len(path.encode()) > 30:
            continue
        folded = [p.upper() for p in ("/".join(parts[: n + 1]) for n in range(len(parts)))]
        if folded[-1] in taken or any(f in (p.upper() for p, d in tree.items()) for f in folded):
            continue
        left -= 8192 * sum(f not in taken for f in folded[:-1])
        if left < 0:
            break
        taken.update(folded)
        if kind != "spiffs" and r.random() < 0.1:
            tree[path] = None
            continue
        size = r.choice((0, 1, 30, 64, 251, 252, 512, 1000, 4096, 4097, r.randrange(40_000)))
        if size + 4096 <= left:
            left -= size + 4096
            tree[path] = r.randbytes(size) if r.random() < 0.7 else bytes(size)
    return tree


def write_tree(folder: Path, tree: Mapping[str, bytes | None]) -> None:
    """Lay a tree on disk."""
    for path, data in tree.items():
        target = folder / path
        if data is None:
            target.mkdir(parents=True, exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)


def read_tree(folder: Path) -> dict[str, bytes | None]:
    """What lies on disk: all files, and the folders that are empty."""
    found: dict[str, bytes | None] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file():
            found[name] = path.read_bytes()
        elif not any(path.iterdir()):
            found[name] = None
    return found

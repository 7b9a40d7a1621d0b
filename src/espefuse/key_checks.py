# SPDX-License-Identifier: Apache-2.0
"""What is asked of key blocks, judged before anything is staged; and keys as messages show them."""

from __future__ import annotations

from collections.abc import Sequence

from espefuse.efuses import Efuses
from esptool.errors import FatalError


def hidden_or_plain(data: bytes, show: bool) -> str:
    """Key bytes in hex for a message, or as many question marks."""
    return f"[{data.hex(' ') if show else ' '.join('??' for _ in data)}]"


def check_size(data: bytes, size: int) -> None:
    """Refuse a key that is not `size` bytes."""
    if len(data) != size:
        raise FatalError(
            f"Incorrect key file size {len(data)}. "
            f"Key file must be {size} bytes ({size * 8} bits) of raw binary key data."
        )


def check_unrepeated(names: list[str]) -> None:
    """Refuse a block that is named twice."""
    repeated = sorted({n for n in names if names.count(n) > 1})
    if repeated:
        raise FatalError(f"Found repeated {repeated} in the name list.")


def check_known(efuses: Efuses, blocks: Sequence[str], purposes: Sequence[str] = ()) -> None:
    """Refuse a block that takes no key, and a purpose that this chip's keys cannot have."""
    table = efuses.table
    takers = {table.block(name).name for name in table.burn_key_names}
    names = {n for b in table.blocks if b.name in takers for n in (b.name, *b.alias)}
    for name in blocks:
        if name not in names:
            raise FatalError(
                f"{table.chip} has no key block '{name}'.",
                remedy=f"Choose one of {', '.join(table.burn_key_names)}.",
            )
    known = [purpose.name for purpose in table.purposes]
    for name in purposes:
        if name not in known:
            raise FatalError(
                f"'{name}' is no purpose that a key of {table.chip} can have.",
                remedy=f"Choose one of {', '.join(known)}.",
            )


def check_same_length(*lists: Sequence[object]) -> None:
    """Refuse blocks, keys and purposes that do not pair up."""
    if len({len(one) for one in lists}) > 1:
        raise FatalError(
            "The number of blocks "
            f"({len(lists[0])}), key files ({len(lists[1])}) and key purposes "
            f"({len(lists[-1])}) must be the same."
        )

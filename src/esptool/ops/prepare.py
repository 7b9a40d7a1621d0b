# SPDX-License-Identifier: Apache-2.0
"""What a caller asks of a write, made regions and options: for the command line and for Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from esptool.errors import UsageError
from esptool.image.sources import refuse_container
from esptool.ops.checks import refuse_overlaps
from esptool.ops.model import FlashParams, Region, WriteOptions
from esptool.ops.sources import ImageSource, load_regions

#: The keyword options of a write; all are off when left out, but `delta`.
OPTIONS = frozenset(
    (
        *("erase_all", "encrypt", "encrypt_files", "ignore_flash_enc_efuse", "force"),
        *("skip_flashed", "compress", "no_compress", "no_progress", "diff_with"),
        *("trust_flash_content", "no_diff_verify", "preserve", "delta", "retries"),
        "nand_end_address",
    )
)


def prepare_write(
    addr_data: Sequence[tuple[int, ImageSource]],
    params: FlashParams,
    options: Mapping[str, Any],
) -> tuple[list[Region], WriteOptions]:
    """Regions and options for `ops.write_flash` from the keyword options of `write_flash`.

    Raises:
        UsageError: options that exclude each other, or files that overlap.
    """
    compress = options.get("compress") or None
    if options.get("no_compress"):
        if compress:
            raise UsageError("Options compress and no_compress exclude each other.")
        compress = False
    trust = bool(options.get("trust_flash_content") or options.get("no_diff_verify"))
    encrypted = options.get("encrypt_files") or []
    if encrypted and options.get("encrypt"):
        raise UsageError("Options --encrypt and --encrypt-files cannot be used at the same time.")
    diff_with = list(options.get("diff_with") or [])
    if trust and not diff_with:
        raise UsageError("Option --trust-flash-content requires --diff-with.")
    if len(diff_with) > len(addr_data):
        raise UsageError(
            f"--diff-with names {len(diff_with)} files, but only {len(addr_data)} are written."
        )
    regions: list[Region] = []
    former: list[bytes | None] = []
    pairs = [(pair, False) for pair in addr_data] + [(pair, True) for pair in encrypted]
    for i, (pair, encrypt) in enumerate(pairs):
        loaded = load_regions(rewound([pair]), encrypted=encrypt)
        for region in loaded if not options.get("force") else ():
            refuse_container(region.data, region.name)
        regions += loaded
        old = diff_with[i] if i < len(diff_with) else None
        former += _former_content(loaded, pair[0], old)
    refuse_overlaps(regions)
    wanted = WriteOptions(
        params=params,
        compress=compress,
        erase_all=bool(options.get("erase_all")),
        encrypt=bool(options.get("encrypt")),
        ignore_flash_enc_efuse=bool(options.get("ignore_flash_enc_efuse")),
        force=bool(options.get("force")),
        skip_flashed=bool(options.get("skip_flashed")),
        diff_with=tuple(former) if diff_with else (),
        trust_flash_content=trust,
        delta=bool(options.get("delta", True)),
        preserve=bool(options.get("preserve")),
        retries=options.get("retries"),
    )
    return regions, wanted


def _former_content(
    regions: Sequence[Region], address: int, old: ImageSource | None
) -> list[bytes | None]:
    """What the old source says stood in flash, for each region of the new one."""
    if old is None or old == "skip":
        return [None] * len(regions)
    pieces = load_regions(rewound([(address, old)]))
    result: list[bytes | None] = []
    for region in regions:
        start = min((p.address for p in pieces), default=region.address)
        if len(regions) == len(pieces) == 1 or start <= region.address:
            result.append(_cut(pieces, region))
        else:
            result.append(None)
    return result


def _cut(pieces: Sequence[Region], region: Region) -> bytes | None:
    """The bytes of the pieces from the region's start on, erased bytes in between."""
    inside = [p for p in pieces if p.end > region.address and p.address < region.end]
    if not inside:
        return None
    end = min(max(p.end for p in inside), region.end)
    former = bytearray(b"\xff" * (end - region.address))
    for piece in inside:
        data = piece.data[max(0, region.address - piece.address) : end - piece.address]
        at = max(0, piece.address - region.address)
        former[at : at + len(data)] = data
    return bytes(former)


def rewound(
    addr_data: Sequence[tuple[int, ImageSource]],
) -> list[tuple[int, ImageSource]]:
    """The pairs, with open files at their beginning: one file may be named twice."""
    for _address, source in addr_data:
        seek = getattr(source, "seek", None)
        if seek is not None:
            seek(0)
    return list(addr_data)

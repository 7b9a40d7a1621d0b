# SPDX-License-Identifier: Apache-2.0
"""Steps on flash: `erase`, `write`, `verify`, `read-back`."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from esp_station.steps.base import STAGES, Encryption, Env, Step
from esp_station.template import Template
from esp_station.tomlfile import Table
from esptool import ops
from esptool.chips.nor import SECTOR
from esptool.errors import VerifyError
from esptool.files import write_atomic
from esptool.image.header import IMAGE_MAGIC
from esptool.image.regions import Region
from esptool.sizes import counted
from esptool.storage.names import Span
from esptool.storage.partition import MAGIC

if TYPE_CHECKING:
    from esp_station.board import Board


@dataclass(frozen=True, slots=True)
class Erase(Step):
    """Erases all of the flash, or one partition."""

    span: Span | None

    def run(self, board: Board) -> str | None:
        """See `Step.run`."""
        session = board.loader()
        if self.span is None:
            board.erased()
            ops.erase_flash(session)
            return None
        ops.erase_region(session, self.span.offset, self.span.size)
        return self.span.label


def read_erase(table: Table, env: Env, name: str) -> Step | None:
    """The step `erase`: `partition`, else all of the flash."""
    text = table.text("partition")
    span = env.span(table, "partition", text) if text else None
    if env.writes:
        table.wrong(
            None,
            "'erase' stands behind a step that writes: what it wrote would be lost.",
            "Put it in front of that step.",
        )
        return None
    if span is not None and (span.offset % SECTOR or span.size % SECTOR):
        table.wrong("partition", f"'{text}' is not made of whole sectors of {SECTOR} bytes.")
        return None
    if text and span is None:
        return None
    return Erase("erase", name, span)


@dataclass(frozen=True, slots=True)
class Write(Step):
    """Writes the images of the job, each verified by a hash made on the chip.

    Attributes:
        encrypted: offsets of those that the chip encrypts.
    """

    encrypted: frozenset[int] = frozenset()

    def run(self, board: Board) -> str | None:
        """See `Step.run`."""
        regions = [
            replace(region, encrypted=region.address in self.encrypted)
            for region in board.images.regions
        ]
        board.write(regions)
        return f"{sum(len(r.data) for r in regions):,} bytes"


def _is_plain(region: Region) -> bool:
    """A program or a partition table that nobody has encrypted yet."""
    head = bytes(region.data[: len(MAGIC)])
    return head == MAGIC or head[:1] == bytes([IMAGE_MAGIC])


def read_write(table: Table, env: Env, name: str) -> Step | None:
    """The step `write`: `encrypt`."""
    if not env.images.regions:
        table.wrong(
            None,
            "The job has no images to write.",
            'Add bundle = "product.zip", or [images] with 0x0 = "app.bin".',
        )
        return None
    env.writes = True
    inside = [r for r in env.images.regions if env.lies_encrypted(r.address)]
    if not table.flag("encrypt"):
        if inside:
            seen = any(_is_plain(r) for r in inside)
            env.plain.append((name, seen))
        return Write("write", name)
    if env.encryption is not Encryption.KEY:
        table.wrong(
            "encrypt",
            "The chip can only encrypt between the key of flash encryption and the rest of a "
            "recipe.",
            f"Put it between {STAGES}.",
        )
        return None
    align = env.identity.chip.flash.encrypted_write_align
    for region in inside:
        if region.address % align:
            table.wrong(
                "encrypt", f"{region.title} is at {region.address:#x}: not a multiple of {align}."
            )
    env.encrypted = True
    return Write("write", name, frozenset(r.address for r in inside))


@dataclass(frozen=True, slots=True)
class Verify(Step):
    """Compares all that was written with flash once more."""

    def run(self, board: Board) -> str | None:
        """See `Step.run`."""
        board.prove()
        return counted(len(board.written), "region")


def read_verify(table: Table, env: Env, name: str) -> Step | None:
    """The step `verify`."""
    if not env.writes:
        table.wrong(None, "No step in front of 'verify' writes anything.", "Put it behind 'write'.")
        return None
    return Verify("verify", name)


@dataclass(frozen=True, slots=True)
class ReadBack(Step):
    """Reads a range of flash, notes its SHA-256, and keeps or compares it."""

    address: int
    size: int
    title: str
    to: Template | None
    folder: str

    def run(self, board: Board) -> str | None:
        """See `Step.run`."""
        data = ops.read_flash(board.loader(), self.address, self.size)
        assert data is not None
        self._compare(board, data)
        board.attempt.digests[f"read-back {self.title}"] = hashlib.sha256(data).hexdigest()
        if self.to is None:
            return f"{len(data):,} bytes"
        path = os.path.join(self.folder, self.to.fill(board.facts()))
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        # It may hold the secrets of a board.
        write_atomic(path, data, 0o600)
        return path

    def _compare(self, board: Board, data: bytes) -> None:
        """What this attempt wrote there must be what was read.

        Raises:
            VerifyError: a byte differs.
        """
        for item in board.written:
            region = item.region
            start, end = max(region.address, self.address), region.end
            end = min(end, self.address + self.size)
            if start >= end:
                continue
            wanted = region.data[start - region.address : end - region.address]
            found = data[start - self.address : end - self.address]
            if wanted != found:
                at = next(i for i, (a, b) in enumerate(zip(wanted, found, strict=True)) if a != b)
                raise VerifyError(
                    f"{region.title} was read back differently at {start + at:#x}.",
                    remedy="Is the flash worn out? Put the board aside.",
                )


def read_read_back(table: Table, env: Env, name: str) -> Step | None:
    """The step `read-back`: `partition`, or `address` and `size`; `to` is a file to keep."""
    text = table.text("partition")
    address = table.integer("address", -1, 0, 0xFFFFFFFF)
    size = table.integer("size", 0, 1, 0x10000000)
    to = table.text("to")
    template = env.template(table, "to", to) if to else None
    if bool(text) == (address >= 0):
        table.wrong(None, "'read-back' needs a `partition`, or `address` and `size`.")
        return None
    if text:
        span = env.span(table, "partition", text)
        if span is None:
            return None
        address, size = span.offset, span.size
    elif not size:
        table.wrong(None, "'size' is missing.", "Add: size = 0x1000")
        return None
    if to and template is None:
        return None
    return ReadBack("read-back", name, address, size, text or f"{address:#x}", template, env.folder)

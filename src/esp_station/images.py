# SPDX-License-Identifier: Apache-2.0
"""The images of a job: loaded, placed and judged once, for all boards."""

from __future__ import annotations

import hashlib
import os

from esp_station.model import Images
from esp_station.tomlfile import Table
from esptool import chips
from esptool.builds import FlashWords, Part, find_build
from esptool.builds.jobs import complete
from esptool.builds.layout import table_of
from esptool.builds.model import KEEP
from esptool.chips.nor import SECTOR
from esptool.chips.spec import ChipSpec
from esptool.errors import FatalError
from esptool.image import app
from esptool.image.content import chunks
from esptool.image.regions import Region, refuse_overlap
from esptool.image.sources import load_regions, refuse_container
from esptool.ops.apps import peek
from esptool.ops.places import is_csv, load_table
from esptool.storage import names
from esptool.storage.partition import MAGIC
from esptool.storage.partitions import DEFAULT_OFFSET, PartitionTable


class Loader:
    """Reads `[images]` and `partition-table`; what is wrong is noted in the document.

    Attributes:
        table: the partition table, None where there is none.
        table_offset: where it stands.
    """

    def __init__(self, root: Table, chip: ChipSpec, folder: str) -> None:
        self._root = root
        self._chip = chip
        self._folder = folder
        self.table: PartitionTable | None = None
        self.table_offset = root.integer("partition-table-offset", DEFAULT_OFFSET, 0, 0xFFFFF000)
        self._bootloader = chip.flash.bootloader_offset

    def load(self) -> Images:
        """All images: those of a bundle, then those that the job names, in its order."""
        inner = self._root.table("images")
        bundled = self._bundle()
        self._find_table(inner)
        regions: list[Region] = bundled
        for key in inner.values if inner is not None else ():
            assert inner is not None
            regions += self._image(inner, key)
        if not self._root.document.problems:
            try:
                refuse_overlap(regions, SECTOR, together=False, error=FatalError)
            except FatalError as e:
                (inner or self._root).wrong(None, e.message, e.remedy)
        return Images(tuple(regions), {_named(r): _sha(r) for r in regions})

    def _bundle(self) -> list[Region]:
        """The images of `bundle`: a bundle, or whatever else `esptool flash` takes."""
        name = self._root.text("bundle")
        if not name:
            return []
        try:
            build = complete(find_build([self._path(name)]), self._chip.key)
            found = table_of(build)
        except FatalError as e:
            self._root.wrong("bundle", e.message, e.remedy)
            return []
        if build.encrypt:
            self._root.wrong(
                "bundle",
                f"'{name}' is meant to be encrypted by the chip as it is written.",
                "Bundle a build without flash encryption, and add a step 'recipe'.",
            )
            return []
        if found is not None:
            self.table, self.table_offset = found.table, found.offset
        return [self._with_words(part, build.words) for part in build.parts]

    def _with_words(self, part: Part, words: FlashWords) -> Region:
        """An image with the flash parameters that the build's own upload gives the boot loader."""
        assert part.offset is not None
        size = KEEP if words.size == "detect" else words.size
        data = app.patch_flash_params(
            part.data, self._chip, words.mode, words.freq, size, address=part.offset
        )
        return Region(part.offset, data, part.name)

    def _path(self, name: str) -> str:
        return os.path.join(self._folder, os.path.expanduser(name))

    def _find_table(self, inner: Table | None) -> None:
        """The table of the key `partition-table`, else the image that is one."""
        name = self._root.text("partition-table")
        if name:
            self._load_table(self._root, "partition-table", name)
            return
        for key in inner.values if inner is not None else ():
            assert inner is not None
            value = inner.values[key]
            at_place = key in names.TABLE_NAMES or _number(key) == self.table_offset
            if at_place and isinstance(value, str):
                self._load_table(inner, key, value)

    def _load_table(self, where: Table, key: str, name: str) -> None:
        path = self._path(name)
        try:
            self.table = load_table(path, self.table_offset, self._bootloader)
        except FatalError as e:
            where.wrong(key, e.message, e.remedy)

    def _image(self, inner: Table, key: str) -> list[Region]:
        name = inner.text(key)
        if not name:
            return []
        path = self._path(name)
        place = self._place(inner, key)
        if place is None:
            return []
        offset, size, label = place
        try:
            if self.table is not None and offset == self.table_offset and is_csv(path):
                regions = [Region(offset, self.table.to_bytes(), path)]
            else:
                regions = load_regions([(offset, path)])
            for region in regions:
                refuse_container(region.data, region.name)
                self._judge(inner, key, region, size, label)
        except OSError as e:
            inner.wrong(key, f"Cannot read '{path}': {e.strerror}.")
            return []
        except FatalError as e:
            inner.wrong(key, e.message, e.remedy)
            return []
        return regions

    def _place(self, inner: Table, key: str) -> tuple[int, int | None, str] | None:
        """Offset, size and label of where an image goes."""
        number = _number(key)
        if number is not None:
            return number, None, key
        try:
            name = names.parse_name(key)
            if self.table is None and names.needs_table(name):
                inner.wrong(
                    key,
                    f"'{key}' is a name, and the job has no partition table.",
                    'Add it: partition-table = "partitions.csv", or an image at 0x8000.',
                )
                return None
            span = names.resolve(name, self.table, self.table_offset, self._bootloader)
        except FatalError as e:
            inner.wrong(key, e.message, e.remedy)
            return None
        return span.offset, span.size, span.label

    def _judge(self, inner: Table, key: str, region: Region, size: int | None, label: str) -> None:
        """Note an image that does not fit its place, or is for another chip."""
        if not len(region.data):
            inner.wrong(key, f"{region.title} is empty.")
        if size is not None and len(region.data) > size:
            inner.wrong(
                key, f"{region.title} has {len(region.data)} bytes, and {label} only {size}."
            )
        head = peek(region.data[:0x200])
        if head.chip is not None and head.chip.key != self._chip.key:
            inner.wrong(
                key,
                f"{region.title} is for {head.chip.name}, and the job for {self._chip.name}.",
                "Build it for the right chip, or change `chip`.",
            )
        if region.address == self.table_offset and region.data[:2] == MAGIC and self.table is None:
            self.table = PartitionTable.from_bytes(region.data[:0xC00])


def _number(text: str) -> int | None:
    try:
        return int(text, 0)
    except ValueError:
        return None


def _named(region: Region) -> str:
    return f"{region.address:#x} {os.path.basename(region.name or '')}"


def _sha(region: Region) -> str:
    digest = hashlib.sha256()
    for chunk in chunks(region.data):
        digest.update(chunk)
    return digest.hexdigest()


def chip_named(root: Table) -> ChipSpec | None:
    """The chip that a job is for; None where that is wrong and noted."""
    word = root.text("chip", required=True)
    if not word:
        return None
    try:
        return chips.get(word)
    except FatalError as e:
        root.wrong("chip", e.message)
        return None

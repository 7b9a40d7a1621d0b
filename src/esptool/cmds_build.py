# SPDX-License-Identifier: Apache-2.0
"""Functions on what builds leave behind: flashing it, and bundling it. Faces over `ops`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from esptool.builds.find import Found, Given
from esptool.builds.find import find_build as _find
from esptool.builds.jobs import make_bundle as _make_bundle
from esptool.builds.model import Build
from esptool.faces.options import listener_of
from esptool.nearest import checks_keywords
from esptool.ops import flash_build as _ops
from esptool.ops.flash_build import BuildPlan, FlashOptions
from esptool.ops.model import FlashParams, WriteOptions, WriteResult
from esptool.ops.places import TableSource
from esptool.render import to_log

if TYPE_CHECKING:
    from esptool.events import Listener
    from esptool.loader import ESPLoader

#: A folder or file, or several that make up a build together.
What: TypeAlias = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


@checks_keywords()
def find_build(
    what: What = ".",
    *,
    bootloader: str | os.PathLike[str] | None = None,
    partition_table: str | os.PathLike[str] | None = None,
    partition_table_offset: int | None = None,
) -> Found:
    """Recognise what is to be flashed. Needs no chip, and changes nothing.

    Args:
        what: a build folder or project folder (ESP-IDF, PlatformIO, Arduino, Zephyr, NuttX), an
            ELF file, an image, a merged image, a bundle; or several files that go together.
        bootloader: a boot loader to take in place of the build's.
        partition_table: a partition table (CSV or binary), likewise.
        partition_table_offset: where the table goes.

    Raises:
        FatalError: nothing to flash, several builds, or a damaged one.
    """
    words = [what] if isinstance(what, str | os.PathLike) else list(what)
    given = Given(
        None if bootloader is None else os.fspath(bootloader),
        None if partition_table is None else os.fspath(partition_table),
        partition_table_offset,
    )
    return _find([os.fspath(word) for word in words], given)


def _found(
    what: What | Found,
    bootloader: str | os.PathLike[str] | None,
    partition_table: str | os.PathLike[str] | None,
    partition_table_offset: int | None,
) -> Found:
    """What was found already, or is found now."""
    if isinstance(what, Found):
        return what
    return find_build(
        what,
        bootloader=bootloader,
        partition_table=partition_table,
        partition_table_offset=partition_table_offset,
    )


@checks_keywords()
def plan_build(
    esp: ESPLoader,
    what: What | Found,
    *,
    target: str | None = None,
    erase: Sequence[str] = (),
    erase_all: bool = False,
    bootloader: str | os.PathLike[str] | None = None,
    partition_table: str | os.PathLike[str] | None = None,
    partition_table_offset: int | None = None,
    flash_mode: str = "keep",
    flash_freq: str = "keep",
    flash_size: str = "keep",
    encrypt: bool = False,
    ignore_flash_enc_efuse: bool = False,
    compress: bool | None = None,
    delta: bool = True,
    skip_flashed: bool = False,
    force: bool = False,
    retries: int | None = None,
    listener: Listener | None = None,
) -> BuildPlan:
    """Settle what `flash_build` does with a connected chip. Nothing is changed on it.

    Args:
        esp: a connected chip; `attach_flash` was called.
        what: as for `find_build`, or what that has found.
        target: where the application goes: a slot such as "ota_1", which boots from then on, the
            name of an application partition, or an offset such as "0x10000".
        erase: names of partitions that are erased first.
        erase_all: erase the whole flash first.
        bootloader: a boot loader to take in place of the build's.
        partition_table: a partition table (CSV or binary), likewise.
        partition_table_offset: where the table is.
        flash_mode: for the boot loader's header; "keep" is as the build has it.
        flash_freq: likewise.
        flash_size: likewise; or "detect".
        encrypt: have the chip encrypt all images. Without, what has to be encrypted is told by
            chip and build.
        ignore_flash_enc_efuse: do not look whether an encryption key is burned.
        compress: True or False; None is compressed where there is a stub.
        delta: send only sectors that differ, where the running stub can tell them.
        skip_flashed: leave out images that are in flash already.
        force: skip the checks of chip, revision and security.
        retries: how often in a row work may fail without getting any further.
        listener: told what goes on.

    Raises:
        FatalError: the build does not suit the chip; the text says what to do.
    """
    found = _found(what, bootloader, partition_table, partition_table_offset)
    write = WriteOptions(
        params=FlashParams(flash_size, flash_mode, flash_freq),
        compress=compress,
        erase_all=erase_all,
        encrypt=encrypt,
        ignore_flash_enc_efuse=ignore_flash_enc_efuse,
        force=force,
        skip_flashed=skip_flashed,
        delta=delta,
        retries=retries,
    )
    table = TableSource(partition_table_offset)
    options = FlashOptions(target, tuple(erase), table, write)
    return _ops.plan_build(esp.session, found, options, listener=listener_of(esp, listener))


@checks_keywords()
def flash_build(
    esp: ESPLoader, plan: BuildPlan, *, listener: Listener | None = None
) -> list[WriteResult]:
    """Flash a build: erase what is to be erased, write all images, and verify them.

    Args:
        esp: the chip that the plan was made for.
        plan: from `plan_build`.
        listener: told what goes on.

    Returns:
        What happened to each image, in the order of the plan.

    Raises:
        FatalError: refused, or failed; the text names what is not written.
    """
    return _ops.flash_build(esp.session, plan, listener=listener_of(esp, listener))


@checks_keywords()
def make_bundle(
    what: What | Found,
    output: str | os.PathLike[str],
    *,
    chip: str | None = None,
    bootloader: str | os.PathLike[str] | None = None,
    partition_table: str | os.PathLike[str] | None = None,
    partition_table_offset: int | None = None,
    compress: bool = False,
    elf: bool = True,
    listener: Listener | None = None,
) -> Build:
    """Put a build into one file that `flash` takes: images, addresses, hashes, and the ELF file.

    The same build gives the same bytes.

    Args:
        what: as for `find_build`, or what that has found.
        output: the file's name; it appears only when it is whole.
        chip: the chip, where the build does not say so itself.
        bootloader: a boot loader to take in place of the build's.
        partition_table: a partition table (CSV or binary), likewise.
        partition_table_offset: where the table goes.
        compress: deflate: smaller, but not the same bytes with every version of zlib.
        elf: with the program and its symbols, where there is one.
        listener: told what is done.

    Returns:
        The build as it was bundled.

    Raises:
        FatalError: it cannot be bundled, or not written.
    """
    found = _found(what, bootloader, partition_table, partition_table_offset)
    return _make_bundle(
        found,
        os.fspath(output),
        chip=chip,
        compress=compress,
        with_elf=elf,
        listener=listener or to_log,
    )

# SPDX-License-Identifier: Apache-2.0
"""Jobs on builds that need no chip: making a bundle."""

from __future__ import annotations

import os
from collections.abc import Iterator

from esptool import chips
from esptool.builds import bundle, elf, layout
from esptool.builds.find import Found
from esptool.builds.images import damage, image_info
from esptool.builds.model import Build, Part, Role
from esptool.errors import ImageError, UsageError
from esptool.events import Listener, Message, ignore
from esptool.files import atomic_writer, check_output, refuse_input_as_output
from esptool.records import replace


def build_json(build: Build) -> dict[str, object]:
    """What was found, as plain values."""
    return {
        "kind": build.kind,
        "source": build.source,
        "evidence": build.evidence,
        "chip": build.chip,
        "project": build.project,
        "version": build.version,
        "build_id": bundle.build_id(build),
        "elf": build.elf,
    }


def part_json(part: Part, *, encrypted: bool = False, about: str = "") -> dict[str, object]:
    """An image of a build, as plain values."""
    return {
        "role": part.role.value,
        "name": part.name,
        "offset": part.offset,
        "size": len(part.data),
        "sha256": bundle.sha256(part.data),
        "encrypted": encrypted or bool(part.encrypted),
        "about": about,
    }


def complete(found: Found, chip: str | None = None, listener: Listener = ignore) -> Build:
    """A build whose images are all made, whole, and have their places.

    Args:
        found: the build.
        chip: the chip that it is for, where it does not say so itself.
        listener: told of a conversion.

    Raises:
        UsageError: nothing says which chip, or where an image goes.
        ImageError: an image is damaged.
    """
    build = found.build
    if chip is not None and build.chip is not None and chips.normalize(chip) != build.chip:
        raise UsageError(
            f"'{build.source}' is for {chips.get(build.chip).name}, not for {chips.get(chip).name}."
        )
    key = build.chip or chip
    if key is None:
        raise UsageError(
            f"Nothing says which chip '{build.source}' is for.", remedy="Name it with --chip."
        )
    spec = chips.get(key)
    build = elf.with_image(build, spec, found.former, listener)
    build = layout.placed(build, spec, layout.table_of(build))
    for problem in _damaged(build, spec.key):
        raise ImageError(problem, remedy="Build it again.")
    return replace(build, chip=spec.key)


def _damaged(build: Build, chip: str) -> Iterator[str]:
    for part in build.parts:
        if part.role in (Role.APP, Role.BOOTLOADER):
            info = image_info(part.data, chip)
            for problem in [] if info is None else damage(info):
                yield f"'{part.name}' is damaged: {problem}"


def make_bundle(
    found: Found,
    output: str,
    *,
    chip: str | None = None,
    compress: bool = False,
    with_elf: bool = True,
    listener: Listener,
) -> Build:
    """Write the bundle of a build to a file. Returns the build as it was bundled.

    Args:
        found: the build.
        output: the file's name; it appears only when it is whole.
        chip: the chip, where the build does not say so itself.
        compress: deflate: smaller, but not the same bytes with every version of zlib.
        with_elf: with the program and its symbols, where there is one.
        listener: told what is done.

    Raises:
        FatalError: it cannot be bundled, or not written.
    """
    check_output(output)
    build = complete(found, chip, listener)
    refuse_input_as_output(output, _inputs(build))
    with atomic_writer(output) as out:
        bundle.write(build, out, compress=compress, elf=with_elf)
    listener(Message(f"Wrote {os.path.getsize(output)} bytes to '{output}'."))
    return build


def _inputs(build: Build) -> Iterator[str]:
    yield build.source
    if build.elf:
        yield build.elf
    for part in build.parts:
        yield part.name
        yield os.path.join(build.source, part.name)

# SPDX-License-Identifier: Apache-2.0
"""`esptool image-info`: tell what is in a firmware image."""

from __future__ import annotations

import click

from esptool.cli import machine
from esptool.cli.common import Command
from esptool.cli.elf2image import chip_name
from esptool.cli.params import ReadableFile


@click.pass_context
def _run(ctx: click.Context, /, filename: str) -> None:
    chip = chip_name(ctx)
    if machine.active() is None:
        from esptool.cmds_image import image_info

        image_info(filename, chip)
        return
    from esptool.cmds_image import image_info_data
    from esptool.errors import ImageError

    found = image_info_data(filename, chip)
    machine.result({"file": found["file"], "images": found["images"]})
    images = found["images"]
    faults = [image["fault"] for image in images if image.get("fault")]
    if not any("chip" in image for image in images):
        faults = images[0]["problems"]
    if faults:
        raise ImageError(faults[0])


command = Command(
    "image-info",
    callback=_run,
    help="Tell what is in a firmware image, an Intel HEX file, or a merged binary. "
    "Needs no device.",
    params=[click.Argument(["filename"], type=ReadableFile())],
)

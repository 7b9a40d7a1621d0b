# SPDX-License-Identifier: Apache-2.0
"""Functions on partitions and OTA slots of a connected chip. Faces over `ops`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esptool.faces.options import listener_of
from esptool.image.sources import read_source, refuse_container
from esptool.nearest import checks_keywords
from esptool.ops import ota
from esptool.ops.places import DeviceFlash, TableSource
from esptool.util import ImageSource

if TYPE_CHECKING:
    from esptool.events import Listener
    from esptool.loader import ESPLoader
    from esptool.storage.partitions import PartitionTable


@checks_keywords()
def open_flash(
    esp: ESPLoader,
    *,
    partition_table_offset: int | None = None,
    partition_table: str | None = None,
    listener: Listener | None = None,
) -> DeviceFlash:
    """The flash of a chip, whose partitions are opened by name: `open_flash(esp).place("nvs")`.

    Args:
        esp: a connected chip; `attach_flash` was called.
        partition_table_offset: where the table is; None looks for it.
        partition_table: a file with the table, in place of the one in flash.
        listener: told what goes on.
    """
    source = TableSource(partition_table_offset, partition_table)
    return DeviceFlash(esp.session, source, listener=listener_of(esp, listener))


@checks_keywords()
def read_partition_table(
    esp: ESPLoader, offset: int | None = None, *, listener: Listener | None = None
) -> PartitionTable:
    """The partition table of a chip, looked for from 0x8000 on where no `offset` is given.

    Raises:
        FatalError: there is none, it is damaged or encrypted, or flash cannot be read.
    """
    return open_flash(esp, partition_table_offset=offset, listener=listener).table


@checks_keywords()
def ota_status(esp: ESPLoader, *, listener: Listener | None = None) -> ota.OtaStatus:
    """Which applications are in the slots, and which one boots and why.

    Raises:
        FatalError: no partition table, or it is encrypted.
    """
    return ota.ota_status(open_flash(esp, listener=listener))


@checks_keywords()
def ota_write(
    esp: ESPLoader,
    app: ImageSource,
    slot: str | None = None,
    switch: bool = True,
    force: bool = False,
    *,
    listener: Listener | None = None,
) -> str:
    """Write an application to the next OTA slot, verify it, and have it boot.

    Args:
        esp: a connected chip; `attach_flash` was called.
        app: the image: a path, bytes, or an open file.
        slot: another slot than the next one, by name or number.
        switch: have it boot at the end.
        force: also an image that is not for this chip, and into the slot that boots.
        listener: told what goes on.

    Returns:
        The name of the partition.

    Raises:
        FatalError: refused, or failed; the former application boots.
    """
    image, name = read_source(app)
    refuse_container(image, name)
    flash = open_flash(esp, listener=listener)
    done = ota.ota_write(
        flash, image, name=name, slot=slot, switch=switch, force=force, listener=flash.listener
    )
    return done.name


@checks_keywords()
def ota_boot(
    esp: ESPLoader, slot: str, force: bool = False, *, listener: Listener | None = None
) -> None:
    """Have another slot boot: "ota_1", "1", the name of the partition, or "factory".

    Args:
        esp: a connected chip; `attach_flash` was called.
        slot: which.
        force: also a slot in which no application for this chip is.
        listener: told what goes on.

    Raises:
        FatalError: no such slot, nothing to boot in it, or it failed.
    """
    flash = open_flash(esp, listener=listener)
    ota.ota_boot(flash, slot, force=force, listener=flash.listener)


@checks_keywords()
def ota_erase(esp: ESPLoader, *, listener: Listener | None = None) -> None:
    """Erase the OTA data, so that the factory application boots, or ota_0 where there is none.

    Raises:
        FatalError: the table has no partition for them, or it failed.
    """
    flash = open_flash(esp, listener=listener)
    ota.ota_erase(flash, listener=flash.listener)

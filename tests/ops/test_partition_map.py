# SPDX-License-Identifier: Apache-2.0
"""The map of a flash, also of one that is damaged: shown, or one clear error, in little memory."""

from __future__ import annotations

import random
import tracemalloc
from pathlib import Path

from esptool.errors import FatalError
from esptool.ops.ota import ota_status
from esptool.ops.partition_map import partition_map
from esptool.ops.places import opened_file
from esptool.storage.partition import Partition
from esptool.storage.partitions import PartitionTable
from tests.support.apps import app

TABLE = PartitionTable.from_csv(
    "nvs,data,nvs,,24K\notadata,data,ota,,8K\nota_0,app,ota_0,,64K\nota_1,app,ota_1,,64K"
)
#: Many times the file, and far less than what a damaged table may speak of.
MEMORY = 32 << 20


def image(table: bytes) -> bytes:
    content = bytearray(b"\xff" * 0x40000)
    content[0x8000 : 0x8000 + len(table)] = table
    at = TABLE["ota_0"].offset
    content[at : at + len(app())] = app()
    return bytes(content[:0x40000])


def test_partitions_of_gigabytes_are_beyond_any_flash(tmp_path: Path) -> None:
    table = PartitionTable(
        [
            Partition("huge", 1, 6, 0x10000, 0xF0000000),
            Partition("app", 0, 0, 0x20000, 0xF0000000),
            Partition("ota", 1, 0, 0xF0000000, 0x2000),
            Partition("wide", 1, 6, 0x30000, 0x8000000),
        ]
    )
    path = tmp_path / "dump"
    path.write_bytes(image(table.to_bytes()))
    with opened_file(str(path)) as flash:
        tracemalloc.start()
        uses = {use.partition.name: use.kind for use in partition_map(flash).uses}
        assert tracemalloc.get_traced_memory()[1] < MEMORY
        tracemalloc.stop()
    assert uses == {**dict.fromkeys(("huge", "app", "ota"), "beyond the flash"), "wide": "blank"}


def test_any_table_and_any_content_give_a_map_or_one_error(tmp_path: Path) -> None:
    rng = random.Random(11)
    path = tmp_path / "dump"
    plain = TABLE.to_bytes(md5=False)
    shown = 0
    for _ in range(120):
        data = bytearray(image(plain))
        for _ in range(rng.randrange(1, 8)):
            places = (0x8000 + rng.randrange(128), 0xF000 + rng.randrange(32))
            at = rng.choice((*places, TABLE["ota_0"].offset + rng.randrange(0x200)))
            data[at] = rng.randrange(256)
        path.write_bytes(data[: rng.choice((len(data), len(data), 0x8080, 0xF010))])
        for look in (partition_map, ota_status):
            try:
                with opened_file(str(path)) as flash:
                    look(flash).to_json()
            except FatalError:
                continue
            shown += 1
    assert shown > 40

# SPDX-License-Identifier: Apache-2.0
"""File systems: what changing one file costs against writing the image, and random trees.

    python -m bench.file_systems [--trees N]

The first part puts a changed file of 1 KB into a file system of 1 MB over 921600 baud, on a virtual
clock, and compares with the time of writing the image. With --trees, N random folders of each kind
go to an image, onto a virtual device, back from it and into a folder, and must be the same.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench.lib.simulated import BASE, session_on
from bench.lib.trees import random_tree, read_tree, write_tree
from esptool.device import Session
from esptool.ops import file_systems
from esptool.ops.places import DeviceFlash, Place
from esptool.storage.fs import PRESETS, Shape, build_image
from esptool.storage.fs.opening import open_image
from esptool.storage.partition import Partition

MB = 1 << 20
#: The bound that one changed file of 1 KB must keep, as a share of writing the LittleFS image.
BOUND = 0.10
KINDS = ("littlefs", "fat", "spiffs")


def place_on(session: Session, size: int) -> Place:
    """A partition for files from `BASE` on."""
    partition = Partition("storage", 1, 0x83, BASE, size)
    return Place(DeviceFlash(session, listener=lambda _: None), BASE, size, "storage", partition)


def one_file(kind: str) -> tuple[float, float, int]:
    """Seconds of writing a 1 MB image, of putting one file into it, and sectors that changed.

    Some 70 % of the image is data that cannot be compressed.
    """
    r = random.Random(kind)
    files: dict[str, bytes | None] = {
        f"d{n % 4}/f{n}": r.randbytes(r.choice((1024, 3000, 12_000, 30_000))) for n in range(60)
    }
    files["d1/changed"] = r.randbytes(1024)
    image = build_image(kind, MB, files, Shape())
    with session_on("esp32s3", True, 921600, 1) as (session, board):
        place = place_on(session, MB)
        start = session.link.now()
        place.write(0, image)
        whole = session.link.now() - start
        place = place_on(session, MB)  # that has read nothing yet
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "changed")
            source.write_bytes(r.randbytes(1024))
            start = session.link.now()
            fs = file_systems.open_file_system(place)
            file_systems.put(fs, str(source), "d1/")
            sectors = file_systems.write_back(place, fs, listener=lambda _: None)
            took = session.link.now() - start
            files["d1/changed"] = source.read_bytes()
        after = open_image(board.nor.cells.read(BASE, MB))
        for path, data in files.items():
            if after.read(path) != data:
                raise AssertionError(f"{kind}: {path} is not what was written")
    return whole, took, sectors


def tree_round_trip(seed: int, kind: str, place: Place, folder: Path) -> int:
    """A random folder to an image, onto the device, back and into a folder. Returns its files.

    Raises:
        AssertionError: what came back is not what went in.
    """
    presets = [p for p in PRESETS if kind == "littlefs" or p not in ("micropython", "esp8266")]
    r = random.Random(f"{kind} {seed}")
    size = r.choice((0x40000, 0x80000, 0x100000))
    tree = random_tree(seed, kind, size)
    source, target = folder / "in", folder / "out"
    source.mkdir(parents=True)
    write_tree(source, tree)
    wear = r.choice(("none", "plain", "perf", "safe")) if kind == "fat" else None
    entries = 128 if wear in ("none", "plain") else 512
    shape = Shape(r.choice(presets), wear=wear, root_entries=entries)
    image = build_image(kind, size, file_systems.read_folder(str(source), size), shape)
    part = Place(place.flash, place.offset, size, place.label, place.partition)
    part.write(0, image)
    # What is read must come from the device.
    assert isinstance(part.flash, DeviceFlash)
    part.flash.forget(part.offset, size)
    fs = file_systems.open_file_system(part)
    file_systems.extract(fs, str(target))
    if read_tree(target) != tree:
        raise AssertionError(f"{kind} {seed}: what came back is not what went in")
    return len(tree)


def trees(kind: str, seeds: Sequence[int]) -> tuple[int, float]:
    """Files in all, and seconds of real time."""
    start, files = time.monotonic(), 0
    with session_on("esp32s3", True, 921600, 0) as (session, _board):
        place = place_on(session, MB)
        for seed in seeds:
            with tempfile.TemporaryDirectory() as folder:
                files += tree_round_trip(seed, kind, place, Path(folder))
    return files, time.monotonic() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trees", type=int, default=0, metavar="N")
    asked = parser.parse_args()
    for kind in KINDS:
        whole, took, sectors = one_file(kind)
        print(
            f"{kind:9} image {whole:6.2f} s, one file of 1 KB {took:5.2f} s "
            f"({took / whole:5.1%}), {sectors} sectors"
        )
        if kind == "littlefs" and took / whole > BOUND:
            sys.exit(f"more than {BOUND:.0%} of the time of the image")
    for kind in KINDS if asked.trees else ():
        files, seconds = trees(kind, range(asked.trees))
        print(f"{kind:9} {asked.trees} trees of {files} files are the same ({seconds:.0f} s)")


if __name__ == "__main__":
    main()

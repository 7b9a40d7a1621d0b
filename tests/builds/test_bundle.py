# SPDX-License-Identifier: Apache-2.0
"""Bundles: the same bytes each time, all that `flash` needs, and nothing that is not checked."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import esptool
from esptool.builds import bundle, find_build
from esptool.errors import FatalError
from tests.builds import shapes
from tests.builds.shapes import SHAPES, digest, idf


def make(what: str | Path, output: Path, **options: Any) -> bytes:
    """The bytes of a bundle."""
    esptool.make_bundle(what, output, listener=lambda _event: None, **options)
    return output.read_bytes()


@pytest.mark.parametrize("name", SHAPES)
def test_every_build_comes_out_of_its_bundle_as_it_went_in(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    shape = SHAPES[name](folder)
    make(shape.path, tmp_path / "product.zip", chip=shape.chip)
    before = find_build([shape.path]).build
    after = find_build([str(tmp_path / "product.zip")]).build
    assert [(p.role, p.offset, bytes(p.data), p.encrypted) for p in after.parts] == [
        (p.role, p.offset, bytes(p.data), p.encrypted) for p in before.parts
    ]
    for key in ("words", "encrypt", "before", "after", "stub"):
        assert getattr(after, key) == getattr(before, key), key
    assert after.chip == shape.chip
    assert before.kind in after.kind
    elf = bundle.elf_in(tmp_path / "product.zip")
    again = tmp_path / "again.zip"
    make(str(tmp_path / "product.zip"), again)
    assert bundle.elf_in(again) == elf
    # The second one knows of names what the first one tells.
    twice = make(str(again), tmp_path / "third.zip")
    assert twice == again.read_bytes()
    assert elf == (None if before.elf is None else Path(before.elf).read_bytes())


def test_the_same_build_gives_the_same_bytes_wherever_it_lies(tmp_path: Path) -> None:
    first = idf(tmp_path / "one" / "build", csv=shapes.OTA)
    second = idf(tmp_path / "other", csv=shapes.OTA)
    one = make(first.path, tmp_path / "1.zip")
    assert make(second.path, tmp_path / "2.zip") == one
    again = make(tmp_path / "1.zip", tmp_path / "3.zip", elf=False)
    assert again == make(first.path, tmp_path / "4.zip", elf=False)
    assert len(make(first.path, tmp_path / "5.zip", compress=True)) < len(one) // 2
    packed = find_build([str(tmp_path / "5.zip")]).build
    assert packed.parts == find_build([str(tmp_path / "1.zip")]).build.parts


def test_any_zip_program_can_look_into_it(tmp_path: Path) -> None:
    shape = idf(tmp_path / "build", csv=shapes.OTA, encrypted=True)
    make(shape.path, tmp_path / "product.zip")
    with zipfile.ZipFile(tmp_path / "product.zip") as archive:
        assert archive.testzip() is None
        said = json.loads(archive.read("bundle.json"))
        assert archive.namelist()[0] == "bundle.json"
        assert (said["format"], said["version"], said["chip"]) == ("esptool-bundle", 1, "esp32c3")
        assert said["project"] == "demo"
        assert said["flash"] == {"mode": "dio", "freq": "40m", "size": "4MB"}
        elf = (tmp_path / "build" / "demo.elf").read_bytes()
        assert said["build_id"] == digest(elf)
        assert archive.read(said["elf"]["file"]) == elf
        for image in said["images"]:
            assert digest(archive.read(image["file"])) == image["sha256"]
            assert image["encrypted"] is True


def test_an_elf_file_is_bundled_as_an_image(tmp_path: Path) -> None:
    shapes.put(
        tmp_path,
        {"a.elf": shapes.app_elf(), "boot.bin": shapes.boot(), "t.csv": shapes.OTA},
    )
    make(
        tmp_path / "a.elf",
        tmp_path / "product.zip",
        chip="esp32c3",
        bootloader=tmp_path / "boot.bin",
        partition_table=tmp_path / "t.csv",
    )
    build = find_build([str(tmp_path / "product.zip")]).build
    assert {p.offset: bytes(p.data) for p in build.parts} == {
        0: shapes.boot(),
        0x8000: shapes.table(shapes.OTA),
        0x10000: shapes.app(),
    }
    assert bundle.elf_in(tmp_path / "product.zip") == shapes.app_elf()


# --- wrong bundles -------------------------------------------------------------------------------

Manifest = dict[str, Any]


def rebuilt(data: bytes, change: Callable[[Manifest, dict[str, bytes]], None]) -> bytes:
    """A bundle with other content."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    said = json.loads(files.pop("bundle.json"))
    change(said, files)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bundle.json", json.dumps(said))
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def first(said: Manifest, **values: Any) -> None:
    said["images"][0].update(values)


def moved(name: str) -> Callable[[Manifest, dict[str, bytes]], None]:
    """An image under another name."""

    def change(said: Manifest, files: dict[str, bytes]) -> None:
        files[name] = files.pop(said["images"][0]["file"])
        first(said, file=name)

    return change


def bomb(said: Manifest, files: dict[str, bytes]) -> None:
    files[said["images"][0]["file"]] = bytes(1 << 20)
    first(said, size=bundle.LARGEST * 2)


CHANGES: dict[str, Callable[[Manifest, dict[str, bytes]], object]] = {
    "is not a valid bundle: its bundle.json is not of the format": lambda s, f: s.update(
        format="x"
    ),
    "is a bundle of version 2": lambda s, f: s.update(version=2),
    "its version is True": lambda s, f: s.update(version=True),
    "lacks 'images'": lambda s, f: s.pop("images"),
    "holds no images": lambda s, f: s.update(images=[]),
    "which is not a known chip": lambda s, f: s.update(chip="esp64"),
    "lacks 'size'": lambda s, f: s["images"][0].pop("size"),
    "has 'x' for 'offset'": lambda s, f: first(s, offset="x"),
    "an image is at -0x1": lambda s, f: first(s, offset=-1),
    "an image is a 'thing'": lambda s, f: first(s, role="thing"),
    "has another size": lambda s, f: first(s, size=17),
    "is not what was bundled": lambda s, f: first(s, sha256="0" * 64),
    "is missing": lambda s, f: f.pop(s["images"][1]["file"]),
    "'../evil' leads out of it": moved("../evil"),
    "'/etc/evil' leads out of it": moved("/etc/evil"),
    "'a\\\\b' leads out of it": moved("a\\b"),
    "'C:evil' leads out of it": moved("C:evil"),
    "an image is not a JSON object": lambda s, f: s["images"].append(3),
    "has 3 for 'notes'": lambda s, f: s.update(notes=3),
    "another size than its bundle.json says": bomb,
    "it holds 304 files": lambda s, f: f.update({f"x{i}": b"" for i in range(300)}),
}


@pytest.mark.parametrize("says", CHANGES)
def test_a_wrong_bundle_is_refused_in_words(says: str, tmp_path: Path) -> None:
    shape = idf(tmp_path / "build")
    good = make(shape.path, tmp_path / "good.zip", elf=False)
    path = tmp_path / "wrong.zip"
    path.write_bytes(rebuilt(good, CHANGES[says]))  # type: ignore[arg-type]
    with pytest.raises(FatalError) as caught:
        find_build([str(path)])
    assert says.replace("\\\\", "\\") in str(caught.value)
    assert len(str(caught.value).splitlines()) == 2


def test_a_zip_that_claims_less_than_it_holds_is_read_no_further(tmp_path: Path) -> None:
    shape = idf(tmp_path / "build")
    data = bytearray(make(shape.path, tmp_path / "good.zip", elf=False, compress=True))
    said = json.loads(zipfile.ZipFile(tmp_path / "good.zip").read("bundle.json"))
    real = said["images"][2]["size"]
    small = (1000).to_bytes(4, "little")
    # Both in the local header and in the directory, and in what the manifest says.
    data = bytearray(data.replace(real.to_bytes(4, "little"), small))
    path = tmp_path / "liar.zip"
    path.write_bytes(data)
    with pytest.raises(FatalError):
        find_build([str(path)])


def test_damage_and_other_archives_are_refused_in_words(tmp_path: Path) -> None:
    shape = idf(tmp_path / "build")
    good = make(shape.path, tmp_path / "good.zip")
    path = tmp_path / "wrong.zip"
    for at in range(0, len(good), len(good) // 40):
        path.write_bytes(good[:at] + bytes((good[at] ^ 0xFF,)) + good[at + 1 :])
        try:
            found = find_build([str(path)]).build
        except FatalError:
            continue
        whole = find_build([str(tmp_path / "good.zip")]).build
        assert found.parts == whole.parts
    path.write_bytes(good[:-100])
    with pytest.raises(FatalError, match="damaged"):
        find_build([str(path)])
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("build/flasher_args.json", "{}")
    with pytest.raises(FatalError, match="Unpack it and flash the folder"):
        find_build([str(path)])


def test_a_bundle_does_not_overwrite_what_it_is_made_of(tmp_path: Path) -> None:
    shape = idf(tmp_path / "build")
    with pytest.raises(FatalError, match="is the input"):
        make(shape.path, tmp_path / "build" / "demo.bin")
    make(shape.path, tmp_path / "product.zip")
    with pytest.raises(FatalError, match="is the input"):
        make(tmp_path / "product.zip", tmp_path / "product.zip")
    assert hashlib.sha256((tmp_path / "build" / "demo.bin").read_bytes())

# SPDX-License-Identifier: Apache-2.0
"""Every shell and Python example of the documentation works, on a virtual chip.

Blocks marked `console` hold commands behind `$ `; those marked `python` are programs, and those
with a title are files of that name. All blocks of a page run in order in one folder that holds the
files which examples speak of. A comment `<!-- chip: NAME -->` says which chip is meant;
ESPTOOL_PORT then names it.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import esptool
from esptool.chips import get

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PROGRAMS = ROOT / "tools" / "demo"
BLOCK = re.compile(
    r"^( *)```(?:(console|python)|\w+ title=\"([\w.-]+)\")\n(.*?)^\1```$",
    re.MULTILINE | re.DOTALL,
)
PAGES = [
    page
    for page in [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
    if BLOCK.search(page.read_text(encoding="utf-8"))
]


#: Where the table below has the application.
PARTITION_APP = 0x20000
PARTITIONS = """\
nvs,      data, nvs,      0x9000, 24K
otadata,  data, ota,      ,       8K
phy_init, data, phy,      ,       4K
factory,  app,  factory,  ,       512K
ota_0,    app,  ota_0,    ,       512K
ota_1,    app,  ota_1,    ,       512K
storage,  data, littlefs, ,       1M
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that examples name: images of the demonstration's programs, for every chip."""
    folder = tmp_path_factory.mktemp("files")
    shutil.copy(PROGRAMS / "hello.elf", folder / "app.elf")
    (folder / "partitions.csv").write_text(PARTITIONS)
    table = esptool.PartitionTable.from_csv(PARTITIONS)
    (folder / "partitions.bin").write_bytes(table.to_bytes())
    (folder / "key.bin").write_bytes(random.randbytes(32))
    return folder


def environment(chip: str, folder: Path) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {
        **os.environ,
        "PATH": path,
        "NO_COLOR": "1",
        "ESPTOOL_PORT": f"virtual://{chip}?state={folder}/virtual-board.bin",
    }


def images(folder: Path, chip: str) -> None:
    """Images that this chip accepts: an application, a changed one, and a boot loader."""
    chip_id = (get(chip).image_chip_id or 0).to_bytes(2, "little")
    for name, program, change in (
        ("app.bin", "hello", b""),
        ("app2.bin", "hello", b"changed"),
        ("bootloader.bin", "boot", b""),
    ):
        built = esptool.elf2image(str(PROGRAMS / f"{program}.elf"), "esp32s3", flash_size="4MB")
        assert isinstance(built, bytes)
        body = bytearray(built[:-32])
        body[12:14] = chip_id
        for at, byte in enumerate(change, 0x100):
            body[-1] ^= body[at] ^ byte  # the checksum
            body[at] = byte
        (folder / name).write_bytes(body + hashlib.sha256(body).digest())
    build = folder / "build"
    build.mkdir()
    files = {get(chip).flash.bootloader_offset: "bootloader.bin", 0x8000: "partitions.bin"}
    files[PARTITION_APP] = "app.bin"
    for name in files.values():
        shutil.copy(folder / name, build)
    said = {
        "flash_settings": {f"flash_{what}": "keep" for what in ("mode", "size", "freq")},
        "flash_files": {hex(at): name for at, name in files.items()},
        "extra_esptool_args": {"chip": chip},
    }
    (build / "flasher_args.json").write_text(json.dumps(said))


@pytest.mark.timeout(900)  # a page is up to thirty programs, on a machine that may be busy
@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_examples_of_a_page_work(page: Path, files: Path, tmp_path: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = re.search(r"<!-- chip: (\w+) -->", text)
    chip = named[1] if named else "esp32s3"
    shutil.copytree(files, tmp_path, dirs_exist_ok=True)
    env = environment(chip, tmp_path)
    images(tmp_path, chip)
    script = ["set -euo pipefail"]
    for number, (indent, kind, name, block) in enumerate(BLOCK.findall(text)):
        lines = [line.removeprefix(indent) for line in block.splitlines()]
        if name:
            (tmp_path / name).write_text("\n".join([*lines, ""]))
        elif kind == "python":
            program = tmp_path / f"example{number}.py"
            program.write_text("\n".join(lines))
            script.append(f"python -W ignore {program.name}")
        else:
            script += [f"set -x; {line[2:]}" for line in lines if line.startswith("$ ")]
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        timeout=890,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


@pytest.mark.parametrize("tool", ["gen_cli_docs.py", "gen_output_schema.py"])
def test_what_is_generated_of_the_commands_is_up_to_date(tool: str) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / tool, "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def anchors(page: Path) -> set[str]:
    heads = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    plain = (re.sub(r"[`*]|\[([^]]*)\]\([^)]*\)", r"\1", head).strip().lower() for head in heads)
    return {re.sub(r"[^\w\- ]", "", head).replace(" ", "-") for head in plain}


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda p: str(p.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        other = (page.parent / name).resolve() if name else page
        assert other.exists(), f"{page.name} links to {target}"
        if anchor and other.suffix == ".md":
            assert anchor in anchors(other), f"{page.name} links to {target}"


@pytest.mark.parametrize("start", [ROOT / "README.md", DOCS / "index.md"], ids=lambda p: p.name)
def test_every_guide_is_found_from_the_first_pages(start: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+\.md)", start.read_text(encoding="utf-8"))
    linked = {(start.parent / link).resolve() for link in links}
    guides = set((DOCS / "guide").glob("*.md"))
    assert guides
    assert not {page.name for page in guides - linked}

# SPDX-License-Identifier: Apache-2.0
"""Makes the folder that any web server can serve: the page, the engine, Python, the firmware."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

from esptool._version import __version__
from esptool.chips import get as get_chip
from esptool.chips.nor import SECTOR
from esptool.errors import FatalError, ImageError, UsageError
from esptool.events import Level, Listener, Message, ignore
from esptool.image.regions import Region, refuse_overlap
from esptool.records import dataclass
from esptool.web import core, manifest, pack

#: What says that a folder was made here, and may be made again.
MARK = "site.json"
FIRMWARE = "firmware"
MANIFEST = "manifest.json"
_PATIENCE_S = 300
_CORRECT = (
    "Correct the manifest, whose format is that of ESP Web Tools "
    "(https://esphome.github.io/esp-web-tools/)."
)
#: For pages that show a terminal, which makes its colours as it goes.
_STYLED = {"workbench.html"}
_TEMPLATES = (".html",)


@dataclass(frozen=True, slots=True)
class Site:
    """What was made.

    Attributes:
        folder: where.
        files: path in the folder and size of each file.
        compiled: Python's modules are compiled, so that the page starts in half the time.
    """

    folder: str
    files: tuple[tuple[str, int], ...]
    compiled: bool

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(size for _name, size in self.files)


def build(
    folder: str,
    *,
    manifest_file: str | None = None,
    regions: Sequence[Region] = (),
    chip: str | None = None,
    title: str | None = None,
    core_from: str = core.NPM,
    burning: bool = False,
    listener: Listener = ignore,
) -> Site:
    """Make a site in `folder`, which is new, empty, or one made before.

    Args:
        manifest_file: a manifest of ESP Web Tools; its files become part of the site.
        regions: in place of a manifest: what belongs where in the flash of `chip`.
        chip: our key for the chip that `regions` are for.
        title: name of the firmware; that of the manifest where it is not given.
        core_from: see `core.found`.
        burning: the workbench can burn eFuses; without it nothing that could is in the page.
        listener: told what goes on.

    Raises:
        FatalError: the folder holds something else, a file is missing, or the core is not what it
            has to be. The folder is as it was then.
    """
    target = Path(folder)
    _check_target(target)
    if regions and chip is None:
        raise UsageError("It is not said for which chip the files are.", remedy="Add --chip.")
    parent = target.absolute().parent
    # Before anything is fetched and compiled, which takes a minute.
    firmware = _firmware(manifest_file, regions, chip, title)
    for remark in () if firmware is None else firmware.manifest.remarks:
        listener(Message(f"'{manifest_file}': {remark}", Level.NOTE))
    try:
        parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=parent))
    except OSError as e:
        raise FatalError(
            f"Cannot make a folder in '{parent}': {e.strerror}.",
            remedy="Name a place where you may make one.",
        ) from None
    try:
        compiled = _fill(made, core_from, burning, listener)
        _put(made, firmware)
        _finish(made, firmware, title, burning)
        os.chmod(made, 0o755)
        _swap(made, target)
    except OSError as e:
        raise FatalError(
            f"Cannot make '{folder}': {e.strerror or e}.",
            remedy="See that there is room, and that you may write there.",
        ) from None
    finally:
        shutil.rmtree(made, ignore_errors=True)
    files = tuple(
        (path.relative_to(target).as_posix(), path.stat().st_size)
        for path in sorted(target.rglob("*"))
        if path.is_file()
    )
    return Site(folder, files, compiled)


def _check_target(target: Path) -> None:
    if target.exists() and not target.is_dir():
        raise UsageError(f"'{target}' is not a folder.")
    if target.is_dir() and any(target.iterdir()) and not (target / MARK).is_file():
        raise UsageError(
            f"'{target}' holds something else.", remedy="Name a new or an empty folder."
        )


def _swap(made: Path, target: Path) -> None:
    """Put the finished folder in place; the one that was there goes when the new one stands."""
    old = made.with_name(made.name + "-old")
    had = target.exists()
    if had:
        os.rename(target, old)
    try:
        os.rename(made, target)
    except OSError:
        if had:
            os.rename(old, target)
        raise
    if had:
        shutil.rmtree(old, ignore_errors=True)


# --- page, engine, core ------------------------------------------------------------------------


def sources() -> Path:
    """The folder with the page's sources: part of the package, a link in a checkout."""
    found = Path(__file__).with_name("page")
    if not found.is_dir():  # a system without links has a file there
        found = Path(__file__).parents[3] / "web"
    return found


def _fill(made: Path, core_from: str, burning: bool, listener: Listener) -> bool:
    for path in sources().iterdir():
        if path.is_file():
            shutil.copyfile(path, made / path.name)
    listener(Message("Taking Python for the browser and the libraries of the page..."))
    with core.found(core_from) as files:
        for package in core.PACKAGES:
            for name, (place, _digest) in package.files.items():
                if place:
                    (made / place).parent.mkdir(exist_ok=True)
                    shutil.copyfile(files[f"{package.name}/{name}"], made / place)
        lock = json.loads(files["pyodide/pyodide-lock.json"].read_bytes())
        (made / "core" / "lock.json").write_text(json.dumps({**lock, "packages": {}}))
        stdlib = made / "core" / "python_stdlib.zip"
        stdlib.write_bytes(pack.library(files["pyodide/python_stdlib.zip"]))
        engine = made / "engine.zip"
        engine.write_bytes(pack.engine(Path(__file__).parents[2], burning=burning))
        compiled = _compile(files["pyodide/pyodide.mjs"].parent, [stdlib, engine], listener)
        (made / "engine.bin").write_bytes(pack.folded(engine.read_bytes()))
        engine.unlink()
    (made / "vendor" / "NOTICES.txt").write_text(
        core.notices(*(pack.CODES_NOTICE,) if burning else ())
    )
    return compiled


def _compile(core_folder: Path, archives: Sequence[Path], listener: Listener) -> bool:
    """Compile for the page's Python where Node.js is there to run it; the sources do as well."""
    node = shutil.which("node")
    if node is None:
        listener(
            Message(
                "Node.js is not installed: the page compiles Python each time it is opened, and "
                "takes seconds longer.",
                Level.NOTE,
            )
        )
        return False
    listener(Message("Compiling..."))
    script = str(Path(__file__).with_name("compile.mjs"))

    def compiled(archive: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [node, script, str(core_folder), str(archive)],
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S,
            stdin=subprocess.DEVNULL,
        )

    try:
        with ThreadPoolExecutor() as at_once:
            runs = list(at_once.map(compiled, archives))
    except (OSError, subprocess.TimeoutExpired) as e:
        raise FatalError(f"Node.js failed to compile the page's Python: {e}.") from None
    for done in runs:
        if done.returncode:
            said = done.stderr.strip().splitlines() or ["it gave no reason"]
            raise FatalError(f"Node.js failed to compile the page's Python: {said[-1]}")
    return True


# --- firmware ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Firmware:
    """What a page offers: its manifest, and the files below the folder of the firmware by path."""

    manifest: manifest.Manifest
    files: dict[str, bytes]


def _firmware(
    manifest_file: str | None,
    regions: Sequence[Region],
    chip: str | None,
    title: str | None,
) -> Firmware | None:
    """Read the firmware, all of it.

    Raises:
        ImageError: the manifest is none, or a file that it names cannot be read or has no place.
    """
    if manifest_file is not None:
        base = Path(manifest_file).parent
        text = _read(Path(manifest_file), "The manifest is named by --manifest.")
        try:
            found = manifest.parse(text)
        except ImageError as e:
            raise ImageError(
                f"'{manifest_file}': {e.message}", remedy=e.remedy or _CORRECT
            ) from None
        files = {MANIFEST: text}
        for path in dict.fromkeys(part.path for b in found.builds for part in b.parts):
            inside = _inside(path)
            files[inside] = _read(
                base / inside,
                f"The manifest names it as '{path}': put it there, or correct the manifest.",
            )
        for one in found.builds:
            _refuse_overlap(one, files, manifest_file)
        return Firmware(found, files)
    if not regions:
        return None
    assert chip is not None
    files = {}
    parts = []
    for region in regions:
        name = f"{region.address:08x}-{_plain(region.name)}"
        files[name] = bytes(region.data)
        parts.append({"path": name, "offset": region.address})
    data = {
        "name": title or "Firmware",
        "new_install_prompt_erase": True,
        "builds": [{"chipFamily": get_chip(chip).name, "parts": parts}],
    }
    files[MANIFEST] = json.dumps(data, indent=2).encode()
    return Firmware(manifest.parse(files[MANIFEST]), files)


def _refuse_overlap(one: manifest.Build, files: dict[str, bytes], manifest_file: str) -> None:
    """Each file has sectors of its own, as erasing takes whole ones."""
    regions = [Region(p.offset, files[_inside(p.path)], p.path) for p in one.parts]
    try:
        refuse_overlap(regions, SECTOR, together=False)
    except ImageError as e:
        raise ImageError(
            f"'{manifest_file}', the build for {one.family}: {e.message}",
            remedy="Correct the offsets: no two files may share a sector of flash (4096 bytes).",
        ) from None


def _put(made: Path, firmware: Firmware | None) -> None:
    for name, data in () if firmware is None else firmware.files.items():
        target = made / FIRMWARE / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


def _plain(name: str | None) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "_", os.path.basename(name or "part.bin"))


def _inside(path: str) -> str:
    """Where a file that a manifest names lies below the folder of the manifest."""
    url = urlsplit(path)
    inside = os.path.normpath(unquote(url.path))
    if url.scheme or url.netloc or os.path.isabs(inside) or inside.startswith(".."):
        raise ImageError(
            f"The manifest names '{path}', which is not below its folder.",
            remedy="A page fetches nothing from elsewhere: put the file beside the manifest.",
        )
    if inside == MANIFEST:
        raise ImageError("The manifest names itself as firmware.")
    return inside


def _read(path: Path, remedy: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as e:
        raise ImageError(f"Cannot read '{path}': {e.strerror}.", remedy=remedy) from None


# --- integrity ---------------------------------------------------------------------------------


def integrity(data: bytes) -> str:
    """What browsers compare with what they fetch (Subresource Integrity)."""
    return "sha384-" + base64.b64encode(hashlib.sha384(data).digest()).decode()


def policy(import_map: str, *, styled: bool = False) -> str:
    """The Content Security Policy of a page: its own files, and nothing else."""
    digest = base64.b64encode(hashlib.sha256(import_map.encode()).digest()).decode()
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src 'self' 'wasm-unsafe-eval' 'sha256-{digest}'",
            "style-src 'self' 'unsafe-inline'" if styled else "style-src 'self'",
            "connect-src 'self' blob:",
            "worker-src 'self'",
            "img-src 'self' data:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _finish(made: Path, firmware: Firmware | None, title: str | None, burning: bool) -> None:
    """Hashes of all files, and what the page is told of itself."""
    lock = (made / "core" / "lock.json").read_text()
    (made / "core" / "lock.json").unlink()
    hashes = {
        path.relative_to(made).as_posix(): integrity(path.read_bytes())
        for path in sorted(made.rglob("*"))
        if path.is_file() and path.suffix not in _TEMPLATES and path.name != "sw.js"
    }
    modules = {f"./{n}": h for n, h in hashes.items() if n.endswith((".js", ".mjs"))}
    import_map = json.dumps({"integrity": modules}, sort_keys=True)
    for path in made.glob("*.html"):
        page = _page(path.read_text(encoding="utf-8"), hashes, import_map, path.name in _STYLED)
        path.write_text(page, encoding="utf-8")
    site = {
        "version": __version__,
        "title": title or (firmware.manifest.name if firmware is not None else None),
        "manifest": None if firmware is None else f"{FIRMWARE}/{MANIFEST}",
        "burning": burning,
        "lock": lock,
        "start": _start_of(hashes),
        "integrity": hashes,
    }
    (made / MARK).write_text(json.dumps(site, indent=1))
    with suppress(FileNotFoundError):
        _worker_of_cache(made)


def _start_of(hashes: dict[str, str]) -> str:
    """What Python's memory depends on when the page has started."""
    of = ("core/", "engine.bin", "worker.js")
    parts = [digest for name, digest in sorted(hashes.items()) if name.startswith(of)]
    return hashlib.sha256("".join(parts).encode()).hexdigest()[:16]


def _page(text: str, hashes: dict[str, str], import_map: str, styled: bool) -> str:
    """A page with its policy, the hashes of its modules, and of what it names itself."""
    head = (
        f'<meta http-equiv="Content-Security-Policy" content="{policy(import_map, styled=styled)}">'
        f'\n<script type="importmap">{import_map}</script>'
    )
    text = text.replace("<!-- head -->", head)

    def with_hash(match: re.Match[str]) -> str:
        digest = hashes.get(match[2])
        return match[0] if digest is None else f'{match[1]}"{match[2]}" integrity="{digest}"'

    return re.sub(r'(<(?:script|link)\b[^>]*?\b(?:src|href)=)"([^"]+)"', with_hash, text)


def _worker_of_cache(made: Path) -> None:
    """The service worker knows every file and its hash, so that a visit is all of one build."""
    worker = made / "sw.js"
    files = {
        path.relative_to(made).as_posix(): integrity(path.read_bytes())
        for path in sorted(made.rglob("*"))
        if path.is_file() and path != worker and path.parent.name != FIRMWARE
    }
    build_id = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()[:16]
    known = json.dumps({"id": build_id, "files": files}, sort_keys=True)
    text = worker.read_text(encoding="utf-8")
    worker.write_text(text.replace("/* build */ {}", known), encoding="utf-8")

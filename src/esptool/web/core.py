# SPDX-License-Identifier: Apache-2.0
"""The parts of a page that others make: Python for the browser and two libraries, each pinned.

They come through the npm client, or from a folder that the user names, and every file is held
against the hash that stands here. Nothing of them is part of this package.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from esptool.errors import FatalError, UsageError

#: `--core npm`: take them through the npm client.
NPM = "npm"
#: A registry that does not answer is not waited for any longer.
_PATIENCE_S = 300


@dataclass(frozen=True, slots=True)
class Package:
    """A package of the npm registry.

    Attributes:
        name, version: as the registry has them.
        licence: SPDX name.
        integrity: of the whole archive, as the registry gives it.
        files: path in the package to (path in the site, SHA-256); a site path of "" is needed only
            to make the site.
    """

    name: str
    version: str
    licence: str
    integrity: str
    files: Mapping[str, tuple[str, str]] = field(default_factory=dict)


PACKAGES = (
    Package(
        "pyodide",
        "314.0.7",
        "MPL-2.0",
        "sha512-0YvXxEhfEdpLfb/XkM2BFAeMROq0iMUX2bzzH9pOttyMcWkwq+HbE5uyuGD82LN7y2q+SNvi/6V5JEsOlD2R1A==",
        {
            "pyodide.mjs": (
                "core/pyodide.mjs",
                "6f1d60f7bf529beb300f0f47983c921d3982363640ba20af0e38efdddbc66109",
            ),
            "pyodide.asm.mjs": (
                "core/pyodide.asm.mjs",
                "f7cdc8ece80678ceb712f8e65ebe6d3a83203a180c399865f49612a051693635",
            ),
            "pyodide.asm.wasm": (
                "core/pyodide.asm.wasm",
                "cc36e3cab04fdfc9a63ff13eb52eae2b911bf46c025cc7b281f394bd3de1d5e6",
            ),
            "python_stdlib.zip": (
                "",
                "fa1957e5777068fc4f7437f96d860ae2fbe9c19732ba06c84e004ec16dd7dd7a",
            ),
            "pyodide-lock.json": (
                "",
                "5dc2fc119108bc148c7457dc86e7675b5c87e1cafd420b9c34c1eaef7b36c010",
            ),
        },
    ),
    Package(
        "@xterm/xterm",
        "6.0.0",
        "MIT",
        "sha512-TQwDdQGtwwDt+2cgKDLn0IRaSxYu1tSUjgKarSDkUM0ZNiSRXFpjxEsvc/Zgc5kq5omJ+V0a8/kIM2WD3sMOYg==",
        {
            "lib/xterm.mjs": (
                "vendor/xterm.mjs",
                "b336ec65a086c056d4804b3d4c2347da5663d3f23c3f25be866467bd8857ad59",
            ),
            "css/xterm.css": (
                "vendor/xterm.css",
                "854a7c0fb70e8b1a083c16797ab827299fb18744f5ad34f227b48337e33293c6",
            ),
        },
    ),
    Package(
        "web-serial-polyfill",
        "1.0.15",
        "Apache-2.0",
        "sha512-usZN7kGRkEWr8DzRWxW+og55L1fHo4hNIwxCSCfWKpM+i0L+2AwzupMvkDFxnJNqUFOhLaD3PlgAOJxUOUrAoA==",
        {
            "dist/serial.js": (
                "vendor/serial-polyfill.js",
                "739e8a556a1453c87a619b2520dcbda39f0cea55c5d0bf865bc5967e7e4fcad0",
            )
        },
    ),
)


@contextmanager
def found(core: str) -> Iterator[dict[str, Path]]:
    """The files of all packages, by "PACKAGE/PATH", each of the right content.

    Args:
        core: "npm", or a folder that holds the packages as `node_modules` does.

    Raises:
        FatalError: npm is not there or fails, or a file is missing or another one.
    """
    with tempfile.TemporaryDirectory(prefix="esptool-web-") as scratch:
        folder = _from_npm(Path(scratch)) if core == NPM else Path(core)
        if not folder.is_dir():
            raise UsageError(
                f"There is no folder '{core}'.",
                remedy="Name one that 'npm install pyodide @xterm/xterm web-serial-polyfill' has "
                "made (its node_modules), or --core npm.",
            )
        yield _checked(folder)


def _checked(folder: Path) -> dict[str, Path]:
    files = {}
    for package in PACKAGES:
        for name, (_target, digest) in package.files.items():
            path = folder / package.name / name
            try:
                content = path.read_bytes()
            except OSError as e:
                raise FatalError(
                    f"{package.name}/{name} is not in '{folder}': {e.strerror}.",
                    remedy=f"It belongs to {package.name} {package.version} of the npm registry.",
                ) from None
            if hashlib.sha256(content).hexdigest() != digest:
                raise FatalError(
                    f"'{path}' is not that of {package.name} {package.version}.",
                    remedy="Only files whose hash is known become part of a page. "
                    f"Install {package.name}@{package.version}.",
                )
            files[f"{package.name}/{name}"] = path
    return files


def _from_npm(scratch: Path) -> Path:
    """Fetch and unpack all packages."""
    npm = shutil.which("npm")
    if npm is None:
        raise FatalError(
            "The npm client is not installed.",
            remedy="Install Node.js, or name a folder with --core.",
        )
    names = [f"{package.name}@{package.version}" for package in PACKAGES]
    arguments = ["pack", *names, "--pack-destination", str(scratch), "--ignore-scripts", "--silent"]
    # npm reads settings of the folder it is started in; a user's own stay in force.
    try:
        done = subprocess.run(
            [npm, *arguments],
            cwd=scratch,
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "npm_config_update_notifier": "false"},
        )
    except (OSError, subprocess.TimeoutExpired) as e:
        raise FatalError(f"The npm client failed: {e}.") from None
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise FatalError(
            f"npm could not fetch {', '.join(names)}: {said[-1] if said else 'it gave no reason'}",
            remedy="Check the connection to the registry, or name a folder with --core.",
        )
    for package in PACKAGES:
        _unpack(package, scratch)
    return scratch


def _unpack(package: Package, scratch: Path) -> None:
    flat = package.name.lstrip("@").replace("/", "-")
    archive = scratch / f"{flat}-{package.version}.tgz"
    digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if f"sha512-{digest}" != package.integrity:
        raise FatalError(f"What npm gave for {package.name} {package.version} is another archive.")
    with tarfile.open(archive) as tar:
        for name in package.files:
            target = scratch / package.name / name
            target.parent.mkdir(parents=True, exist_ok=True)
            member = tar.extractfile(f"package/{name}")
            if member is None:
                raise FatalError(f"{package.name} {package.version} has no {name}.")
            target.write_bytes(member.read())


def notices(*more: str) -> str:
    """What a page says of the work of others in it; `more` are lines of further packages."""
    lines = ["This page is made by esptool (Apache-2.0) and contains, unchanged unless said:", ""]
    for package in PACKAGES:
        changed = " (library trimmed and compiled)" if package.name == "pyodide" else ""
        lines.append(
            f"{package.name} {package.version}{changed}, {package.licence}, "
            f"https://www.npmjs.com/package/{package.name}/v/{package.version}"
        )
    lines += more
    lines += ["pyodide contains CPython, PSF-2.0, https://docs.python.org/3/license.html", ""]
    return "\n".join(lines)

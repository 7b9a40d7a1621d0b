# SPDX-License-Identifier: Apache-2.0
"""Making a page: what is refused, and that a folder is whole or as it was. No browser."""

from __future__ import annotations

import json
import re
import urllib.request
from pathlib import Path

import pytest

from esptool.errors import FatalError, ImageError, UsageError
from esptool.web import build as builder
from esptool.web import core
from esptool.web.build import build, integrity
from esptool.web.serve import Server
from tests.web.conftest import running

pytestmark = [pytest.mark.xdist_group("browser"), pytest.mark.timeout(900)]


def test_every_file_has_its_hash_and_the_policy_allows_the_pages_own_alone(site: Path) -> None:
    told = json.loads((site / "site.json").read_text())["integrity"]
    for name, digest in told.items():
        assert integrity((site / name).read_bytes()) == digest
    page = (site / "index.html").read_text()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert policy[1].startswith("default-src 'none'; script-src 'self' 'wasm-unsafe-eval' 'sha256-")
    assert not re.search(r"https?://|\*|unsafe-inline|unsafe-eval(?<!wasm-unsafe-eval)", policy[1])
    assert f'src="install.js" integrity="{told["install.js"]}"' in page


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(UsageError, match="something else"):
        build(str(tmp_path))
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_another_core_than_the_one_that_is_known_is_refused(tmp_path: Path) -> None:
    package = tmp_path / "modules" / "pyodide"
    package.mkdir(parents=True)
    for name in core.PACKAGES[0].files:
        (package / name).write_bytes(b"something else")
    with pytest.raises(FatalError, match=r"is not that of pyodide 314\.0\.7"):
        build(str(tmp_path / "out"), core_from=str(tmp_path / "modules"))
    assert [p.name for p in tmp_path.iterdir()] == ["modules"]


@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "https://elsewhere/x.bin"])
def test_a_manifest_that_names_a_file_elsewhere_is_refused(tmp_path: Path, path: str) -> None:
    text = {"builds": [{"chipFamily": "ESP32", "parts": [{"path": path, "offset": 0}]}]}
    (tmp_path / "manifest.json").write_text(json.dumps(text))
    (tmp_path / "made").mkdir()
    with pytest.raises(ImageError, match="not below its folder"):
        builder._firmware(tmp_path / "made", str(tmp_path / "manifest.json"), (), None, None)


def test_a_page_is_served_on_loopback_with_the_types_that_browsers_insist_on(site: Path) -> None:
    server = Server(str(site), 0)
    assert server.server_address[0] == "127.0.0.1"
    with running(server):
        for name, kind in (
            ("core/pyodide.asm.wasm", "application/wasm"),
            ("sw.js", "text/javascript"),
        ):
            with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/{name}") as answer:
                assert answer.headers["Content-Type"] == kind


def test_what_is_no_page_is_not_served(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no page"):
        Server(str(tmp_path), 0)

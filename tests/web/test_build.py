# SPDX-License-Identifier: Apache-2.0
"""Making a page: what is refused, and that a folder is whole or as it was. No browser."""

from __future__ import annotations

import json
import re
import urllib.request
from pathlib import Path

import pytest

import esptool
from esptool.errors import FatalError, ImageError, UsageError
from esptool.web import build as builder
from esptool.web import core, manifest
from esptool.web.build import build, integrity
from esptool.web.serve import Server
from tests.support.apps import app
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
    with pytest.raises(ImageError, match="not below its folder"):
        build(str(tmp_path / "out"), manifest_file=str(tmp_path / "manifest.json"))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"builds": [{"chipFamily": "ESP32", "parts": [{"path": "no.bin"}]}]}', "no.bin"),
        ("{", r"manifest\.json': The manifest is not JSON"),
        ('{"name": "x"}', "builds"),
        (
            '{"builds": [{"chipFamily": "ESP23", "parts": []}]}',
            r"known, but for ESP23\..*\bESP32-C3\b",
        ),
        ('{"builds": [{"chipFamily": "ESP32", "parts": []}]}', "has no parts.*firmware.bin"),
        (
            '{"builds": [{"chipFamily": "ESP32", "parts": [{"path": "./a.bin", '
            '"offset": 65536}, {"path": "a.bin", "offset": 65540}]}]}',
            "the build for ESP32: Detected overlap at address: 0x10004.*Correct the offsets",
        ),
    ],
)
def test_a_manifest_is_judged_before_anything_is_fetched_or_compiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, told: str
) -> None:
    def begun(*_: object) -> None:
        raise AssertionError("the long work has begun")

    monkeypatch.setattr(builder, "_fill", begun)
    (tmp_path / "manifest.json").write_text(text)
    (tmp_path / "a.bin").write_bytes(b"12345678")
    with pytest.raises(ImageError) as caught:
        build(str(tmp_path / "out"), manifest_file=str(tmp_path / "manifest.json"))
    assert {p.name for p in tmp_path.iterdir()} == {"a.bin", "manifest.json"}
    assert re.search(told, f"{caught.value.message} {caught.value.remedy}")
    assert caught.value.remedy
    if told == "no.bin":
        assert "correct the manifest" in caught.value.remedy


@pytest.mark.usefixtures("bare")
def test_a_build_that_is_passed_over_is_noted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    part = {"path": "a.bin", "offset": 0x10000}
    families = ("ESP32", "ESP23", "ESP32")
    text = {"builds": [{"chipFamily": name, "parts": [part]} for name in families]}
    Path("m.json").write_text(json.dumps(text))
    Path("a.bin").write_bytes(b"1234")
    esptool.main(["web", "build", "out", "--manifest", "m.json"])
    said = "".join(capsys.readouterr())
    assert "'m.json': builds[1]: ESP23 is not a chip that is known here." in said
    assert "'m.json': builds[2]: there is a build for ESP32 already." in said


def test_files_that_are_no_manifest_are_missed_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="Cannot read") as caught:
        build(str(tmp_path / "out"), manifest_file=str(tmp_path / "no.json"))
    assert "--manifest" in str(caught.value.remedy)


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


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """A site of firmware alone: what else belongs into it is the same for every site."""

    def fill(made: Path, core_from: str, burning: bool, listener: object) -> bool:
        (made / "core").mkdir()
        (made / "core" / "lock.json").write_text("{}")
        return False

    monkeypatch.setattr(builder, "_fill", fill)


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize("chip", [["--chip", "esp32c3"], []], ids=["chip", "chip-of-the-image"])
def test_files_at_addresses_become_a_manifest_with_one_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chip: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    contents = {0x8000: b"\x5a" * 0xC00, 0x10000: app("esp32c3", size=20_000)}
    Path("table.bin").write_bytes(contents[0x8000])
    Path("my app.bin").write_bytes(contents[0x10000])
    files = ["0x8000", "table.bin", "0x10000", "my app.bin"]
    esptool.main([*chip, "web", "build", "out", "--title", "My lamp", *files])

    told = json.loads(Path("out/site.json").read_text())
    assert (told["title"], told["manifest"]) == ("My lamp", "firmware/manifest.json")
    made = manifest.parse(Path("out", told["manifest"]).read_bytes())
    assert (made.name, [build.chip for build in made.builds]) == ("My lamp", ["esp32c3"])
    found = {p.offset: Path("out/firmware", p.path).read_bytes() for p in made.builds[0].parts}
    assert found == contents
    for part in made.builds[0].parts:
        assert told["integrity"][f"firmware/{part.path}"] == integrity(found[part.offset])


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["0x10000", "data.bin"], "not said for which chip"),
        (["0x10000", "data.bin", "0x10000", "data.bin"], "overlap"),
        (["--manifest", "m.json", "0x10000", "data.bin"], "names the files already"),
    ],
    ids=["no-chip", "overlap", "manifest-and-files"],
)
def test_files_that_make_no_site_leave_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data.bin").write_bytes(b"\x00" * 100)
    Path("m.json").write_text("{}")
    with pytest.raises(FatalError, match=told):
        esptool.main(["web", "build", "out", *arguments])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data.bin", "m.json"]

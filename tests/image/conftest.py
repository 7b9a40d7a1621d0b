# SPDX-License-Identifier: Apache-2.0
"""What the image tests share: the public tool in one long-lived process, compiled ELF files."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from esptool.image.convert import convert_elf
from tests.image.elfmaker import C3_ELF, ELF_8266, Elf, Part, pattern
from tests.image.programs import PROGRAMS, compile_all
from tests.support import oracle

HERE = Path(__file__).parent


class PublicTool:
    """Calls into the public tool's Python interface."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [oracle.python(), HERE / "oracle_driver.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "NO_COLOR": "1", "COLUMNS": "400"},
        )

    def ask(self, call: str, **request: Any) -> dict[str, Any]:
        """The whole answer: "ok" or "error", and what was printed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"call": call, **request}) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def elf2image(self, elf: Path, chip: str, options: dict[str, Any]) -> Any:
        """Bytes, a pair of bytes, or None where the public tool fails."""
        answer = self.ask("elf2image", elf=str(elf), chip=chip, options=options)
        if "error" in answer:
            return None
        return self.decode(answer["ok"])

    @staticmethod
    def decode(value: Any) -> Any:
        """Bytes, or a pair of bytes, from an answer."""
        if isinstance(value, list):
            return tuple(None if v is None else base64.b64decode(v) for v in value)
        return base64.b64decode(value)

    def merge_bin(
        self,
        pairs: list[tuple[int, bytes]],
        chip: str,
        options: dict[str, Any],
        output: Path | None = None,
    ) -> bytes | None:
        """The merged bytes, None where the public tool fails."""
        coded = [(a, base64.b64encode(d).decode()) for a, d in pairs]
        answer = self.ask(
            "merge_bin",
            pairs=coded,
            chip=chip,
            options=options,
            output=None if output is None else str(output),
        )
        return None if "error" in answer else base64.b64decode(answer["ok"])

    def image_info(self, image: bytes, chip: str | None = None) -> str | None:
        """What it prints, None where it fails."""
        coded = base64.b64encode(image).decode()
        answer = self.ask("image_info", image=coded, chip=chip)
        return None if "error" in answer else str(answer["text"])

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=100)
        assert self._process.stdout is not None
        self._process.stdout.close()


@pytest.fixture(scope="session")
def public_tool() -> Iterator[PublicTool]:
    tool = PublicTool()
    yield tool
    tool.close()


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """ELF files made by real compilers, by name; those whose compiler is missing are left out."""
    return compile_all(tmp_path_factory.mktemp("elf"))


@pytest.fixture
def program(request: pytest.FixtureRequest, programs: dict[str, Path]) -> Path:
    """One of them (indirect parameter)."""
    name = request.param
    if name not in programs:
        message = f"no {PROGRAMS[name].compiler} here to compile '{name}'"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return programs[name]


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Path]:
    """A folder that is emptied at once, as some of these files are large."""
    yield tmp_path
    shutil.rmtree(tmp_path, ignore_errors=True)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with an ELF file for ESP32-C3, one for ESP8266, an image, and some data."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "app.elf").write_bytes(C3_ELF)
    (tmp_path / "old.elf").write_bytes(ELF_8266)
    (tmp_path / "app.img").write_bytes(convert_elf(C3_ELF, "esp32c3").data)
    (tmp_path / "kb.bin").write_bytes(pattern(1024))
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "text.elf").write_bytes(b"this is not an ELF file")
    (tmp_path / "pc.elf").write_bytes(Elf([Part(".t", 0x1000, b"1234")], machine=0x3E).build())
    (tmp_path / "bad.hex").write_bytes(b":0400000001020304F2\n:0400040001020304F2\n")
    (tmp_path / "dir").mkdir()
    return tmp_path

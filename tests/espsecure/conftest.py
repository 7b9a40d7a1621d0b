# SPDX-License-Identifier: Apache-2.0
"""Running both programs in a process, and keys of every kind."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import espsecure
from esptool.errors import FatalError
from tests.support import oracle as support

SCHEMES = ("rsa3072", "ecdsa192", "ecdsa256", "ecdsa384")


@dataclass(frozen=True)
class Result:
    """What a run printed, and its exit code."""

    code: int
    out: str
    err: str


Run = Callable[..., Result]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command line of ours in this process."""

    def call(*args: object) -> Result:
        code, error = 0, ""
        capsys.readouterr()
        try:
            espsecure.main([os.fspath(a) if isinstance(a, Path) else str(a) for a in args])
        except SystemExit as e:
            code = e.code if isinstance(e.code, int) else 1
        except FatalError as e:
            code, error = 2, str(e)
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err + error)

    return call


@pytest.fixture
def ok(run: Run) -> Run:
    """Run a command line of ours that must succeed."""

    def call(*args: object) -> Result:
        result = run(*args)
        assert result.code == 0, result.err
        return result

    return call


@pytest.fixture
def refused(run: Run) -> Run:
    """Run a command line of ours that must end with one clear error."""

    def call(*args: object) -> Result:
        result = run(*args)
        assert result.code == 2, result
        assert result.err.strip()
        assert "Traceback" not in result.err
        return result

    return call


class Oracle:
    """The public tool, waiting for command lines."""

    def __init__(self) -> None:
        script = Path(__file__).with_name("oracle_driver.py")
        self._process = subprocess.Popen(
            [support.python(), script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd="/",
            env={**os.environ, "NO_COLOR": "1", "COLUMNS": "200"},
        )

    def run(self, *args: object) -> Result:
        """Run one of its command lines."""
        assert self._process.stdin
        assert self._process.stdout
        print(json.dumps([str(a) for a in args]), file=self._process.stdin, flush=True)
        return Result(**json.loads(self._process.stdout.readline()))

    def ok(self, *args: object) -> Result:
        """Run one that must succeed."""
        result = self.run(*args)
        assert result.code == 0, result
        return result

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(100)


@pytest.fixture(scope="session")
def oracle() -> Iterator[Oracle]:
    """The public tool in one process for all tests."""
    driver = Oracle()
    yield driver
    driver.close()


@pytest.fixture(scope="session")
def key_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two keys of each scheme, private and public: `rsa3072.pem`, `rsa3072-2.pem`, `....pub`."""
    from espsecure import keys

    folder = tmp_path_factory.mktemp("keys")
    for scheme in SCHEMES:
        for suffix in ("", "-2"):
            key = keys.generate(scheme)
            (folder / f"{scheme}{suffix}.pem").write_bytes(keys.private_pem(key))
            (folder / f"{scheme}{suffix}.pub").write_bytes(keys.public_pem(key.public_key()))
    return folder


@pytest.fixture(scope="session")
def openssl() -> Callable[..., subprocess.CompletedProcess[bytes]]:
    """OpenSSL's command line."""
    program = shutil.which("openssl")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("openssl is not installed")
        pytest.skip("openssl is not installed")

    def call(*args: object) -> subprocess.CompletedProcess[bytes]:
        assert program
        return subprocess.run(
            [program, *map(str, args)], capture_output=True, timeout=110, check=False
        )

    return call

# SPDX-License-Identifier: Apache-2.0
"""`flash` writes the same bytes to the same places as the build system's own command line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import esptool
from esptool.virtual.board import NAMED
from esptool.virtual.options import parse_url
from esptool.virtual.server import TcpServer, running
from tests.builds.shapes import SHAPES, Shape
from tests.support import oracle

SIZE = 4 << 20


@pytest.fixture(scope="module")
def public() -> Iterator[Callable[[Shape], bytes]]:
    """What the public tool brings to flash by the arguments of a build system."""
    driver = Path(__file__).parents[1] / "virtual" / "oracle_driver.py"
    with oracle.driver(driver, oracle.patient_environment()) as child:

        def flashed(shape: Shape) -> bytes:
            cwd = shape.folder / shape.cwd
            words = [str(cwd / w) if (cwd / w).is_file() else w for w in shape.words]
            with running(TcpServer(parse_url(f"virtual://{shape.chip}"))) as server:
                line = ["--port", server.url, "--no-stub", "write-flash", *words]
                code, out, err = oracle.ask(child, line)
                assert code == 0, f"{line}: {err}\n{out}"
                return bytes(server.board.nor.cells.read(0, SIZE))

        yield flashed


@pytest.mark.oracle
@pytest.mark.timeout(240)
@pytest.mark.parametrize("name", SHAPES)
def test_as_the_public_tool_by_the_build_systems_arguments(
    name: str, public: Callable[[Shape], bytes], tmp_path: Path
) -> None:
    shape = SHAPES[name](tmp_path)
    url = f"virtual://{shape.chip}?name=same-{name}&stub=model"
    esptool.main(["--port", url, "flash", shape.path])
    ours = bytes(NAMED[f"same-{name}"].nor.cells.read(0, SIZE))
    assert ours.strip(b"\xff")
    assert ours == public(shape)

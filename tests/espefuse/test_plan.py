# SPDX-License-Identifier: Apache-2.0
"""A plan file burns what a person reads in it, or nothing; and what is only planned never burns."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import espefuse
from tests.espefuse.support import ControllerDevice, commands_on, quietly, run

KEY = bytes(range(1, 33))
Base = list[Any]


@pytest.fixture
def base(tmp_path: Path) -> Base:
    (tmp_path / "key").write_bytes(KEY)
    memory = tmp_path / "memory"
    return ["--chip", "esp32c3", "--virt", "--path-efuse-file", memory, "--do-not-confirm"]


@pytest.fixture
def plan(base: Base, tmp_path: Path) -> dict[str, Any]:
    burns: list[str | Path] = [
        "burn-key",
        "BLOCK_KEY0",
        tmp_path / "key",
        "HMAC_UP",
        "burn-efuse",
        "DIS_ICACHE",
        "1",
    ]
    assert run(*base, "plan", tmp_path / "plan", *burns)[0] == 0
    made: dict[str, Any] = json.loads((tmp_path / "plan").read_text())
    return made


def row(plan: dict[str, Any], **values: Any) -> None:
    plan["blocks"][-1].update(values)


def first_bit(plan: dict[str, Any]) -> None:
    """One more bit to burn, of which the readable part says nothing."""
    add = int(plan["blocks"][-1]["add"], 16)
    row(plan, add=f"0x{add | 1 << 41:048x}")


EDITS: list[Callable[[dict[str, Any]], Any]] = [
    first_bit,
    lambda p: p["blocks"][-1]["bits"].pop(),
    lambda p: p["blocks"][-1]["bits"].append("41: DIS_USB_JTAG"),
    lambda p: p["never_again"].clear(),
    lambda p: p["warnings"].append("none"),
    lambda p: p["blocks"].pop(),
    lambda p: p["blocks"].append(dict(p["blocks"][-1])),
    lambda p: p["blocks"].reverse(),
    lambda p: row(p, block=-11),
    lambda p: row(p, block=True),
    lambda p: row(p, block="0"),
    lambda p: row(p, block=0.0),
    lambda p: row(p, block=11),
    lambda p: row(p, block=1 << 70),
    lambda p: row(p, name="BLOCK4"),
    lambda p: row(p, add="0x" + "0" * 80),
    lambda p: row(p, add="-0x1"),
    lambda p: row(p, add="0x1"),
    lambda p: row(p, add=1),
    lambda p: row(p, before="0x" + "f" * 48),
    lambda p: row(p, note="x"),
    lambda p: p["blocks"].append([]),
    lambda p: p.update(postpone="false"),
    lambda p: p.update(postpone=False),
    lambda p: p.update(revision=True),
    lambda p: p.update(extra=1),
    lambda p: p.update(blocks={}),
    lambda p: p.update(warnings=[1]),
    lambda p: p.pop("warnings"),
    lambda p: p.update(chip=["esp32c3"]),
]


@pytest.mark.parametrize("number", range(len(EDITS)))
def test_an_edited_plan_is_refused_and_burns_nothing(
    number: int, plan: dict[str, Any], base: Base, tmp_path: Path
) -> None:
    before = (tmp_path / "memory").read_bytes()
    EDITS[number](plan)
    (tmp_path / "plan").write_text(json.dumps(plan))
    code, _, err = run(*base, "apply", tmp_path / "plan")
    if plan.get("postpone") is False:
        # The order of the burn is the user's choice, and nothing else depends on it.
        assert code == 0
        return
    assert code == 2
    assert err.startswith("A fatal error occurred: ")
    assert (tmp_path / "memory").read_bytes() == before


@pytest.mark.parametrize(
    "text",
    [
        b"\xff\xfe{\0}\0",
        b"[" * 100_000,
        b'{"format": "espefuse plan 1", "format": "espefuse plan 1"}',
        b"NaN",
        b" " * (2 << 20),
        '{"format": "espefuse plan 1", "chip": "\ud800"}'.encode("utf-8", "surrogatepass"),
    ],
)
def test_a_file_that_is_no_plan_is_one_error(text: bytes, base: Base, tmp_path: Path) -> None:
    (tmp_path / "plan").write_bytes(text)
    code, _, err = run(*base, "apply", tmp_path / "plan")
    assert code == 2
    assert "plan" in err


def test_a_plan_is_shown_before_it_is_burned(
    plan: dict[str, Any], base: Base, tmp_path: Path
) -> None:
    code, out, _ = run(*base, "apply", tmp_path / "plan")
    assert code == 0
    for line in ("DIS_ICACHE: 1 bit", "BLOCK_KEY0: can never be read again"):
        assert line in out
    assert KEY[:4].hex() not in out
    assert KEY[::-1][:4].hex() not in out
    assert out.rstrip().endswith("Successful.")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["plan", "{}/a", "plan", "{}/b", "burn-efuse", "DIS_ICACHE", "1"], "one plan"),
        (["plan", "{}/a", "summary"], "Nothing to plan"),
        (["plan", "{}/no/a", "burn-efuse", "DIS_ICACHE", "1"], "Cannot write"),
    ],
)
def test_a_plan_that_cannot_be_made_is_refused(
    words: list[str], said: str, base: Base, tmp_path: Path
) -> None:
    code, _, err = run(*base, *(word.format(tmp_path) for word in words))
    assert code == 2
    assert said in err
    assert not (tmp_path / "a").exists()


def test_a_plan_of_what_is_there_already_is_an_empty_plan(base: Base, tmp_path: Path) -> None:
    burn = ["burn-efuse", "DIS_ICACHE", "1"]
    assert run(*base, *burn)[0] == 0
    code, out, _ = run(*base, "plan", tmp_path / "plan", *burn)
    assert code == 0
    assert "Successful" not in out.partition("Nothing was burned.")[2]
    assert json.loads((tmp_path / "plan").read_text())["blocks"] == []
    assert run(*base, "apply", tmp_path / "plan")[0] == 0


def test_a_plan_and_other_burns_of_one_run_are_burned_together(
    plan: dict[str, Any], base: Base, tmp_path: Path
) -> None:
    more = ["burn-efuse", "DIS_TWAI", "1", "burn-bit", "BLOCK3", "7"]
    code, out, err = run(*base, *more, "apply", tmp_path / "plan")
    assert code == 0, err
    assert out.count("This is an irreversible operation!") == 1
    names = ["DIS_TWAI", "DIS_ICACHE", "KEY_PURPOSE_0"]
    _, out, _ = run(*base, "summary", "--json", *names)
    values = {name: field["value"] for name, field in json.loads(out)["efuses"].items()}
    assert values == {"DIS_TWAI": True, "DIS_ICACHE": True, "KEY_PURPOSE_0": "HMAC_UP"}


def test_what_a_dry_run_or_a_failed_run_staged_is_not_burned_later() -> None:
    device = ControllerDevice("esp32c3")
    outer = commands_on(device, batch_mode=True)
    line = ["--do-not-confirm", "burn-efuse", "--dry-run", "DIS_ICACHE", "1"]
    out, _, _ = quietly(lambda: espefuse.main(line, esp=device))
    assert "DIS_ICACHE: 1 bit" in out
    keys = [io.BytesIO(KEY), io.BytesIO(KEY[1:])]
    blocks, purposes = ["BLOCK_KEY0", "BLOCK_KEY1"], ["USER", "USER"]
    _, _, failure = quietly(lambda: outer.burn_key(blocks, keys, purposes))
    assert failure is not None
    line = ["--do-not-confirm", "burn-bit", "BLOCK3", "1", "burn-bit", "BLOCK3", "999"]
    _, _, failure = quietly(lambda: espefuse.main(line, esp=device))
    assert failure is not None
    quietly(lambda: outer.burn_efuse({"DIS_TWAI": 1}))
    quietly(outer.burn_all)
    burned = [int.from_bytes(block, "little") for block in device.blocks()]
    twai = outer.efuses["DIS_TWAI"].d
    assert twai.bit is not None
    assert burned == [1 << twai.bit] + [0] * (len(burned) - 1)

# SPDX-License-Identifier: Apache-2.0
"""Recipes: the same end on every chip and after every break, in the published order."""

from __future__ import annotations

import io
import json
import os
import random
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

import espsecure
import esptool
from espefuse import schema
from espefuse.cli.commands import RECIPE_STAGES
from espefuse.recipe import Recipe, Stage, apply, check, read, status
from espefuse.recipe.sealing import make_owner, unseal
from esptool.errors import FatalError
from tests.espefuse.support import (
    CHIPS,
    ControllerDevice,
    LinkLostError,
    commands_on,
    controller_of,
    quietly,
    run,
)

ENCRYPTING = [chip for chip in CHIPS if chip != "esp32e22"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key files: two digests, an HMAC key, an owner's pair."""
    where = tmp_path_factory.mktemp("recipe")
    for i in range(3):
        (where / f"digest{i}.bin").write_bytes(bytes(range(i + 1, i + 33)))
    (where / "hmac.bin").write_bytes(bytes(range(100, 132)))
    private, public = make_owner()
    (where / "owner.pem").write_bytes(private)
    (where / "owner.pub").write_bytes(public)
    return where


def text_for(chip: str, *, key: str = "each board", mode: str = "release") -> str:
    """All that a chip can do, as a recipe."""
    table = schema.load(chip)
    names = {f.name for f in table.fields}
    purposes = {p.name for p in table.purposes}
    digests = 1 if chip in ("esp32", "esp32c2") else 2
    lines = [
        "recipe = 1",
        f'name = "all of {chip}"',
        f'chips = ["{chip}"]',
        'jtag = "closed"',
        'download-mode = "secure"' if chip != "esp32" else 'download-mode = "off"',
        'custom-mac = "02:11:22:33:44:55"',
        "secure-version = 2",
    ]
    if "SPI_BOOT_CRYPT_CNT" in names or "FLASH_CRYPT_CNT" in names:
        lines += ["[flash-encryption]", f'mode = "{mode}"', f'key = "{key}"']
        bits = {"esp32c2": 128}.get(chip, 512 if "XTS_AES_256_KEY" in purposes else 256)
        lines += [f"bits = {bits}"]
    files = ", ".join(f'"digest{i}.bin"' for i in range(digests))
    lines += ["[secure-boot]", f"digests = [{files}]"]
    if "HMAC_UP" in purposes:
        lines += ["[[keys]]", 'purpose = "HMAC_UP"', 'key = "hmac.bin"']
    lines += ["[owner]", 'public-key = "owner.pub"', 'folder = "keys-FOLDER"']
    return "\n".join(lines) + "\n"


@pytest.fixture
def recipe_of(folder: Path, tmp_path: Path) -> Callable[..., Recipe]:
    """Makes the recipe of a chip, with a folder for keys of its own."""

    def make(chip: str, **kwargs: Any) -> Recipe:
        path = folder / f"{tmp_path.name}.toml"
        path.write_text(text_for(chip, **kwargs).replace("keys-FOLDER", str(tmp_path / "keys")))
        return read(path)

    return make


class Watched(ControllerDevice):
    """Tells what is burned after each command to the controller."""

    def __init__(self, chip: str) -> None:
        super().__init__(chip)
        self.states: list[list[bytes]] = []

    def write_reg(self, addr: int, value: int, *args: int, **kwargs: int) -> None:
        before = self.blocks()
        super().write_reg(addr, value, *args, **kwargs)
        if self.blocks() != before:
            self.states.append(self.blocks())

    def value(self, state: list[bytes], name: str) -> int:
        """A field's bits in a state."""
        d = self.table.field(name)
        assert d.bit is not None
        return int.from_bytes(state[d.block], "little") >> d.bit & d.mask


def burn(device: ControllerDevice, recipe: Recipe, **kwargs: Any) -> Exception | None:
    """Apply a recipe; the failure that it ended with."""
    return quietly(lambda: apply(commands_on(device), recipe, **kwargs))[2]


def states_of(device: ControllerDevice, recipe: Recipe) -> set[str]:
    return {line.state for line in status(commands_on(device), recipe)}


# --- the whole way -------------------------------------------------------------------------------


@pytest.mark.parametrize("chip", CHIPS)
def test_each_chip_ends_as_the_recipe_says_and_a_second_run_burns_nothing(
    chip: str, recipe_of: Callable[..., Recipe]
) -> None:
    recipe, device = recipe_of(chip), Watched(chip)
    assert burn(device, recipe) is None
    assert states_of(device, recipe) == {"done"}
    done = device.blocks()
    assert burn(device, recipe) is None
    assert device.blocks() == done


@pytest.mark.parametrize("chip", CHIPS)
def test_the_order_is_that_of_the_published_workflows(
    chip: str, recipe_of: Callable[..., Recipe]
) -> None:
    """ESP-IDF, "Security Features Enablement Workflows": keys that get hidden before RD_DIS is
    locked, a key before the counter that needs it, a digest before the switch that needs it,
    flash encryption before secure boot, and the download mode at the very end."""
    recipe, device = recipe_of(chip), Watched(chip)
    assert burn(device, recipe) is None
    names = {f.name for f in device.table.fields}

    def first(name: str) -> int:
        """The first state in which a field is as it stays."""
        last = device.value(device.states[-1], name)
        assert last, name
        return next(i for i, state in enumerate(device.states) if device.value(state, name) == last)

    enable = "ABS_DONE_1" if chip == "esp32" else "SECURE_BOOT_EN"
    counter = next((n for n in ("SPI_BOOT_CRYPT_CNT", "FLASH_CRYPT_CNT") if n in names), None)
    close = "UART_DOWNLOAD_DIS" if chip == "esp32" else "ENABLE_SECURITY_DOWNLOAD"
    lock = device.table.field("RD_DIS").wr_dis
    assert lock is not None
    locked = next(
        i for i, state in enumerate(device.states) if device.value(state, "WR_DIS") >> lock & 1
    )
    keys_done = max(
        i for i in range(1, len(device.states)) if device.states[i][1:] != device.states[i - 1][1:]
    )
    if counter:
        assert first("RD_DIS") < first(counter) < first(enable)
        assert first("RD_DIS") <= locked
    if chip not in ("esp32", "esp32c2"):
        # The custom MAC stands in a block of its own and comes later.
        keys_done = first("KEY_PURPOSE_1")
        assert first("KEY_PURPOSE_0") < first(enable)
    assert first(enable) < locked <= first(close) == len(device.states) - 1
    assert keys_done < len(device.states) - 1


@pytest.mark.parametrize("chip", ["esp32", "esp32c2", "esp32c3", "esp32s3", "esp32p4"])
def test_a_break_at_any_burn_is_taken_up_again(
    chip: str, recipe_of: Callable[..., Recipe], folder: Path, tmp_path: Path
) -> None:
    """The link is lost before and after each command to the controller. The key of the board is
    then still the one that its owner can open."""
    recipe = recipe_of(chip)
    whole = Watched(chip)
    assert burn(whole, recipe) is None
    for at in _commands(chip, recipe, tmp_path):
        for sealed in (tmp_path / "keys").glob("*"):
            sealed.unlink()
        device = Watched(chip)
        device.fail_at = at
        assert isinstance(burn(device, recipe), (LinkLostError, FatalError))
        device.fail_at = None
        middle = device.blocks()
        failed = burn(device, recipe)
        assert failed is None, (at, failed)
        assert states_of(device, recipe) == {"done"}
        assert all(
            a & ~b == 0
            for before, after in zip(middle, device.blocks(), strict=True)
            for a, b in zip(before, after, strict=True)
        )
        _check_key(device, folder, tmp_path)


def _commands(chip: str, recipe: Recipe, tmp_path: Path) -> Iterator[int]:
    """The accesses at which the controller is told to burn, and those behind them."""
    for sealed in (tmp_path / "keys").glob("*"):
        sealed.unlink()
    device = Watched(chip)
    seen: list[int] = []
    write = device.write_reg

    def note(addr: int, value: int, *args: int, **kwargs: int) -> None:
        before = len(device.states)
        write(addr, value, *args, **kwargs)
        if len(device.states) > before:
            seen.append(device.accesses)

    device.write_reg = note  # type: ignore[method-assign]
    assert burn(device, recipe) is None
    for at in seen:
        yield at
        yield at + 1


def _check_key(device: Watched, folder: Path, tmp_path: Path) -> None:
    [path] = (tmp_path / "keys").glob("*.sealed.json")
    key = unseal(path, (folder / "owner.pem").read_bytes())
    stored = b"".join(device.blocks()[1:])
    pieces = [key[i : i + 32][::-1] for i in range(0, len(key), 32)]
    assert all(piece in stored for piece in pieces)
    assert path.stat().st_mode & 0o077 == 0
    assert key.hex() not in path.read_text()


@pytest.mark.parametrize("chip", ENCRYPTING)
def test_development_leaves_the_way_back_open(chip: str, recipe_of: Callable[..., Recipe]) -> None:
    recipe, device = recipe_of(chip, mode="development"), Watched(chip)
    assert burn(device, recipe, until=Stage.ENCRYPTION) is None
    names = {f.name for f in device.table.fields}
    counter = "FLASH_CRYPT_CNT" if chip == "esp32" else "SPI_BOOT_CRYPT_CNT"
    assert device.value(device.states[-1], counter) == 1
    closed = {"DIS_DOWNLOAD_MANUAL_ENCRYPT", "DISABLE_DL_ENCRYPT", "SECURE_BOOT_EN"} & names
    assert all(not device.value(device.states[-1], name) for name in closed)


# --- what is already there -----------------------------------------------------------------------


def test_a_half_burned_key_of_a_board_needs_its_owner(
    recipe_of: Callable[..., Recipe], folder: Path, tmp_path: Path
) -> None:
    recipe = recipe_of("esp32c3")
    # The key goes to BLOCK_KEY0, which is burned as the last of four blocks.
    behind = list(_commands("esp32c3", recipe, tmp_path))[7]
    for sealed in (tmp_path / "keys").glob("*"):
        sealed.unlink()
    device = Watched("esp32c3")
    key = device.table.block("BLOCK_KEY0").index
    device.controller.weak[key] = int("55" * 32, 16)
    device.fail_at = behind
    assert burn(device, recipe) is not None
    assert any(device.blocks()[key])
    device.fail_at = None
    failed = burn(device, recipe)
    assert failed is not None
    assert "--identity" in str(failed)
    assert "owner" in str(failed)
    identity = (folder / "owner.pem").read_bytes()
    assert burn(device, recipe, identity=identity) is None
    assert states_of(device, recipe) == {"done"}
    _check_key(device, folder, tmp_path)


@pytest.mark.parametrize(
    ("burned", "problem"),
    [
        ({"SECURE_BOOT_KEY_REVOKE0": "1"}, None),
        ({"SECURE_VERSION": "7"}, None),
        ({"DIS_DOWNLOAD_ICACHE": "1"}, None),
        ({"UART_PRINT_CONTROL": "3"}, "UART_PRINT_CONTROL"),
        ({"SPI_BOOT_CRYPT_CNT": "1"}, None),
    ],
)
def test_what_is_burned_already_counts_or_is_a_conflict(
    burned: dict[str, str], problem: str | None, recipe_of: Callable[..., Recipe]
) -> None:
    recipe = recipe_of("esp32c3")
    path = Path(recipe.path)
    text = path.read_text().replace("[owner]", "[fields]\nUART_PRINT_CONTROL = 1\n[owner]")
    path.write_text(text)
    device = Watched("esp32c3")
    quietly(lambda: commands_on(device).burn_efuse(burned))
    before = device.blocks()
    failed = burn(device, read(path))
    if problem is None:
        assert failed is None
    else:
        assert problem in str(failed)
        assert "Nothing was burned." in str(failed)
        assert device.blocks() == before


def test_a_foreign_digest_in_the_slot_is_a_conflict(recipe_of: Callable[..., Recipe]) -> None:
    recipe, device = recipe_of("esp32c3"), Watched("esp32c3")
    other = Path(recipe.path).parent / "digest2.bin"
    with other.open("rb") as file:
        quietly(
            lambda: commands_on(device).burn_key(["BLOCK_KEY3"], [file], ["SECURE_BOOT_DIGEST1"])
        )
    before = device.blocks()
    assert "BLOCK_KEY3 holds another key" in str(burn(device, recipe))
    assert device.blocks() == before


def test_a_dry_run_makes_no_key_and_burns_nothing(
    recipe_of: Callable[..., Recipe], tmp_path: Path
) -> None:
    recipe, device = recipe_of("esp32s3"), Watched("esp32s3")
    out, _, failed = quietly(lambda: apply(commands_on(device), recipe, dry_run=True))
    assert failed is None
    assert not device.states
    assert not (tmp_path / "keys").exists()
    assert "Can never be undone:" in out
    assert "no flash encryption key is on the chip" not in out


# --- bad recipes ---------------------------------------------------------------------------------

WRONG = [
    ("", 1, "'recipe = 1' is missing", None),
    ("recipe = 2", 1, "format 2", None),
    ("recipe = 1", 1, "asks for nothing", None),
    ("recipe = 1\njtagg = 1", 2, "'jtagg' is unknown", "Did you mean 'jtag'?"),
    ("recipe = 1\njtag = true", 2, "'jtag' cannot be True", "open, closed"),
    ('recipe = 1\nchips = ["esp32c33"]', 2, "esp32c33", "Did you mean 'esp32c3'?"),
    ("recipe = 1\nchips = 3", 2, "'chips' is not a list", None),
    ('recipe = 1\n\n[flash-encryption]\nmode = "release"', 3, "'key' is missing", "each board"),
    (
        'recipe = 1\n[flash-encryption]\nmode = "relase"\nkey = "on chip"', 3,
        "'mode' cannot be 'relase'", "development, release",
    ),
    ('recipe = 1\n[flash-encryption]\nkey = "on chip"', 2, "'mode' is missing", None),
    (
        'recipe = 1\n[flash-encryption]\nmode = "release"\nkey = "none.bin"', 4,
        "Cannot read the key 'none.bin'", None,
    ),
    (
        'recipe = 1\n[flash-encryption]\nmode = "release"\nkey = "odd.bin"', 4,
        "16, 24, 32 or 64 bytes, not 5", None,
    ),
    (
        'recipe = 1\n[flash-encryption]\nmode = "release"\nkey = "each board"', 2,
        "nothing says who may have it", "[owner]",
    ),
    ("recipe = 1\n[secure-boot]\ndigests = []", 3, "1 to 3 digests, not 0", None),
    ('recipe = 1\n[secure-boot]\ndigests = ["odd.bin"]', 3, "'odd.bin'", None),
    ('recipe = 1\n[secure-boot]\ndigests = ["hmac.bin", "hmac.bin"]', 3, "twice", None),
    ('recipe = 1\n[secure-boot]\ndigests = [{ hms = "hsm.ini" }]', 3, "no public key", "{ hsm"),
    ('recipe = 1\n[secure-boot]\ndigests = [{ hsm = "none.ini" }]', 3, "none.ini", None),
    ("recipe = 1\n[secure-boot]\nversion = 3", 3, "no secure boot version 3", None),
    ('recipe = 1\n[[keys]]\nkey = "hmac.bin"', 2, "'purpose' is missing", None),
    ('recipe = 1\ncustom-mac = "01:00:00:00:00:00"', 2, "unicast", None),
    ("recipe = 1\nsecure-version = 0", 2, "1 or more", None),
    ("recipe = 1\n[fields]\nA = [1]", 3, "a number or text", None),
    ("recipe = 1\n[protect]\nwrites = []", 3, "'writes' is unknown", "Did you mean 'write'?"),
    ('recipe = 1\njtag = "closed"\n[owner]\npublic-key = "hmac.bin"\nfolder = "k"', 4,
     "X25519", "owner-key"),
    ('recipe = 1\n[[keys]]\npurpose = "HMAC_UP"\nkey = "odd.bin"', 4, "bytes, not 5", None),
    ('recipe = 1\njtag = "closed"\n[owner]\npublic-key = "owner.pub"\nfolder = "hmac.bin"', 5,
     "is a file, and no folder", None),
    ("recipe = [", 1, "not a TOML file", None),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "says", "remedy"), WRONG)
def test_a_mistake_is_told_with_file_line_and_remedy(
    text: str, line: int, says: str, remedy: str | None, folder: Path, tmp_path: Path
) -> None:
    (folder / "odd.bin").write_bytes(b"short")
    path = folder / f"{tmp_path.name}.toml"
    path.write_text(text)
    with pytest.raises(FatalError) as caught:
        read(path)
    assert says in caught.value.message
    assert f":{line}:" in caught.value.message or "TOML" in says
    if remedy is not None:
        assert remedy in (caught.value.remedy or "")


@pytest.mark.parametrize(
    ("chip", "text", "says"),
    [
        ("esp32c3", '[flash-encryption]\nmode = "release"\nkey = "on chip"\nbits = 512', None),
        ("esp32c3", '[[keys]]\npurpose = "HMAC"\nkey = "hmac.bin"', "no key purpose HMAC"),
        ("esp32c61", '[[keys]]\npurpose = "HMAC_UP"\nkey = "hmac.bin"', "no key purpose HMAC_UP"),
        ("esp32e22", '[flash-encryption]\nmode = "release"\nkey = "on chip"', "enables flash"),
        ("esp32", '[secure-boot]\ndigests = ["digest0.bin", "digest1.bin"]', "takes 1 digest"),
        ("esp32c3", "[fields]\nDIS_ICACH = 1", "Did you mean DIS_ICACHE?"),
        ("esp32c3", "[protect]\nwrite = ['NOTHING']", "no eFuse 'NOTHING'"),
        (
            "esp32c2",
            '[secure-boot]\ndigests = ["digest0.bin"]\n[flash-encryption]\nmode = "release"\n'
            'key = "hmac.bin"',
            "128 bits has room, not one of 256",
        ),
    ],
)
def test_what_a_chip_cannot_do_is_told_before_any_board(
    chip: str, text: str, says: str | None, folder: Path, tmp_path: Path
) -> None:
    path = folder / f"{tmp_path.name}.toml"
    path.write_text("recipe = 1\n" + text)
    recipe = read(path)
    if says is None:
        assert check(recipe, chip) == [chip]
        return
    with pytest.raises(FatalError) as caught:
        check(recipe, chip)
    assert says in str(caught.value)


# --- the command line ----------------------------------------------------------------------------


def test_the_command_line_from_owner_key_to_a_locked_board(tmp_path: Path, folder: Path) -> None:
    for name in ("digest0.bin", "hmac.bin"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    assert run("recipe", "owner-key", tmp_path / "owner.pem")[0] == 0
    path = tmp_path / "product.toml"
    path.write_text(
        'recipe = 1\ndownload-mode = "secure"\n[flash-encryption]\nmode = "release"\n'
        'key = "each board"\n[secure-boot]\ndigests = ["digest0.bin"]\n'
        '[owner]\npublic-key = "owner.pem.pub"\nfolder = "keys"\n'
    )
    state = tmp_path / "board.state"
    port = ["--port", f"virtual://esp32c3?state={state}&timing=virtual"]
    assert run("recipe", "check", path)[0] == 0
    code, out, _ = run(*port, "recipe", "plan", path)
    assert (code, "Nothing was burned." in out) == (0, True)
    assert [line for line in out.splitlines() if len(line) > 80 and str(tmp_path) not in line] == []
    code, out, err = run(*port, "--do-not-confirm", "recipe", "apply", path)
    assert code == 0, err
    assert "The recipe is complete." in out
    code, out, _ = run(*port, "recipe", "status", path)
    assert (code, "The recipe is complete." in out) == (0, True)
    assert "unknown" in out
    code, out, _ = run(*port, "--do-not-confirm", "recipe", "apply", path)
    assert (code, "Nothing is left to burn" in out) == (0, True)
    [sealed] = (tmp_path / "keys").glob("*.json")
    key = tmp_path / "key.bin"
    code, _, err = run(
        "recipe", "unseal", sealed, "--identity", tmp_path / "owner.pem", "--output", key
    )
    assert code == 0, err
    assert len(key.read_bytes()) == 32
    assert os.stat(key).st_mode & 0o077 == 0
    code, _, err = run(
        "recipe", "unseal", sealed, "--identity", tmp_path / "owner.pem", "--output", path
    )
    assert code == 2
    assert "exists: a key that is lost" in err
    assert path.read_text().startswith("recipe = 1")
    content = json.loads(sealed.read_text())
    content["purpose"] = "HMAC_UP"
    sealed.write_text(json.dumps(content))
    other = tmp_path / "other.bin"
    code, _, err = run(
        "recipe", "unseal", sealed, "--identity", tmp_path / "owner.pem", "--output", other
    )
    assert not other.exists()
    assert code == 2
    assert "another owner, or changed" in err


def test_the_command_line_knows_the_stages() -> None:
    assert [stage.value for stage in Stage] == list(RECIPE_STAGES)


def test_controller_of_each_chip_is_not_the_tables_own() -> None:
    """The judge of these tests is the virtual chip's controller, with facts from other sources."""
    assert all(controller_of(chip).layout is not None for chip in CHIPS)


@pytest.mark.parametrize("chip", ["esp32", "esp32c2", "esp32c3", "esp32s3"])
def test_what_is_written_encrypted_in_between_reads_right_with_the_key_of_the_board(
    chip: str, recipe_of: Callable[..., Recipe], folder: Path, tmp_path: Path
) -> None:
    """Keys, then flash by the chip's own encryption, then all that shuts the doors."""
    recipe = recipe_of(chip)
    port = f"virtual://{chip}?state={tmp_path / 'board.state'}&timing=virtual&stub=model"
    port += "&mac=02:11:22:33:44:55"
    if chip == "esp32":
        port += "&rev=v3.0"
    plain, flash, again = (tmp_path / name for name in ("plain.bin", "flash.bin", "again.bin"))
    plain.write_bytes(random.Random(1).randbytes(0x2000))
    words = ["--port", port, "--do-not-confirm", "recipe", "apply", recipe.path]
    code, _, err = run(*words, "--until", "keys")
    assert code == 0, err
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        write = ["write-flash", "--encrypt", "--force", "0x10000", str(plain)]
        esptool.main(["--port", port, *write])
        esptool.main(
            ["--port", port, "read-flash", "0x10000", "0x2000", str(tmp_path / "flash.bin")]
        )
    code, _, err = run(*words)
    assert code == 0, err
    [sealed] = (tmp_path / "keys").glob("*.sealed.json")
    # The owner finds it by the address that the board has everywhere else.
    assert "-021122334455-" in sealed.name
    key = tmp_path / "board.key"
    key.write_bytes(unseal(sealed, (folder / "owner.pem").read_bytes()))
    scheme = [] if chip == "esp32" else ["--aes-xts"]
    decrypt = ["decrypt-flash-data", *scheme, "--keyfile", str(key), "--address", "0x10000"]
    with redirect_stdout(io.StringIO()):
        espsecure.main([*decrypt, "--output", str(again), str(flash)])
    assert flash.read_bytes() != plain.read_bytes()
    assert again.read_bytes() == plain.read_bytes()

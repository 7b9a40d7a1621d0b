# SPDX-License-Identifier: Apache-2.0
"""Nothing is burned that was not asked for, and nothing is called a success that did not take."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from tests.espefuse.support import ControllerDevice, commands_on, quietly, run

KEY = bytes(range(1, 33))
#: Lines on which a burn without proof sets bits that nobody asked for.
NOISY = (33, 93, 118, 136)


def board(path: Path, extra: str = "") -> str:
    return f"virtual://esp32c3?state={path}&timing=virtual{extra}"


def raw_blocks(path: Path) -> list[str]:
    _, out, _ = run("--port", board(path), "dump", "--json")
    return [block["data"] for block in json.loads(out[out.index("{") :])["blocks"]]


@pytest.mark.parametrize("seed", NOISY)
def test_a_noisy_line_burns_what_was_asked_for_or_fails(seed: int, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(KEY)
    burn: list[str | Path] = [
        "burn-key",
        "BLOCK_KEY0",
        tmp_path / "key",
        "USER",
        "burn-efuse",
        "DIS_ICACHE",
        "1",
    ]
    quiet, noisy = tmp_path / "quiet", tmp_path / "noisy"
    assert run("--port", board(quiet), "--do-not-confirm", *burn)[0] == 0
    line = board(noisy, f"&fault=flip:2e-4&seed={seed}")
    code, _, err = run("--port", line, "--do-not-confirm", *burn)
    wanted, found = raw_blocks(quiet), raw_blocks(noisy)
    assert (code == 0) == (wanted == found), err
    for one, other in zip(found, wanted, strict=True):
        assert not int(one, 16) & ~int(other, 16)


def burn(device: ControllerDevice, name: str, key: bytes, protect: bool) -> Exception | None:
    commands = commands_on(device)
    return quietly(lambda: commands.burn_key([name], [io.BytesIO(key)], not protect))[2]


@pytest.mark.parametrize("forced", [False, True])
@pytest.mark.parametrize("second", [b"\x05" * 32, bytes(32), b"\x30" + b"\x0f" * 31])
def test_a_key_that_cannot_be_had_is_an_error_and_protects_nothing(
    second: bytes, forced: bool
) -> None:
    device = ControllerDevice("esp32")
    assert burn(device, "flash_encryption", b"\x0f" * 32, protect=False) is None
    commands = commands_on(device)
    commands.efuses.force_write_always = forced
    _, _, failure = quietly(lambda: commands.burn_key(["flash_encryption"], [io.BytesIO(second)]))
    assert failure is not None
    assert not any(device.blocks()[0])
    if not second.startswith(b"\x30") or not forced:
        assert device.blocks()[1] == b"\x0f" * 32


@pytest.mark.parametrize("options", [[], ["--force-write-always"]])
@pytest.mark.parametrize(("first", "second"), [(b"\xff", b"\x05"), (b"\x0f", b"\0")])
def test_block_data_that_cannot_be_had_is_an_error(
    first: bytes, second: bytes, options: list[str], tmp_path: Path
) -> None:
    base: list[str | Path] = [
        "--chip",
        "esp32",
        "--virt",
        "--path-efuse-file",
        tmp_path / "m",
        "--do-not-confirm",
    ]
    (tmp_path / "one").write_bytes(first * 32)
    (tmp_path / "two").write_bytes(second * 32)
    assert run(*base, "burn-block-data", "BLOCK3", tmp_path / "one")[0] == 0
    before = (tmp_path / "m").read_bytes()
    code, _, err = run(*base, "burn-block-data", "BLOCK3", tmp_path / "two", *options)
    assert code == 2
    assert "cannot be cleared" in err
    assert (tmp_path / "m").read_bytes() == before
    # Bits that the new data does not speak of do not matter.
    (tmp_path / "part").write_bytes(first)
    line: list[str | Path] = ["burn-block-data", "BLOCK3", tmp_path / "part", "--offset", "4"]
    assert run(*base, *line)[0] == 0


@pytest.mark.parametrize(
    ("chip", "block", "words"),
    [
        ("esp32", "BLOCK1", ["flash_encryption", "{}"]),
        ("esp32c2", "BLOCK_KEY0", ["BLOCK_KEY0", "{}", "XTS_AES_128_KEY"]),
        ("esp32c3", "BLOCK_KEY0", ["BLOCK_KEY0", "{}", "XTS_AES_128_KEY"]),
        ("esp32s2", "BLOCK_KEY0", ["BLOCK_KEY0", "{}", "XTS_AES_128_KEY"]),
    ],
)
def test_key_bytes_are_never_shown(chip: str, block: str, words: list[str], tmp_path: Path) -> None:
    key = bytes.fromhex("a1b2c3d4e5f60718") * 4
    (tmp_path / "key").write_bytes(key)
    base: list[str | Path] = [
        "--chip",
        chip,
        "--virt",
        "--path-efuse-file",
        tmp_path / "m",
        "--do-not-confirm",
    ]
    run(*base, "burn-bit", block, "0", "255")
    line = [word.format(tmp_path / "key") for word in words]
    for options in ([], ["--force-write-always"]):
        code, out, err = run(*base, "burn-key", *line, *options)
        said = (out + err).lower()
        assert code == 2 or options
        for order in (key, key[::-1]):
            for size in (4, 8):
                piece = order[:size]
                assert piece.hex() not in said
                assert piece.hex(" ") not in said


def test_bits_that_stay_0_are_named_without_their_value() -> None:
    device = ControllerDevice("esp32s2")
    device.controller._program = lambda _block: None  # type: ignore[assignment]
    commands = commands_on(device)
    action = lambda: commands.burn_key(["BLOCK_KEY0"], [io.BytesIO(KEY)], ["HMAC_UP"])  # noqa: E731
    out, err, failure = quietly(action)
    assert "BLOCK_KEY0" in str(failure)
    assert KEY[:4].hex() not in str(failure) + out + err
    assert KEY[::-1][:4].hex() not in str(failure) + out + err


@pytest.mark.parametrize("chip", ["esp32", "esp32c3"])
def test_a_protection_that_does_not_take_at_once_is_burned_again(chip: str) -> None:
    device = ControllerDevice(chip)
    commands = commands_on(device)
    program = device.controller._program
    spent: list[Any] = []
    rd_dis = commands.efuses["RD_DIS"].d
    assert rd_dis.bit is not None
    bits = rd_dis.mask << rd_dis.bit

    def weak(block: Any) -> None:
        window = device.controller._window(block.write or 0, block.words)
        if block.index == 0 and window & bits and not spent:
            spent.append(True)
            device.controller.weak = {0: bits}
        program(block)

    device.controller._program = weak  # type: ignore[method-assign]
    if chip == "esp32":
        action = lambda: commands.burn_key(["flash_encryption"], [io.BytesIO(KEY)])  # noqa: E731
    else:
        purposes = ["XTS_AES_128_KEY"]
        action = lambda: commands.burn_key(["BLOCK_KEY0"], [io.BytesIO(KEY)], purposes)  # noqa: E731
    out, _, failure = quietly(action)
    assert failure is None
    assert "Repeat burning BLOCK0" in out
    key = commands.efuses["BLOCK1" if chip == "esp32" else "BLOCK_KEY0"]
    assert not key.is_readable()
    assert not key.is_writeable()


@pytest.mark.parametrize("asked", [0, 1 << 192])
def test_bits_beside_a_new_coding_scheme_are_noticed(asked: int) -> None:
    """ESP32: other blocks are read in another way then, but BLOCK0 is not."""
    device = ControllerDevice("esp32")
    commands = commands_on(device)
    burn = device.controller.burn

    def with_another(block: int, data: bytes) -> None:
        value = int.from_bytes(data, "little")
        wild = value | 1 << 40 if block == 0 and value else value
        burn(block, wild.to_bytes(len(data), "little"))

    device.controller.burn = with_another  # type: ignore[method-assign]
    value = {"CODING_SCHEME": 1} if asked else {"JTAG_DISABLE": 1}
    _, _, failure = quietly(lambda: commands.burn_efuse(value))
    assert "nobody asked for" in str(failure)


@pytest.mark.parametrize("chip", ["esp32", "esp32c3"])
def test_what_an_earlier_run_left_in_the_window_is_not_burned(chip: str) -> None:
    device = ControllerDevice(chip)
    for block in device.table.blocks:
        for i in range(8):
            device.controller.write(block.write_addr - device.table.base + 4 * i, 0xFFFFFFFF)
    commands = commands_on(device)
    _, _, failure = quietly(lambda: commands.burn_bit("BLOCK3", [5]))
    assert failure is None
    burned = [int.from_bytes(b, "little") for b in device.blocks()]
    assert burned[3] == 1 << 5
    assert not any(burned[:3] + burned[4:])


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_a_break_in_a_recovery_clears_the_window_and_says_what_was_done(
    error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    device = ControllerDevice("esp32c3")
    commands = commands_on(device)
    blocks = ["BLOCK_KEY0", "BLOCK_KEY1"]
    files = [io.BytesIO(KEY), io.BytesIO(KEY)]
    quietly(lambda: commands.burn_key(blocks, files, ["USER", "USER"], True))
    for index in (4, 5):
        device.controller.check[index][0] &= 0x0F
    device.controller.refresh()
    commands = commands_on(device)
    write, fired = device.write_reg, [0]

    def broken(address: int, value: int, *args: int, **kwargs: int) -> None:
        write(address, value, *args, **kwargs)
        if address == device.table.registers["CMD"] and value & 2:
            fired[0] += 1
            if fired[0] == 2:
                raise error("stop")

    monkeypatch.setattr(device, "write_reg", broken)
    text = ""
    try:
        text = str(quietly(lambda: commands.check_error(recovery=True))[2])
    except KeyboardInterrupt as e:
        text = str(e)
    assert "Burned once more before: BLOCK5. BLOCK4 may have been." in text
    assert [device.controller.words.get(4 * i, 0) for i in range(8)] == [0] * 8


@pytest.mark.parametrize("words", [["--dry-run", "DIS_ICACHE", "1"], ["DIS_ICACHE", "1"]])
def test_a_recovery_in_a_plan_burns_nothing(words: list[str], tmp_path: Path) -> None:
    device = ControllerDevice("esp32c3")
    commands = commands_on(device)
    quietly(lambda: commands.burn_key(["BLOCK_KEY0"], [io.BytesIO(KEY)], ["USER"], True))
    device.controller.check[4][0] ^= 0xFF
    device.controller.refresh()
    burned = device.blocks(), bytes(device.controller.check[4])
    programs: list[object] = []
    device.controller._program = programs.append  # type: ignore[assignment]
    line = ["burn-efuse", *words, "check-error", "--recovery"]
    plan = [] if "--dry-run" in words else ["plan", str(tmp_path / "plan")]
    import espefuse

    args = ["--chip", "esp32c3", "--do-not-confirm", *plan, *line]
    out, _, failure = quietly(lambda: espefuse.main(args, esp=device))
    assert "Error(s) were detected" in str(failure)
    assert "Nothing was burned" in out
    assert programs == []
    assert (device.blocks(), bytes(device.controller.check[4])) == burned


def test_an_interruption_says_what_is_burned_and_clears_the_window(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def burn_key(interrupt_at: int | None) -> tuple[ControllerDevice, int, str | None]:
        device = ControllerDevice("esp32c3")
        commands = commands_on(device)
        step, start = device._step, device.accesses

        def watched() -> None:
            step()
            if device.accesses - start == interrupt_at:
                raise KeyboardInterrupt

        monkeypatch.setattr(device, "_step", watched)
        text = None
        try:
            quietly(lambda: commands.burn_key(["BLOCK_KEY0"], [io.BytesIO(KEY)], ["HMAC_UP"]))
        except KeyboardInterrupt as e:
            text = str(e)
        return device, device.accesses - start, text

    _, accesses, _ = burn_key(None)
    told = 0
    for at in range(1, accesses + 1, 23):
        device, _, text = burn_key(at)
        assert text is not None
        burned = [f"BLOCK{i}" for i, b in enumerate(device.blocks()) if any(b)]
        assert burned or "Nothing was burned" in text or "before: nothing" in text
        assert all(name in text for name in burned), (at, text)
        told += bool(burned)
        assert [device.controller.words.get(4 * i, 0) for i in range(8)] == [0] * 8, at
    assert told > 10


@pytest.mark.parametrize(
    ("chip", "field"),
    [
        ("esp32", "UART_DOWNLOAD_DIS"),
        ("esp32c3", "DIS_DOWNLOAD_MODE"),
        ("esp32s2", "ENABLE_SECURITY_DOWNLOAD"),
    ],
)
def test_a_link_that_the_burn_closes_is_said_and_not_called_read_back(
    chip: str, field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = ControllerDevice(chip)
    commands = commands_on(device)
    place = commands.efuses[field].d
    assert place.bit is not None
    bit, step = place.bit, device._step

    def obey() -> None:
        step()
        if int.from_bytes(device.controller.burned[0], "little") >> bit & 1:
            raise ConnectionResetError("gone")

    monkeypatch.setattr(device, "_step", obey)
    out, _, failure = quietly(lambda: commands.burn_efuse({field: 1}))
    # The command that burns is the last one that is answered.
    assert failure is not None or "could not be read back" in out
    assert "Successful" not in out


def test_a_closed_link_after_the_reload_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    device = ControllerDevice("esp32c3")
    commands = commands_on(device)
    bit, read = commands.efuses["DIS_DOWNLOAD_MODE"].d.bit, device.read_reg
    assert bit is not None
    blocks = {block.read_addr for block in device.table.blocks}

    def obey(address: int) -> int:
        if address in blocks and device.controller.burned[0][bit // 8] >> bit % 8 & 1:
            raise ConnectionResetError("gone")
        return read(address)

    monkeypatch.setattr(device, "read_reg", obey)
    out, _, failure = quietly(lambda: commands.burn_efuse({"DIS_DOWNLOAD_MODE": 1}))
    assert failure is None
    assert "DIS_DOWNLOAD_MODE could not be read back and compared" in out
    assert "Successful" not in out


@pytest.mark.parametrize("locked", [True, False])
def test_a_forced_burn_of_a_hidden_block_is_no_success(locked: bool) -> None:
    device = ControllerDevice("esp32")
    commands = commands_on(device)
    quietly(lambda: commands.burn_efuse({"RD_DIS": 1, "WR_DIS": 1 << 7 if locked else 1 << 9}))
    commands = commands_on(device)
    commands.efuses.force_write_always = True
    key = [io.BytesIO(KEY)]
    out, _, failure = quietly(lambda: commands.burn_key(["BLOCK1"], key, no_protect_key=True))
    assert "Successful" not in out
    if locked:
        assert "write-protected: nothing was burned" in str(failure)
    else:
        assert "BLOCK1 could not be read back and compared" in out


class OddError(Exception):
    """What a driver may raise when its device vanishes, e.g. `termios.error`."""


def test_any_error_of_the_link_says_what_is_burned(monkeypatch: pytest.MonkeyPatch) -> None:
    device = ControllerDevice("esp32c3")
    commands = commands_on(device)
    step = device._step

    def vanish() -> None:
        step()
        if any(device.blocks()[4]):
            raise OddError("Input/output error")

    monkeypatch.setattr(device, "_step", vanish)
    action = lambda: commands.burn_key(["BLOCK_KEY0"], [io.BytesIO(KEY)], ["HMAC_UP"])  # noqa: E731
    _, _, failure = quietly(action)
    assert "broke off at BLOCK4" in str(failure)
    assert "BLOCK4 may be burned in part" in str(failure)
    assert "window could not be cleared" in str(failure)


def test_a_break_in_the_last_reading_says_that_all_is_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    device = ControllerDevice("esp32c3")
    commands = commands_on(device)
    said: list[str] = []
    monkeypatch.setattr(commands.efuses, "emit", said.append)
    step = device._step

    def vanish() -> None:
        step()
        if "Reading updated eFuses..." in said:
            raise OddError("gone")

    monkeypatch.setattr(device, "_step", vanish)
    action = lambda: commands.burn_key(["BLOCK_KEY0"], [io.BytesIO(KEY)], ["HMAC_UP"])  # noqa: E731
    _, _, failure = quietly(action)
    assert "All that was asked for is on the chip" in str(failure)
    assert "Run the same command again" not in str(failure)


def test_a_key_given_as_a_value_is_not_shown(tmp_path: Path) -> None:
    base: list[str | Path] = [
        "--chip",
        "esp32c3",
        "--virt",
        "--path-efuse-file",
        tmp_path / "m",
        "--do-not-confirm",
    ]
    value = "a1b2c3d4e5f60718" * 4
    for _ in range(2):
        _, out, err = run(*base, "burn-efuse", "BLOCK_KEY0", f"0x{value}")
        assert value[:8] not in out + err
    _, out, _ = run(*base, "burn-efuse", "OPTIONAL_UNIQUE_ID", f"0x{value[:32]}")
    assert value[:32] in out


def test_a_link_that_breaks_anywhere_says_what_that_means_for_the_burn(tmp_path: Path) -> None:
    said = set()
    for at in range(1500, 9000, 500):
        line = board(tmp_path / str(at), f"&fault=drop:{at}")
        code, _, err = run("--port", line, "--do-not-confirm", "burn-bit", "BLOCK3", "1")
        if code == 0:
            break
        [state] = [
            words
            for words in ("could not be read:", "Nothing was burned, as", "The burn broke off at")
            if words in err
        ]
        said.add(state)
    assert len(said) == 3

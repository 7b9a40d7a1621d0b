# SPDX-License-Identifier: Apache-2.0
"""What ROMs say of good and damaged programs in flash: words that the genuine ones have printed."""

from __future__ import annotations

import hashlib

import pytest

from esptool.virtual import bootimage
from esptool.virtual.bootimage import Verdict
from tests.support.programs import PLACES, program
from tests.virtual.support import Client

_NO_SIGNATURE = (
    "No signature block magic byte found at signature sector (found 0xff not 0xe7). "
    "Image not V2 signed?"
)
_ASSERTION = 'assertion "result == ETS_OK" failed: file "{}", line {}, function: ets_flash_boot'


def boot(url: str, image: bytes) -> tuple[Verdict, list[str]]:
    """The verdict of a chip with that image, and the lines it has said before the entry."""
    board = Client(f"virtual://{url}").board
    board.nor.program(board.silicon.loader.bootloader_offset, image)
    verdict = bootimage.load(board.soc)
    return verdict, verdict.text.decode().split("\r\n")


@pytest.mark.parametrize(
    ("url", "head"),
    [
        ("esp32c3", ["SPIWP:0xee", "mode:DIO, clock div:2"]),
        ("esp32s2", ["SPIWP:0xee", "mode:DIO, clock div:2"]),
        ("esp32c5", ["SPI mode:DIO, clock div:2"]),
        ("esp32p4", ["SPI mode:DIO, clock div:2"]),
    ],
)
def test_a_good_program_is_listed_and_entered(url: str, head: list[str]) -> None:
    text, data = PLACES[url]
    verdict, lines = boot(url, program(url))
    assert lines == [
        *head,
        f"load:0x{data:08x},len:0x20",
        f"load:0x{text:08x},len:0x10",
        f"entry 0x{text:08x}",
        "",
    ]
    assert verdict.runs
    assert not verdict.again


def test_esp32_tells_of_its_pins_and_counts_in_tens() -> None:
    image = bytearray(program("esp32"))
    image[9:12] = b"\x21\x43\x65"
    assert boot("esp32", bytes(image))[1] == [
        "configsip: 0, SPIWP:0xee",
        "clk_drv:0x01,q_drv:0x02,d_drv:0x03,cs0_drv:0x04,hd_drv:0x05,wp_drv:0x06",
        "mode:DIO, clock div:2",
        "load:0x3fff0040,len:32",
        "load:0x40080400,len:16",
        "entry 0x40080400",
        "",
    ]


def test_esp8266_fetches_sixteen_bytes_at_a_time() -> None:
    assert boot("esp8266", program("esp8266"))[1] == [
        "load 0x3ffe8000, len 32, room 16 ", "tail 0", "chksum 0xc4",
        "load 0x40100000, len 16, room 8 ", "tail 8", "chksum 0xc2",
        "csum 0xc2", "",
    ]  # fmt: skip
    verdict, lines = boot("esp8266", program("esp8266", "checksum"))
    assert lines[-4:] == ["csum 0xc2", "csum err", "ets_main.c  ", ""]
    # Nothing starts it again.
    assert not verdict.again


_STOPS = {
    "esp32c2": "ets_main.c 321 ",
    "esp32c3": "ets_main.c 333 ",
    "esp32c5": _ASSERTION.format("ets_main.c", 369),
    "esp32c6": "ets_main.c 331 ",
    "esp32c61": _ASSERTION.format("ets_main.c", 386),
    "esp32h2": "ets_main.c 320 ",
    "esp32p4": "ets_main.c 337 ",
    "esp32p4?rev=v3.0": "ets_main.c 372 ",
    "esp32s2": "ets_main.c 386 ",
    "esp32s3": "ets_main.c 329 ",
    "esp32s31": _ASSERTION.format("rom/ets_kernel/ets_main.c", 496),
}


@pytest.mark.parametrize("url", _STOPS)
def test_a_damaged_program_does_not_start(url: str) -> None:
    key = url.partition("?")[0]
    check = 0xC2 if key in ("esp32s2", "esp32s3") else 0xAB
    for damage, words in (
        ("checksum", f"Checksum failure. Calculated 0x{check:02x} stored 0x{check ^ 1:02x}"),
        ("segments", "Invalid image block count: 17 (max 16)"),
        ("chip", "Bootloader for wrong chip?"),
        ("no segments", "Checksum failure. Calculated 0xef stored 0x00"),
    ):
        verdict, lines = boot(url, program(key, damage))
        assert lines[-2:] == [_STOPS[url], ""]
        assert words in lines[-3]
        assert not verdict.runs
        assert verdict.again


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("esp32c3?rev=v0.0", ["ets_loader.c 76 "]),
        ("esp32c3?rev=v1.1", ["ets_loader.c 78 "]),
        ("esp32s31", ["Invalid image block:0xffffffff, len:0xffffffff", _STOPS["esp32s31"]]),
    ],
)
def test_a_program_may_end_too_soon(url: str, words: list[str]) -> None:
    assert boot(url, program(url.partition("?")[0], "truncated"))[1][-1 - len(words) :] == [
        *words,
        "",
    ]


def test_a_wrong_hash_and_one_that_is_not_there_are_told_and_do_not_matter() -> None:
    good = program("esp32c6")
    digest = hashlib.sha256(good[:-32]).hexdigest()
    for damage in ("hash", "no hash"):
        image = program("esp32c6", damage)
        verdict, lines = boot("esp32c6", image)
        expected = image[-32:].hex() if damage == "hash" else "ff" * 32
        calculated = digest if damage == "hash" else hashlib.sha256(image).hexdigest()
        assert lines[4:9] == [
            "SHA-256 comparison failed:",
            f"Calculated: {calculated}",
            f"Expected: {expected}",
            "Attempting to boot anyway...",
            "entry 0x4086b910",
        ]
        assert verdict.runs
    # ESP32 does not look at it.
    assert boot("esp32", program("esp32", "hash"))[1] == boot("esp32", program("esp32"))[1]


def test_where_there_is_no_program() -> None:
    for url, lines in {
        "esp32c3": ["invalid header: 0xffffffff"] * 3,
        "esp32c61": ["invalid header: 0xffffffff"] * 3 + [_STOPS["esp32c61"]],
        "esp32?rev=v3.0": ["invalid header: 0xffffffff"] * 3,
        "esp8266": ["ets_main.c  "],
    }.items():
        assert boot(url, b"")[1] == [*lines, ""]
    verdict, lines = boot("esp32?rev=v1.0", b"")
    assert lines[0] == "flash read err, 1000"
    assert verdict.text.endswith(b"interpreter.\r\nOK\r\n>")
    assert boot("esp32?rev=v3.0", program("esp32", "chip"))[1][0] == "wrong chip id 0x1234"


@pytest.mark.parametrize(
    ("url", "damage", "words"),
    [
        ("esp32c3?efuse=secure_boot:1", "", []),
        ("esp32c3?efuse=secure_boot:1,purpose0:9", "", ["0", _NO_SIGNATURE]),
        ("esp32s3?efuse=secure_boot:1,purpose0:11,purpose3:9", "", ["0 2", _NO_SIGNATURE]),
        ("esp32c2?efuse=secure_boot:1", "hash", ["0", "SHA-256 simple hash comparison failed."]),
        (
            "esp32p4?efuse=secure_boot:1,purpose4:10", "",
            ["1", "Incorrect magic byte found at signature sector. Image not V2 signed?"],
        ),
    ],
)  # fmt: skip
def test_secure_boot_refuses(url: str, damage: str, words: list[str]) -> None:
    key = url.partition("?")[0]
    verdict, lines = boot(url, program(key, damage))
    kind = "RSA-PSS " if key == "esp32p4" else ""
    told = [f"Valid secure boot key blocks: {words[0]}", *words[1:]] if words else []
    head = 1 if key == "esp32p4" else 2
    assert lines[head:] == [*told, f"{kind}secure boot verification failed", _STOPS[key], ""]
    assert verdict.again


def test_esp32_refuses_from_version_3_on() -> None:
    burned = "efuse=0x3FF5A018:0x20"
    assert boot(f"esp32?rev=v1.0&{burned}", program("esp32"))[0].runs
    assert boot(f"esp32?rev=v3.0&{burned}", program("esp32"))[1][2:] == [
        "mode:2, clock div:2",
        "secure boot v2 enabled",
        _NO_SIGNATURE,
        "secure boot verification failed",
        "",
    ]


@pytest.mark.parametrize(("crystal", "rate"), [(26, 74880), (40, 115200)])
def test_c2_tells_at_the_rate_that_its_crystal_makes_of_it(crystal: int, rate: int) -> None:
    board = Client(f"virtual://esp32c2?crystal={crystal}&boot=flash").board
    assert board.soc.baud == rate

# SPDX-License-Identifier: Apache-2.0
"""Build folders as build systems leave them, and the write-flash arguments that these would use.

The shapes are those of ESP-IDF, PlatformIO, arduino-esp32, Zephyr and NuttX; the programs in them
are synthetic. Nothing here uses what reads build folders.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import esptool
from esptool.storage.partitions import PartitionTable
from tests.image.elfmaker import RISCV, XTENSA, Elf, Part, pattern

TABLE = "nvs,data,nvs,0x9000,24K\nphy,data,phy,,4K\nfactory,app,factory,,256K\n"
OTA = (
    "nvs,data,nvs,0x9000,20K\notadata,data,ota,0xe000,8K\napp0,app,ota_0,0x10000,256K\n"
    "app1,app,ota_1,,256K\nstorage,data,spiffs,,64K\n"
)
#: Boot loader's place, and where code and data of each kind lie.
PLACES = {
    "esp32": (0x1000, XTENSA, 0x40080000, 0x3FFB0000, 0x3F400020, 0x400D0020),
    "esp32s2": (0x1000, XTENSA, 0x40024000, 0x3FFD0000, 0x3F000020, 0x40080020),
    "esp32s3": (0x0, XTENSA, 0x40374000, 0x3FC90000, 0x3C020020, 0x42000020),
    "esp32c3": (0x0, RISCV, 0x40380000, 0x3FC90000, 0x3C020020, 0x42000020),
    "esp32c2": (0x0, RISCV, 0x4037C000, 0x3FCA8000, 0x3C000020, 0x42000020),
    "esp32c6": (0x0, RISCV, 0x40800000, 0x40820000, 0x42000020, 0x42010020),
    "esp32c61": (0x0, RISCV, 0x40800000, 0x40820000, 0x42000020, 0x42010020),
    "esp32c5": (0x2000, RISCV, 0x40800000, 0x40820000, 0x42000020, 0x42010020),
    "esp32h2": (0x0, RISCV, 0x40800000, 0x40820000, 0x42000020, 0x42010020),
    "esp32p4": (0x2000, RISCV, 0x4FF00000, 0x4FF40000, 0x40000020, 0x40010020),
    "esp32e22": (0x0, RISCV, 0x31000000, 0x31100000, 0x3C000020, 0x3C010020),
    "esp32h21": (0x0, RISCV, 0x40800000, 0x40820000, 0x42000020, 0x42010020),
    "esp32h4": (0x2000, RISCV, 0x40810000, 0x40840000, 0x42000020, 0x42010020),
    "esp32s31": (0x2000, RISCV, 0x2F000000, 0x2F040000, 0x40000020, 0x40010020),
}
#: Of the flash, where it is not 40 MHz.
FREQUENCIES = {"esp32c2": "60m", "esp32c6": "80m", "esp32h2": "48m"}


def description(project: str, version: str, secure_version: int = 0) -> bytes:
    """An `esp_app_desc_t`."""
    return struct.pack(
        "<II8x32s32s16s16s32s32sHHB3x72x",
        *(0xABCD5432, secure_version, version.encode(), project.encode(), b"12:00:00"),
        *(b"Jan  1 2026", b"v5.5", bytes(32), 0, 0xFFFF, 16),
    )


def app_elf(
    chip: str = "esp32c3", version: str = "1.0", *, idf: bool = True, seed: int = 1
) -> bytes:
    """A program for flash."""
    _, machine, iram, dram, drom, irom = PLACES[chip]
    parts = [
        Part(".iram0.text", iram, pattern(700, seed)),
        Part(".dram0.data", dram, pattern(300, seed + 1)),
        Part(".flash.appdesc", drom, description("demo", version)) if idf else None,
        Part(".flash.rodata", drom + (0x100 if idf else 0), pattern(2000, seed + 2)),
        Part(".flash.text", irom, pattern(3000, seed + 3)),
    ]
    return Elf([p for p in parts if p], machine, entry=iram + 4).build()


def boot_elf(chip: str = "esp32c3", *, described: bool = True) -> bytes:
    """A boot loader: all of it in RAM."""
    _, machine, iram, dram, *_ = PLACES[chip]
    about = struct.pack("<B3xI32s24s16x", 0x50, 1, b"v5.5", b"Jan  1 2026 12:00:00")
    data = (about if described else bytes(16)) + pattern(500)
    parts = [Part(".iram0.text", iram, pattern(900, 9)), Part(".dram0.data", dram, data)]
    return Elf(parts, machine, entry=iram + 4).build()


def image(elf: bytes, chip: str, **options: Any) -> bytes:
    """The image of an ELF file."""
    options = {"flash_mode": "dio", "flash_size": "4MB", **options}
    made = esptool.elf2image(elf, chip, listener=lambda _event: None, **options)
    assert isinstance(made, bytes)
    return made


def app(chip: str = "esp32c3", version: str = "1.0", **options: Any) -> bytes:
    """The image of `app_elf`, with the digest of the ELF file in it."""
    return image(app_elf(chip, version), chip, elf_sha256_offset=0xB0, **options)


def boot(chip: str = "esp32c3", **options: Any) -> bytes:
    """The image of `boot_elf`."""
    return image(boot_elf(chip), chip, **options)


def table(csv: str = TABLE) -> bytes:
    """A partition table in binary."""
    return PartitionTable.from_csv(csv).to_bytes()


OTADATA_BLANK = b"\xff" * 0x2000
#: The first entry names slot 0: sequence 1, and its CRC.
BOOT_APP0 = b"\1\0\0\0" + b"\xff" * 24 + bytes.fromhex("9a984347") + b"\xff" * (0x2000 - 32)


@dataclass
class Shape:
    """A build folder, and what the build system's own upload writes.

    Attributes:
        what: what a person names, relative to the folder.
        words: the arguments of write-flash, files relative to `cwd`.
    """

    chip: str
    folder: Path
    words: list[str]
    what: str = "."
    cwd: str = "."
    files: dict[int, bytes] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """What is given to `flash`."""
        return str(self.folder / self.what)


def put(folder: Path, files: dict[str, bytes | str]) -> None:
    """Write files, by their paths in the folder."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)


# --- ESP-IDF -------------------------------------------------------------------------------------


def idf(
    folder: Path,
    chip: str = "esp32c3",
    *,
    csv: str = TABLE,
    table_at: int = 0x8000,
    bootloader: bool = True,
    encrypted: bool = False,
    size: str = "4MB",
    extra: dict[str, Any] | None = None,
    data: dict[str, bytes] | None = None,
    signed: bytes = b"",
) -> Shape:
    """An ESP-IDF build. With `encrypted`, `words` are those of `encrypted_flash_args`."""
    made = PartitionTable.from_csv(csv, table_offset=table_at)
    boot_at = PLACES[chip][0]
    program = made.factory or made["app0"]
    files: dict[str, tuple[int, str, bool]] = {}
    if bootloader:
        files["bootloader"] = (boot_at, "bootloader/bootloader.bin", True)
    files["app"] = (program.offset, "demo.bin", True)
    files["partition-table"] = (table_at, "partition_table/partition-table.bin", True)
    if made.otadata is not None:
        files["otadata"] = (made.otadata.offset, "ota_data_initial.bin", True)
    for name in data or {}:
        place = made[name]
        files[name] = (place.offset, f"{name}.bin", place.encrypted)
    flash = {"flash_mode": "dio", "flash_size": size, "flash_freq": "40m"}
    flash["flash_freq"] = FREQUENCIES.get(chip, "40m")
    flasher: dict[str, Any] = {
        "write_flash_args": [w for k, v in flash.items() for w in (f"--{k}", v)],
        "flash_settings": flash,
        "flash_files": {hex(at): name for at, name, _ in files.values()},
    }
    for key, (at, name, wants) in files.items():
        word = "true" if encrypted and wants else "false"
        flasher[key] = {"offset": hex(at), "file": name, "encrypted": word}
    flasher["extra_esptool_args"] = {
        "after": "hard_reset",
        "before": "default_reset",
        "stub": True,
        "chip": chip,
        **(extra or {}),
    }
    elf = app_elf(chip)
    words = [w for k, v in flash.items() for w in (f"--{k.replace('_', '-')}", v)]
    plain = [w for at, name, wants in files.values() if not wants for w in (hex(at), name)]
    crypt = [w for at, name, wants in files.values() if wants for w in (hex(at), name)]
    arguments = [*words, *plain, *crypt]
    if encrypted:
        arguments = (
            [*words, *plain, "--encrypt-files", *crypt] if plain else [*words, "--encrypt", *crypt]
        )
    put(
        folder,
        {
            "flasher_args.json": json.dumps(flasher, indent=4),
            "flash_args": " ".join(words) + "\n" + "\n".join(_pairs([*plain, *crypt])) + "\n",
            "project_description.json": json.dumps(
                {
                    "project_name": "demo",
                    "project_version": "1.0",
                    "app_elf": "demo.elf",
                    "target": chip,
                }
            ),
            "bootloader/bootloader.bin": boot(chip),
            "partition_table/partition-table.bin": made.to_bytes(),
            "demo.elf": elf,
            "demo.bin": image(elf, chip, elf_sha256_offset=0xB0) + signed,
            **({"ota_data_initial.bin": OTADATA_BLANK} if made.otadata is not None else {}),
            **{f"{name}.bin": content for name, content in (data or {}).items()},
        },
    )
    return Shape(chip, folder, arguments)


def _pairs(words: list[str]) -> list[str]:
    return [f"{words[i]} {words[i + 1]}" for i in range(0, len(words), 2)]


def idf_simple(folder: Path) -> Shape:
    """One application."""
    return idf(folder, "esp32c3")


def idf_ota(folder: Path) -> Shape:
    """OTA slots, a table further back, an image of a file system, and detection of the size."""
    csv = (
        OTA.replace("0x9000", "0x11000").replace("0xe000", "0x16000").replace("0x10000", "0x20000")
    )
    return idf(
        folder,
        "esp32",
        csv=csv,
        table_at=0x10000,
        size="detect",
        data={"storage": pattern(9000, 5)},
    )


def idf_secure_boot(folder: Path) -> Shape:
    """Where secure boot is on, the boot loader is left out."""
    return idf(folder, "esp32s3", csv=OTA, bootloader=False, size="keep")


def idf_project(folder: Path) -> Shape:
    """The project's folder, in which the build lies."""
    put(folder, {"CMakeLists.txt": "project(demo)\n"})
    shape = idf(
        folder / "build", "esp32p4", csv=TABLE.replace("0x9000", "0x19000"), table_at=0x18000
    )
    return Shape("esp32p4", folder, shape.words, ".", "build")


def idf_flattened(folder: Path) -> Shape:
    """All files in one folder, as people copy them; the paths that are written down are others."""
    shape = idf(folder, "esp32s2", csv=OTA)
    for name in ("bootloader/bootloader.bin", "partition_table/partition-table.bin"):
        path = folder / name
        path.rename(folder / path.name)
        path.parent.rmdir()
        shape.words = [path.name if word == name else word for word in shape.words]
    return shape


# --- PlatformIO ----------------------------------------------------------------------------------


def platformio(folder: Path, chip: str, *, idedata: bool, framework: str = "arduino") -> Shape:
    """`.pio/build/ENV` of a project that was moved: absolute paths lead nowhere."""
    csv = OTA if framework == "arduino" else TABLE
    env = ".pio/build/board"
    boot_at, app_at = PLACES[chip][0], 0x10000
    elf = app_elf(chip, "3.1")
    files: dict[str, bytes | str] = {
        "platformio.ini": "[platformio]\ndefault_envs = board\n[env:board]\n",
        f"{env}/firmware.elf": elf,
        f"{env}/firmware.bin": image(elf, chip, flash_mode="dio", flash_freq="80m"),
        f"{env}/bootloader.bin": boot(chip, flash_mode="qio", flash_size="2MB"),
        f"{env}/partitions.bin": table(csv),
        ".pio/build/project.checksum": "1",
        "boot_app0.bin": BOOT_APP0,
    }
    images = [(boot_at, "bootloader.bin"), (0x8000, "partitions.bin")]
    if idedata:
        files[f"{env}/idedata.json"] = json.dumps(
            {
                "prog_path": "/home/someone/project/.pio/build/board/firmware.elf",
                "extra": {
                    "flash_images": [
                        *(
                            {"offset": hex(at), "path": f"/home/someone/project/{env}/{name}"}
                            for at, name in images
                        ),
                        {
                            "offset": "0xe000",
                            "path": "C:\\Users\\me\\.platformio\\packages\\boot_app0.bin",
                        },
                    ],
                    "application_offset": hex(app_at),
                },
            }
        )
    put(folder, files)
    words = ["--flash-mode", "dio", "--flash-freq", "80m", "--flash-size", "4MB"]
    for at, name in images:
        words += [hex(at), f"{env}/{name}"]
    if framework == "arduino":
        words += ["0xe000", "boot_app0.bin"]
    return Shape(chip, folder, [*words, hex(app_at), f"{env}/firmware.bin"])


def platformio_arduino(folder: Path) -> Shape:
    """With `idedata.json`, by the project's folder."""
    return platformio(folder, "esp32", idedata=True)


def platformio_idf(folder: Path) -> Shape:
    """Without it, by the environment's folder, where CMake describes files that are not there."""
    shape = platformio(folder, "esp32s3", idedata=False, framework="espidf")
    stale = {"flash_files": {"0x0": "bootloader/bootloader.bin", "0x10000": "demo.bin"}}
    env = folder / ".pio" / "build" / "board"
    (env / "flasher_args.json").write_text(json.dumps(stale))
    shape.what = ".pio/build/board"
    return shape


def esp8266(folder: Path) -> Shape:
    """A program for ESP8266, with its own boot loader in front: one file at 0."""
    whole = b"\xe9\1\2\x40" + struct.pack("<I", 0x40100004)
    whole += struct.pack("<II", 0x40100000, 64) + pattern(64)
    checksum = 0xEF
    for byte in pattern(64):
        checksum ^= byte
    whole += bytes(15 - len(whole) % 16) + bytes((checksum,))
    put(
        folder,
        {
            ".pio/build/d1/firmware.bin": whole.ljust(0x1000, b"\xff") + pattern(5000),
            ".pio/build/d1/firmware.elf": b"\x7fELF",
        },
    )
    words = ["0x0", ".pio/build/d1/firmware.bin"]
    return Shape("esp8266", folder, words, ".pio/build/d1")


# --- Arduino -------------------------------------------------------------------------------------


def arduino(folder: Path, chip: str, *, version: int) -> Shape:
    """An exported sketch of arduino-esp32 2 or 3."""
    boot_at = PLACES[chip][0]
    below = "build/esp32.esp32.board" if version == 2 else "."
    elf = app_elf(chip, "2.0")
    files: dict[str, bytes | str] = {
        "Blink.ino": "void setup() {}\n",
        f"{below}/Blink.ino.elf": elf,
        f"{below}/Blink.ino.bin": image(elf, chip),
        f"{below}/Blink.ino.bootloader.bin": boot(chip, flash_size="4MB"),
        f"{below}/Blink.ino.partitions.bin": table(OTA),
        f"{'.' if version == 3 else '..'}/boot_app0.bin": BOOT_APP0,
    }
    words = ["--flash-mode", "keep", "--flash-freq", "keep", "--flash-size", "keep"]
    if version == 3:
        words = ["--flash-mode", "dio", "--flash-freq", "80m", "--flash-size", "8MB"]
        files["flash_args"] = (
            f"{' '.join(words)}\n{boot_at:#x} Blink.ino.bootloader.bin\n"
            "0x8000 Blink.ino.partitions.bin\n0xe000 boot_app0.bin\n0x10000 Blink.ino.bin\n"
        )
    put(folder, files)
    for at, name in (
        (boot_at, f"{below}/Blink.ino.bootloader.bin"),
        (0x8000, f"{below}/Blink.ino.partitions.bin"),
        (0xE000, "boot_app0.bin" if version == 3 else "../boot_app0.bin"),
        (0x10000, f"{below}/Blink.ino.bin"),
    ):
        words += [hex(at), name]
    return Shape(chip, folder, words)


def arduino_2(folder: Path) -> Shape:
    """Below `build`, without boot_app0.bin, which lies in the core's folder."""
    return arduino(folder / "sketch", "esp32", version=2)


def arduino_3(folder: Path) -> Shape:
    """With `flash_args` beside."""
    return arduino(folder, "esp32c3", version=3)


def arduino_merged(folder: Path) -> Shape:
    """The merged image alone."""
    files = {0x0: boot("esp32s3"), 0x8000: table(OTA), 0xE000: BOOT_APP0, 0x10000: app("esp32s3")}
    put(folder, {"Blink.ino.merged.bin": merged(files)})
    return Shape("esp32s3", folder, ["0x0", "Blink.ino.merged.bin"], "Blink.ino.merged.bin")


def merged(files: dict[int, bytes], start: int = 0) -> bytes:
    """Files at their places, with 0xFF between them."""
    out = bytearray(b"\xff" * (max(at + len(data) for at, data in files.items()) - start))
    for at, data in files.items():
        out[at - start : at - start + len(data)] = data
    return bytes(out)


# --- Zephyr --------------------------------------------------------------------------------------


def runners(config: dict[str, str], options: list[str]) -> str:
    """A `runners.yaml`."""
    lines = ["# Available runners configured by board.cmake.", "runners:", "- esp32", "- openocd"]
    lines += ["", "# Default flash runner if --runner is not given.", "flash-runner: esp32"]
    lines += ["debug-runner: openocd", "", "# Common runner configuration values.", "config:"]
    lines += [f"  {key}: {value}" for key, value in config.items()]
    lines += ["", "# Runner specific arguments", "args:", "  esp32:"]
    lines += [f"    - --{option}" for option in options]
    return "\n".join([*lines, "", "  openocd:", "    - --cmd-load", "    - x", ""])


_FILES = {"board_dir": "/zephyr/boards/x", "elf_file": "zephyr.elf", "hex_file": "zephyr.hex"}


def zephyr_simple(folder: Path) -> Shape:
    """Simple boot: one image at the boot loader's place, by the application's folder."""
    elf = app_elf("esp32s3", idf=False)
    put(
        folder,
        {
            "build/zephyr/runners.yaml": runners(
                {**_FILES, "bin_file": "zephyr.bin"},
                ["esp-idf-path=/zephyr/modules/hal", "esp-app-address=0x0", "esp-flash-size=8MB"],
            ),
            "build/zephyr/zephyr.elf": elf,
            "build/zephyr/zephyr.bin": image(elf, "esp32s3", ram_only_header=True),
        },
    )
    words = ["--flash-mode", "dio", "--flash-freq", "40m", "--flash-size", "8MB"]
    return Shape("esp32s3", folder, [*words, "0x0", "build/zephyr/zephyr.bin"])


def zephyr_with_bootloader(folder: Path) -> Shape:
    """With ESP-IDF's boot loader, whose absolute path leads nowhere any more."""
    put(
        folder,
        {
            "zephyr/runners.yaml": runners(
                {**_FILES, "bin_file": "zephyr.bin"},
                [
                    "esp-idf-path=/zephyr/modules/hal",
                    "esp-flash-bootloader=/old/build/zephyr/esp-idf/bootloader-esp32.bin",
                    "esp-flash-partition_table=/old/build/zephyr/esp-idf/partitions.bin",
                    "esp-boot-address=0x1000",
                ],
            ),
            "zephyr/zephyr.elf": app_elf("esp32", idf=False),
            "zephyr/zephyr.bin": image(app_elf("esp32", idf=False), "esp32"),
            "zephyr/esp-idf/bootloader-esp32.bin": boot("esp32"),
            "zephyr/esp-idf/partitions.bin": table(),
        },
    )
    words = ["--flash-mode", "dio", "--flash-freq", "40m", "--flash-size", "detect"]
    words += ["0x1000", "zephyr/esp-idf/bootloader-esp32.bin"]
    words += ["0x8000", "zephyr/esp-idf/partitions.bin", "0x10000", "zephyr/zephyr.bin"]
    return Shape("esp32", folder, words)


def zephyr_sysbuild(folder: Path) -> Shape:
    """MCUboot and an application for it, each a domain."""
    signed = b"\x3d\xb8\xf3\x96" + pattern(6000, 7)
    put(
        folder,
        {
            "domains.yaml": "default: hello\nbuild_dir: /old/build\ndomains:\n"
            "  - name: hello\n    build_dir: /old/build/hello\n"
            "  - name: mcuboot\n    build_dir: /old/build/mcuboot\n"
            "flash_order:\n  - mcuboot\n  - hello\n",
            "mcuboot/zephyr/runners.yaml": runners(
                {**_FILES, "bin_file": "zephyr.bin"}, ["esp-app-address=0x0"]
            ),
            "mcuboot/zephyr/zephyr.bin": image(boot_elf("esp32c3", described=False), "esp32c3"),
            "hello/zephyr/runners.yaml": runners(
                {**_FILES, "bin_file": "zephyr.signed.bin"}, ["esp-app-address=0x20000"]
            ),
            "hello/zephyr/zephyr.signed.bin": signed,
            "hello/zephyr/zephyr.elf": app_elf("esp32c3", idf=False),
        },
    )
    words = ["--flash-mode", "dio", "--flash-freq", "40m", "--flash-size", "detect"]
    words += ["0x0", "mcuboot/zephyr/zephyr.bin", "0x20000", "hello/zephyr/zephyr.signed.bin"]
    return Shape("esp32c3", folder, words)


# --- NuttX ---------------------------------------------------------------------------------------


def nuttx_simple(folder: Path) -> Shape:
    """Simple boot of the chips with a common configuration."""
    elf = app_elf("esp32c6", idf=False)
    put(
        folder,
        {
            ".config": 'CONFIG_ARCH_CHIP="esp32c6"\nCONFIG_ESPRESSIF_CHIP_SERIES="esp32c6"\n'
            "CONFIG_ESPRESSIF_SIMPLE_BOOT=y\nCONFIG_ESPRESSIF_FLASH_4M=y\n"
            'CONFIG_ESPRESSIF_FLASH_FREQ="80m"\n# CONFIG_ESPRESSIF_MERGE_BINS is not set\n',
            "nuttx": elf,
            "nuttx.bin": image(elf, "esp32c6", ram_only_header=True),
        },
    )
    words = ["-fs", "4MB", "-fm", "dio", "-ff", "80m", "0x0", "nuttx.bin"]
    return Shape("esp32c6", folder, words)


def nuttx_legacy(folder: Path) -> Shape:
    """With a boot loader and a table that lie beside."""
    elf = app_elf("esp32", idf=False)
    put(
        folder,
        {
            ".config": 'CONFIG_ARCH_CHIP="esp32"\nCONFIG_ESP32_APP_FORMAT_LEGACY=y\n'
            "CONFIG_ESP32_FLASH_DETECT=y\nCONFIG_ESP32_FLASH_FREQ_40M=y\n"
            "CONFIG_ESP32_FLASH_4M=y\nCONFIG_ESP32_PARTITION_TABLE_OFFSET=0x8000\n",
            "nuttx": elf,
            "nuttx.bin": image(elf, "esp32"),
            "bootloader-esp32.bin": boot("esp32"),
            "partition-table-esp32.bin": table(),
        },
    )
    words = ["-fs", "detect", "-fm", "dio", "-ff", "40m", "0x1000", "bootloader-esp32.bin"]
    words += ["0x8000", "partition-table-esp32.bin", "0x10000", "nuttx.bin"]
    return Shape("esp32", folder, words)


def nuttx_merged(folder: Path) -> Shape:
    """All in one file."""
    files = {0x0: boot("esp32c3"), 0x20000: b"\x3d\xb8\xf3\x96" + pattern(4000)}
    put(
        folder,
        {
            ".config": 'CONFIG_ESPRESSIF_CHIP_SERIES="esp32c3"\nCONFIG_ESPRESSIF_MERGE_BINS=y\n'
            "CONFIG_ESPRESSIF_BOOTLOADER_MCUBOOT=y\nCONFIG_ESPRESSIF_FLASH_4M=y\n"
            'CONFIG_ESPRESSIF_FLASH_FREQ="40m"\n',
            "nuttx.bin": files[0x20000],
            "nuttx.merged.bin": merged(files),
        },
    )
    words = ["-fs", "4MB", "-fm", "dio", "-ff", "40m", "0x0", "nuttx.merged.bin"]
    return Shape("esp32c3", folder, words)


SHAPES: dict[str, Callable[[Path], Shape]] = {
    make.__name__: make
    for make in (
        *(idf_simple, idf_ota, idf_secure_boot, idf_project, idf_flattened),
        *(platformio_arduino, platformio_idf, esp8266),
        *(arduino_2, arduino_3, arduino_merged),
        *(zephyr_simple, zephyr_with_bootloader, zephyr_sysbuild),
        *(nuttx_simple, nuttx_legacy, nuttx_merged),
    )
}


def digest(data: bytes) -> str:
    """SHA-256 in hex digits."""
    return hashlib.sha256(data).hexdigest()

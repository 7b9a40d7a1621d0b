# SPDX-License-Identifier: Apache-2.0
"""`flash` with a board in any state: where things go, what is encrypted, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

import esptool
from esptool.builds import Role, find_build
from esptool.cli.monitor import Settings
from esptool.errors import FatalError
from esptool.storage.otadata import OtaData
from esptool.storage.partitions import PartitionTable
from esptool.transport.port import Port
from tests.builds import shapes
from tests.builds.shapes import OTA, OTADATA_BLANK, TABLE, app, app_elf, boot, idf, put, table
from tests.builds.support import DEVELOPMENT, RELEASE, Desk
from tests.image.elfmaker import XTENSA, Elf, Part, pattern
from tests.support.signed import key_burned, signed

Capture = pytest.CaptureFixture[str]


def kept(version: str = "old", csv: str = OTA) -> dict[int, bytes]:
    """A board that runs an older version already."""
    made = PartitionTable.from_csv(csv)
    program = made.factory or made["app0"]
    return {0: boot(), 0x8000: made.to_bytes(), program.offset: app(version=version)}


# --- what stands in for what ---------------------------------------------------------------------


def test_an_elf_file_gives_the_bytes_of_the_build_that_lies_beside_it(
    tmp_path: Path, capsys: Capture
) -> None:
    shape = idf(tmp_path, csv=OTA)
    whole, program = Desk(capsys, "esp32c3"), Desk(capsys, "esp32c3")
    whole("flash", shape.path)
    out = program("flash", str(tmp_path / "demo.elf"))
    assert program.flash() == whole.flash()
    assert "demo.bin" in out
    # The image of the build may be signed, so it is taken where it was made of this file.
    (tmp_path / "demo.bin").write_bytes(app(version="other"))
    out = program("flash", str(tmp_path / "demo.elf"))
    assert "made of another ELF file" in out
    assert program.flash() == whole.flash()


@pytest.mark.parametrize("where", ["given", "beside", "kept"])
def test_an_elf_file_takes_boot_loader_and_table_from_wherever_they_are(
    where: str, tmp_path: Path, capsys: Capture
) -> None:
    desk = Desk(capsys, "esp32c3")
    put(tmp_path, {"app/new.elf": app_elf(version="2.0"), "boot.bin": boot(), "t.csv": OTA})
    words = ["flash", str(tmp_path / "app" / "new.elf")]
    if where == "given":
        words += ["--bootloader", str(tmp_path / "boot.bin")]
        words += ["--partition-table", str(tmp_path / "t.csv")]
    elif where == "beside":
        put(tmp_path, {"app/bootloader.bin": boot(), "app/partition-table.bin": table(OTA)})
    else:
        desk.load(kept())
    out = desk(*words)
    assert desk.flash(0, len(boot())) == boot()
    assert desk.flash(0x8000, 0xC00) == table(OTA)
    made = app(version="2.0")
    assert desk.flash(0x10000, len(made)) == made
    assert "demo 2.0" in out


def test_an_elf_file_alone_on_a_blank_board_is_refused_with_the_remedy(
    tmp_path: Path, capsys: Capture
) -> None:
    put(tmp_path, {"new.elf": app_elf(), "boot.bin": boot(), "t.csv": TABLE})
    desk = Desk(capsys, "esp32c3")
    text = desk.refused("flash", str(tmp_path / "new.elf"))
    assert "no partition table" in text
    assert "--partition-table FILE" in text
    assert "--bootloader FILE" in text
    words = ["flash", str(tmp_path / "new.elf"), "--partition-table", str(tmp_path / "t.csv")]
    assert "there is none at 0x0: the flash is blank there" in desk.refused(*words)
    desk(*words, "--bootloader", str(tmp_path / "boot.bin"))


def test_an_esp8266_program_becomes_its_two_images(tmp_path: Path, capsys: Capture) -> None:
    parts = [
        Part(".text", 0x40100000, pattern(400)),
        Part(".data", 0x3FFE8000, pattern(200, 2)),
        Part(".irom0.text", 0x40220000, pattern(3000, 3)),
    ]
    elf = tmp_path / "blink.elf"
    elf.write_bytes(Elf(parts, XTENSA, entry=0x40100004).build())
    desk = Desk(capsys, "esp8266")
    desk("flash", str(elf))
    esptool.main(["--chip", "esp8266", "elf2image", str(elf), "--flash-size", "4MB", "-fm", "dio"])
    for at in ("0x00000", "0x20000"):
        made = Path(f"{elf}-{at}.bin").read_bytes()
        assert desk.flash(int(at, 16), len(made)) == made


def test_an_application_image_goes_where_the_board_has_its_applications(
    tmp_path: Path, capsys: Capture
) -> None:
    csv = TABLE.replace("factory,app,factory,,256K", "factory,app,factory,0x30000,256K")
    put(tmp_path, {"new.bin": app(version="2.0")})
    desk = Desk(capsys, "esp32c3")
    desk.load(kept(csv=csv))
    before = desk.flash()
    out = desk("flash", str(tmp_path / "new.bin"))
    new = app(version="2.0")
    assert desk.flash(0x30000, len(new)) == new
    assert desk.flash(0, 0x30000) == before[:0x30000]
    assert "partition 'factory' of the table on the device" in out


def test_single_files_go_together_and_stand_in_for_those_of_a_build(
    tmp_path: Path, capsys: Capture
) -> None:
    shape = idf(tmp_path / "build", csv=OTA)
    put(tmp_path, {"new.bin": app(version="9")})
    files = [
        str(tmp_path / "build" / name)
        for name in ("bootloader/bootloader.bin", "partition_table/partition-table.bin")
    ]
    one, two = Desk(capsys, "esp32c3"), Desk(capsys, "esp32c3")
    one("flash", *files, str(tmp_path / "new.bin"), "-ff", "40m")
    two("flash", shape.path, str(tmp_path / "new.bin"))
    assert one.flash() == two.flash()
    assert one.flash(0x10000, 0x400) == app(version="9")[:0x400]


def test_a_merged_image_and_a_bundle_give_the_same_flash_as_the_build(
    tmp_path: Path, capsys: Capture
) -> None:
    shape = idf(tmp_path / "build", "esp32s2", csv=OTA, size="keep")
    build, merged, whole, bundle = (Desk(capsys, "esp32s2") for _ in range(4))
    build("flash", shape.path)
    words = [str(Path(shape.path) / w) if w.endswith(".bin") else w for w in shape.words[6:]]
    for start, desk in (("0", whole), ("0x1000", merged)):
        out = str(tmp_path / f"merged{start}.bin")
        esptool.main(["--chip", "esp32s2", "merge-bin", "-o", out, "-t", start, *words])
        desk("flash", out)
        assert desk.flash(0x1000) == build.flash(0x1000)
    esptool.main(["bundle", shape.path, "-o", str(tmp_path / "product.zip")])
    shutil.rmtree(tmp_path / "build")
    bundle("flash", str(tmp_path / "product.zip"))
    assert bundle.flash() == build.flash()


def test_an_elf_file_of_zephyr_is_written_as_the_build_makes_it(
    tmp_path: Path, capsys: Capture
) -> None:
    shape = shapes.zephyr_simple(tmp_path)
    build, program = Desk(capsys, "esp32s3"), Desk(capsys, "esp32s3")
    build("flash", shape.path)
    out = program("flash", str(tmp_path / "build" / "zephyr" / "zephyr.elf"))
    assert "own image" in out
    assert program.flash() == build.flash()


def test_of_several_builds_the_usual_one_is_taken_and_said_or_none(tmp_path: Path) -> None:
    idf(tmp_path / "idf" / "build")
    idf(tmp_path / "idf" / "build_s3", "esp32s3")
    found = find_build([str(tmp_path / "idf")]).build
    assert found.chip == "esp32c3"
    assert any("there are also build_s3" in note for note in found.notes)
    shapes.platformio(tmp_path / "pio", "esp32", idedata=False)
    other = tmp_path / "pio" / ".pio" / "build" / "other"
    put(other, {"firmware.bin": app("esp32s3"), "partitions.bin": table()})
    found = find_build([str(tmp_path / "pio")]).build
    assert found.source.endswith("board")
    assert any("default_envs" in note for note in found.notes)
    idf(tmp_path / "pio" / "build")
    with pytest.raises(FatalError, match=r"several builds: .*board.*other"):
        find_build([str(tmp_path / "pio")])
    shutil.rmtree(tmp_path / "idf" / "build")
    assert find_build([str(tmp_path / "idf")]).build.chip == "esp32s3"


def test_what_a_merged_image_erases_on_the_way_is_told(tmp_path: Path, capsys: Capture) -> None:
    shape = shapes.arduino_merged(tmp_path)
    out = Desk(capsys, "esp32s3")("flash", shape.path, "--dry-run")
    assert "it erases 'nvs'." in out


def test_the_places_that_a_build_says_elsewhere_count(tmp_path: Path, capsys: Capture) -> None:
    """PlatformIO's table may lie further back; NuttX may have two programs."""
    shape = shapes.platformio(tmp_path / "pio", "esp32c3", idedata=False, framework="espidf")
    env = tmp_path / "pio" / ".pio" / "build" / "board"
    csv = TABLE.replace("0x9000", "0x11000").replace(
        "factory,app,factory,", "factory,app,factory,0x20000"
    )
    config = json.dumps({"PARTITION_TABLE_OFFSET": 0x10000})
    made = PartitionTable.from_csv(csv, table_offset=0x10000).to_bytes()
    put(env, {"partitions.bin": made, "config/sdkconfig.json": config})
    places = {part.role: part.offset for part in find_build([shape.path]).build.parts}
    assert places == {Role.BOOTLOADER: 0, Role.TABLE: 0x10000, Role.APP: 0x20000}
    shapes.nuttx_legacy(tmp_path / "nuttx")
    config = (tmp_path / "nuttx" / ".config").read_text()
    config += "CONFIG_BUILD_PROTECTED=y\nCONFIG_ESP32_KERNEL_OFFSET=0x10000\n"
    config += "CONFIG_ESP32_KERNEL_IMAGE_SIZE=0x100000\n"
    put(tmp_path / "nuttx", {".config": config, "nuttx_user.bin": b"user"})
    parts = find_build([str(tmp_path / "nuttx")]).build.parts
    assert {part.name: part.offset for part in parts}["nuttx_user.bin"] == 0x110000


# --- targets, erasing, options -------------------------------------------------------------------


@pytest.mark.parametrize("slot", ["ota_1", "app1", "1"])
def test_a_target_slot_gets_the_application_and_boots(
    slot: str, tmp_path: Path, capsys: Capture
) -> None:
    shape = idf(tmp_path, csv=OTA)
    desk = Desk(capsys, "esp32c3")
    desk.load(kept())
    desk("flash", shape.path, "--target", slot)
    made = PartitionTable.from_csv(OTA)
    new = (tmp_path / "demo.bin").read_bytes()
    assert desk.flash(made["app1"].offset, len(new)) == new
    assert desk.flash(0x10000, len(app(version="old"))) == app(version="old")
    where = made["otadata"]
    assert OtaData.from_bytes(desk.flash(where.offset, where.size)).selected(2) == 1
    assert "app1" in desk("ota", "status")


def test_other_targets_than_slots(tmp_path: Path, capsys: Capture) -> None:
    csv = OTA.replace("app0,app,ota_0,0x10000", "fac,app,factory,0x10000") + "try,app,test,,128K\n"
    shape = idf(tmp_path, csv=csv.replace("app1,app,ota_1", "app0,app,ota_0"))
    made = PartitionTable.from_csv(csv.replace("app1,app,ota_1", "app0,app,ota_0"))
    chosen = OtaData.blank().switched(0, 1).to_bytes()
    new = (tmp_path / "demo.bin").read_bytes()
    desk = Desk(capsys, "esp32c3")
    desk.load({made["otadata"].offset: chosen})
    desk("flash", str(tmp_path / "demo.bin"), *companions(tmp_path), "--target", "try")
    assert desk.flash(made["try"].offset, len(new)) == new
    assert desk.flash(made["otadata"].offset, 0x2000) == chosen
    desk("flash", str(tmp_path / "demo.bin"), *companions(tmp_path), "--target", "factory")
    assert desk.flash(made["fac"].offset, len(new)) == new
    assert desk.flash(made["otadata"].offset, 0x2000) == OTADATA_BLANK
    text = desk.refused("flash", shape.path, "--target", "storage")
    assert "not for applications" in text
    assert "write-flash storage FILE" in text
    assert "The table has: fac, app0, try" in desk.refused("flash", shape.path, "--target", "x")


def companions(folder: Path) -> list[str]:
    """Boot loader and table of a build, as options."""
    return [
        *("--bootloader", str(folder / "bootloader" / "bootloader.bin")),
        *("--partition-table", str(folder / "partition_table" / "partition-table.bin")),
    ]


def test_the_slot_that_boots_elsewhere_is_told(tmp_path: Path, capsys: Capture) -> None:
    put(tmp_path, {"new.bin": app(version="2")})
    desk = Desk(capsys, "esp32c3")
    made = PartitionTable.from_csv(OTA)
    chosen = OtaData.blank().switched(1, 2).to_bytes()
    desk.load({**kept(), made["otadata"].offset: chosen, made["app1"].offset: app(version="1")})
    out = desk("flash", str(tmp_path / "new.bin"))
    assert "The OTA data on the device select 'app1'" in out
    assert "--target app1" in out
    out = desk("flash", str(tmp_path / "new.bin"), "--erase", "otadata")
    assert "select 'app1'" not in out
    assert desk.flash(made["otadata"].offset, 0x2000) == OTADATA_BLANK


def test_an_offset_as_target_needs_no_table(tmp_path: Path, capsys: Capture) -> None:
    put(tmp_path, {"new.bin": app()})
    desk = Desk(capsys, "esp32c3")
    desk.load({0: boot()})
    desk("flash", str(tmp_path / "new.bin"), "--target", "0x20000")
    assert desk.flash(0x20000, 64) == app()[:64]
    text = desk.refused("flash", str(tmp_path / "new.bin"), "--target", "0x21000")
    assert "cannot begin at 0x21000" in text
    assert "a multiple of 0x10000" in text


def test_an_offset_within_a_partition_is_warned_of_and_called_nothing_else(
    tmp_path: Path, capsys: Capture
) -> None:
    shape = idf(tmp_path)
    out = Desk(capsys, "esp32c3")("flash", shape.path, "--target", "0x20000")
    assert "No partition of the table begins at 0x20000" in out
    assert "goes to partition" not in out


def test_partitions_are_erased_first_by_name(tmp_path: Path, capsys: Capture) -> None:
    shape = idf(tmp_path, csv=OTA)
    desk = Desk(capsys, "esp32c3")
    desk.load({**kept(), 0x9000: bytes(0x5000), 0x90000: bytes(0x10000)})
    desk("flash", shape.path, "--erase", "nvs", "--erase", "storage[:0x1000]")
    assert desk.flash(0x9000, 0x5000) == b"\xff" * 0x5000
    assert desk.flash(0x90000, 0x1000) == b"\xff" * 0x1000
    assert desk.flash(0x91000, 0xF000) == bytes(0xF000)
    desk("flash", shape.path, "--erase-all")
    assert desk.flash(0x91000, 0xF000) == b"\xff" * 0xF000


def test_a_dry_run_says_all_and_changes_nothing(tmp_path: Path, capsys: Capture) -> None:
    shape = idf(tmp_path, csv=OTA)
    desk = Desk(capsys, "esp32c3")
    out = desk("flash", shape.path, "--dry-run")
    for word in ("ESP-IDF build", "flasher_args.json", "ESP32-C3", "bootloader/bootloader.bin"):
        assert word in out
    assert "Nothing was written" in out
    assert desk.flash() == b"\xff" * (4 << 20)
    plan = json.loads(desk("flash", shape.path, "--dry-run", "--json"))
    assert [part["offset"] for part in plan["parts"]] == [0, 0x8000, 0xE000, 0x10000]
    assert plan["build"]["chip"] == "esp32c3"
    assert plan["build"]["build_id"] == shapes.digest((tmp_path / "demo.elf").read_bytes())


def test_verify_only_tells_whether_the_board_has_the_build(tmp_path: Path, capsys: Capture) -> None:
    shape = idf(tmp_path)
    desk = Desk(capsys, "esp32c3")
    assert "Different" in desk.refused("flash", shape.path, "--verify-only")
    desk("flash", shape.path)
    desk("flash", shape.path, "--verify-only")


def test_flash_parameters_of_the_command_line_come_before_those_of_the_build(
    tmp_path: Path, capsys: Capture
) -> None:
    shape = idf(tmp_path)
    desk, other = Desk(capsys, "esp32c3"), Desk(capsys, "esp32c3")
    desk("flash", shape.path, "-fm", "qio", "-fs", "detect")
    words = [str(tmp_path / w) if w.endswith(".bin") else w for w in shape.words[6:]]
    other("write-flash", "-fm", "qio", "-fs", "4MB", "-ff", "40m", *words)
    assert desk.flash() == other.flash()


@pytest.mark.parametrize("bundled", [False, True])
def test_the_monitor_follows_with_the_elf_file_of_the_build(
    bundled: bool, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape = idf(tmp_path / "build", csv=OTA)
    what = shape.path
    if bundled:
        what = str(tmp_path / "product.zip")
        esptool.make_bundle(shape.path, what, listener=lambda _event: None)
    elf = (tmp_path / "build" / "demo.elf").read_bytes()
    seen: list[bytes] = []

    def run(port: Port, settings: Settings, **_more: object) -> None:
        port.close()
        seen.extend(Path(path).read_bytes() for path in settings.elf)

    monkeypatch.setattr(import_module("esptool.cli.monitor"), "run_monitor", run)
    desk = Desk(capsys, "esp32c3")
    desk("flash", what, "--monitor")
    assert seen == [elf]
    assert desk.flash(0, 2) == boot()[:2]


# --- chip, revision, partitions ------------------------------------------------------------------


def test_another_chip_and_revision_are_refused_before_anything_changes(
    tmp_path: Path, capsys: Capture
) -> None:
    idf(tmp_path / "c3")
    idf(tmp_path / "new")
    idf(tmp_path / "old")
    put(tmp_path / "new", {"demo.bin": app(min_rev_full=103)})
    put(tmp_path / "old", {"demo.bin": app(max_rev_full=2)})
    other = Desk(capsys, "esp32c6")
    text = other.refused("flash", str(tmp_path / "c3"), "--erase", "nvs")
    assert "for ESP32-C3" in text
    assert "ESP32-C6" in text
    desk = Desk(capsys, "esp32c3")
    assert "v1.3 or higher" in desk.refused("flash", str(tmp_path / "new"), "--erase-all")
    assert "v0.2 or lower" in desk.refused("flash", str(tmp_path / "old"))
    desk("flash", str(tmp_path / "new"), "--force")
    text = desk.refused("--chip", "esp32s3", "flash", str(tmp_path / "c3"))
    assert "--chip says ESP32-S3" in text


def test_an_application_that_its_partition_cannot_hold_is_refused(
    tmp_path: Path, capsys: Capture
) -> None:
    shape = idf(tmp_path, csv=TABLE.replace("256K", "64K"))
    text = Desk(capsys, "esp32c3").refused("flash", shape.path)
    assert "does not fit partition 'factory'" in text


# --- security ------------------------------------------------------------------------------------


def encrypted_build(folder: Path) -> shapes.Shape:
    csv = OTA + "secret,data,0x40,,16K,encrypted\n"
    return idf(folder, csv=csv, encrypted=True, data={"storage": bytes(5000), "secret": bytes(64)})


def test_in_development_mode_the_chip_encrypts_what_idf_has_it_encrypt(
    tmp_path: Path, capsys: Capture
) -> None:
    shape = encrypted_build(tmp_path)
    ours, theirs = (Desk(capsys, "esp32c3", efuse=DEVELOPMENT) for _ in range(2))
    out = ours("flash", shape.path)
    assert "the chip encrypts what the build says" in out
    words = [str(tmp_path / w) if w.endswith(".bin") else w for w in shape.words]
    theirs("write-flash", *words)
    assert ours.flash() == theirs.flash()
    assert ours.flash(0, 16) != boot()[:16]
    assert ours.flash(0x90000, 5000) == bytes(5000)


def test_a_build_that_says_nothing_is_encrypted_by_the_rules_of_the_boot_loader(
    tmp_path: Path, capsys: Capture
) -> None:
    csv = OTA + "secret,data,0x40,,16K,encrypted\n"
    data = {"storage": bytes(5000), "secret": bytes(64)}
    plain = idf(tmp_path / "plain", csv=csv, data=data)
    marked = idf(tmp_path / "marked", csv=csv, data=data, encrypted=True)
    merged = tmp_path / "merged.bin"
    words = [str(tmp_path / "plain" / w) if w.endswith(".bin") else w for w in plain.words[6:]]
    esptool.main(["--chip", "esp32c3", "merge-bin", "-o", str(merged), *words])
    by_rule, by_build, by_merged = (Desk(capsys, "esp32c3", efuse=DEVELOPMENT) for _ in range(3))
    by_build("flash", marked.path)
    assert "says nothing of it" in by_rule("flash", plain.path)
    assert by_rule.flash() == by_build.flash()
    by_merged("flash", str(merged), "-fm", "dio", "-fs", "4MB", "-ff", "40m")
    for at, size in ((0, 0x600), (0x8000, 0xC00), (0xE000, 0x2000), (0x10000, 0x10000)):
        assert by_merged.flash(at, size) == by_build.flash(at, size), hex(at)
    assert by_merged.flash(0x90000, 5000) == bytes(5000)


def test_before_encryption_is_on_its_build_is_written_in_plain(
    tmp_path: Path, capsys: Capture
) -> None:
    shape = encrypted_build(tmp_path)
    desk = Desk(capsys, "esp32c3")
    assert "off on this chip" in desk("flash", shape.path)
    assert desk.flash(0, 2) == boot()[:2]


def test_where_no_way_leads_to_a_running_board_that_is_said(
    tmp_path: Path, capsys: Capture
) -> None:
    shape = encrypted_build(tmp_path)
    desk = Desk(capsys, "esp32c3", efuse=RELEASE)
    text = desk.refused("flash", shape.path)
    assert "release mode" in text
    assert "over the air" in text
    locked = Desk(capsys, "esp32c3", efuse=DEVELOPMENT, secure_download="1")
    text = locked.refused("flash", shape.path)
    assert "secure download mode" in text
    assert "--encrypt" in text
    desk = Desk(capsys, "esp32c3", efuse=DEVELOPMENT)
    assert "--force" in desk.refused("flash", shape.path, "--erase", "nvs")


def test_in_secure_download_mode_a_whole_build_is_written_and_an_application_needs_a_table(
    tmp_path: Path, capsys: Capture
) -> None:
    shape = idf(tmp_path, csv=OTA)
    desk, plain = Desk(capsys, "esp32c3", secure_download="1"), Desk(capsys, "esp32c3")
    out = desk("flash", shape.path, "-p")
    assert "no revision" in out
    plain("flash", shape.path, "-p")
    # Flash parameters are not touched there.
    assert desk.flash(0x8000) == plain.flash(0x8000)
    text = desk.refused("flash", str(tmp_path / "demo.bin"))
    assert "cannot be read in secure download mode" in text
    assert "--partition-table FILE" in text


def test_with_secure_boot_what_is_not_signed_is_refused(tmp_path: Path, capsys: Capture) -> None:
    shape = idf(tmp_path, csv=OTA, bootloader=False, extra={"after": "no_reset"})
    image = (tmp_path / "demo.bin").read_bytes()
    desk = Desk(capsys, "esp32c3", efuse=key_burned(signed(image)))
    desk.load({0: boot()})
    text = desk.refused("flash", shape.path)
    assert "'demo.bin' is not signed" in text
    (tmp_path / "demo.bin").write_bytes(signed(image))
    out = desk("flash", shape.path)
    assert desk.flash(0, len(boot())) == boot()
    assert "leaves the boot loader out" in out
    # As the build says: the board starts when somebody resets it.
    assert "--after no-reset" in out
    assert "Hard resetting" not in out


def damaged(image: bytes, at: int) -> bytes:
    """One bit of it changed."""
    wrong = bytearray(image)
    wrong[at] ^= 1
    return bytes(wrong)


@pytest.mark.parametrize(
    ("change", "efuses", "words"),
    [
        (lambda image: signed(image, key=2), "", "not signed by a key that the chip takes"),
        (lambda image: damaged(signed(image), 900 - 0x1000), "", "its CRC32 is wrong"),
        (lambda image: signed(image, of=b"another"), "", "it was changed after it was signed"),
        (signed, ",0x60008834:0x200000", "the eFuses hold no digest of a key"),
    ],
)
def test_with_secure_boot_what_the_chip_would_reject_is_refused_by_every_command(
    change: Callable[[bytes], bytes],
    efuses: str,
    words: str,
    tmp_path: Path,
    capsys: Capture,
) -> None:
    shape = idf(tmp_path, csv=OTA, bootloader=False)
    image, loader = (tmp_path / "demo.bin").read_bytes(), tmp_path / "loader.bin"
    desk = Desk(capsys, "esp32c3", efuse=key_burned(signed(image)) + efuses)
    desk.load({**kept(), 0xF000: OTADATA_BLANK})
    (tmp_path / "demo.bin").write_bytes(change(image))
    assert words in desk.refused("flash", shape.path)
    assert words in desk.refused("ota", "write", str(tmp_path / "demo.bin"))
    loader.write_bytes(change(boot()))
    assert words in desk.refused("write-flash", "0", str(loader))
    assert words in desk("write-flash", "0x10000", str(tmp_path / "demo.bin"))
    desk("flash", shape.path, "--force")
    assert desk.flash(0x10000, 64) == image[:64]


def test_a_build_without_boot_loader_on_a_blank_board_is_written_with_a_warning(
    tmp_path: Path, capsys: Capture
) -> None:
    shape = idf(tmp_path, bootloader=False)
    desk = Desk(capsys, "esp32c3")
    assert "does not start without one" in desk("flash", shape.path)
    out = desk("flash", shape.path, "--bootloader", f"{tmp_path}/bootloader/bootloader.bin")
    assert "leaves the boot loader out" not in out
    assert desk.flash(0, 2) == boot()[:2]


# --- Python --------------------------------------------------------------------------------------


def test_the_same_from_python(tmp_path: Path, capsys: Capture) -> None:
    shape = idf(tmp_path, csv=OTA)
    found = esptool.find_build(shape.path)
    assert found.build.part(Role.APP) is not None
    desk = Desk(capsys, "esp32c3")
    told: list[object] = []
    with esptool.detect_chip(desk.url) as esp:
        esptool.attach_flash(esp)
        plan = esptool.plan_build(esp, found, target="ota_1", listener=told.append)
        results = esptool.flash_build(esp, plan, listener=told.append)
    assert [result.address for result in results] == [0, 0x8000, 0x50000, 0xE000]
    assert all(result.verified for result in results)
    assert told
    with pytest.raises(FatalError, match="nothing to flash"):
        find_build([str(tmp_path / "bootloader")])

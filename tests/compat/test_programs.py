# SPDX-License-Identifier: Apache-2.0
"""What public programs do with the Python interface beyond its documentation."""

from __future__ import annotations

import importlib
import inspect
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

import espefuse
import espsecure.operations
import espsecure.v5
import esptool
from espefuse import key_commands
from esptool import cmds, loader, targets
from esptool.errors import FatalError, UsageError
from esptool.events import Event, Message
from esptool.loader import ESPLoader, StubFlasher

ROOT = Path(__file__).parents[2]


@pytest.fixture
def esp() -> Iterator[ESPLoader]:
    with esptool.connect_esp("virtual://esp32c3?stub=model") as found:
        yield found


@pytest.mark.parametrize(
    ("module", "names"),
    [
        # idftool, flashers, a display's installer
        ("esptool.cmds", "_update_image_flash_params _get_flash_info print_flash_id"),
        ("esptool.cmds", "get_port_names SerialException"),
        # wrappers of the command line
        ("esptool", "prepare_esp_object OptionEatAll EsptoolGroup write_flash_cli cli_util"),
        ("esptool.cli_util", "ChipType ResetModeType OptionEatAll AddrFilenamePairType"),
        # forks, and tests of them
        ("esptool.loader", "StubMixin slip_reader check_supported_function cfg"),
        ("esptool.loader", "stub_function_only stub_and_esp32_function_only HexFormatter"),
        ("esptool.targets", "ESP32StubLoader ESP8266StubLoader ESP32S3StubLoader"),
        ("esptool.targets.esp32c3", "ESP32C3ROM ESP32C3StubLoader"),
        ("espefuse.efuse.emulate_efuse_controller_base", "EmulateEfuseControllerBase"),
        ("espefuse.efuse.esp32s3", "EmulateEfuseController emulate_efuse_controller"),
        ("espefuse.efuse.esp32.emulate_efuse_controller", "EmulateEfuseController"),
        # esp-donut
        ("esp_rfc2217_server.esp_port_manager", "EspPortManager cfg"),
        ("esp_rfc2217_server.redirector", "Redirector"),
    ],
)
def test_names_that_programs_import(module: str, names: str) -> None:
    there = importlib.import_module(module)
    for name in names.split():
        assert hasattr(there, name)


def test_the_virtual_efuses_of_a_chip_are_made_by_hand(tmp_path: Path) -> None:
    from espefuse.efuse.emulate_efuse_controller_base import of_chip

    made = of_chip("esp32c3")(str(tmp_path / "efuses.bin"))
    made.save_to_file()
    assert made.table.chip == made.CHIP_NAME
    assert made.read_efuse(0) == 0
    assert (tmp_path / "efuses.bin").stat().st_size == len(made.mem)


# --- callbacks -----------------------------------------------------------------------------------


@pytest.mark.parametrize("slow", [False, True], ids=["read_flash", "read_flash_slow"])
def test_a_callback_is_told_the_address_unless_it_takes_two_arguments(
    esp: ESPLoader, slow: bool
) -> None:
    esptool.attach_flash(esp)
    read = esp.read_flash_slow if slow else esp.run_stub().read_flash
    seen: list[tuple[int, ...]] = []
    old: list[tuple[int, ...]] = []
    found = read(0x1000, 256, lambda *told: seen.append(told))
    assert seen[-1] == (256, 256, 0x1000)
    two: Any = lambda done, total: old.append((done, total))  # noqa: E731 - as 4.x calls it
    assert read(0x1000, 256, two) == found
    assert old[-1] == (256, 256)


# --- block sizes ---------------------------------------------------------------------------------


def longest_write(esp: ESPLoader, monkeypatch: pytest.MonkeyPatch) -> int:
    sizes: list[int] = []
    write = esp._port.write

    def counted(data: bytes) -> Any:
        # Frames hold the data escaped.
        sizes.append(len(data.replace(b"\xdb\xdc", b"\xc0").replace(b"\xdb\xdd", b"\xdb")))
        return write(data)

    monkeypatch.setattr(esp._port, "write", counted)
    esptool.attach_flash(esp)
    esptool.write_flash(esp, [(0x1000, bytes(range(256)) * 40)], no_compress=True)
    return max(sizes)


OVERHEAD = 40


@pytest.mark.parametrize(("patched", "expected"), [(None, 0x400), (0x100, 0x100)])
def test_a_smaller_block_for_the_rom_has_effect(
    monkeypatch: pytest.MonkeyPatch, esp: ESPLoader, patched: int | None, expected: int
) -> None:
    if patched:
        monkeypatch.setattr(targets.CHIP_DEFS["esp32c3"], "FLASH_WRITE_SIZE", patched)
    assert expected <= longest_write(esp, monkeypatch) <= expected + OVERHEAD
    assert expected == esp.FLASH_WRITE_SIZE


def on_class(esp: ESPLoader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(esp).STUB_CLASS, "FLASH_WRITE_SIZE", 0x200)


def on_object(esp: ESPLoader, monkeypatch: pytest.MonkeyPatch) -> None:
    esp.FLASH_WRITE_SIZE = 0x200


def own_class(esp: ESPLoader, monkeypatch: pytest.MonkeyPatch) -> None:
    small = type("Small", (type(esp).STUB_CLASS,), {"FLASH_WRITE_SIZE": 0x200})
    monkeypatch.setattr(type(esp), "STUB_CLASS", small)


def made_of_it(esp: ESPLoader, monkeypatch: pytest.MonkeyPatch) -> None:
    stub: Any = type(esp).STUB_CLASS

    class Small(stub):  # type: ignore[misc]
        FLASH_WRITE_SIZE = 0x200

        def __init__(self, rom_loader: Any) -> None:
            super().__init__(rom_loader)
            self.mine = True

    monkeypatch.setattr(type(esp), "STUB_CLASS", Small)


@pytest.mark.parametrize("way", [on_class, on_object, own_class, made_of_it])
def test_a_smaller_block_for_the_stub_has_effect(
    monkeypatch: pytest.MonkeyPatch,
    esp: ESPLoader,
    way: Callable[[ESPLoader, pytest.MonkeyPatch], None],
) -> None:
    way(esp, monkeypatch)
    stub = esp.run_stub()
    # Our extensions send several frames at once; the public protocol tells frames apart.
    stub.session.ext = None
    assert stub.FLASH_WRITE_SIZE == 0x200
    assert 0x200 <= longest_write(stub, monkeypatch) <= 0x200 + OVERHEAD


def test_with_the_stub_the_object_is_of_the_stubs_class(esp: ESPLoader) -> None:
    assert type(esp).__name__ == "ESP32C3ROM"
    stub = esp.run_stub()
    assert type(stub).__name__ == "ESP32C3StubLoader"
    assert isinstance(stub, targets.CHIP_DEFS["esp32c3"])
    assert isinstance(stub, loader.StubMixin)
    assert stub.IS_STUB


def test_the_built_in_stubs_lie_where_installers_look() -> None:
    for chip in ("esp32", "esp32c3", "esp8266"):
        places = [
            Path(StubFlasher.STUB_DIR, sub, f"{chip}.json") for sub in StubFlasher.STUB_SUBDIRS
        ]
        assert any(place.is_file() for place in places)


def test_a_time_limit_that_a_program_raises_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader, "SYNC_TIMEOUT", 0.7)
    with esptool.connect_esp("virtual://esp32c3?stub=model") as esp:
        assert esp.session.settings.sync_timeout == 0.7


# --- RAM and security ----------------------------------------------------------------------------


def test_ram_of_the_running_stub_is_not_overwritten(esp: ESPLoader) -> None:
    taken = StubFlasher("esp32c3")
    esp.mem_begin(16, 1, 16, taken.text_start)  # nothing runs there yet
    stub = esp.run_stub()
    for place in (taken.text_start, taken.text_start - 8, taken.data_start):
        with pytest.raises(FatalError, match="resident at 0x"):
            stub.mem_begin(16, 1, 16, place)
    stub.mem_begin(16, 1, 16, taken.text_start - 16)


def test_what_was_read_once_can_be_read_anew(esp: ESPLoader) -> None:
    assert esp.cache["flash_id"] is None
    known = esp.flash_id()
    assert esp.cache["flash_id"] == known
    esp.cache["flash_id"] = None
    assert esp.flash_id() == known
    info = esp.get_security_info()
    assert esp.get_security_info(cache=False) == info
    assert set(esp.cache) == {"flash_id", "usb_vid", "usb_pid", "security_info"}


def test_frames_may_come_from_a_generator_of_the_programs_own(esp: ESPLoader) -> None:
    assert hasattr(esp._slip_reader, "__next__")
    esp.__dict__["_slip_reader"] = iter([b"one"])
    assert esp.read() == b"one"
    with pytest.raises(FatalError, match="no more data"):
        esp.read()


def test_frames_are_read_from_a_bare_port() -> None:
    import serial

    port = serial.serial_for_url("loop://", timeout=0.05)
    port.write(b"boot log\xc0one\xdb\xdc\xc0\xc0two\xc0")
    reader = loader.slip_reader(port, None)
    assert [next(reader), next(reader)] == [b"one\xc0", b"two"]
    with pytest.raises(FatalError, match="No serial data"):
        next(reader)


# --- options and listeners -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda esp: cmds.write_flash(esp, [(0, b"x" * 4)], ecnrypt=True), "'encrypt'"),  # type: ignore[call-arg]
        (lambda esp: cmds.write_flash(esp, [(0, b"x" * 4)], eraseall=True), "'erase_all'"),  # type: ignore[call-arg]
        (lambda _: cmds.merge_bin([(0, b"x")], "esp32", target_ofset=1), "'target_offset'"),  # type: ignore[call-arg]
        (lambda _: cmds.elf2image(b"", "esp32", min_ref=1), "'min_rev'"),  # type: ignore[call-arg]
        (lambda esp: cmds.write_flash(esp, [], flahs_size="4MB"), "'flash_size'"),  # type: ignore[call-arg]
        (lambda _: espefuse.get_esp("/dev/nothing", skip_conect=True), "'skip_connect'"),  # type: ignore[call-arg]
        (lambda _: esptool.connect_loop("/dev/nothing", cihp="esp32"), "'chip'"),
        (lambda _: cmds.elf2image(b"", "esp32", zzz=1), "It has: append_digest"),  # type: ignore[call-arg]
        (lambda _: espefuse.BaseCommands().burn_bit(zzz=1), r"It has: bit_number, block\.$"),  # type: ignore[call-arg]
    ],
)
def test_a_mistyped_keyword_is_refused_with_the_nearest_name(
    esp: ESPLoader, call: Callable[[ESPLoader], object], told: str
) -> None:
    sent = esp.session.link.requests
    with pytest.raises(UsageError, match=told):
        call(esp)
    assert esp.session.link.requests == sent


def _public_functions() -> dict[str, Callable[..., Any]]:
    """The documented functions, and the methods that espefuse's commands are.

    Those of `esptool.ops`, which the command line calls, are left out.
    """
    named = {
        f"{module.__name__}.{name}": getattr(module, name)
        for module in (esptool, espefuse, espsecure.v5)
        for name in module.__all__
        # Helpers for wrappers of the command line, the command lines themselves, and former names
        # that hand on what they get.
        if name not in (*esptool._CLI_NAMES, "expand_file_arguments", "main")
        and name not in ("connect_loop", "get_default_connected_device")
    }
    for kind in ("PurposeCommands", "DirectCommands", "HalvesCommands"):
        for name in espefuse.SUPPORTED_COMMANDS:
            named[f"{kind}.{name}"] = getattr(getattr(key_commands, kind), name)
    named |= {
        f"operations.{name}": found
        for name, found in vars(espsecure.operations).items()
        if getattr(found, "__module__", "") == "espsecure.operations"
    }
    for page in (ROOT / "docs" / "reference" / "python").glob("*.md"):
        for place in re.findall(r"^::: (\S+\.\w+)$", page.read_text(), flags=re.MULTILINE):
            module_name, _, name = place.rpartition(".")
            named[place] = getattr(importlib.import_module(module_name), name, None)
    return {
        name: found
        for name, found in named.items()
        if inspect.isfunction(found) and not name.rpartition(".")[2].startswith("_")
    }


PUBLIC = _public_functions()


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_function_tells_the_nearest_keyword(name: str) -> None:
    parameters = inspect.signature(PUBLIC[name]).parameters.values()
    names = [p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    keywords = [name for name in names if name != "self"]
    keyword = max(keywords, key=len, default="zzz")
    mistyped = keyword[0] + keyword
    told = rf"Did you mean '{keyword}'\?" if keywords else "It has none"
    with pytest.raises(TypeError, match=rf"has no option '{mistyped}'\. {told}"):
        PUBLIC[name](**{mistyped: None})


def test_keywords_that_idftool_passes_to_no_effect_are_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cmds.merge_bin([(0, b"abcd")], "esp32", output_format="uf2", partition_table=[])  # type: ignore[arg-type]
    said = capsys.readouterr().out
    assert "'output_format' of merge_bin() has no effect" in said
    assert "'partition_table'" in said


def test_boards_in_threads_speak_to_their_own_listeners(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def work(chip: str) -> list[str]:
        said: list[str] = []

        def listen(event: Event) -> None:
            if isinstance(event, Message):
                said.append(event.text)

        with esptool.connect_esp(f"virtual://{chip}?stub=model", listener=listen) as esp:
            esp = esptool.run_stub(esp)
            esptool.attach_flash(esp)
            esptool.flash_id(esp)
            esptool.write_flash(esp, [(0x1000, b"abcd")], no_progress=True)
            esptool.read_mac(esp)
        return said

    chips = ("esp32", "esp32c3", "esp32s3", "esp8266")
    with ThreadPoolExecutor(4) as pool:
        found = dict(zip(chips, pool.map(work, chips), strict=True))
    assert capsys.readouterr().out == ""
    for chip, said in found.items():
        named = {"esp8266": "ESP8266", "esp32": "ESP32"}.get(chip, f"ESP32-{chip[5:].upper()}")
        assert f"Detecting chip type... {named}" in said
        assert any(line.startswith("MAC:") for line in said)
        assert any("Hash of data verified" in line for line in said)


def test_every_function_on_a_chip_takes_a_listener() -> None:
    for name in set(cmds.__all__) - {"detect_flash_size"}:  # it says nothing
        assert "listener" in inspect.signature(getattr(cmds, name)).parameters, name


def test_type_checkers_are_told_the_keywords_that_are_taken() -> None:
    from esptool.cmds_image import _WITHOUT_EFFECT
    from esptool.faces import keywords
    from esptool.image.convert import ElfOptions
    from esptool.image.merge import MergeOptions

    named = {"flash_mode", "flash_freq", "flash_size", "format"}
    elf = {f.name for f in fields(ElfOptions)} - named
    merge = {f.name for f in fields(MergeOptions)} - named | {*_WITHOUT_EFFECT}
    assert set(keywords.ElfKeywords.__annotations__) == elf
    assert set(keywords.MergeKeywords.__annotations__) == merge


# --- the command line ----------------------------------------------------------------------------


def test_the_group_of_commands_stays_and_knows_its_commands() -> None:
    probe = (
        "import esptool, sys\n"
        "esptool.main(['--chip', 'esp32', 'version'])\n"
        "print('write-flash' in esptool.cli.commands, type(esptool.cli).__name__)\n"
        "print('esptool.cli.write_flash' in sys.modules, len(esptool.cli.commands) > 20)\n"
        "print(esptool.cli.commands['write-flash'].name)\n"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.split()[-5:] == ["True", "Group", "False", "True", "write-flash"]


@pytest.mark.parametrize("before", ["", "import esptool.cli.write_flash\n"])
def test_the_group_is_run_by_the_runner_of_click(before: str) -> None:
    probe = (
        "import esptool\n" + before + "from click.testing import CliRunner\n"
        "print(esptool.cli.name)\n"
        "done = CliRunner().invoke(esptool.cli, ['--chip', 'esp32', 'write-flash'])\n"
        "print(done.exit_code, 'Missing argument' in done.output)\n"
        "esptool.cli(['version'])\n"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.split()[:3] == ["esptool", "2", "True"]
    assert done.stdout.split()[-1] == esptool.__version__


def test_a_program_adds_a_command_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    import click

    @esptool.cli.command("tell-mac")  # type: ignore[untyped-decorator]
    @click.pass_context
    def tell(ctx: click.Context) -> None:
        esptool.prepare_esp_object(ctx)
        click.echo(f"chip {ctx.obj['esp'].CHIP_NAME} on {ctx.obj['port']}")

    try:
        esptool.main(["--port", "virtual://esp32c3?stub=model", "tell-mac"])
    finally:
        del esptool.cli.commands["tell-mac"]
    said = capsys.readouterr().out
    assert "chip ESP32-C3 on virtual://esp32c3?stub=model" in said
    assert "Hard resetting" in said


@pytest.mark.parametrize(
    "line",
    [
        "import runpy, sys; sys.argv = ['esptool.py', 'version']; "
        f"runpy.run_path({str(ROOT / 'esptool.py')!r}, run_name='__main__')",
        f"import sys; sys.path.append({str(ROOT)!r}); import esptool; esptool.main(['version']); "
        "import esptool.cmds, espefuse",
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); "
        "from esptool import main; main(['version'])",
    ],
    ids=["as a script", "behind others", "first"],
)
def test_the_repository_stands_in_for_a_package_folder(line: str, tmp_path: Path) -> None:
    site = "import sys; sys.path = [p for p in sys.path if not p.endswith('src')]; "
    words = [sys.executable, "-c", site + line]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"esptool v{esptool.__version__}", esptool.__version__]

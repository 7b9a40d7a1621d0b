# SPDX-License-Identifier: Apache-2.0
"""The rooms of the house: a module imports only from rooms that stand before its own."""

from __future__ import annotations

import ast

import pytest

from esptool import chips
from tests.compat.house import circles, graph, modules

#: Each room and the rooms that it may import from, besides itself.
GROUND = {
    "errors",
    "events",
    "files",
    "lazily",
    "locking",
    "nearest",
    "records",
    "serving",
    "sizes",
    "textfile",
    "_version",
}
FACES = {
    *(
        "cmds",
        "cmds_image",
        "cmds_flash",
        "cmds_nand",
        "cmds_partitions",
        "cmds_build",
        "faces",
        "connecting",
        "loader",
        "targets",
        "bin_image",
        "util",
        "reset",
    ),
    *("logger", "log_base", "log_ide", "log_streams", "log_tasks", "shared_log"),
    *("config", "render", "uf2_writer"),
}
MAY: dict[str, set[str]] = {
    "errors": set(),
    "events": {"records"},
    "files": {"errors"},
    "locking": {"errors"},
    "nearest": {"errors"},
    "serving": {"errors"},
    "sizes": {"errors"},
    "textfile": {"errors"},
    "lazily": set(),
    "records": set(),
    "_version": set(),
    "chips": GROUND,
    "protocol": GROUND,
    "transport": {*GROUND, "protocol"},
    "image": {*GROUND, "chips"},
    "storage": GROUND,
    "builds": {*GROUND, "chips", "image", "storage"},
    "stubs": {*GROUND, "chips"},
    "device": {*GROUND, "chips", "protocol", "transport", "stubs"},
    "transfer": {*GROUND, "chips", "protocol", "image", "device"},
    "ops": {
        *GROUND,
        *("chips", "protocol", "transport", "stubs", "image", "storage", "builds", "device"),
        "transfer",
    },
    "monitor": {*GROUND, "transport", "image"},
    # It runs stubs, so it reads them; it never uses the host's codecs.
    "virtual": {*GROUND, "chips", "stubs"},
}
BELOW_FACES = {*MAY} - {"virtual"}
MAY |= {face: {*BELOW_FACES, *FACES} for face in FACES}
#: The page's own command line, and what makes the page.
MAY["web"] = {*BELOW_FACES, "virtual", "monitor"}
MAY["cli"] = {*MAY, *FACES}
MAY["__main__"] = {"", "cli"}
#: The command line by the names of others: nothing of ours imports it, but the front door.
MAY["cli_util"] = {*BELOW_FACES, *FACES, "cli"}
#: The package's front door: every face, and the command line behind `main`.
MAY[""] = {*BELOW_FACES, *FACES, "cli", "cli_util"}

#: Doors in the wall, each for a reason.
DOORS = {
    # Registers the `virtual://` handler with pyserial, and adapts its ports.
    ("transport", "virtual"),
    # So that `virtual://` opens in any program that imports the package.
    ("", "virtual"),
    # The documented `FatalError.WithResult` names the status that it is given.
    ("errors", "protocol"),
}
#: Inside a room: the rungs of its ladder, lowest first. A module imports only from rungs below its
#: own; the names are relative to the room, "" is its front door.
LADDERS: dict[str, list[set[str]]] = {
    "esptool.transfer": [
        {"", "segments"},
        {"pace", "windowed"},
        {"report"},
        {"recovery"},
        {"blocks", "receive"},
        {"send"},
    ],
    "esptool.cli": [
        {"completion", "ending", "help", "kinds", "machine"},
        {"stdio"},
        {"words"},
        {"common", "connection"},
        {"baud", "params", "state", "version", "virtual_chip"},
        {"ports"},
        {"doctor"},
        {"monitor.keyboard", "monitor.screen", "monitor.settings"},
        {"monitor.run"},
        {"monitor"},
        {
            *("chip_id", "dump_mem", "get_security_info", "load_ram"),
            *("read_mac", "read_mem", "read_sdc_chip_info", "run"),
            *("verify_sdc_certificate", "write_mem"),
        },
        {"places"},
        {
            *("elf2image", "dump_bbm", "erase_flash", "erase_region", "flash_id", "read_flash"),
            *("read_flash_sfdp", "read_flash_status", "read_nand_spare", "verify_flash"),
            *("write_flash", "write_flash_status", "write_nand_spare", "nvs.common", "ota"),
            *("partitions.common", "fs.common", "coredump.common"),
        },
        {"flash"},
        {"partitions.build", "partitions.check"},
        {"coredump.elf", "coredump.info"},
        {f"fs.{name}" for name in ("build", "extract", "get", "ls", "put", "rm")},
        {f"nvs.{name}" for name in ("build", "change", "check", "diff", "get", "keys", "list")},
        {"image_info", "merge_bin", "bundle", "web.build", "web.serve"},
        {"coredump", "fs", "nvs", "partitions", "web"},
        {"main"},
        {""},
    ],
    "esptool.device": [
        {"adapters", "identity", "link", "nand_parts"},
        {"first_stage", "mailbox", "requests"},
        {"ext", "line_rate"},
        {"facts", "ram", "spi_bus"},
        {"caller", "flash", "stub_loader"},
        {"late"},
        {"plugins"},
        {"power"},
        {"debugger", "session"},
        {"recover", "wire"},
        {"connect", "console", "nand", "secure_debug"},
        {""},
    ],
    "esptool.transport": [
        {"bridges", "holders", "port", "settings"},
        {"browser", "discovery", "gdb_link", "openocd"},
        {"adapters", "gdb", "reset"},
        {"ports"},
        {""},
    ],
    "esptool.virtual": [
        {"bus", "clock", "efuse_coding", "faults", "framing", "inbound", "lines", "parts"},
        {"sfdp", "silicon.shape"},
        {"nand_parts"},
        {"nand"},
        {"stage_stream"},
        {"handlers", "program", "silicon.spec", "stub_status"},
        {f"silicon.{key}" for key in chips.KEYS},
        {"silicon", "silicon.check", "bootlog", "crypt", "efuse", "factory", "nor"},
        {"bootimage", "options"},
        {"cable", "gpspi", "restless", "state"},
        {"rom", "spi_mem", "stub_ext", "uart", "usb_jtag", "watchdog"},
        {"stub_nand"},
        {"soc", "stage_model", "stub_model"},
        {"emulator.confined", "emulator.cpu_clock", "emulator.decode", "emulator.printf"},
        {"emulator.cpu"},
        {"emulator.loading"},
        {"emulator.program"},
        {"emulator", "emulator.debug", "gdb_packets", "rom_words"},
        {"genuine", "genuine.cache", "genuine.devices", "genuine.expand", "genuine.intc"},
        {"genuine.memory", "genuine.sha"},
        {"genuine.core", "genuine.romfile", "genuine.xtensa_blocks"},
        {"genuine.riscv_blocks", "genuine.xtensa_isa"},
        {"genuine.find", "genuine.riscv", "genuine.xtensa"},
        {"genuine.machine"},
        {"genuine.report"},
        {"genuine.program"},
        {"ramcode"},
        {"board"},
        {"server", "usb"},
        {"gdb_target"},
        {"gdb_server"},
        {"handlers.protocol_virtual"},
        {""},
    ],
    "esptool.web": [
        {"", "board", "console", "core", "improv", "manifest", "pack", "values"},
        {"burning", "first", "wifi"},
        {"engine"},
        {"build", "glue"},
        {"serve"},
    ],
    "esp_rfc2217_server": [
        {"esp_port_manager", "lines"},
        {"redirector", "server"},
        {"cli"},
        {""},
        {"__main__"},
    ],
    "esptool.monitor": [
        {"", "dump", "elfdata", "dwarf.leb", "link", "log_lines", "names", "reasons", "script"},
        {"dwarf.frames", "dwarf.sections"},
        {"dwarf.lines", "dwarf.units", "prologue"},
        {"dwarf.info"},
        {"dwarf", "dwarf.types"},
        {"symbols"},
        {"builds", "unwind"},
        {"coredump.model"},
        {"coredump.container", "coredump.corefile", "coredump.stacks", "coredump.tasks"},
        {"coredump.binary", "coredump.report"},
        {"coredump"},
        {"decoder"},
        {"console"},
    ],
    "esptool.image": [
        {"content"},
        {"", "descriptors", "header", "regions", "signatures", "uf2"},
        {"hexfile", "model", "writer"},
        {"elf", "esp32", "reader", "sources"},
        {"app", "esp8266", "info"},
        {"convert", "merge", "report"},
        {"jobs"},
    ],
    "esptool.builds": [
        {"model"},
        {"folder", "images", "layout"},
        {"elf", "esp_idf", "loose", "nuttx", "platformio", "zephyr", "bundle"},
        {"arduino"},
        {"find"},
        {"jobs"},
        {""},
    ],
    "esptool.storage": [
        {"", "changes", "dump", "nvs.aes", "nvs.layout"},
        {"nvs.keys", "nvs.values", "partition"},
        {"nvs.medium"},
        {"nvs.check", "nvs.generate", "nvs.page"},
        {"nvs.store", "nvs.table"},
        {"nvs.nvs"},
        {"nvs.difference"},
        {"nvs"},
        {"partition_csv"},
        {"partitions"},
        {"names", "otadata", "partition_rules"},
        {"fs.blocks"},
        {"fs.model"},
        {"fs.spiffs_layout", "fs.wear"},
        {"fs.fat_layout", "fs.littlefs_check", "fs.spiffs_pages"},
        {"fs.fat", "fs.littlefs", "fs.spiffs"},
        {"fs.littlefs_reading"},
        {"fs.opening"},
        {"fs"},
    ],
    "espefuse": [
        {"_index", "schema", "coding", "device", "keys", "memory_file", "output"},
        {"codecs", "controller", "custom_table", "virt"},
        {"fields"},
        {"state"},
        {"adc", "proof", "risks", "summary", "token"},
        {"burn", "plan", "recovery", "report"},
        {"efuses"},
        {"apply"},
        {"reading"},
        {"commands"},
        {"key_checks"},
        {"key_commands"},
        {"efuse_interface"},
        {"efuse.base_fields", "efuse.base_operations", "efuse.emulate_efuse_controller_base"},
        {"efuse"},
        {"recipe.key_source", "recipe.model", "recipe.stages"},
        {"recipe.sealing"},
        {"recipe.reader", "recipe.goals"},
        {"recipe.key_goal"},
        {"recipe.workflow"},
        {"recipe.run"},
        {"recipe.station"},
        {"recipe"},
        {"cli"},
        {"cli.words"},
        {"cli.commands", "cli.recipe"},
        {"cli.main"},
        {""},
        {"__main__"},
    ],
    "esp_station": [
        {"clock", "database", "labgrid", "model", "schema", "tomlfile"},
        {"encrypted", "events", "images", "records", "slots", "template"},
        {"export", "rows", "status"},
        {"board"},
        {"steps.base"},
        {"steps.console", "steps.data", "steps.flash", "steps.outside", "steps.recipe"},
        {"steps"},
        {"job"},
        {"attempt", "reprint"},
        {"station"},
        {"page", "page.guard"},
        {"page.app"},
        {"page.server"},
        {"cli", "cli.common"},
        {"cli.check", "cli.export", "cli.report", "cli.reprint", "cli.show", "cli.views"},
        {"cli.run"},
        {"cli.main"},
        {""},
        {"__main__"},
    ],
    "espsecure": [
        {"flash_encryption.units"},
        {"streams", "cli.report", "flash_encryption.esp32", "flash_encryption.xts"},
        {"keys", "digests", "flash_encryption"},
        {"signers"},
        {"hsm", "sdc", "signatures_v1", "signatures_v2"},
        {"operations", "cli.common"},
        {"certificates"},
        {"esp_sdc", "old", "v5", "cli.flash", "cli.keys", "cli.sdc", "cli.sign", "cli"},
        {""},
        {"__main__"},
    ],
}

#: Rooms that need another program: what is lent, what the page shows, what a step burns.
OTHER_PROGRAMS = {
    ("web", "espefuse"),
    ("steps", "espefuse"),
    ("steps", "espsecure"),
    ("recipe", "espsecure"),
}

#: Circles that stand until somebody mends them; one that is gone has to leave this list.
KNOWN_CIRCLES: set[frozenset[str]] = set()
#: What the other programs use of this package.
OTHERS: dict[str, set[str]] = {
    "espefuse": {*BELOW_FACES, *FACES, "cli", ""},
    "espsecure": {*GROUND, "image", "chips", "util", "logger", "cli", ""},
    "esp_rfc2217_server": {*GROUND, "transport", "config", "logger", "cli", ""},
    "esp_station": {*BELOW_FACES, "config", "logger", "cli", ""},
}


def room_of(module: str) -> str:
    """'esptool.device.link' stands in 'device'; 'esptool' itself in ''."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def allowed(module: str) -> set[str]:
    program = module.split(".")[0]
    return MAY[room_of(module)] if program == "esptool" else OTHERS[program]


@pytest.mark.parametrize("module", modules())
def test_a_module_imports_only_from_rooms_before_its_own(module: str) -> None:
    own = module.split(".")[0], room_of(module)
    for name in sorted(graph()[module]):
        program = name.split(".")[0]
        if (program, room_of(name)) == own or (own[1], room_of(name)) in DOORS:
            continue
        if program not in ("esptool", own[0]):
            assert (own[1], program) in OTHER_PROGRAMS, f"{module} imports {name}"
        elif program == "esptool":
            assert room_of(name) in allowed(module), f"{module} imports {name}"


def test_only_the_command_lines_and_the_logger_print_or_exit() -> None:
    guilty = []
    for module, path in modules().items():
        if ".cli" in module or module in ("esptool.logger", "espefuse.output"):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        # The doors of console scripts are command line, wherever they stand.
        tree.body = [n for n in tree.body if not getattr(n, "name", "").startswith("_main")]
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("print", "sys.exit"):
                guilty.append(f"{module}:{node.lineno}")
    assert guilty == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circles() == KNOWN_CIRCLES


@pytest.mark.parametrize("room", LADDERS)
def test_inside_a_room_a_module_imports_only_from_lower_rungs(room: str) -> None:
    level = {
        f"{room}.{name}".rstrip("."): rung
        for rung, names in enumerate(LADDERS[room])
        for name in names
    }
    inside = {name for name in modules() if name == room or name.startswith(f"{room}.")}
    assert set(level) == inside, "each module of the room stands on one rung"
    wrong = [
        f"{name} imports {other}"
        for name in sorted(inside)
        for other in sorted(graph()[name] & inside)
        if level[other] >= level[name]
    ]
    assert wrong == []


def test_every_exemption_is_used() -> None:
    used = {(room_of(name), room_of(other)) for name in graph() for other in graph()[name]}
    assert [door for door in DOORS if door not in used] == []
    programs = {
        (room_of(name), other.split(".")[0])
        for name in graph()
        for other in graph()[name]
        if other.split(".")[0] not in ("esptool", name.split(".")[0])
    }
    assert programs == OTHER_PROGRAMS


def test_the_virtual_chip_knows_nothing_of_what_the_tool_believes_but_the_names_of_chips() -> None:
    for module in modules():
        if module.startswith("esptool.virtual"):
            known = {name for name in graph()[module] if room_of(name) == "chips"}
            allowed_here = {"esptool.chips"} if module == "esptool.virtual.options" else set()
            assert known <= allowed_here, module

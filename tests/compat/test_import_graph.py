# SPDX-License-Identifier: Apache-2.0
"""The rooms of the house: a module imports only from rooms that stand before its own."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SRC = Path(__file__).parents[2] / "src"

#: Each room and the rooms that it may import from, besides itself.
GROUND = {"errors", "events", "files", "records", "_version"}
FACES = {
    *(
        "cmds",
        "cmds_image",
        "cmds_nand",
        "connecting",
        "loader",
        "targets",
        "bin_image",
        "util",
        "reset",
    ),
    *("logger", "config", "render", "uf2_writer"),
}
MAY: dict[str, set[str]] = {
    "errors": set(),
    "events": {"records"},
    "files": {"errors"},
    "records": set(),
    "_version": set(),
    "chips": GROUND,
    "protocol": GROUND,
    "transport": GROUND,
    "image": {*GROUND, "chips"},
    "stubs": {*GROUND, "chips"},
    "device": {*GROUND, "chips", "protocol", "transport", "stubs"},
    "ops": {*GROUND, "chips", "protocol", "transport", "stubs", "image", "device"},
    # It runs stubs, so it reads them; it never uses the host's codecs.
    "virtual": {*GROUND, "chips", "stubs"},
}
BELOW_FACES = {*MAY} - {"virtual"}
MAY |= {face: {*BELOW_FACES, *FACES} for face in FACES}
MAY["cli"] = {*MAY, *FACES}
MAY["__main__"] = {"", "cli"}
#: The package's front door: every face, and the command line behind `main`.
MAY[""] = {*BELOW_FACES, *FACES, "cli"}

#: Doors in the wall, each for a reason.
DOORS = {
    # Registers the `virtual://` handler with pyserial; nothing of it is used.
    ("transport", "virtual"),
    # So that `virtual://` opens in any program that imports the package.
    ("", "virtual"),
    # The documented `FatalError.WithResult` names the status that it is given.
    ("errors", "protocol"),
}
#: What the other programs use of this package.
OTHERS: dict[str, set[str]] = {
    "espefuse": {*BELOW_FACES, *FACES, "cli", ""},
    "espsecure": {*GROUND, "image", "chips", "util", "logger", "cli", ""},
    "esp_rfc2217_server": {*GROUND, "transport", "logger", "cli", ""},
}


def room_of(module: str) -> str:
    """'esptool.device.link' stands in 'device'; 'esptool' itself in ''."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(SRC.rglob("*.py")):
        parts = list(path.relative_to(SRC).with_suffix("").parts)
        if parts[-1] == "__init__":
            parts.pop()
        yield ".".join(parts), path


def imports(tree: ast.AST) -> Iterator[str]:
    """Names of all modules imported at run time, also those imported late in functions."""
    if isinstance(tree, ast.If) and "TYPE_CHECKING" in ast.dump(tree.test):
        return
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            if node.module == "esptool":
                for alias in node.names:
                    yield f"esptool.{alias.name}" if alias.name in MAY else "esptool"
            else:
                yield node.module
        else:
            yield from imports(node)


def allowed(module: str) -> set[str]:
    program = module.split(".")[0]
    return MAY[room_of(module)] if program == "esptool" else OTHERS[program]


@pytest.mark.parametrize(("module", "path"), list(modules()), ids=lambda value: str(value)[-40:])
def test_a_module_imports_only_from_rooms_before_its_own(module: str, path: Path) -> None:
    own = module.split(".")[0], room_of(module)
    for name in imports(ast.parse(path.read_text(encoding="utf-8"))):
        program = name.split(".")[0]
        if program not in ("esptool", *OTHERS) or (program, room_of(name)) == own:
            continue
        if program != "esptool":
            assert program == own[0] or (own[1], program) == ("virtual", "esp_rfc2217_server"), (
                f"{module} imports {name}"
            )
            continue
        if (own[1], room_of(name)) in DOORS:
            continue
        assert room_of(name) in allowed(module), f"{module} imports {name}"


def test_only_the_command_lines_and_the_logger_print_or_exit() -> None:
    guilty = []
    for module, path in modules():
        if ".cli" in module or module in ("esptool.logger", "espefuse.output"):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        # The doors of console scripts are command line, wherever they stand.
        tree.body = [n for n in tree.body if not getattr(n, "name", "").startswith("_main")]
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("print", "sys.exit"):
                guilty.append(f"{module}:{node.lineno}")
    assert guilty == []

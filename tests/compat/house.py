# SPDX-License-Identifier: Apache-2.0
"""The import graph of `src/`, read from its text: late imports and names in strings included."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from esptool import chips

SRC = Path(__file__).parents[2] / "src"


@cache
def modules() -> dict[str, Path]:
    """Dotted name -> file, of every module below `src/`."""
    found = {}
    for path in sorted(SRC.rglob("*.py")):
        parts = list(path.relative_to(SRC).with_suffix("").parts)
        if parts[-1] == "__init__":
            parts.pop()
        found[".".join(parts)] = path
    return found


def _for_types_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)


def imported(tree: ast.AST, known: set[str]) -> Iterator[str]:
    """Names of `known` modules that `tree` imports at run time.

    A string that names a module (`package.module`, `package.module:attribute`) counts too, as it
    is how tables for late imports are written; so does one with a gap, for all that fit it.
    """
    if _for_types_only(tree):
        return
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                if full in known or node.module in known:
                    yield full if full in known else node.module
        elif isinstance(node, ast.JoinedStr):
            yield from _fitting(node, known)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            name, colon, _attribute = node.value.partition(":")
            if name in known and ("." in name or colon):
                yield name
        else:
            yield from imported(node, known)


def _fitting(text: ast.JoinedStr, known: set[str]) -> Iterator[str]:
    """Modules of a room that an f-string can name, as `esptool.cli.{name}:command` does."""
    pattern = "".join(map(_pattern, text.values)).partition(":")[0]
    if re.match(r"esp\w*\\\.\w+\\\.", pattern):
        yield from (name for name in known if re.fullmatch(pattern, name))


def _pattern(part: ast.expr) -> str:
    if isinstance(part, ast.Constant):
        return re.escape(str(part.value))
    of_a_chip = isinstance(part, ast.FormattedValue) and ast.unparse(part.value) == "key"
    return f"({'|'.join(chips.KEYS)})" if of_a_chip else r"[a-z]\w*"


@cache
def graph() -> dict[str, frozenset[str]]:
    """Each module and the modules of `src/` that it imports, in whatever way."""
    known = set(modules())
    return {
        name: frozenset(imported(ast.parse(path.read_text(encoding="utf-8")), known)) - {name}
        for name, path in modules().items()
    }


def circles() -> set[frozenset[str]]:
    """Groups of modules each of which reaches all others by imports (Tarjan's components)."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: set[frozenset[str]] = set()

    def visit(module: str) -> None:
        order[module] = low[module] = len(order)
        stack.append(module)
        for other in sorted(graph()[module]):
            if other not in order:
                visit(other)
                low[module] = min(low[module], low[other])
            elif other in stack:
                low[module] = min(low[module], order[other])
        if low[module] == order[module]:
            at = stack.index(module)
            if len(stack) - at > 1:
                found.add(frozenset(stack[at:]))
            del stack[at:]

    for module in graph():
        if module not in order:
            visit(module)
    return found

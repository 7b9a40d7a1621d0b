# SPDX-License-Identifier: Apache-2.0
"""Every public name says what it is: the Python reference is made of that."""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.compat.house import modules

#: Modules that run something when they are imported.
_PROGRAMS = {"esptool.__main__", "espefuse.__main__", "espsecure.__main__"} | {
    "esp_rfc2217_server.__main__",
    "_esptool_scripts",
}


def public(node: ast.AST, inside: str = "") -> Iterator[str]:
    """Dotted names of the public classes, functions and methods, as the file writes them."""
    for child in getattr(node, "body", []):
        if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            continue
        if child.name.startswith("_"):
            continue
        marks = {ast.unparse(d).rpartition(".")[2] for d in child.decorator_list}
        if marks & {"overload", "setter"}:
            continue
        yield inside + child.name
        if isinstance(child, ast.ClassDef):
            yield from public(child, f"{inside}{child.name}.")


def found(module: Any, name: str) -> Any:
    """The object behind a dotted name; a method is looked up without running a descriptor."""
    owner, _, last = name.rpartition(".")
    if not owner:
        return getattr(module, last)
    cls: Any = module
    for part in owner.split("."):
        cls = getattr(cls, part)
    return inspect.getattr_static(cls, last)


def doc_of(module: Any, name: str) -> str | None:
    """The docstring, or that of the method which this one overrides."""
    thing = found(module, name)
    text = inspect.getdoc(thing)
    owner, _, last = name.rpartition(".")
    if text or not owner:
        return text
    cls: Any = module
    for part in owner.split("."):
        cls = getattr(cls, part)
    for base in cls.__mro__[1:]:
        if last in base.__dict__ and (text := inspect.getdoc(base.__dict__[last])):
            return text
    return None


@pytest.mark.parametrize("module", sorted(set(modules()) - _PROGRAMS))
def test_public_names_have_docstrings(module: str) -> None:
    path: Path = modules()[module]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not tree.body or ast.get_docstring(tree), "the module itself"
    loaded = importlib.import_module(module)
    assert [name for name in public(tree) if not doc_of(loaded, name)] == []

# SPDX-License-Identifier: Apache-2.0
"""Every public name says what it is: the Python reference is made of that."""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest

from tests.compat.house import modules

ROOT = Path(__file__).parents[2]
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


def documented() -> list[str]:
    """What the Python reference is made of, and the logger, whose methods programs call."""
    pages = sorted((ROOT / "docs/reference/python").glob("*.md"))
    names = [
        line.split()[1]
        for page in pages
        for line in page.read_text(encoding="utf-8").splitlines()
        if line.startswith("::: ")
    ]
    return [*names, "esptool.logger.EsptoolLogger"]


def resolved(name: str) -> Any:
    """The object of a dotted name; a module is found even where a function hides it."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        with suppress(ImportError):
            thing: Any = importlib.import_module(".".join(parts[:end]))
            for part in parts[end:]:
                thing = getattr(thing, part)
            return thing
    raise AssertionError(name)


def members(thing: Any) -> Iterator[tuple[str, Any]]:
    """The public functions, classes and methods that a reader of the reference finds there."""
    if inspect.isclass(thing):
        for name, value in vars(thing).items():
            if not name.startswith("_") and isinstance(
                value, (property, cached_property, classmethod, staticmethod, FunctionType)
            ):
                yield f"{thing.__name__}.{name}", value
        return
    names = getattr(thing, "__all__", None) or [
        name
        for name, value in vars(thing).items()
        if not name.startswith("_") and getattr(value, "__module__", "") == thing.__name__
    ]
    for name in names:
        value = getattr(thing, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            yield name, value
        if inspect.isclass(value):
            yield from members(value)


def own_doc(value: Any) -> str | None:
    """The text at the name itself; what a method would inherit says nothing of what it does."""
    inner = getattr(value, "func", None) if isinstance(value, cached_property) else value
    return (inner.__doc__ or "").strip() or None


@pytest.mark.parametrize("name", documented())
def test_what_the_reference_shows_has_a_text_of_its_own(name: str) -> None:
    thing = resolved(name)
    shown = dict(members(thing))
    if inspect.isclass(thing):
        for base in thing.__mro__[1:]:
            if base.__module__.split(".")[0] in ("esptool", "espefuse"):
                shown |= dict(members(base))
    elif not inspect.ismodule(thing):
        shown = {name: thing}
    assert shown or own_doc(thing), "the reference shows something there"
    assert [member for member, value in shown.items() if own_doc(value) is None] == []

# SPDX-License-Identifier: Apache-2.0
"""Python names that programs use exist here too, and take the same arguments by default."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from functools import cache
from typing import Any

import pytest

from tests.support import oracle

#: Prints, for each module, its public functions and classes with the parameters of each callable.
_LIST = """
import importlib, inspect, json, sys

def parameters(f):
    try:
        found = inspect.signature(f).parameters.values()
    except (TypeError, ValueError):
        return None
    # A wrapper that takes whatever comes says nothing of what it takes.
    if any(p.kind is p.VAR_POSITIONAL for p in found):
        return None
    return [[p.name, p.kind.name, repr(p.default)] for p in found if p.kind is not p.VAR_KEYWORD]

def members(c):
    names = [n for n in dir(c) if not n.startswith("_")]
    return {n: parameters(getattr(c, n)) for n in names if inspect.isroutine(getattr(c, n))}

out = {}
for name in sys.argv[1:]:
    module = importlib.import_module(name)
    out[name] = {}
    for n in dir(module):
        o = getattr(module, n)
        if n.startswith("_") or not getattr(o, "__module__", "").startswith("esptool"):
            continue
        if inspect.isclass(o):
            out[name][n] = members(o)
        elif inspect.isfunction(o):
            out[name][n] = parameters(o)
print(json.dumps(out))
"""
MODULES = (
    *("esptool.cmds", "esptool.loader", "esptool.bin_image", "esptool.util", "esptool.reset"),
    *("esptool.targets", "esptool.uf2_writer", "esptool.targets.esp32", "esptool.targets.esp8266"),
)
#: Workings of the public tool which are no part of its documented interface.
INSIDES = {
    "esptool.cmds": {"check_flash_size"},
    "esptool.loader": {"use_usb_otg_block"},
    "esptool.util": {"check_deprecated_py_suffix"},
    "esptool.uf2_writer": {"div_roundup"},
    # What the modules of chips import themselves.
    "esptool.targets.esp32": {"StubMixin", "ESPLoader", "FatalError"},
    "esptool.targets.esp8266": {"StubMixin", "ESPLoader", "FatalError"},
}
#: Parameters with another default, each with its reason.
OTHER_DEFAULTS = {
    ("read_mac", "mac_type"),  # may be left out
    ("read_flash_slow", "progress_fn"),  # may be left out
    ("hard_reset", "uses_usb"),  # None finds it out
}


@cache
def public() -> dict[str, Any]:
    """What the public tool has."""
    done = subprocess.run(
        [oracle.python(), "-c", _LIST, *MODULES], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def parameters(function: Any) -> dict[str, str]:
    import inspect

    found = inspect.signature(function).parameters.values()
    return {p.name: repr(p.default) for p in found}


def differing(name: str, function: Any, theirs: list[list[str]]) -> list[str]:
    """Parameters of theirs that ours lacks, or has another default for."""
    ours = parameters(function)
    takes_any = any(p.kind is p.VAR_KEYWORD for p in _signature(function))
    wrong = []
    for parameter, _kind, default in theirs:
        if parameter not in ours:
            if not takes_any:
                wrong.append(f"{name} lacks {parameter}")
        elif ours[parameter] != default and (name, parameter) not in OTHER_DEFAULTS:
            wrong.append(f"{name}: {parameter} is {ours[parameter]}, not {default}")
    return wrong


def _signature(function: Any) -> Any:
    import inspect

    return inspect.signature(function).parameters.values()


@pytest.mark.parametrize("module", MODULES)
def test_public_names_are_here(module: str) -> None:
    here = importlib.import_module(module)
    missing = {
        name
        for name in public()[module]
        if not hasattr(here, name) and name not in INSIDES.get(module, set())
    }
    assert missing == set()


def test_functions_take_the_same_arguments() -> None:
    from esptool import cmds

    wrong = [
        line
        for name, theirs in public()["esptool.cmds"].items()
        if isinstance(theirs, list) and hasattr(cmds, name)
        for line in differing(name, getattr(cmds, name), theirs)
    ]
    assert wrong == []


def test_methods_of_the_loader_take_the_same_arguments() -> None:
    from esptool.loader import ESPLoader

    theirs = public()["esptool.loader"]["ESPLoader"]
    missing = {name for name in theirs if not hasattr(ESPLoader, name)}
    assert missing <= INSIDES["esptool.loader"]
    wrong = [
        line
        for name, parameters_there in theirs.items()
        if parameters_there is not None and hasattr(ESPLoader, name)
        for line in differing(name, getattr(ESPLoader, name), parameters_there)
    ]
    assert wrong == []


def test_a_borrowed_name_is_the_same_object() -> None:
    from esptool import bin_image, cmds, loader, reset, targets, util

    assert cmds.LoadFirmwareImage is bin_image.LoadFirmwareImage
    assert loader.HardReset is reset.HardReset
    assert reset.FatalError is util.FatalError
    assert bin_image.ESP32C3ROM is targets.ESP32C3ROM
    assert cmds.DETECTED_FLASH_SIZES[0x16] == "4MB"
    with pytest.raises(AttributeError, match=r"esptool\.cmds"):
        _ = cmds.no_such_name


def test_a_borrowed_name_costs_nothing_until_used() -> None:
    probe = "import sys, esptool.cmds; print('esptool.bin_image' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("module", ["esptool", "espefuse", "espsecure"])
def test_documented_names_are_listed_before_they_are_loaded(module: str) -> None:
    code = f"import {module} as m; print(set(getattr(m, '__all__', ())) - set(dir(m)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"

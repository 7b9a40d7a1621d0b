# SPDX-License-Identifier: Apache-2.0
"""How deep a stub's stack can get, from the call graphs that the compiler writes (`*.ci`).

It also proves that nothing recurses, and that no files call each other in a circle. Code in the ROM
is not seen: what is left of the stack is its.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

#: Bytes of a stub's stack, what is kept of it for functions of the ROM, and of a first stage's.
STACK, ROM_STACK, STAGE_STACK = 2048, 768, 512

_NODE = re.compile(r'node: \{ title: "([^"]+)" label: "([^"]*)"')
_USE = re.compile(r"(\d+) bytes \(")
_EDGE = re.compile(r'edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"')
#: Who calls through a pointer, and whom that reaches: rows of the tables of commands, the client
#: of the line, the sink of the inflater. Everybody else calls by way of `struct link`.
_BY_POINTER = {
    "by_plugin": re.compile(r"^on_nand_\w+$"),
    "dispatch": re.compile(r"^(\w+\.c:)?on_(?!nand_)\w+$"),
    "frame_done": re.compile(r"^ext_write_(frame|damage)$"),
    "pump": re.compile(r"^ext_report$"),
    "hand_on": re.compile(r"^(\w+\.c:)?inflated$"),
    # The first stage: code that was sent for START. Functions of the ROM are not seen.
    "stage": re.compile(r"^place$"),
}
_BY_LINK = re.compile(r"(uart|usb|otg|mailbox)_(available|read|room|write|flush)$")
_INDIRECT = "__indirect_call"
_INCLUDES = re.compile(r'^#include "(\w+)\.h"', re.MULTILINE)
#: Their pointers lead into the ROM, and to code that was sent and that takes no more.
_LEAVES = ("rom_call", "late.c:call_sent")


@dataclass
class Graph:
    """Bytes that each function takes, and whom it calls."""

    use: dict[str, int] = field(default_factory=dict)
    calls: dict[str, set[str]] = field(default_factory=dict)
    #: Stems of the files that functions stand in.
    files: dict[str, str] = field(default_factory=dict)

    def deepest(self, function: str, above: tuple[str, ...] = ()) -> int:
        """Bytes from `function` down.

        Raises:
            ValueError: a function calls itself, directly or not.
        """
        if function in above:
            raise ValueError(f"recursion: {' > '.join((*above, function))}")
        below = 0
        for target in self.calls.get(function, ()):
            targets = self._by_pointer(function) if target == _INDIRECT else [target]
            for each in targets:
                below = max(below, self._known(each, (*above, function)))
        return self.use.get(function, 0) + below

    def _by_pointer(self, function: str) -> list[str]:
        pattern = _BY_POINTER.get(function.rpartition(":")[2], _BY_LINK)
        targets = [name for name in self.use if pattern.search(name)]
        if not targets:
            raise ValueError(f"{function} calls through a pointer: nothing is {pattern.pattern}")
        return targets

    def _known(self, function: str, above: tuple[str, ...]) -> int:
        if function in above or function not in self._depths:
            self._depths[function] = self.deepest(function, above)
        return self._depths[function]

    _depths: dict[str, int] = field(default_factory=dict)


def read(folder: Path) -> Graph:
    """The graph of all `*.ci` files in a build folder."""
    graph = Graph()
    for path in sorted(folder.glob("*.ci")):
        text = path.read_text()
        for name, label in _NODE.findall(text):
            found = _USE.search(label)
            if found:
                graph.use[name] = int(found[1])
                graph.files[name] = path.stem
        for caller, called in _EDGE.findall(text):
            if caller in _LEAVES:
                continue
            graph.calls.setdefault(caller, set()).add(called)
    return graph


def deepest(folder: Path, function: str, what: str) -> int:
    """Bytes from `function` down, in a stub or a first stage that lies in a build folder.

    Raises:
        SystemExit: there is not so much stack.
    """
    depth = read(folder).deepest(function)
    if depth > (STAGE_STACK if function == "stage" else STACK - ROM_STACK):
        raise SystemExit(f"{what}: the stack may get {depth} bytes deep.")
    return depth


def refuse_circles(folder: Path) -> None:
    """No files call each other in a circle, by way of others or not, nor include each other so.

    Raises:
        SystemExit: some do.
    """
    graph = read(folder)
    calls: dict[str, set[str]] = {}
    for caller, called in graph.calls.items():
        there = {graph.files[name] for name in called if name in graph.files}
        calls.setdefault(graph.files[caller], set()).update(there)
    includes: dict[str, set[str]] = {}
    for path in folder.glob("*.[ch]"):
        includes.setdefault(path.stem, set()).update(_INCLUDES.findall(path.read_text()))
    for what, below in (("calls", calls), ("includes", includes)):
        for file in below:
            if file in _reached(below, file):
                raise SystemExit(f"{file}.c {what} others in a circle.")


def _reached(below: dict[str, set[str]], file: str) -> set[str]:
    """What a file reaches, itself only by way of others."""
    seen: set[str] = set()
    todo = below[file] - {file}
    while todo:
        seen |= todo
        todo = {at for name in todo for at in below.get(name, ()) if at != name} - seen
    return seen

# SPDX-License-Identifier: Apache-2.0
"""How deep a stub's stack can get, from the call graphs that the compiler writes (`*.ci`).

It also proves that nothing recurses. Code in the ROM is not seen: what is left of the stack is its.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

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
#: Their pointers lead into the ROM, and to code that was sent and that takes no more.
_LEAVES = ("rom_call", "late.c:call_sent")


@dataclass
class Graph:
    """Bytes that each function takes, and whom it calls."""

    use: dict[str, int] = field(default_factory=dict)
    calls: dict[str, set[str]] = field(default_factory=dict)

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
        for caller, called in _EDGE.findall(text):
            if caller in _LEAVES:
                continue
            graph.calls.setdefault(caller, set()).add(called)
    return graph

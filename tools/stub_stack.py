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
#: What may be called by way of `struct link`, the only pointers to functions that there are.
_BY_POINTER = re.compile(r"(uart|usb|otg)_(available|read|room|write|flush)$")
_INDIRECT = "__indirect_call"
#: Its pointers lead into the ROM.
_LEAVES = "rom_call"


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
            targets = [n for n in self.use if _BY_POINTER.search(n)]
            for each in targets if target == _INDIRECT else [target]:
                below = max(below, self._known(each, (*above, function)))
        return self.use.get(function, 0) + below

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
            if caller == _LEAVES:
                continue
            graph.calls.setdefault(caller, set()).add(called)
    return graph

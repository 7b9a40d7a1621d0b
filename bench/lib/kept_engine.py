# SPDX-License-Identifier: Apache-2.0
"""An emulator that outlives its virtual chip, so that code is translated once and not for each run.

What was translated is believed to be what stands in RAM. So code must be what was said it would be
where a program starts, or the engine is made anew; whoever uses it looks at the code in the end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from esptool.virtual.emulator.cpu import PAGE, Cpu, IcicleCpu, Ports
from esptool.virtual.silicon.spec import Arch


class KeptCpu(IcicleCpu):
    """One processor, for one chip after the other."""

    def __init__(self, arch: Arch, ports: Ports, code: Sequence[tuple[int, bytes]]) -> None:
        super().__init__(arch, ports)
        self._code = code
        self._mapped: dict[int, int] = {}
        self._registers = self._read_registers()

    def again(self, ports: Ports) -> KeptCpu:
        """The same for another chip, which has just been switched on."""
        self.ports, self.stopped, self._pause = ports, False, False
        for name, value in self._registers.items():
            self._vm.reg_write(name, value)
        self._vm.icount = 0
        return self

    def _read_registers(self) -> dict[str, int]:
        sizes = {name: size for name, (_, size) in self._vm.reg_list().items()}
        return {name: self._vm.reg_read(name) for name, size in sizes.items() if size <= 8}

    def map(self, start: int, data: bytes) -> None:
        """See `Cpu.map`."""
        if start not in self._mapped:
            self._mapped[start] = len(data)
            super().map(start, data)
            return
        old = self.read(start, len(data))
        for at in range(0, len(data), PAGE):
            if old[at : at + PAGE] != data[at : at + PAGE]:
                self._replace(start + at, data[at : at + PAGE])

    def _replace(self, start: int, data: bytes) -> None:
        # A page that was executed can be written to only if it is a new one.
        self._vm.mem_unmap(start, len(data))
        super().map(start, data)

    def start(self, entry: int) -> None:
        """See `Cpu.start`."""
        for address, code in self._code:
            if address <= entry < address + len(code) and self.read(address, len(code)) != code:
                self._renew()
        super().start(entry)

    def _renew(self) -> None:
        icicle: Any = import_module("icicle")
        contents = {start: self.read(start, size) for start, size in self._mapped.items()}
        self._vm = icicle.Icicle("riscv32" if self.arch is Arch.RISCV else "xtensa", jit=True)
        self._decoded.clear()
        self._stepped.clear()
        for start, data in contents.items():
            super().map(start, data)


def kept(
    code: Sequence[tuple[int, bytes]],
) -> Callable[[], dict[str, Callable[[Arch, Ports], Cpu]]]:
    """For `Program.engines`: one engine for all chips that are made from now on.

    Args:
        code: (address, bytes) of programs that are started.
    """
    made: list[KeptCpu] = []

    def engine(arch: Arch, ports: Ports) -> Cpu:
        if made:
            return made[0].again(ports)
        made.append(KeptCpu(arch, ports, code))
        return made[0]

    return lambda: {"icicle": engine}

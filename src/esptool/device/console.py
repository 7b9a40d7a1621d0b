# SPDX-License-Identifier: Apache-2.0
"""What a program tells its debugger, as a port that is listened to.

The program calls the debugger (semihosting), or the server prints for it. The target runs all the
time but for such calls; it is left running.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from esptool.chips.spec import Arch, ChipSpec
from esptool.device.debugger import RESET_AND_HALT, Debugger
from esptool.device.mailbox import MailboxPort
from esptool.errors import FatalError, NotSupportedError, PortError
from esptool.events import Listener, ignore
from esptool.protocol import semihosting
from esptool.transport.gdb import TargetError
from esptool.transport.settings import Settings

if TYPE_CHECKING:
    from esptool.protocol.gdb import Stop

#: Registers by their numbers: the call, its argument and its answer.
_CALL, _ARGUMENT = 10, 11
#: By name, where the server describes them, as numbers differ among Xtensa servers.
_XTENSA_NAMES = ("a2", "a3")


class ConsolePort(MailboxPort):
    """A `Port` on which text of the program arrives; nothing can be sent."""

    def __init__(
        self,
        url: str,
        chip: ChipSpec | None,
        settings: Settings | None = None,
        listener: Listener = ignore,
        trace: Callable[[str], None] | None = None,
    ) -> None:
        self._debugger = Debugger(
            url, settings or Settings(), listener, trace, before="no-reset", chip=chip
        )
        debugger = self._debugger
        super().__init__(url, debugger.client, debugger.port.pc_register)
        self._text = bytearray()
        self._stands = False
        self._registers: tuple[int, ...] = (_CALL, _ARGUMENT)
        debugger.client.on_output = self._text.extend
        debugger.on_server_text(self._text.extend)
        if debugger.spec.arch is not Arch.RISCV:
            self._registers = debugger.register_numbers(_XTENSA_NAMES)

    # --- opening ---------------------------------------------------------------------------------

    def open(self, url: str | None = None) -> None:
        """Connect again; the target stops by that, and is let go on."""
        super().open(url)
        self._stands = False

    def close(self) -> None:
        """Let the target go on, and leave it."""
        if self.client.is_open and not self._stands:
            with contextlib.suppress(FatalError):
                self.client.interrupt()
                self.client.detach()
        super().close()
        self._debugger.close()

    def restart(self) -> None:
        """Reset the chip, which runs then.

        Raises:
            PortError: the debugger cannot.
        """
        self.client.interrupt()
        if not self._debugger.command(RESET_AND_HALT):
            raise PortError("The debugger does not know how to reset its target.")
        self.client.interrupt()
        self._stands = False

    # --- bytes -----------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Nothing goes to the program: a call that reads finds the end of its input."""

    def receive(self, timeout_s: float) -> bytes:
        """What the program has said, after as many calls as it makes within the time."""
        deadline = time.monotonic() + timeout_s
        client = self.client
        while not self._text:
            left = max(0.0, deadline - time.monotonic())
            if self._stands:
                time.sleep(left)
                break
            if not client.running:
                client.resume()
            stop = client.wait(left)
            if stop is None:
                break
            self._stopped(stop)
        data = bytes(self._text)
        self._text.clear()
        return data

    def _stopped(self, stop: Stop) -> None:
        client = self.client
        pc = client.read_register(self.pc_register)
        behind = self._behind_call(pc)
        if behind is None:
            self._stand(f"has stopped at {pc:#010x} (signal {stop.signal})")
            return
        number, argument = (client.read_register(n) for n in self._registers)
        try:
            answer, text = semihosting.serve(number, argument, client.read)
        except TargetError:
            answer, text = semihosting.REFUSED, b""
        self._text += text
        if answer is None:
            self._stand("has ended")
            return
        client.write_register(self._registers[0], answer)
        client.write_register(self.pc_register, behind)

    def _behind_call(self, pc: int) -> int | None:
        """Where the program goes on behind a call; None where there is none."""
        try:
            if self._debugger.spec.arch is not Arch.RISCV:
                call = semihosting.XTENSA_CALL
                return pc + len(call) if self.client.read(pc, len(call)) == call else None
            call = semihosting.RISCV_CALL
            return pc + 4 if self.client.read(pc - 4, len(call)) == call else None
        except TargetError:
            return None

    def _stand(self, what: str) -> None:
        self._stands = True
        self._text += f"\r\n--- The program {what}. ---\r\n".encode()


def open_console(
    url: str, chip: ChipSpec | None, trace: Callable[[str], None] | None = None
) -> ConsolePort:
    """Listen to the program behind a debugger.

    Raises:
        NotSupportedError: the server names no register that a call comes in.
        FatalError: the debugger is not there, or its target is not a chip that is known.
    """
    try:
        return ConsolePort(url, chip, trace=trace)
    except IndexError:
        raise NotSupportedError(
            "The GDB server does not describe the registers that a program calls it with."
        ) from None

# SPDX-License-Identifier: Apache-2.0
"""The v5 name of the telnet side of a lent port, for programs that bring their own sockets.

esp-donut derives from it and replaces the two resets. Our own server does without (see `server`):
it keeps the timing of every line change instead of taking the first for a whole reset.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from serial import rfc2217

from esptool.errors import FatalError
from esptool.transport import adapt, reset

if TYPE_CHECKING:
    from serial import Serial

#: How much longer the boot strap of ESP32 revision 0 is held, in seconds.
REVISION_0_DELAY_S = 0.5
_COMMAND = rfc2217.COM_PORT_OPTION + rfc2217.SET_CONTROL
_DTR_ON, _DTR_OFF = rfc2217.SET_CONTROL_DTR_ON, rfc2217.SET_CONTROL_DTR_OFF
_RTS_ON, _RTS_OFF = rfc2217.SET_CONTROL_RTS_ON, rfc2217.SET_CONTROL_RTS_OFF


class EspPortManager(rfc2217.PortManager):
    """RFC 2217 for one client, with resets played at the port.

    A network tears the line changes of a reset apart. So the first change of a reset starts all of
    it, in a thread, and what the client sends of the rest is acknowledged and not done.

    Args:
        serial_port: the port that is lent.
        connection: has `write(data)` for what goes to the client.
        esp32r0_delay: hold the boot strap half a second longer, for ESP32 revision 0.
        logger: told what the client asks for.
    """

    def __init__(
        self,
        serial_port: Serial,
        connection: Any,
        esp32r0_delay: bool = False,
        logger: logging.Logger | None = None,
    ) -> None:
        self.esp32r0_delay = esp32r0_delay
        self.is_download_mode = False
        port: Any = serial_port  # any port will do, whatever the stubs of pyserial say
        super().__init__(port, connection, logger)

    def _telnet_process_subnegotiation(self, suboption: bytes) -> None:
        change = suboption[2:3]
        if suboption[:2] != _COMMAND or change not in (_DTR_ON, _DTR_OFF, _RTS_ON, _RTS_OFF):
            handle: Any = getattr(super(), "_telnet_process_subnegotiation")  # noqa: B009
            handle(suboption)
            return
        if change == _DTR_OFF:
            self.is_download_mode = False
            self.serial.dtr = False
        elif not self.is_download_mode and change == _DTR_ON:
            self.is_download_mode = True
            self._start(self._reset_thread)
        elif not self.is_download_mode and change == _RTS_OFF:
            self._start(self._hard_reset_thread)
        self.rfc2217_send_subnegotiation(rfc2217.SERVER_SET_CONTROL, change)

    def _start(self, sequence: Callable[[], None]) -> None:
        threading.Thread(target=sequence, name=sequence.__name__.strip("_"), daemon=True).start()

    def _hard_reset_thread(self) -> None:
        """Reset the chip into its application (programs replace it)."""
        self._play("custom_hard_reset_sequence", reset.hard(False))

    def _reset_thread(self) -> None:
        """Bring the chip into download mode (programs replace it)."""
        delay = reset.DEFAULT_RESET_DELAY_S + REVISION_0_DELAY_S * bool(self.esp32r0_delay)
        usual = reset.classic(delay) if os.name == "nt" else reset.unix_tight(delay)
        self._play("custom_reset_sequence", usual)

    def _play(self, setting: str, usual: reset.Sequence) -> None:
        custom = __getattr__("cfg").get(setting)
        sequence = usual if custom is None else reset.parse_custom(str(custom))
        port: Any = self.serial
        try:
            reset.play(adapt(port), sequence)
        except FatalError as e:
            # This is a thread of its own: nobody would hear of it.
            logging.getLogger("rfc2217.server").error("%s", e.message)


def __getattr__(name: str) -> Any:
    if name == "cfg":  # esp-donut reads the same sequences
        from esptool.config import load_config_file

        return load_config_file()[0]["esptool"]
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")

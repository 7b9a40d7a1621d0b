# SPDX-License-Identifier: Apache-2.0
"""Reset strategies as callable objects: thin faces over the sequences of `esptool.transport`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esptool.transport import adapt
from esptool.transport import reset as _reset
from esptool.util import borrowed

if TYPE_CHECKING:
    from serial import Serial

DEFAULT_RESET_DELAY = _reset.DEFAULT_RESET_DELAY_S


class ResetStrategy:
    """A reset of the chip on `port`; calling the object performs it.

    `reset_delay` is the pause before the boot strap is released, in seconds; `flow_control`
    tells that the bridge uses the lines for flow control.
    """

    def __init__(
        self, port: Serial, reset_delay: float = DEFAULT_RESET_DELAY, flow_control: bool = False
    ) -> None:
        self.port = port
        self.reset_delay = reset_delay
        self.flow_control = flow_control

    def __call__(self) -> None:
        self.reset()

    def sequence(self) -> _reset.Sequence:
        """The line changes to make."""
        raise NotImplementedError

    def reset(self) -> None:
        """Play the sequence.

        Raises:
            FatalError: the port has no such lines, or is gone.
        """
        _reset.play(adapt(self.port), self.sequence(), flow_control=self.flow_control)


class ClassicReset(ResetStrategy):
    """Into download mode, one line after the other."""

    def sequence(self) -> _reset.Sequence:
        """Pull EN low, then BOOT, let EN rise, and `reset_delay` seconds later let BOOT go."""
        return _reset.classic(self.reset_delay)


class UnixTightReset(ResetStrategy):
    """Into download mode, both lines at the same moment (POSIX)."""

    def sequence(self) -> _reset.Sequence:
        """As `ClassicReset`, with both lines moved at once."""
        return _reset.unix_tight(self.reset_delay)


class USBJTAGSerialReset(ResetStrategy):
    """Into download mode through the USB-Serial/JTAG peripheral."""

    def sequence(self) -> _reset.Sequence:
        """The order of changes by which the peripheral knows a wish for download mode."""
        return _reset.USB_JTAG_SERIAL


class HardReset(ResetStrategy):
    """Into the application."""

    def __init__(self, port: Serial, uses_usb: bool = False, flow_control: bool = False) -> None:
        super().__init__(port, flow_control=flow_control)
        self.uses_usb = uses_usb

    def sequence(self) -> _reset.Sequence:
        """Pull EN low and let it rise; over USB for longer, so that the host sees the port go."""
        return _reset.hard_flow_control() if self.flow_control else _reset.hard(self.uses_usb)


class CustomReset(ResetStrategy):
    """A sequence from text, such as `D0|R1|W0.1|D1|R0|W0.5|D0`."""

    def __init__(self, port: Serial, seq_str: str) -> None:
        super().__init__(port)
        self.seq_str = seq_str

    def sequence(self) -> _reset.Sequence:
        """The steps of `seq_str`.

        Raises:
            UsageError: it is not a sequence.
        """
        return _reset.parse_custom(self.seq_str)


#: Names that programs import from here as well.
__getattr__ = borrowed(
    __name__,
    {
        **dict.fromkeys(("FatalError", "PrintOnce"), "esptool.util"),
        "log": "esptool.logger",
    },
)

# SPDX-License-Identifier: Apache-2.0
"""Reset sequences as data, and the one player that moves the lines.

On a usual board DTR pulls IO0 (boot strap) and RTS pulls EN (reset), each low when asserted, with
two transistors that cancel out when both are asserted. Values below: True = asserted = low.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

from esptool.errors import PortError, UsageError
from esptool.transport.port import NoLinesError as NoLinesError
from esptool.transport.port import Port
from esptool.transport.settings import Settings

DEFAULT_RESET_DELAY_S = 0.05
EXTRA_RESET_DELAY_S = DEFAULT_RESET_DELAY_S + 0.5
ENTER_BOOT_DELAY_S = 0.1
HOLD_UART_S = 0.1
HOLD_USB_S = 0.2
#: How long a chip takes to start after a reset over its own USB.
QUICK_USB_S = 0.1
REOPEN_ATTEMPTS = 3
#: Longer than this a step of a custom sequence was hardly meant to be.
LONGEST_WAIT_S = 3600.0
#: Bridges whose DTR/RTS are in use for hardware flow control: releasing DTR must be left out.
FLOW_CONTROL_IDS = frozenset({(0x10C4, 0xEA64)})


@dataclass(frozen=True, slots=True)
class Dtr:
    """Set DTR."""

    on: bool
    unless_flow_control: bool = False


@dataclass(frozen=True, slots=True)
class Rts:
    """Set RTS."""

    on: bool


@dataclass(frozen=True, slots=True)
class DtrRts:
    """Set both lines in one system call, so that the transistors never see a step between."""

    dtr: bool
    rts: bool
    unless_flow_control: bool = False


@dataclass(frozen=True, slots=True)
class Wait:
    """Let time pass."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Listen:
    """Let time pass until the chip says that it waits for a download, where somebody listens."""

    seconds: float


LineStep = Dtr | Rts | DtrRts | Wait | Listen
Sequence = tuple[LineStep, ...]


def classic(delay_s: float = DEFAULT_RESET_DELAY_S) -> Sequence:
    """Into download mode, one line at a time."""
    return (
        Dtr(False),
        Rts(True),
        Wait(ENTER_BOOT_DELAY_S),
        Dtr(True),
        Rts(False),
        Wait(delay_s),
        Dtr(False, unless_flow_control=True),
    )


def unix_tight(delay_s: float = DEFAULT_RESET_DELAY_S) -> Sequence:
    """Into download mode with both lines moved at once: sure on bridges with slow drivers."""
    return (
        DtrRts(False, False),
        DtrRts(True, True),
        DtrRts(False, True),
        Wait(ENTER_BOOT_DELAY_S),
        DtrRts(True, False),
        Wait(delay_s),
        DtrRts(False, False, unless_flow_control=True),
        Dtr(False, unless_flow_control=True),
    )


#: Into download mode through USB-Serial/JTAG, which watches the order of line changes and must
#: never see DTR and RTS go from (1, 0) to (0, 1) by way of (0, 0).
USB_JTAG_SERIAL: Sequence = (
    Rts(False),
    Dtr(False),
    Wait(0.1),
    Dtr(True),
    Rts(False),
    Wait(0.1),
    Rts(True),
    Dtr(False),
    Rts(True),
    Wait(0.1),
    Dtr(False),
    Rts(False),
)


def quick(low_ms: int, strap_ms: int, arm_ms: int, *, usb_jtag: bool, tight: bool) -> Sequence:
    """Into download mode as fast as chip and usual boards allow; see `spec.QuickReset`."""
    low, strap, arm = low_ms / 1000, strap_ms / 1000, arm_ms / 1000
    if usb_jtag:
        return (
            *(Rts(False), Dtr(False), Wait(arm)),
            *(Dtr(True), Rts(False), Wait(arm)),
            # A chip may start when RTS comes, or when it goes.
            *(Rts(True), Dtr(False), Rts(True), Listen(QUICK_USB_S)),
            *(Dtr(False), Rts(False), Listen(QUICK_USB_S)),
        )
    if not tight:
        return (
            *(Dtr(False), Rts(True), Wait(low)),
            *(Dtr(True), Rts(False), Listen(strap)),
            Dtr(False, unless_flow_control=True),
        )
    return (
        *(DtrRts(False, False), DtrRts(True, True), DtrRts(False, True), Wait(low)),
        *(DtrRts(True, False), Listen(strap)),
        *(DtrRts(False, False, unless_flow_control=True), Dtr(False, unless_flow_control=True)),
    )


def hard(uses_usb: bool = False) -> Sequence:
    """Reset into the application. USB links need longer: the host must see the port go."""
    if uses_usb:
        return (Rts(True), Wait(HOLD_USB_S), Rts(False), Wait(HOLD_USB_S))
    return (Rts(True), Wait(HOLD_UART_S), Rts(False))


def hard_flow_control() -> Sequence:
    """Reset on bridges whose lines drive flow control: RTS alone would not reach EN."""
    return (Dtr(False), Rts(True), Wait(0.1), Dtr(True), Wait(0.1), Rts(False))


def hard_strategy(port: Port, settings: Settings, uses_usb: bool) -> Sequence:
    """How to reset into the application: as the user wants it, else as the port needs it."""
    if settings.custom_hard_reset_sequence:
        return parse_custom(settings.custom_hard_reset_sequence)
    return hard_flow_control() if flow_control_bridge(port) else hard(uses_usb)


def check_custom(settings: Settings) -> None:
    """Refuse sequences that are none, as a mistake is not to show after the work is done.

    Raises:
        UsageError: one of the settings' own sequences cannot be understood.
    """
    for sequence in (settings.custom_reset_sequence, settings.custom_hard_reset_sequence):
        if sequence:
            parse_custom(sequence)


def parse_custom(text: str) -> Sequence:
    """A sequence written as in the configuration file: `D0|R1|W0.1|U1,0`.

    Raises:
        UsageError: a step that is none of D, R, U (dtr,rts) and W (seconds).
    """
    steps: list[LineStep] = []
    for raw in text.split("|"):
        step = raw.strip()
        try:
            match step[:1]:
                case "D":
                    steps.append(Dtr(_bit(step[1:])))
                case "R":
                    steps.append(Rts(_bit(step[1:])))
                case "U":
                    dtr, rts = step[1:].split(",")
                    steps.append(DtrRts(_bit(dtr), _bit(rts)))
                case "W":
                    steps.append(Wait(_seconds(step[1:])))
                case _:
                    raise ValueError
        except ValueError:
            raise UsageError(
                f"Invalid custom reset sequence option format: step '{raw}' of '{text}'. "
                "Steps are D0/D1, R0/R1, U0,1 and W<seconds>, separated by '|'."
            ) from None
    return tuple(steps)


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds <= LONGEST_WAIT_S:
        raise ValueError(text)
    return seconds


def _bit(text: str) -> bool:
    if text.strip() not in ("0", "1"):
        raise ValueError(text)
    return text.strip() == "1"


def download_strategies(
    *, url: str, usb_jtag: bool, delay_s: float | None, custom: str | None
) -> tuple[Sequence, ...]:
    """The sequences to try in turn for entering download mode on the port `url`."""
    if custom:
        return (parse_custom(custom),)
    if usb_jtag:
        return (USB_JTAG_SERIAL,)
    short = DEFAULT_RESET_DELAY_S if delay_s is None else delay_s
    extra = EXTRA_RESET_DELAY_S if delay_s is None else delay_s + 0.5
    plain = (classic(short), classic(extra))
    if _both_at_once(url):
        return (unix_tight(short), unix_tight(extra), *plain)
    return plain


def _both_at_once(url: str) -> bool:
    """Both lines can be moved in one call."""
    return sys.platform != "win32" and not url.startswith("rfc2217:")


def quick_strategy(
    times_ms: tuple[int, int, int],
    *,
    url: str,
    usb_jtag: bool,
    delay_s: float | None,
    custom: str | None,
) -> Sequence | None:
    """What to try before the sequences of `download_strategies`; None where it is not to be.

    The settings may name times or a sequence for a board, and a network has delays of its own.

    Args:
        times_ms: of a `spec.QuickReset`.
    """
    if custom or delay_s is not None or url.startswith("rfc2217:"):
        return None
    return quick(*times_ms, usb_jtag=usb_jtag, tight=_both_at_once(url))


def flow_control_bridge(port: Port) -> bool:
    """The port is a bridge of `FLOW_CONTROL_IDS`."""
    from esptool.transport.discovery import usb_ids

    return usb_ids(port) in FLOW_CONTROL_IDS


def play(
    port: Port,
    sequence: Sequence,
    *,
    flow_control: bool = False,
    sleep: Callable[[float], None] | None = None,
    listen: Callable[[float], None] | None = None,
) -> None:
    """Move the lines of `port` step by step.

    A USB port may vanish in the middle of a reset: it is reopened up to `REOPEN_ATTEMPTS` times
    and the sequence starts again. `sleep` waits; None takes the port's own clock. `listen` waits,
    too, but returns when the chip says that it is in download mode; None is `sleep`.

    Raises:
        NoLinesError: the port has no such lines.
        PortError: the port did not come back.
    """
    sleep = sleep or port.sleep
    for attempt in range(REOPEN_ATTEMPTS, 0, -1):
        try:
            if not port.is_open:
                port.open()
            for step in sequence:
                _do(port, step, flow_control, sleep, listen or sleep)
            return
        except NoLinesError:
            raise
        except PortError as e:
            if attempt == 1 or not port.url:
                raise PortError(
                    f"Cannot move the reset lines of {port.url or 'the port'}: {e.message}",
                    remedy="Reset the board by hand, or use --before no-reset / --after no-reset.",
                ) from e
            port.release()
            sleep(0.5)


def _do(
    port: Port,
    step: LineStep,
    flow_control: bool,
    sleep: Callable[[float], None],
    listen: Callable[[float], None],
) -> None:
    match step:
        case Wait(seconds):
            sleep(seconds)
        case Listen(seconds):
            listen(seconds)
        case Dtr(on, unless_flow_control=skip):
            if not (skip and flow_control):
                port.set_dtr(on)
        case Rts(on):
            port.set_rts(on)
        case DtrRts(dtr, rts, unless_flow_control=skip):
            if not (skip and flow_control):
                port.set_lines(dtr, rts)

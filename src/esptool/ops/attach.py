# SPDX-License-Identifier: Apache-2.0
"""Wiring the flash to the chip's SPI controller and waking it, so that it can be worked with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from esptool.chips.nor import BAD_IDS
from esptool.device import ext
from esptool.errors import FatalError, NotSupportedError, UsageError
from esptool.events import Listener
from esptool.transfer.recovery import Recovery
from esptool.transfer.report import Report

if TYPE_CHECKING:
    from esptool.chips.spec import SpiPins
    from esptool.device import Session

RDID, RESET_ENABLE, RESET = 0x9F, 0x66, 0x99
XMC = 0x20
#: XMC parts that start correctly: memory type, then the range of capacity codes.
_XMC_GOOD = ((0x40, 0x13, 0x20), (0x41, 0x17, 0x20), (0x50, 0x15, 0x16))
#: Chips whose ROM can drive the flash through its second SPI controller.
HSPI_CHIPS = frozenset({"esp32"})
#: The highest GPIO number that any chip with a general-purpose SPI controller has.
_LAST_GPIO = 48
_PIN_ORDER = ("CLK", "Q", "D", "HD", "CS")


def attach_flash(
    session: Session,
    spi_connection: str | Sequence[int] | None = None,
    *,
    flash_type: str = "nor",
    listener: Listener | None = None,
) -> None:
    """Attach the SPI flash; every flash operation needs it once after connecting.

    Args:
        spi_connection: None for the pins that the chip boots from, "SPI", "HSPI", or the five
            GPIO numbers CLK, Q, D, HD, CS (a sequence, or a string with commas).
        flash_type: only "nor" can be worked with.

    Raises:
        NotSupportedError: this chip cannot use other pins, or the flash is of another type.
        FatalError: a pin number is out of range or belongs to USB while that carries the link.
    """
    if flash_type != "nor":
        raise NotSupportedError(
            f"Flash of type '{flash_type}' is not attached here. Use NOR flash (--flash-type nor)."
        )
    report = Report(session, listener)
    word = None
    if spi_connection is not None:
        word, label = connection_word(session, spi_connection)
        report.line(f"Configuring SPI NOR flash mode ({label})...")
    elif not session.is_stub:
        # The ROM does not attach the flash by itself; a stub did it when it started.
        report.line("Enabling default SPI flash mode...")
        word = 0
    Recovery(session, report).persist("attaching the flash", lambda: _attach(session, word))


def _attach(session: Session, word: int | None) -> None:
    if word is not None:
        if session.is_stub or session.spec.rom.flash_ops:
            session.flash.attach(word)
        else:
            session.flash.begin(0, 0)
    if not session.secure_download:
        wake_flash(session)


def connection_word(
    session: Session, connection: str | Sequence[int], *, general_purpose: bool = False
) -> tuple[int, str]:
    """The argument of SPI_ATTACH for a connection, and how a message calls it.

    The word of five pins is hd<<24 | cs<<18 | d<<12 | q<<6 | clk; 0 is SPI and 1 is HSPI.

    Args:
        general_purpose: it is for the general-purpose controller, which the GPIO matrix leads to
            any pins also where that of the boot flash has its own only.
    """
    spec = session.spec
    if isinstance(connection, str):
        name = connection.upper()
        if name == "SPI":
            return 0, name
        if name == "HSPI":
            if spec.key not in HSPI_CHIPS:
                raise NotSupportedError(
                    f"Using --spi-connection HSPI is not supported by {spec.name}."
                )
            return 1, name
        try:
            connection = tuple(int(pin, 0) for pin in connection.split(","))
        except ValueError:
            raise UsageError(
                f"'{connection}' is no SPI connection. Give SPI, HSPI or five pin numbers "
                "separated by commas: CLK,Q,D,HD,CS."
            ) from None
    pins = tuple(connection)
    if len(pins) != 5:
        raise UsageError(
            f"An SPI connection has five pins (CLK,Q,D,HD,CS), {len(pins)} were given."
        )
    if not (general_purpose or (spec.flash.custom_pins and spec.spi_pins is not None)):
        raise NotSupportedError(
            f"Setting custom --spi-connection pins is not supported by {spec.name}."
        )
    if spec.spi_pins is not None:
        _check_pins(session, spec.spi_pins, pins)
    elif not all(0 <= pin <= _LAST_GPIO for pin in pins):
        raise FatalError(f"SPI Pin numbers must be in the range 0-{_LAST_GPIO}.")
    if general_purpose and len({*pins}) != len(pins):
        raise UsageError(f"Two of the five pins are the same: {', '.join(map(str, pins))}.")
    clk, q, d, hd, cs = pins
    label = ", ".join(f"{name}:{pin}" for name, pin in zip(_PIN_ORDER, pins, strict=True))
    return hd << 24 | cs << 18 | d << 12 | q << 6 | clk, label


def _check_pins(session: Session, rules: SpiPins, pins: tuple[int, ...]) -> None:
    """Refuse pins that do not exist, cannot drive the flash, or carry the link itself."""
    ranges = ", ".join(f"{low}-{high}" for low, high in rules.allowed)
    if any(not any(low <= pin <= high for low, high in rules.allowed) for pin in pins):
        raise FatalError(f"SPI Pin numbers must be in the range {ranges}.")
    if rules.hd_max is not None and pins[3] > rules.hd_max:
        raise FatalError(f"SPI HD pin number must be {rules.hd_max} or less.")
    if any(pin in rules.usb for pin in pins) and session.facts.usb_mode != "uart":
        used = ", ".join(str(pin) for pin in rules.usb)
        raise FatalError(
            f"GPIO {used} carry the USB link in use, so the flash cannot be on them. "
            "Connect over UART, or choose other pins."
        )


def wake_flash(session: Session) -> None:
    """Bring the flash into a known state: the XMC start-up where needed, then a soft reset.

    Some XMC parts may come up in a wrong internal mode; their start-up sequence is entering and
    leaving deep power-down (data sheet of XM25QHxx; order and pauses from the IDF boot loader).
    """
    if session.may_batch:
        flash_id = _identify_and_reset(session)
        if not _is_odd_xmc(flash_id):
            return
    else:
        flash_id = session.flash.id()
    if flash_id in BAD_IDS:
        return
    if _is_odd_xmc(flash_id):
        for opcode, pause in ((0xB9, 0.0), (0x79, 0.0), (0xFF, 0.002), (0xAB, 20e-6)):
            session.bus.command(opcode)
            if pause:
                session.link.sleep(pause)
    session.bus.command(RESET_ENABLE)
    session.bus.command(RESET)
    session.link.sleep(0.001)


def _identify_and_reset(session: Session) -> int:
    """Read the id and reset, all in one round trip of our stub. Harmless without a flash."""
    operations = ext.Batch()
    operations.spi(RDID, read_bytes=3)
    operations.spi(RESET_ENABLE)
    operations.spi(RESET)
    operations.wait(1000)
    [answer] = ext.batch(session, operations)
    session.flash.known_id = int.from_bytes(answer, "little")
    return session.flash.id()


def _is_odd_xmc(flash_id: int) -> bool:
    vendor, kind, capacity = flash_id & 0xFF, flash_id >> 8 & 0xFF, flash_id >> 16 & 0xFF
    if vendor != XMC:
        return False
    return not any(kind == k and low <= capacity <= high for k, low, high in _XMC_GOOD)

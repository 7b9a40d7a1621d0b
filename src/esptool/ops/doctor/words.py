# SPDX-License-Identifier: Apache-2.0
"""What the doctor can find, in words: a sentence, and what to do. No I/O, nothing of this package.

Everything that shows findings (the command line, a page in a browser) takes its words from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: Levels of findings, mild ones first. A problem keeps the board from doing its work.
OK, NOTE, WARNING, PROBLEM = "ok", "note", "warning", "problem"
LEVELS = (OK, NOTE, WARNING, PROBLEM)

#: The pin that decides at reset whether the chip boots from flash (high) or waits for a download
#: (low), and other pins that must have a level for the latter. Source: data sheets, "Strapping
#: Pins", and the boot mode pages of esptool's documentation.
BOOT_PINS: dict[str, tuple[str, str]] = {
    "esp8266": ("GPIO0", "GPIO2 must be high and GPIO15 low"),
    "esp32": ("GPIO0", "GPIO2 must be low or open"),
    "esp32s2": ("GPIO0", "GPIO46 must be low or open"),
    "esp32s3": ("GPIO0", "GPIO46 must be low or open"),
    "esp32c2": ("GPIO9", "GPIO8 must be high"),
    "esp32c3": ("GPIO9", "GPIO8 must be high"),
    "esp32c6": ("GPIO9", "GPIO8 must be high"),
    "esp32h2": ("GPIO9", "GPIO8 must be high"),
    "esp32c5": ("GPIO28", "GPIO27 must be high"),
    "esp32c61": ("GPIO9", "GPIO8 must be high"),
    "esp32p4": ("GPIO35", "GPIO36 must be high"),
}


@dataclass(frozen=True, slots=True)
class Words:
    """The level of a finding, its sentence, and what to do; braces name its operands."""

    level: str
    text: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that was found.

    Attributes:
        code: a key of `FINDINGS`; it stays.
        operands: what its words name.
    """

    code: str
    operands: Mapping[str, Any] = field(default_factory=dict)

    @property
    def level(self) -> str:
        """How bad it is: one of `LEVELS`."""
        return FINDINGS[self.code].level

    @property
    def text(self) -> str:
        """What was found, in a sentence."""
        return FINDINGS[self.code].text.format_map(self.operands)

    @property
    def remedy(self) -> str:
        """What to do about it, "" where nothing need be done."""
        return FINDINGS[self.code].remedy.format_map(self.operands)

    def to_json(self) -> dict[str, Any]:
        """The same as plain values."""
        return {
            "code": self.code,
            "level": self.level,
            "text": self.text,
            "remedy": self.remedy or None,
            "operands": dict(self.operands),
        }


def boot_pin(chip: str | None) -> dict[str, str]:
    """Operands about the boot strapping pin, for words that name it."""
    pin, others = BOOT_PINS.get(chip or "", ("the boot strapping pin", ""))
    return {"pin": pin, "others": f" ({others})" if others else ""}


_CABLE = (
    "Try another cable (many only charge) and another socket; for a bridge, install its driver."
)
_HOLD = "Hold BOOT, press and release RESET (or EN), let go of BOOT, and run the doctor again with"

FINDINGS: dict[str, Words] = {
    # The port.
    "no_port": Words(
        PROBLEM,
        "There is no serial port.",
        f"Plug the board in. If it is: {_CABLE[0].lower()}{_CABLE[1:]}",
    ),
    "port_not_found": Words(PROBLEM, "There is no port {port}.", "The ports are: {ports}."),
    "port_permission": Words(
        PROBLEM,
        "You may not open {port}.",
        "Add yourself to the group '{group}' and log in again: sudo usermod -aG {group} $USER",
    ),
    "port_busy": Words(
        PROBLEM,
        "{port} is in use by {holder}.",
        "Close that program (a serial monitor, an IDE, ModemManager) and try again.",
    ),
    "port_fails": Words(PROBLEM, "{port} cannot be opened: {reason}", _CABLE),
    "port_ok": Words(OK, "{port} can be opened: {what}."),
    "choose_port": Words(
        NOTE, "There are several ports: {ports}. This is about {port}.", "Name another as PORT."
    ),
    # What the board says by itself.
    "boots": Words(OK, "A reset starts the chip, and it boots from flash."),
    "quiet": Words(NOTE, "Nothing came from the board after a reset."),
    "log_at_other_rate": Words(
        NOTE,
        "The boot log comes at {rate} baud, as of a chip with a 26 MHz crystal.",
        "A terminal needs that rate to show it.",
    ),
    "garbled": Words(
        PROBLEM,
        "What comes from the board is not text at any usual rate.",
        "The crystal may be another one than the chip expects, the ground wire may be missing, or "
        "the levels may be wrong (the chip's pins are for 3.3 V).",
    ),
    "brown_out": Words(
        PROBLEM,
        "The chip resets because its supply voltage drops (brown-out).",
        "Use a shorter cable or another socket, power the board from a supply of 500 mA or more, "
        "and take off what else it powers.",
    ),
    "reset_loop": Words(
        PROBLEM,
        "The chip resets again and again ({count} times in {seconds} s, cause: {cause}).",
        "If it is new: write firmware to it. Else the watchdog or the firmware resets it; write "
        "firmware that is known to work.",
    ),
    "panic": Words(
        WARNING,
        "The application crashes: {reason}.",
        "Its output tells where: esptool monitor --elf FILE. The board itself can be written.",
    ),
    "no_program": Words(NOTE, "The chip finds no program in the flash to start."),
    "checksum": Words(NOTE, "The chip finds the boot loader in the flash damaged (checksum)."),
    # Getting into download mode.
    "silent": Words(
        PROBLEM,
        "Nothing comes from the board, whatever is tried.",
        "Is it powered, and is EN high? Check that the chip's TX goes to the adapter's RX. "
        f"{_CABLE} If it runs and is only quiet, it may have no auto-reset circuit: "
        f"{_HOLD[0].lower()}{_HOLD[1:]} --before no-reset.",
    ),
    "no_reset": Words(
        PROBLEM,
        "The adapter's lines do not reset the chip: there is no auto-reset circuit, or DTR and RTS "
        "are not connected.",
        f"{_HOLD} --before no-reset.",
    ),
    "boot_mode": Words(
        PROBLEM,
        "The chip is reset, but it boots from flash: {pin} is high at reset ({mode}).",
        "{pin} must be low at reset for download mode{others}. Something holds it high, or DTR "
        "does not reach it. Hold BOOT while the chip is reset, or take off what is wired to {pin}.",
    ),
    "held_in_download": Words(
        WARNING,
        "{pin} is low also without a download: the chip waits in download mode after each reset.",
        "Let go of BOOT, and take off what pulls {pin} low; else its application never starts.",
    ),
    "deaf": Words(
        PROBLEM,
        "The chip is in download mode and does not hear: nothing gets from the adapter to it.",
        "Check the wire from the adapter's TX to the chip's RX.",
    ),
    "wrong_chip": Words(
        PROBLEM,
        "The chip answers, and is another one: {reason}.",
        "Leave out --chip (or ESPTOOL_CHIP), or connect the other board.",
    ),
    "no_answer": Words(
        PROBLEM,
        "The chip does not answer: {reason}",
        "Hold BOOT while the chip is reset. Try a lower --baud, and another cable.",
    ),
    "manual": Words(
        NOTE,
        "The chip answers in the download mode that it was brought into by hand. Whether the "
        "adapter's lines reset it was not tried.",
    ),
    "connected": Words(OK, "It is an {description}, MAC {mac}."),
    "secure_download": Words(
        NOTE,
        "The chip is in secure download mode: it tells nothing of flash, and loads no stub.",
        "Write with --no-stub and by address. The rest cannot be checked.",
    ),
    "crystal": Words(
        WARNING,
        "The crystal seems to be one of {measured} MHz, the chip expects {expected}.",
        "Radio and baud rates will be off. Check the crystal; --baud 115200 is the safest rate.",
    ),
    # Flash, stub, line.
    "flash_silent": Words(
        PROBLEM,
        "The flash does not answer (its id is {jedec_id}).",
        "Check that it is soldered and supplied ({voltage}). Pins of the flash must not be used "
        "for something else; on ESP32, GPIO12 high at reset sets its supply to 1.8 V. Flash on "
        "other pins needs --spi-connection.",
    ),
    "flash_unsteady": Words(
        PROBLEM,
        "The flash answers differently each time ({first}, then {second}).",
        "Its supply or its wires are bad: check voltage ({voltage}), solder joints and length.",
    ),
    "line_bad": Words(
        PROBLEM,
        "Bytes are lost or damaged already at {baud} baud: {reason}",
        "Try another cable, socket and adapter; check the ground wire, and that levels are 3.3 V.",
    ),
    "flash_ok": Words(OK, "The flash answers: id {jedec_id}, {size}."),
    "flash_protected": Words(
        WARNING,
        "The flash is write protected (status {status}).",
        "esptool write-flash-status --non-volatile 0 takes that back, where the chip lets it.",
    ),
    "stub_fails": Words(
        PROBLEM,
        "The flasher stub does not start: {reason}",
        "Use --no-stub, which is slower, and report the chip and its revision.",
    ),
    "stub_off": Words(NOTE, "The flasher stub cannot run here: {reason}"),
    "stub_ok": Words(OK, "The flasher stub runs."),
    "line_ok": Words(OK, "Bytes pass without damage at up to {best} baud."),
    "line_loses": Words(
        WARNING,
        "Bytes are lost or damaged at {wanted} baud.",
        "Use --baud {best}, the best that this line bears (or --baud auto). A shorter cable and "
        "another adapter bear more.",
    ),
    "line_usb": Words(OK, "The link is the chip's own USB: it has no rate to test."),
    # What is in the flash.
    "encrypted": Words(NOTE, "Flash encryption is on: what is in the flash cannot be checked."),
    "boot_loader_ok": Words(OK, "The boot loader at {offset} is whole{version}."),
    "boot_loader_missing": Words(
        WARNING,
        "There is no boot loader at {offset}.",
        "Write one, with the table and the application: esptool flash BUILD.",
    ),
    "boot_loader_damaged": Words(
        WARNING, "The boot loader at {offset} is damaged: {reason}", "Write it again."
    ),
    "boot_loader_other_chip": Words(
        WARNING, "The boot loader at {offset} is for {other}.", "Write one for this chip."
    ),
    "table_ok": Words(OK, "The partition table at {offset} has {count} partitions."),
    "table_bad": Words(WARNING, "The partition table cannot be used: {reason}", "Write it again."),
    "app_ok": Words(OK, "The application that boots is whole: {name} in '{partition}'."),
    "app_missing": Words(
        WARNING, "No application boots: {reason}", "Write one: esptool flash BUILD."
    ),
    "app_damaged": Words(
        WARNING, "The application in '{partition}' is damaged: {reason}", "Write it again."
    ),
    "contents_unread": Words(NOTE, "What is in the flash could not be read: {reason}"),
}

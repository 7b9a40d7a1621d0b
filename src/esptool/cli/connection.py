# SPDX-License-Identifier: Apache-2.0
"""What happens before and after a command that needs a chip. Imported only by those."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from esptool import cmds, ops
from esptool.cli import machine
from esptool.device.connect import DEBUGGERS
from esptool.device.facts import USB_NAMES
from esptool.errors import ConnectError, FatalError, NotSupportedError, UsageError
from esptool.events import Began, Event, Listener, Message, without_results
from esptool.faces.constants import ESP_ROM_BAUD
from esptool.loader import StubFlasher
from esptool.logger import log
from esptool.protocol.rates import AUTO
from esptool.render import to_log

if TYPE_CHECKING:
    import click

    from esptool.cli.state import Globals
    from esptool.device import Session
    from esptool.loader import ESPLoader

SECURE_DOWNLOAD_COMMANDS = frozenset(
    (
        "get-security-info",
        "flash",
        "write-flash",
        "erase-region",
        "verify-sdc-certificate",
        "read-sdc-chip-info",
    )
)
SDC_COMMANDS = frozenset(("verify-sdc-certificate", "read-sdc-chip-info"))
#: Commands after which the chip is left alone: it runs something else now.
NO_RESET_AFTER = frozenset(("load-ram", *SDC_COMMANDS))
#: Commands that may leave flash half written or erased when they are interrupted.
FLASH_WRITERS = frozenset(
    (
        *(
            "flash",
            "write-flash",
            "erase-flash",
            "erase-region",
            "ota write",
            "ota boot",
            "ota erase",
        ),
        *("nvs set", "nvs delete", "nvs build", "fs put", "fs rm", "fs build"),
    )
)
WIDTH = 20


def begin(state: Globals, stub: bool) -> ESPLoader:
    """Connect and get the chip ready for the command."""
    options = state.options
    if state.command in SDC_COMMANDS and not options["no_stub"]:
        raise UsageError(f"{state.command} needs the ROM loader.", remedy="Add --no-stub.")
    over_debugger = str(options["port"] or "").startswith(DEBUGGERS)
    if over_debugger and (options["no_stub"] or state.stub_plugins):
        what = "no ROM loader" if options["no_stub"] else "no plug-ins of the stub (NAND flash)"
        raise UsageError(
            f"Over a debugger there is {what}.",
            remedy="Leave --no-stub away." if options["no_stub"] else "Use a serial port.",
        )
    to_log(Began("connecting"))
    log.stage()
    esp = _connected(state)
    log.stage(finish=True)
    try:
        return _prepare(state, esp, stub)
    except BaseException:
        if state.esp is None:
            esp.session.close()
        raise


def _connected(state: Globals) -> ESPLoader:
    options = state.options
    if state.esp is not None:
        if state.esp.session.has_left:
            # A former command line on the same object has reset the chip out of the loader.
            state.esp.connect(options["before"], options["connect_attempts"])
        return state.esp
    baud = ESP_ROM_BAUD if options["baud"] == AUTO else options["baud"]
    if options["before"] != "no-reset-no-sync":
        baud = min(ESP_ROM_BAUD, baud)
    esp = cmds.connect_esp(
        chosen_port(options),
        options["chip"],
        baud,
        list(options["port_filter"] or ()),
        options["before"],
        options["trace"],
        options["connect_attempts"],
        state.open_port_attempts,
    )
    if options["mac"] is not None:
        _refuse_other_board(esp.session, options["mac"])
    return esp


def chosen_port(options: Mapping[str, Any]) -> str | None:
    """The port that --port names, or that of the board that --serial or --mac names.

    None where none of them is given: then any port will do.

    Raises:
        FatalError: there is no such board.
    """
    port: str | None = options["port"]
    serial, mac = options.get("serial"), options.get("mac")
    if serial is None and mac is None:
        return port
    from esptool.config import load_settings
    from esptool.ops.ports import find_board, plain_mac
    from esptool.transport.discovery import parse_port_filters

    if mac is not None:
        plain_mac(mac)
    if port is not None:
        if serial is not None:
            raise UsageError("--serial chooses a port, and --port names one: leave one out.")
        return port
    wanted = parse_port_filters(options.get("port_filter") or ())
    return find_board(serial=serial, mac=mac, port_filter=wanted, settings=load_settings())


def _refuse_other_board(session: Session, mac: str) -> None:
    from esptool.ops.identity import format_mac
    from esptool.ops.ports import plain_mac

    if session.secure_download:
        session.close()
        raise FatalError("The chip does not tell its MAC address in secure download mode.")
    found = format_mac(session.facts.macs.base)
    if plain_mac(found) != plain_mac(mac):
        session.power.hard_reset()
        session.close()
        raise ConnectError(
            f"The board on {session.link.port.url} has the MAC address {found}, not {mac}.",
            remedy="'esptool ports --probe' shows which board is where.",
            code="wrong_board",
            operands={"port": session.link.port.url, "mac": found},
        )


def _prepare(state: Globals, esp: ESPLoader, stub: bool) -> ESPLoader:
    options = state.options
    log.print(f"Connected to {esp.session.spec.name} on {esp.session.link.port.url}:")
    if esp.secure_download_mode:
        log.print(f"{'Chip type:':<{WIDTH}}{esp.session.spec.name} in Secure Download Mode")
        if state.command not in SECURE_DOWNLOAD_COMMANDS:
            raise FatalError(
                f"The '{state.command}' command is not available in Secure Download Mode."
            )
    if options["before"] != "no-reset-no-sync":
        # A first stage of the stub goes to it at once.
        esp.session.wanted_baud = options["baud"]
    said: list[Event] = []
    early = stub and not options["no_stub"] and not esp.secure_download_mode
    early = early and not options["stub_version"] and not esp.session.is_stub
    early = early and not state.stub_plugins
    if early:
        # The stub answers all questions about the chip at once; what it says is shown in order.
        esp = _stub_ahead(esp, said)
    if not esp.secure_download_mode:
        _introduce(esp.session)
    if machine.active() is not None:
        machine.result({"device": device_values(esp.session)})
    if state.command in SDC_COMMANDS and not esp.session.spec.sdc:
        raise NotSupportedError(
            f"{esp.session.spec.name} does not support Secure Debug Certificates."
        )
    if options["stub_version"]:
        StubFlasher.set_stub_subdir(options["stub_version"])
    log.print()
    if early:
        _show_folded(said, esp.session.listener)
        log.print()
    elif stub and not options["no_stub"] and (state.esp is None or not esp.session.is_stub):
        esp = _with_stub(esp, state.stub_plugins)
        log.print()
    if options["override_vddsdio"]:
        esp.override_vddsdio(options["override_vddsdio"])
    if options["before"] != "no-reset-no-sync":
        _set_rate(esp.session, options["baud"])
    if machine.active() is not None:
        machine.result({"device": device_values(esp.session)})
    return esp


def _set_rate(session: Session, wanted: int | str) -> None:
    """Go to the rate asked for, unless the stub was loaded at it already, or it failed there."""
    try:
        if session.settle_rate(wanted):
            log.print()
    except NotSupportedError:
        log.warning(
            "ROM doesn't support changing baud rate. "
            f"Keeping initial baud rate {session.link.baud}."
        )


def _stub_ahead(esp: ESPLoader, said: list[Event]) -> ESPLoader:
    """Start the stub before the chip is introduced, keeping what is said for later."""
    session = esp.session
    listener = session.listener
    listener(Began("starting-stub"))
    _ = session.facts.crystal_mhz  # measured with the clocks as the ROM set them
    session.listener = said.append
    try:
        esp = esp.run_stub()
    except BaseException:
        for event in said:
            listener(event)
        raise
    finally:
        session.listener = listener
    if esp.session.is_stub:
        esp.session.facts.prefetch()
    return esp


def _show_folded(said: list[Event], listener: Listener) -> None:
    """What was said while the stub started; only the outcome stays on a terminal."""
    log.stage()
    for event in said:
        if isinstance(event, Message) and event.text.startswith("Stub flasher"):
            log.stage(finish=True)
        listener(event)
    log.stage(finish=True)


def _with_stub(esp: ESPLoader, plugins: list[str]) -> ESPLoader:
    """Start the stub; of what is said meanwhile only the outcome stays on a terminal."""
    session = esp.session
    listener = session.listener

    def fold(event: Event) -> None:
        if isinstance(event, Message) and event.text.startswith("Stub flasher"):
            log.stage(finish=True)
        listener(event)

    linked = StubFlasher(esp, plugins) if plugins else None
    if linked is not None and linked.stub.ours:
        # Ours takes plug-ins in while it runs, and is loaded by its first stage then.
        linked = None
    log.stage()
    session.listener = fold
    try:
        return esp.run_stub(linked)
    finally:
        session.listener = listener
        log.stage(finish=True)


def _introduce(session: Session) -> None:
    known = session.facts
    facts = [
        ("Chip type:", known.description),
        ("Features:", ", ".join(known.features)),
        ("Crystal frequency:", f"{known.crystal_mhz}MHz"),
    ]
    if known.usb_mode in USB_NAMES:
        facts.append(("USB mode:", USB_NAMES[known.usb_mode]))
    for label, value in facts:
        log.print(f"{label:<{WIDTH}}{value}")
    ops.read_mac(session, listener=without_results(session.listener))


def device_values(session: Session) -> dict[str, Any]:
    """The device that a command works with, by the names of the schema."""
    from esptool.ops.identity import mac_values

    known = session.facts
    told: dict[str, Any] = {
        "port": session.link.port.url,
        "chip": session.spec.key,
        "chip_name": session.spec.name,
        "secure_download": session.secure_download,
        "stub": session.is_stub,
        "baud": session.link.baud,
    }
    if session.secure_download:
        return told
    return {
        **told,
        "description": known.description,
        "revision": known.revision,
        "features": list(known.features),
        "crystal_mhz": known.crystal_mhz,
        "usb_mode": USB_NAMES.get(known.usb_mode) if known.usb_mode is not None else None,
        **mac_values(known.macs),
    }


def end(state: Globals, esp: ESPLoader) -> None:
    """Leave the chip as --after says, unless the command has sent it elsewhere."""
    after = state.options["after"]
    log.print()
    if state.command in NO_RESET_AFTER:
        log.print("Exiting immediately.")
        return
    if state.command == "run" and (esp.session.has_left or after in ("no-reset", "no-reset-stub")):
        return
    ops.reset_chip(esp.session, after)
    if after not in ("no-reset", "no-reset-stub"):
        esp.session.has_left = True


def prepare_esp_object(ctx: click.Context) -> None:
    """Connect for a command that a program has added to `esptool.cli`.

    Afterwards `ctx.obj["esp"]` is the loader object; the chip is reset when the context closes.
    """
    state: Globals = ctx.find_root().obj
    esp = begin(state, stub=True)
    state["esp"] = esp

    def leave() -> None:
        end(state, esp)
        if state.esp is None:
            esp.session.close()

    ctx.call_on_close(leave)

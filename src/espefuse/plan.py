# SPDX-License-Identifier: Apache-2.0
"""A burn as a plan: every bit that would change, what can never be undone, and what may brick.

A plan is made of what is staged, shown (`--dry-run`), or saved and applied later. It names the
chip by the content of its blocks, so it cannot be applied to another, and it can be applied again
after a break: bits that are set already are not burned twice.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from espefuse import output
from espefuse.efuses import Efuses
from espefuse.fields import Block
from esptool.errors import FatalError
from esptool.files import write_atomic

FORMAT = "espefuse plan 1"
SECRET_MODE = 0o600


def make(efuses: Efuses) -> dict[str, Any]:
    """The plan for what is staged now."""
    blocks = [describe(efuses, b) for b in reversed(efuses.blocks) if b.pending & ~b.data]
    return {
        "format": FORMAT,
        "chip": efuses.table.key,
        "revision": efuses.get_chip_version(),
        "identity": identity(efuses),
        "postpone": efuses.postpone,
        "blocks": blocks,
        "never_again": list(never_again(efuses)),
        "warnings": list(warnings(efuses)),
    }


def identity(efuses: Efuses) -> str:
    """A digest of what this program never changes: the chip's name and factory MAC."""
    mac = efuses["MAC"].raw().to_bytes(6, "little")
    return hashlib.sha256(efuses.table.key.encode() + mac).hexdigest()


def describe(efuses: Efuses, block: Block) -> dict[str, Any]:
    """One block of a plan; hex digits have the highest bit first."""
    new = block.pending & ~block.data
    return {
        "block": block.id,
        "name": block.name,
        "before": hex_of(block, block.data),
        "add": hex_of(block, block.pending),
        "bits": [f"{bit}: {owner_of(efuses, block.id, bit)}" for bit in set_bits(new)],
    }


def hex_of(block: Block, value: int) -> str:
    """All bits of a block in hex, also those of a key: a plan has to hold them."""
    return f"0x{value:0{block.bits // 4}x}"


def set_bits(value: int) -> Iterator[int]:
    while value:
        low = value & -value
        yield low.bit_length() - 1
        value ^= low


def owner_of(efuses: Efuses, block: int, bit: int) -> str:
    """The smallest field that holds a bit, with the bit's place in it."""
    best = efuses.table.holder_of(block, bit)
    if best is not None and best.bit is not None:
        return best.name if best.length == 1 else f"{best.name}[{bit - best.bit}]"
    return efuses.table.owner_of(block, bit)


def never_again(efuses: Efuses) -> Iterator[str]:
    """What is shut for good after the burn."""
    wr_new = _new(efuses, "WR_DIS")
    rd_new = _new(efuses, "RD_DIS")
    for bit in set_bits(wr_new):
        names = [f.name for f in efuses if f.d.wr_dis == bit]
        if names:
            yield f"{', '.join(names)}: can never be written again"
    for bit in set_bits(rd_new):
        names = [f.name for f in efuses if bit in f.d.rd_dis]
        if names:
            yield f"{', '.join(names)}: can never be read again"
    for block in efuses.blocks:
        if block.pending & ~block.data and block.scheme.burn_unit_bits() == 256:
            yield f"BLOCK{block.id} ({block.name}): no bit can be added to it later"


def _new(efuses: Efuses, name: str) -> int:
    field = efuses[name]
    return field.raw(False) & ~field.raw()


def _after(efuses: Efuses, name: str) -> int:
    """A field's bits after the burn; 0 for a field that the chip lacks."""
    if name not in efuses:
        return 0
    field = efuses[name]
    return field.raw() | field.raw(False)


def _changes(efuses: Efuses, *names: str) -> bool:
    return any(name in efuses and _new(efuses, name) for name in names)


# --- known ways to lose a chip -----------------------------------------------------------------


def warnings(efuses: Efuses) -> Iterator[str]:
    """Reasons to think twice about what is staged."""
    yield from efuses.table.burn_warnings
    yield from _secure_boot(efuses)
    yield from _flash_encryption(efuses)
    yield from _empty_keys(efuses)
    yield from _ports(efuses)


def _filled(efuses: Efuses, block: Block) -> bool:
    """Whether a block will hold something (a hidden one counts as filled)."""
    return bool(block.data | block.pending) or not block.is_readable()


def _blocks_for(efuses: Efuses, *prefixes: str) -> list[Block]:
    """Key blocks that will hold a key of these purposes."""
    found = []
    for block in efuses.blocks:
        if block.key_purpose_name is None or not _filled(efuses, block):
            continue
        field = efuses[block.key_purpose_name]
        value = field.purpose_raw() | field.purpose_raw(False)
        for purpose in efuses.table.purposes:
            if purpose.value == value and not purpose.virtual:
                if purpose.name.startswith(prefixes):
                    found.append(block)
                break
    return found


def _secure_boot(efuses: Efuses) -> Iterator[str]:
    if not _changes(efuses, "SECURE_BOOT_EN", "ABS_DONE_1"):
        return
    if not efuses.table.purposes:
        ready = _filled(efuses, efuses.blocks[2])
    elif "purpose_targets" in efuses.table.rules:
        half = efuses["BLOCK_KEY0_HI_128"]
        ready = bool(half.raw() | half.raw(False)) or not half.is_readable()
    else:
        ready = bool(_blocks_for(efuses, "SECURE_BOOT_DIGEST"))
    if not ready:
        yield (
            "Secure boot is enabled, but no digest of a public key is on the chip: "
            "it will never start an image again."
        )


def _flash_encryption(efuses: Efuses) -> Iterator[str]:
    counter = "FLASH_CRYPT_CNT" if "FLASH_CRYPT_CNT" in efuses else "SPI_BOOT_CRYPT_CNT"
    on = _after(efuses, counter).bit_count() % 2 == 1
    doors = ("DIS_DOWNLOAD_MODE", "UART_DOWNLOAD_DIS", "ENABLE_SECURITY_DOWNLOAD")
    if not on or not _changes(efuses, counter, *doors):
        return
    if _after(efuses, "DIS_DOWNLOAD_MODE") or _after(efuses, "UART_DOWNLOAD_DIS"):
        yield (
            "Flash encryption is on and download mode is off: if what is in flash is not "
            "encrypted with this chip's key and able to update itself, the chip is lost."
        )
    if not efuses.table.purposes:
        ready = _filled(efuses, efuses.blocks[1])
    elif "purpose_targets" in efuses.table.rules:
        ready = _filled(efuses, efuses.block_of("BLOCK_KEY0"))
    else:
        ready = bool(_blocks_for(efuses, "XTS_AES"))
    if not ready and _changes(efuses, counter):
        yield (
            "Flash encryption is enabled, but no flash encryption key is on the chip: "
            "burn the key first."
        )


def _empty_keys(efuses: Efuses) -> Iterator[str]:
    locked = _new(efuses, "WR_DIS")
    hidden = _new(efuses, "RD_DIS")
    for block in efuses.blocks[1:]:
        if _filled(efuses, block):
            continue
        if block.wr_dis is not None and locked >> block.wr_dis & 1 and block.rd_dis:
            yield f"{block.name} is empty and gets write-protected: it can never hold a key."
        elif any(hidden >> bit & 1 for bit in block.rd_dis):
            yield f"{block.name} is empty and gets read-protected: a key of zeros is public."


def _ports(efuses: Efuses) -> Iterator[str]:
    names = ("DIS_DOWNLOAD_MODE", "UART_DOWNLOAD_DIS")
    if _changes(efuses, *names):
        yield (
            "Download mode is disabled: esptool and espefuse can never connect to this chip "
            "again; only its own firmware can update it."
        )
    closed = any(_after(efuses, name) for name in names)
    if closed and _changes(efuses, "DIS_FORCE_DOWNLOAD", *names) and _jtag_off(efuses):
        yield "JTAG is off too: no port of this chip stays open."


def _jtag_off(efuses: Efuses) -> bool:
    hard = ("JTAG_DISABLE", "HARD_DIS_JTAG")
    if any(_after(efuses, name) for name in hard):
        return True
    usb = "DIS_USB_JTAG" not in efuses or bool(_after(efuses, "DIS_USB_JTAG"))
    return bool(_after(efuses, "DIS_PAD_JTAG")) and usb


# --- showing, saving, applying -----------------------------------------------------------------


def text(plan: dict[str, Any]) -> list[str]:
    """A plan for a person. Key bytes are only in the saved file."""
    lines = [f"Plan for {plan['chip']} (revision {plan['revision']}):"]
    for block in plan["blocks"]:
        lines.append(f"  BLOCK{block['block']} ({block['name']}): {len(block['bits'])} bits")
        owners = [bit.partition(": ")[2].partition("[")[0] for bit in block["bits"]]
        for owner in dict.fromkeys(owners):
            lines.append(f"    {owner}: {owners.count(owner)} bit(s)")
    for title, key in (("Can never be undone:", "never_again"), ("Warnings:", "warnings")):
        if plan[key]:
            lines.append(title)
            lines += [f"  {line}" for line in plan[key]]
    return lines


def show_or_save(efuses: Efuses, path: str | None) -> bool:
    """Show what is staged, or write it to `path`. Always False: nothing is to be burned."""
    plan = make(efuses)
    for line in text(plan):
        output.emit(line)
    if path is not None:
        write_atomic(path, (json.dumps(plan, indent=2) + "\n").encode(), SECRET_MODE)
        output.emit(f"The plan is in '{path}' (keys included: keep it secret).")
    output.emit("Nothing was burned.")
    return False


def load(path: str) -> dict[str, Any]:
    """Read a plan file.

    Raises:
        FatalError: the file is no plan.
    """
    problem = f"'{path}' is no eFuse plan of this program."
    try:
        with open(path, encoding="utf-8") as file:
            plan = json.load(file)
    except OSError as e:
        raise FatalError(f"Cannot read the plan '{path}': {e.strerror or e}.") from e
    except ValueError as e:
        raise FatalError(f"{problem} ({e})") from e
    if not isinstance(plan, dict) or plan.get("format") != FORMAT:
        raise FatalError(problem)
    try:
        for block in plan["blocks"]:
            int(block["block"]), int(block["before"], 16), int(block["add"], 16)
        str(plan["chip"]), str(plan["identity"]), bool(plan["postpone"])
    except (KeyError, TypeError, ValueError) as e:
        raise FatalError(f"{problem} (part missing: {e})") from e
    return plan


def apply(efuses: Efuses, path: str) -> None:
    """Burn a plan, or what is left of it after a break.

    Raises:
        FatalError: the chip is not in the state that the plan was made on.
    """
    plan = load(path)
    if plan["chip"] != efuses.table.key:
        raise FatalError(f"The plan is for {plan['chip']}, but this is {efuses.table.key}.")
    if plan["identity"] != identity(efuses):
        raise FatalError("The plan is for another chip: the factory MAC address differs.")
    check_state(efuses, plan)
    efuses.postpone = plan["postpone"]
    stage(efuses, plan)
    if not any(block.pending for block in efuses.blocks):
        output.emit("All bits of the plan are burned already.")
        return
    for block in efuses.blocks:
        block.resumed = True
    if efuses.burn_all(check_batch_mode=True):
        output.emit("Successful.")


def check_state(efuses: Efuses, plan: dict[str, Any]) -> None:
    """Refuse a chip that changed since, other than by this very plan."""
    planned = {row["block"]: row for row in plan["blocks"]}
    for row in plan["blocks"]:
        block = efuses.blocks[row["block"]]
        before, add = int(row["before"], 16), int(row["add"], 16)
        if not block.is_readable():
            if _hides(efuses, planned, block):
                continue
            raise FatalError(
                f"The chip differs from the plan: BLOCK{block.id} can no longer be read."
            )
        extra = block.data & ~(before | add)
        lost = before & ~block.data
        if extra or lost:
            raise FatalError(
                f"The chip differs from the plan: BLOCK{block.id} has changed since in "
                f"{', '.join(owner_names(efuses, block, extra | lost))}.",
                remedy="Make a new plan on the chip as it is.",
            )


def owner_names(efuses: Efuses, block: Block, bits: int) -> list[str]:
    """The fields that some bits of a block belong to."""
    return list(dict.fromkeys(efuses.table.owner_of(block.id, bit) for bit in set_bits(bits)))


def _hides(efuses: Efuses, planned: dict[int, Any], block: Block) -> bool:
    """Whether the plan itself hides a block; then the key was burned before that."""
    zero = planned.get(0)
    if zero is None:
        return False
    rd_dis = efuses["RD_DIS"].d
    added = (int(zero["add"], 16) >> (rd_dis.bit or 0)) & rd_dis.mask
    return any(added >> bit & 1 for bit in block.rd_dis)


def stage(efuses: Efuses, plan: dict[str, Any]) -> None:
    """Stage the blocks of a plan that are not complete yet."""
    for row in plan["blocks"]:
        block = efuses.blocks[row["block"]]
        add = int(row["add"], 16)
        broken = block.fail or block.num_errors > 0
        if block.is_readable() and (add & ~block.data or broken):
            # A coded block must be written with its very code word again.
            coded = block.scheme.burn_unit_bits() is not None
            block.stage(add if coded else add & ~block.data)

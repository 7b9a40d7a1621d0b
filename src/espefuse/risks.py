# SPDX-License-Identifier: Apache-2.0
"""Known ways to lose a chip, or a freedom for ever, in what is staged. Rules over a chip's table.

Which chip it is does not matter here: a rule looks for fields, key purposes and the rules of the
table, and says nothing where a chip lacks them.
"""

from __future__ import annotations

from collections.abc import Iterator

from espefuse.fields import Block
from espefuse.state import EfuseState

SECURE_BOOT = ("SECURE_BOOT_EN", "ABS_DONE_1")
DOWNLOAD_OFF = ("DIS_DOWNLOAD_MODE", "UART_DOWNLOAD_DIS")
REVOKE = "SECURE_BOOT_KEY_REVOKE"
DIGEST = "SECURE_BOOT_DIGEST"

#: Fields (or the beginnings of their names, with "*") that need no others to be a risk.
LASTING: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        ("ENABLE_SECURITY_DOWNLOAD",),
        "Secure Download Mode is for ever: registers and RAM are out of reach, so espefuse and the "
        "flasher stub will not work on this chip again.",
    ),
    (
        ("SPI_PAD_CONFIG_*",),
        "The pins of the flash chip are changed for good: on a board that is wired otherwise the "
        "chip never starts again.",
    ),
    (
        ("FLASH_TYPE",),
        "The flash chip is taken for one with 8 data lines from now on: with another one the chip "
        "never starts again.",
    ),
)
VOLTAGE = (
    "The voltage of the flash chip is fixed for good: a wrong one keeps the chip from starting and "
    "can damage the flash."
)


def warnings(efuses: EfuseState) -> Iterator[str]:
    """Reasons to think twice about what is staged."""
    yield from efuses.table.burn_warnings
    yield from _secure_boot(efuses)
    yield from _hidden_digests(efuses)
    yield from _flash_encryption(efuses)
    yield from _empty_keys(efuses)
    yield from _ports(efuses)
    yield from _lasting(efuses)
    yield from _versions(efuses)


# --- what fields hold before and after the burn ------------------------------------------------


def new_bits(efuses: EfuseState, name: str) -> int:
    """The bits of a field that the burn adds; 0 for a field that the chip lacks."""
    if name not in efuses:
        return 0
    field = efuses[name]
    return field.raw(False) & ~field.raw()


def after(efuses: EfuseState, name: str) -> int:
    """A field's bits after the burn; 0 for a field that the chip lacks."""
    if name not in efuses:
        return 0
    field = efuses[name]
    return field.raw() | field.raw(False)


def _changes(efuses: EfuseState, *names: str) -> bool:
    return any(new_bits(efuses, name) for name in names)


def _filled(block: Block) -> bool:
    """Whether a block will hold something (a hidden one counts as filled)."""
    return bool(block.data | block.pending) or not block.is_readable()


def _purposes(efuses: EfuseState) -> Iterator[tuple[Block, str]]:
    """Key blocks that will hold something, with the names of their purposes after the burn."""
    for block in efuses.blocks:
        if block.key_purpose_name is None or not _filled(block):
            continue
        field = efuses[block.key_purpose_name]
        value = field.purpose_raw() | field.purpose_raw(False)
        for purpose in efuses.table.purposes:
            if purpose.value == value and not purpose.virtual:
                yield block, purpose.name
                break


# --- secure boot -------------------------------------------------------------------------------


def _secure_boot(efuses: EfuseState) -> Iterator[str]:
    revoking = [f"{REVOKE}{i}" for i in range(3)]
    on = any(after(efuses, name) for name in SECURE_BOOT)
    if on and _changes(efuses, *SECURE_BOOT, *revoking):
        digests, valid = _digests(efuses)
        if not digests:
            yield (
                "Secure boot is enabled, but no digest of a public key is on the chip: "
                "it will never start an image again."
            )
        elif not valid:
            yield (
                "Secure boot is enabled, and every digest of a public key on the chip is revoked: "
                "it will never start an image again."
            )
    if _changes(efuses, "ABS_DONE_0") and not _filled(efuses.block_of("secure_boot_v1")):
        yield (
            "Secure boot V1 is enabled, but no key is on the chip: "
            "it will never start an image again."
        )


def _digests(efuses: EfuseState) -> tuple[bool, bool]:
    """(a digest will be there, one that is not revoked will be there)."""
    if not efuses.table.purposes:
        ready = _filled(efuses.block_of("secure_boot_v2"))
        return ready, ready
    if "purpose_targets" in efuses.table.rules:
        half = efuses[efuses.table.rules["purpose_targets"]["SECURE_BOOT_DIGEST"]]
        ready = bool(half.raw() | half.raw(False)) or not half.is_readable()
        return ready, ready
    names = [name for _, name in _purposes(efuses) if name.startswith(DIGEST)]
    valid = [n for n in names if not after(efuses, REVOKE + n.removeprefix(DIGEST))]
    return bool(names), bool(valid)


def _hidden_digests(efuses: EfuseState) -> Iterator[str]:
    hidden = new_bits(efuses, "RD_DIS")
    if not hidden:
        return
    digests = set(efuses.table.digest_purposes())
    names = [
        block.name
        for block, purpose in _purposes(efuses)
        if purpose in digests and hidden & block.get_read_disable_mask()
    ]
    for rule in efuses.table.rules.get("keep_readable", ()):
        if all(after(efuses, name) == value for name, value in rule["when"].items()):
            names += [
                name for name in rule["fields"] if hidden & efuses[name].get_read_disable_mask()
            ]
    if not efuses.table.purposes and after(efuses, "ABS_DONE_1"):
        block = efuses.block_of("secure_boot_v2")
        names += [block.name] if hidden & block.get_read_disable_mask() else []
    if names:
        yield (
            f"{', '.join(dict.fromkeys(names))} gets read-protected, but secure boot must read the "
            "digest that is kept there: the chip will never start a signed image again."
        )


# --- flash encryption --------------------------------------------------------------------------


def _flash_encryption(efuses: EfuseState) -> Iterator[str]:
    counter = "FLASH_CRYPT_CNT" if "FLASH_CRYPT_CNT" in efuses else "SPI_BOOT_CRYPT_CNT"
    on = after(efuses, counter).bit_count() % 2 == 1
    doors = (*DOWNLOAD_OFF, "ENABLE_SECURITY_DOWNLOAD")
    if not on or not _changes(efuses, counter, *doors):
        return
    if any(after(efuses, name) for name in DOWNLOAD_OFF):
        yield (
            "Flash encryption is on and download mode is off: if what is in flash is not "
            "encrypted with this chip's key and able to update itself, the chip is lost."
        )
    if not _changes(efuses, counter):
        return
    purposes = [name for _, name in _purposes(efuses) if name.startswith("XTS_AES")]
    if not efuses.table.purposes:
        ready = _filled(efuses.block_of("flash_encryption"))
    elif "purpose_targets" in efuses.table.rules:
        ready = _filled(efuses.block_of("BLOCK_KEY0"))
    else:
        ready = bool(purposes)
    if not ready:
        yield (
            "Flash encryption is enabled, but no flash encryption key is on the chip: "
            "burn the key first."
        )
        return
    halves = [pair for pair in efuses.table.purpose_split.values() if pair[0].startswith("XTS_AES")]
    whole = set(purposes) - {name for pair in halves for name in pair}
    if purposes and not whole and not any(set(pair) <= set(purposes) for pair in halves):
        yield (
            f"Flash encryption is enabled, but only a half of its key is on the chip "
            f"({', '.join(purposes)}): what is written encrypted can never be read."
        )


def _empty_keys(efuses: EfuseState) -> Iterator[str]:
    locked = new_bits(efuses, "WR_DIS")
    hidden = new_bits(efuses, "RD_DIS")
    for block in efuses.blocks[1:]:
        if _filled(block):
            continue
        if block.wr_dis is not None and locked >> block.wr_dis & 1 and block.rd_dis:
            yield f"{block.name} is empty and gets write-protected: it can never hold a key."
        elif any(hidden >> bit & 1 for bit in block.rd_dis):
            yield f"{block.name} is empty and gets read-protected: a key of zeros is public."


# --- doors and choices that stay ---------------------------------------------------------------


def _ports(efuses: EfuseState) -> Iterator[str]:
    if _changes(efuses, *DOWNLOAD_OFF):
        yield (
            "Download mode is disabled: esptool and espefuse can never connect to this chip "
            "again; only its own firmware can update it."
        )
    closed = any(after(efuses, name) for name in DOWNLOAD_OFF)
    if closed and _changes(efuses, "DIS_FORCE_DOWNLOAD", *DOWNLOAD_OFF) and _jtag_off(efuses):
        yield "JTAG is off too: no port of this chip stays open."


def _jtag_off(efuses: EfuseState) -> bool:
    if any(after(efuses, name) for name in ("JTAG_DISABLE", "HARD_DIS_JTAG")):
        return True
    usb = "DIS_USB_JTAG" not in efuses or bool(after(efuses, "DIS_USB_JTAG"))
    return bool(after(efuses, "DIS_PAD_JTAG")) and usb


def _lasting(efuses: EfuseState) -> Iterator[str]:
    for patterns, text in LASTING:
        if any(
            new_bits(efuses, field.name)
            for field in efuses
            for pattern in patterns
            if field.name == pattern
            or (pattern.endswith("*") and field.name.startswith(pattern[:-1]))
        ):
            yield text
    rule = efuses.table.flash_voltage
    if rule and _changes(efuses, rule["force"], rule["xpd"], rule["tieh"]):
        yield VOLTAGE


def _versions(efuses: EfuseState) -> Iterator[str]:
    """The anti-rollback counter: what it shuts out, and when it is at its end."""
    if not _changes(efuses, "SECURE_VERSION"):
        return
    value, mask = after(efuses, "SECURE_VERSION"), efuses["SECURE_VERSION"].d.mask
    yield (
        f"The security version becomes {value.bit_count()}: an application with a smaller one "
        "never starts again where anti-rollback is on."
        + (" It can never grow again." if value == mask else "")
    )

# SPDX-License-Identifier: Apache-2.0
"""Command sequences for every chip, drawn from its own table: the same for the same seed."""

from __future__ import annotations

import random
from pathlib import Path

from espefuse import schema
from espefuse.schema import ChipTable, FieldDef

FACTORY = ("MAC", "MAC_EXT", "MAC_EUI64", "CODING_SCHEME")
#: Fields that the chip has and the public tool hides.
OURS_ALONE = {"esp32c3": {"JTAG_SEL_ENABLE"}}
NOT_ALWAYS = ("keyblocks_192", "adc_calibration", "custom_mac", "user", "calibration")


def key_files(folder: Path) -> None:
    """Write the key files that the sequences name."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    plain = random.Random("keys")
    for name, size in (("k16", 16), ("k24", 24), ("k32", 32), ("k32b", 32), ("k64", 64)):
        (folder / name).write_bytes(plain.randbytes(size))
    for name, curve in (
        ("p192", ec.SECP192R1()),
        ("p256", ec.SECP256R1()),
        ("p384", ec.SECP384R1()),
    ):
        key = ec.derive_private_key(plain.getrandbits(150) + 1, curve)
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        (folder / f"{name}.pem").write_bytes(pem)


def value_for(field: FieldDef, r: random.Random) -> str:
    if field.kind == "bool":
        return "1"
    if field.kind == "uint":
        return str(r.randrange(1, field.mask + 1))
    if field.name == "CUSTOM_MAC":
        return f"AA:CD:EF:01:02:{r.randrange(256):02X}"
    return "0x" + r.randbytes(field.length // 8).hex()


def burn_efuse(t: ChipTable, r: random.Random) -> list[str]:
    fields = [
        f
        for f in t.fields
        if f.burnable
        and f.name not in OURS_ALONE.get(t.key, ())
        and f.codec != "vref"
        and f.name not in FACTORY
        and f.group not in NOT_ALWAYS
    ]
    pairs = ((f.name, value_for(f, r)) for f in r.sample(fields, r.randrange(1, 5)))
    return ["burn-efuse", *(word for pair in pairs for word in pair)]


def protect(t: ChipTable, r: random.Random) -> list[str]:
    if r.random() < 0.3:
        names = [f.name for f in t.fields if f.rd_dis and f.group not in NOT_ALWAYS]
        return ["read-protect-efuse", r.choice(names)]
    alone = OURS_ALONE.get(t.key, set())
    names = [f.name for f in t.fields if f.wr_dis is not None and f.group not in NOT_ALWAYS]
    names = [name for name in names if name not in alone]
    return ["write-protect-efuse", *r.sample(names, r.randrange(1, 4))]


def burn_bits(t: ChipTable, r: random.Random) -> list[str]:
    block = r.choice(t.burn_block_names)
    bits = t.block(block).words * 32
    return ["burn-bit", block, *(str(r.randrange(bits)) for _ in range(r.randrange(1, 6)))]


def burn_key(t: ChipTable, r: random.Random) -> list[str]:
    block = r.choice(t.burn_key_names)
    if not t.purposes:
        return ["burn-key", block, r.choice(["@k32", "@k24"]), *r.sample(["--no-protect-key"], 1)]
    purpose = r.choice(t.purposes).name
    file = r.choice(["@k32", "@k32b"])
    if purpose in t.purpose_split:
        # The public tool takes a block's second name for another block here.
        block, file = t.block(block).name, "@k64"
    if "ECDSA" in purpose:
        file = "@p384.pem" if "384" in purpose else r.choice(["@p192.pem", "@p256.pem"])
    if "DERIVED" in purpose or ("DIGEST" in purpose and "purpose_targets" in t.rules):
        file = "@k16"
    options = r.choice([[], [], ["--no-read-protect"], ["--no-write-protect"]])
    return ["burn-key", block, file, purpose, *options]


def burn_data(t: ChipTable, r: random.Random) -> list[str]:
    block = r.choice(t.burn_block_names[1:])
    return [
        "burn-block-data",
        block,
        r.choice(["@k16", "@k24", "@k32"]),
        "--offset",
        str(r.randrange(12)),
    ]


def burn_mac(_t: ChipTable, r: random.Random) -> list[str]:
    return ["burn-custom-mac", f"AA:CD:EF:11:22:{r.randrange(256):02X}"]


KINDS = (burn_efuse, burn_efuse, burn_key, burn_key, protect, burn_bits, burn_data, burn_mac)


def sequence(chip: str, seed: int) -> list[list[str]]:
    """Commands to run one after the other; `@name` stands for a key file."""
    r = random.Random(f"{chip}-{seed}")
    table = schema.load(chip, 0)
    out: list[list[str]] = []
    if chip == "esp32p4" and seed % 2:
        out.append(["burn-efuse", "WAFER_VERSION_MAJOR_LO", "3"])
        table = schema.load(chip, 300)
    if chip == "esp32" and seed % 3 == 1:
        out.append(["burn-efuse", "CODING_SCHEME", "1"])
    for _ in range(r.randrange(1, 3)):
        kind = KINDS[(seed + len(out)) % len(KINDS)] if r.random() < 0.7 else r.choice(KINDS)
        out.append(kind(table, r))
    if r.random() < 0.25:
        # Two burns in one line become one.
        out.append([*burn_efuse(table, r), *burn_bits(table, r)])
    return out


def with_files(command: list[str], folder: Path) -> list[str]:
    """A command with the paths of its key files."""
    return [str(folder / word[1:]) if word.startswith("@") else word for word in command]

# SPDX-License-Identifier: Apache-2.0
"""A recipe as goals for one chip, in the order of the vendor's published workflows.

Source: ESP-IDF, "Security Features Enablement Workflows" (eFuses that go with flash encryption and
secure boot, and their order), and the boot loader's `flash_encryption_secure_features.c` (which of
two eFuses with one use counts). What a chip lacks is left out, as it is there; what the recipe asks
for by name and the chip lacks is an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from espefuse.codecs import parse_mac
from espefuse.recipe.goals import FieldGoal, Goal, MacGoal, ProtectGoal
from espefuse.recipe.key_goal import KeyGoal
from espefuse.recipe.model import (
    Download,
    FlashEncryption,
    Key,
    KeySource,
    Mode,
    Recipe,
    SecureBoot,
)
from espefuse.recipe.sealing import KeyStore
from espefuse.recipe.stages import Stage
from espefuse.schema import ChipTable
from esptool.errors import FatalError
from esptool.sizes import counted

#: Ways around flash encryption, shut in release mode. Of each row the first that a chip has.
RELEASE: tuple[tuple[str, ...], ...] = (
    ("DIS_DOWNLOAD_MANUAL_ENCRYPT",),
    ("DISABLE_DL_ENCRYPT",),
    ("DISABLE_DL_DECRYPT",),
    ("DISABLE_DL_CACHE",),
    ("DIS_DOWNLOAD_ICACHE", "SPI_DOWNLOAD_MSPI_DIS"),
    ("DIS_DOWNLOAD_DCACHE",),
    ("DIS_BOOT_REMAP",),
    ("DIS_LEGACY_SPI_BOOT", "DIS_DIRECT_BOOT"),
    ("XTS_DPA_PSEUDO_LEVEL",),
)
JTAG: tuple[tuple[str, ...], ...] = (
    ("JTAG_DISABLE",),
    ("HARD_DIS_JTAG",),
    ("DIS_PAD_JTAG",),
    ("DIS_USB_JTAG",),
)
#: Locks the eFuses that shut doors beside flash encryption.
CACHE_LOCKS = ("DIS_CACHE", "DIS_ICACHE")
SECURE = "ENABLE_SECURITY_DOWNLOAD"
OFF = ("DIS_DOWNLOAD_MODE", "UART_DOWNLOAD_DIS")
COUNTERS = ("SPI_BOOT_CRYPT_CNT", "FLASH_CRYPT_CNT")
ENABLE_V2 = ("SECURE_BOOT_EN", "ABS_DONE_1")
REVOKE = "SECURE_BOOT_KEY_REVOKE"


def goals(
    recipe: Recipe,
    table: ChipTable,
    mac: str,
    store: KeyStore | None,
    row: Mapping[str, str] | None = None,
) -> list[Goal]:
    """All that the recipe wants of one chip, in the order in which it is burned.

    Args:
        mac: of the board, as "aa:bb:cc:dd:ee:ff".
        store: where keys of boards are kept; None where the recipe makes none.
        row: the board's own data, None where there is none.

    Raises:
        FatalError: the chip cannot do what the recipe asks for.
    """
    found = list(Workflow(recipe, table, mac, store, row).all())
    keys = [goal for goal in found if isinstance(goal, KeyGoal)]
    for goal in keys:
        goal.others = [other for other in keys if other is not goal]
    return sorted(found, key=lambda goal: goal.stage.position)


#: A MAC that stands for no board.
NO_BOARD = "00:00:00:00:00:00"


def column(text: str) -> str | None:
    """The column that "{row.NAME}" names; None for other texts."""
    if text.startswith("{row.") and text.endswith("}"):
        return text[5:-1]
    return None


class Workflow:
    """One recipe on one kind of chip."""

    def __init__(
        self,
        recipe: Recipe,
        table: ChipTable,
        mac: str,
        store: KeyStore | None,
        row: Mapping[str, str] | None,
    ) -> None:
        self._recipe = recipe
        self._row = row
        self._table = table
        self._mac = mac
        self._store = store
        self._fields = {name: f.name for f in table.fields for name in f.names}

    def _fail(self, text: str, remedy: str | None = None) -> FatalError:
        return FatalError(f"'{self._recipe.path}': {text}", remedy=remedy)

    def _first(self, names: tuple[str, ...]) -> str | None:
        """The first of some fields that the chip has, by its present name."""
        return next((self._fields[name] for name in names if name in self._fields), None)

    def all(self) -> Iterator[Goal]:
        """The goals, by part of the recipe."""
        recipe = self._recipe
        if recipe.chips and self._table.key not in recipe.chips:
            raise self._fail(
                f"The recipe is for {', '.join(recipe.chips)}, but this is {self._table.key}."
            )
        if recipe.flash_encryption:
            yield from self._encryption(recipe.flash_encryption)
        if recipe.secure_boot:
            yield from self._secure_boot(recipe.secure_boot)
        for key in recipe.keys:
            yield self._key(key, key.purpose)
        yield from self._settings()
        yield from self._download()

    # --- keys ------------------------------------------------------------------------------------

    def _key(self, key: Key, purpose: str, bits: int = 256) -> KeyGoal:
        names = (
            [p.name for p in self._table.purposes] if self._table.purposes
            else list(self._table.burn_key_names)
        )  # fmt: skip
        if purpose not in names:
            raise self._fail(
                f"{self._table.chip} has no key purpose {purpose}.", f"It has: {', '.join(names)}."
            )
        if key.block is not None and key.block not in self._table.burn_key_names:
            raise self._fail(
                f"{self._table.chip} has no key block {key.block}.",
                f"It has: {', '.join(self._table.burn_key_names)}.",
            )
        return KeyGoal(purpose, key.data, key.bits or bits, self._store, key.block, self._mac)

    def _encryption_purpose(self, bits: int) -> str:
        if not self._table.purposes:
            return "flash_encryption"
        by_size = {
            128: "XTS_AES_128_KEY_DERIVED_FROM_128_EFUSE_BITS",
            256: "XTS_AES_128_KEY",
            512: "XTS_AES_256_KEY",
        }
        name = by_size.get(bits, "")
        if name not in [p.name for p in self._table.purposes]:
            sizes = [
                str(size)
                for size, n in by_size.items()
                if n in [p.name for p in self._table.purposes]
            ]
            raise self._fail(
                f"{self._table.chip} has no flash encryption key of {bits} bits.",
                f"It takes {' or '.join(sizes)} bits." if sizes else None,
            )
        return name

    # --- flash encryption ------------------------------------------------------------------------

    def _encryption(self, wanted: FlashEncryption) -> Iterator[Goal]:
        counter = self._first(COUNTERS)
        if counter is None:
            raise self._fail(f"{self._table.chip} has no eFuse that enables flash encryption.")
        bits = len(wanted.key.data) * 8 if wanted.key.data is not None else wanted.key.bits or 256
        if wanted.key.source is not KeySource.ON_CHIP:
            yield self._key(wanted.key, self._encryption_purpose(bits), bits)
        release = wanted.mode is Mode.RELEASE
        most = self._table.field(counter).mask
        stage = Stage.ENCRYPTION
        if "FLASH_CRYPT_CONFIG" in self._fields:
            # It is a part of the key: without it the chip encrypts nothing that is written.
            yield FieldGoal(Stage.KEYS, "FLASH_CRYPT_CONFIG", "15")
        yield FieldGoal(stage, counter, str(most) if release else "1", any_odd=not release)
        if not release:
            return
        asked = {self._fields.get(name) for name, _ in self._recipe.fields}
        for row in RELEASE:
            name = self._first(row)
            if name is not None and name not in asked:
                yield FieldGoal(stage, name, "1")
        lock = self._first(CACHE_LOCKS)
        if lock is not None:
            yield ProtectGoal(Stage.PROTECTION, "write", lock)

    # --- secure boot -----------------------------------------------------------------------------

    def _secure_boot(self, wanted: SecureBoot) -> Iterator[Goal]:
        stage = Stage.SECURE_BOOT
        if wanted.version == 1:
            if "ABS_DONE_0" not in self._fields:
                raise self._fail(f"{self._table.chip} has no secure boot version 1.")
            assert wanted.key is not None
            yield self._key(wanted.key, "secure_boot_v1")
            yield FieldGoal(stage, "ABS_DONE_0", "1")
            return
        slots = self._slots()
        if len(wanted.digests) > len(slots):
            raise self._fail(
                f"{self._table.chip} takes {counted(len(slots), 'digest')}, the recipe has "
                f"{len(wanted.digests)}."
            )
        if len(slots) == 1 and "purpose_targets" in self._table.rules:
            self._refuse_whole_block()
        for slot, data in zip(slots, wanted.digests, strict=False):
            yield KeyGoal(slot, data, 256, None, None, self._mac)
        enable = self._first(ENABLE_V2)
        if enable is None:
            raise self._fail(f"{self._table.chip} has no eFuse that enables secure boot.")
        if wanted.sha384:
            if "SECURE_BOOT_SHA384_EN" not in self._fields:
                raise self._fail(f"{self._table.chip} cannot check signatures with P-384 keys.")
            yield FieldGoal(stage, "SECURE_BOOT_SHA384_EN", "1")
        yield FieldGoal(stage, enable, "1")
        if wanted.aggressive_revoke:
            if "SECURE_BOOT_AGGRESSIVE_REVOKE" not in self._fields:
                raise self._fail(f"{self._table.chip} has no aggressive revocation.")
            yield FieldGoal(stage, "SECURE_BOOT_AGGRESSIVE_REVOKE", "1")
        if wanted.revoke_unused:
            for i in range(len(wanted.digests), 3):
                if f"{REVOKE}{i}" in self._fields:
                    yield FieldGoal(stage, f"{REVOKE}{i}", "1")
        # Nobody may hide the digest later: the chip would never start again.
        yield ProtectGoal(Stage.PROTECTION, "write", "RD_DIS")

    def _slots(self) -> list[str]:
        if not self._table.purposes:
            return ["secure_boot_v2"]
        names = [p.name for p in self._table.purposes if p.name.startswith("SECURE_BOOT_DIGEST")]
        return sorted(names)

    def _refuse_whole_block(self) -> None:
        """The one key block holds either a whole key, or half a key and the digest."""
        mine = self._recipe.flash_encryption
        if mine is None or mine.key.source is KeySource.ON_CHIP:
            return
        bits = len(mine.key.data) * 8 if mine.key.data is not None else mine.key.bits or 256
        if bits != 128:
            raise self._fail(
                f"{self._table.chip} has one key block: beside the digest of secure boot only a "
                f"flash encryption key of 128 bits has room, not one of {bits}.",
                "Say 'bits = 128' in [flash-encryption].",
            )

    # --- the rest --------------------------------------------------------------------------------

    def _settings(self) -> Iterator[Goal]:
        recipe = self._recipe
        if recipe.close_jtag:
            found = [name for row in JTAG if (name := self._first(row))]
            if not found:
                raise self._fail(f"{self._table.chip} has no eFuse that shuts JTAG.")
            for name in found:
                yield FieldGoal(Stage.SETTINGS, name, "1")
        if recipe.custom_mac is not None:
            yield MacGoal(Stage.SETTINGS, self._custom_mac(recipe.custom_mac))
        if recipe.secure_version is not None:
            if "SECURE_VERSION" not in self._fields:
                raise self._fail(f"{self._table.chip} has no anti-rollback counter.")
            most = self._table.field("SECURE_VERSION").length
            if recipe.secure_version > most:
                raise self._fail(f"The anti-rollback counter of {self._table.chip} ends at {most}.")
            yield FieldGoal(
                Stage.SETTINGS,
                "SECURE_VERSION",
                str((1 << recipe.secure_version) - 1),
                at_least=True,
            )
        for name, value in recipe.fields:
            yield FieldGoal(Stage.SETTINGS, self._named(name), value)
        for kind, names in (("write", recipe.write_protect), ("read", recipe.read_protect)):
            for name in names:
                yield ProtectGoal(Stage.PROTECTION, kind, self._named(name))

    def _custom_mac(self, text: str) -> str:
        """The MAC of this board; the text itself where no board is at hand."""
        name = column(text)
        if name is None or self._mac == NO_BOARD:
            return text
        if self._row is None or name not in self._row:
            raise self._fail(
                f"The custom MAC comes from the column '{name}' of the board's own data, and there "
                "is none.",
                "Run it as a step of esp_station.",
            )
        parse_mac(self._row[name])
        return self._row[name]

    def _named(self, name: str) -> str:
        if name not in self._fields:
            from difflib import get_close_matches

            near = get_close_matches(name.upper(), sorted(self._fields), n=1)
            raise self._fail(
                f"{self._table.chip} has no eFuse '{name}'.",
                f"Did you mean {near[0]}?" if near else None,
            )
        return self._fields[name]

    def _download(self) -> Iterator[Goal]:
        wanted = self._recipe.download
        if wanted is Download.OPEN:
            return
        name = self._first((SECURE,) if wanted is Download.SECURE else OFF)
        if name is None:
            other = ", ".join(n for n in (SECURE, *OFF) if n in self._fields)
            raise self._fail(
                f"{self._table.chip} has no download mode that is '{wanted.value}'.",
                f"It has: {other}." if other else None,
            )
        yield FieldGoal(Stage.DOWNLOAD, name, "1")

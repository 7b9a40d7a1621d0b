# SPDX-License-Identifier: Apache-2.0
"""Applications: those in flash by their first bytes, and images judged before they go there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from esptool import chips
from esptool.chips.spec import ChipSpec
from esptool.errors import ImageError
from esptool.image import app
from esptool.image.descriptors import AppDescription, app_description
from esptool.image.header import (
    EXTENDED_HEADER_LEN,
    HEADER_LEN,
    IMAGE_MAGIC,
    MAX_SEGMENTS,
    SEGMENT_HEADER_LEN,
    ExtendedHeader,
)
from esptool.image.info import ImageInfo, examine
from esptool.image.signatures import SignatureBlock
from esptool.records import dataclass

#: Enough for the headers and the description of an application.
PEEK = 0x200
_DESCRIPTION_AT = HEADER_LEN + EXTENDED_HEADER_LEN + SEGMENT_HEADER_LEN


@dataclass(frozen=True, slots=True)
class Peek:
    """What the first bytes of a partition tell.

    Attributes:
        kind: "blank", "image", or "data".
        chip: the chip that an image is for, None where it does not say.
        app: what an application says of itself, None where it does not.
    """

    kind: str
    chip: ChipSpec | None = None
    app: AppDescription | None = None

    @property
    def title(self) -> str:
        """ "hello 1.2", or "an image"."""
        if self.app is None:
            return "an image"
        return " ".join(filter(None, (self.app.project_name, self.app.version))) or "an image"

    def to_json(self) -> dict[str, object]:
        """The same as plain values."""
        found: dict[str, object] = {
            "kind": self.kind,
            "chip": None if self.chip is None else self.chip.key,
            "app": None,
        }
        if self.app is not None:
            found["app"] = {
                "project_name": self.app.project_name,
                "version": self.app.version,
                "compile_date": self.app.date,
                "compile_time": self.app.time,
                "idf_version": self.app.idf_version,
                "secure_version": self.app.secure_version,
                "elf_sha256": self.app.elf_sha256.hex(),
            }
        return found


def peek(data: bytes) -> Peek:
    """What a partition holds whose first bytes are these (`PEEK` of them)."""
    if not data.strip(b"\xff"):
        return Peek("blank")
    if len(data) < _DESCRIPTION_AT or data[0] != IMAGE_MAGIC or not 0 < data[1] <= MAX_SEGMENTS:
        return Peek("data")
    extended = ExtendedHeader.unpack(data, HEADER_LEN)
    chip = chips.by_chip_id(extended.chip_id) if extended.append_digest in (0, 1) else None
    description = None if chip is None else app_description(data[_DESCRIPTION_AT:])
    return Peek("image", chip, description)


@dataclass(frozen=True, slots=True)
class Demands:
    """What an application must suit; None where it is not known.

    Attributes:
        revision: major * 100 + minor.
        secure_version: the lowest that the chip accepts.
        secure_boot: images must be signed.
        boot_keys: by one of these keys, as `SecurityState` has them.
    """

    chip: ChipSpec | None = None
    revision: int | None = None
    secure_version: int | None = None
    secure_boot: bool = False
    boot_keys: tuple[bytes, ...] | None = None


def refuse_unfit(data: bytes, name: str | None, demands: Demands, *, force: bool) -> ImageInfo:
    """See that an image is whole, an application, and one for the chip.

    Args:
        data: the image.
        name: its file's.
        demands: what it must suit.
        force: pass over what it must suit; damage is refused nevertheless.

    Raises:
        ImageError: names what is wrong.
    """
    what = "The image" if name is None else f"'{name}'"
    try:
        info = examine(data, None, name)
    except ImageError as e:
        remedy = e.remedy or "Give the .bin file of an application, as its build makes it."
        raise ImageError(f"{what}: {e.message}", remedy=remedy) from None
    for problem in _damage(info):
        raise ImageError(f"{what} is damaged: {problem}", remedy="Build or fetch it again.")
    if info.bootloader is not None:
        raise ImageError(f"{what} is a boot loader, not an application.")
    for problem in () if force else _unfit(info, what, demands):
        raise ImageError(problem, remedy="Use --force to write it anyway; it may not boot.")
    return info


def _damage(info: ImageInfo) -> Iterator[str]:
    if info.image.fault:
        yield info.image.fault
    if not info.checksum_valid:
        yield "its checksum is wrong."
    if info.digest_valid is False:
        yield "its SHA-256 digest is wrong."


def _unfit(info: ImageInfo, what: str, demands: Demands) -> Iterator[str]:
    chip = demands.chip
    if chip is not None and info.chip is not chip:
        yield f"{what} is for {info.chip.name}, this is an {chip.name}."
    extended = info.image.extended
    if extended is not None and chip is not None and demands.revision is not None:
        reason = app.incompatibility(extended, chip, demands.revision)
        if reason is not None:
            yield f"{what}: {reason}."
    lowest, own = demands.secure_version, 0 if info.app is None else info.app.secure_version
    if lowest is not None and own < lowest:
        yield (
            f"{what} has secure version {own}, and the chip starts none below {lowest}: its boot "
            "loader would reject it."
        )
    if demands.secure_boot and not info.signatures:
        yield f"{what} is not signed, and secure boot is on: the boot loader would reject it."
    elif demands.boot_keys is not None:
        reason = unfit_signatures(info.signatures, demands.boot_keys)
        if reason is not None:
            yield f"{what}: {reason}. The boot loader would reject it."


def unfit_signatures(signatures: Sequence[SignatureBlock], keys: Sequence[bytes]) -> str | None:
    """Why secure boot would take none of the signatures of an image; None where it takes one.

    The number in a signature itself is not verified here.

    Args:
        signatures: those behind the image, at least one.
        keys: digests of the keys that the chip takes.
    """
    if not keys:
        return "secure boot is on, and the eFuses hold no digest of a key to verify images with"
    reasons = [_unfit_signature(block, keys) for block in signatures]
    return None if None in reasons else reasons[0]


def _unfit_signature(block: SignatureBlock, keys: Sequence[bytes]) -> str | None:
    if block.version != 2:
        return f"it is signed for version {block.version} of secure boot, and version 2 is on"
    if not block.intact:
        return "its signature block is damaged, as its CRC32 is wrong"
    if not block.signs_this:
        return "it was changed after it was signed, as the signature is for another hash"
    # A chip with little room holds the first bytes of a digest.
    if not any(block.key_digest.startswith(key) for key in keys):
        known = ", ".join(f"{key[:4].hex()}..." for key in keys)
        return (
            "it is not signed by a key that the chip takes: the digest of its key begins with "
            f"{block.key_digest[:4].hex()}, in the eFuses is {known}"
        )
    return None

# SPDX-License-Identifier: Apache-2.0
"""Signing with keys that stay in a hardware security module, through PKCS#11.

A configuration file names the module's library, the slot or token and the labels of the keys. The
PIN comes from there, from the environment or from a prompt, and is never shown. Needs the package
`python-pkcs11` (the extra `hsm`), imported when used.
"""

from __future__ import annotations

import configparser
import io
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from espsecure import keys, signers, streams
from esptool.errors import FatalError
from esptool.textfile import read_text

if TYPE_CHECKING:
    from espsecure.keys import PublicKey

SECTION = "hsm_config"
PIN_VARIABLE = "ESPSECURE_HSM_PIN"

_CURVE_OIDS = {
    bytes.fromhex("06082a8648ce3d030101"): "secp192r1",
    bytes.fromhex("06082a8648ce3d030107"): "secp256r1",
    bytes.fromhex("06052b81040022"): "secp384r1",
}
"""DER of the object identifiers that a token gives as EC_PARAMS."""

AskPin = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class HsmConfig:
    """One key pair in an HSM.

    Attributes:
        library: path of the PKCS#11 module.
        slot: slot number, or None to find the token by its label.
        token_label: label of the token, or None.
        label: label of the private key.
        label_pubkey: label of the public key.
        pin: the user PIN, or None to ask for it.
    """

    library: str
    slot: int | None
    token_label: str | None
    label: str
    label_pubkey: str
    pin: str | None

    def __repr__(self) -> str:
        return f"HsmConfig({self.place}, label={self.label!r})"

    @property
    def place(self) -> str:
        """The slot or token as a person calls it."""
        return f"slot {self.slot}" if self.slot is not None else f"token '{self.token_label}'"


def read_config(stream: IO[str]) -> list[HsmConfig]:
    """The key pairs of a configuration file: section `hsm_config`, and any `hsm_config:NAME`.

    Raises:
        FatalError: no such section, or one that lacks a field.
    """
    parser = configparser.ConfigParser(interpolation=None)
    name = streams.name_of(stream)
    try:
        parser.read_string(stream.read().removeprefix("\ufeff"))
    except (configparser.Error, UnicodeDecodeError) as e:
        raise FatalError(f"HSM config file '{name}' cannot be read: {_first_line(e)}") from e
    sections = [
        section
        for section in parser.sections()
        if section == SECTION or section.startswith(SECTION + ":")
    ]
    if not sections:
        raise FatalError(f"HSM config file '{name}' has no section [{SECTION}].")
    return [from_mapping(dict(parser[section]), f"[{section}] of '{name}'") for section in sections]


def open_config(path: str | os.PathLike[str]) -> IO[str]:
    """The text of a configuration file, as `read_config` takes it.

    Raises:
        FatalError: it cannot be read, or is not UTF-8.
    """
    text = io.StringIO(read_text(path, "HSM config file"))
    text.name = os.fspath(path)
    return text


def from_mapping(values: Mapping[str, str], where: str = f"[{SECTION}]") -> HsmConfig:
    """A key pair from the fields of a section.

    Raises:
        FatalError: a field is missing or the slot is not a number.
    """
    missing = [field for field in ("pkcs11_lib", "label") if not values.get(field, "").strip()]
    if not values.get("slot", "").strip() and not values.get("token_label", "").strip():
        missing.append("slot")
    if missing:
        raise FatalError(
            f"HSM config {where} lacks {', '.join(missing)}.",
            remedy="Needed are pkcs11_lib, slot (or token_label) and label.",
        )
    slot = values.get("slot", "").strip()
    try:
        number = int(slot, 0) if slot else None
    except ValueError as e:
        raise FatalError(f"HSM config {where}: slot '{slot}' is not a number.") from e
    return HsmConfig(
        library=os.path.expanduser(values["pkcs11_lib"].strip()),
        slot=number,
        token_label=values.get("token_label", "").strip() or None,
        label=values["label"],
        label_pubkey=values.get("label_pubkey") or values["label"],
        pin=values.get("credentials") or None,
    )


@dataclass(frozen=True, slots=True)
class HsmSigner:
    """Signs with a key in an HSM; the session lives for one signature."""

    config: HsmConfig
    key: PublicKey
    ask_pin: AskPin

    @property
    def public_key(self) -> PublicKey:
        """The public half of the key in the HSM."""
        return self.key

    def sign(self, digest: bytes) -> bytes:
        """Have the HSM sign a SHA-256 digest."""
        with _translated(self.config), _session(self.config, self.ask_pin) as session:
            import pkcs11

            private = _find(session, pkcs11.ObjectClass.PRIVATE_KEY, self.config.label)
            if private is None:
                raise FatalError(
                    f"There is no private key labelled '{self.config.label}' in the HSM, "
                    f"{self.config.place}."
                )
            wanted = pkcs11.KeyType.RSA if keys.is_rsa(self.key) else pkcs11.KeyType.EC
            if private.key_type != wanted:
                # Some modules crash when they are asked to sign with a key of the wrong kind.
                raise FatalError(
                    f"The private key '{self.config.label}' in the HSM, {self.config.place}, is "
                    f"not {wanted.name} as its public key is.",
                    remedy="Check label and label_pubkey, or the file given as --pub-key.",
                )
            mechanism, parameter = _mechanism(session, self.key, self.config)
            raw = bytes(private.sign(digest, mechanism=mechanism, mechanism_param=parameter))
        if not signers.verify(self.key, raw, digest):
            raise FatalError(
                "The signature from the HSM does not verify with the public key: they are not "
                "a pair.",
                remedy="Check label and label_pubkey, or the file given as --pub-key.",
            )
        return raw


def signer(config: HsmConfig, ask_pin: AskPin, public: PublicKey | None = None) -> HsmSigner:
    """A signer for a key pair; the public key is read from the HSM unless it is given."""
    ask_once = _once(ask_pin)
    return HsmSigner(config, public or public_key(config, ask_once), ask_once)


def public_key(config: HsmConfig, ask_pin: AskPin) -> PublicKey:
    """The public key of a pair. It is looked for without the PIN first, since most are open.

    Raises:
        FatalError: there is none, or it is not one for secure boot.
    """
    with _translated(config):
        import pkcs11

        for login in (False, True):
            with _session(config, ask_pin, login=login) as session:
                found = _find(session, pkcs11.ObjectClass.PUBLIC_KEY, config.label_pubkey)
                if found is not None:
                    key = _decode_public(found, config)
                    keys.require_v2(key)
                    return key
    raise FatalError(
        f"There is no public key labelled '{config.label_pubkey}' in the HSM, {config.place}.",
        remedy="Set label_pubkey, or give the public key as a file with --pub-key.",
    )


def ask_environment_then(prompt: AskPin) -> AskPin:
    """The PIN of the environment variable ESPSECURE_HSM_PIN if it is set, else of the prompt."""
    return lambda text: os.environ.get(PIN_VARIABLE) or prompt(text)


def _once(ask_pin: AskPin) -> AskPin:
    known: list[str] = []

    def ask(text: str) -> str:
        if not known:
            known.append(ask_pin(text))
        return known[0]

    return ask


@contextmanager
def _session(config: HsmConfig, ask_pin: AskPin, *, login: bool = True) -> Iterator[Any]:
    import pkcs11

    token = _token(config)
    pin = None
    if login:
        pin = config.pin or ask_pin(f"PIN of the HSM ({config.place}): ")
        if not pin:
            raise FatalError(
                f"No PIN for the HSM ({config.place}).",
                remedy=f"Set {PIN_VARIABLE}, or 'credentials' in the config file.",
            )
    try:
        session = token.open(user_pin=pin)
    except pkcs11.exceptions.UserAlreadyLoggedIn:
        session = token.open()  # logged in by another session of this process
    with session:
        yield session


def _token(config: HsmConfig) -> Any:
    import pkcs11

    if not Path(config.library).is_file():
        raise FatalError(
            f"The PKCS#11 module '{config.library}' does not exist.",
            remedy="Set pkcs11_lib to the library that came with the HSM.",
        )
    library = pkcs11.lib(config.library)
    if config.slot is None:
        for token in library.get_tokens(token_label=config.token_label):
            return token
        raise FatalError(f"No token labelled '{config.token_label}' is in the HSM.")
    for slot in library.get_slots():
        if slot.slot_id == config.slot:
            return slot.get_token()
    raise FatalError(
        f"The HSM has no slot {config.slot}.",
        remedy="'pkcs11-tool --list-slots' or the tool of the HSM shows its slots.",
    )


def _find(session: Any, kind: Any, label: str) -> Any:
    import pkcs11

    wanted = {pkcs11.Attribute.CLASS: kind, pkcs11.Attribute.LABEL: label}
    found = list(session.get_objects(wanted))
    if len(found) > 1:
        what = "private" if kind == pkcs11.ObjectClass.PRIVATE_KEY else "public"
        raise FatalError(
            f"The HSM has {len(found)} {what} keys labelled '{label}': give each its own label."
        )
    return found[0] if found else None


def _decode_public(found: Any, config: HsmConfig) -> PublicKey:
    import pkcs11
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    if found.key_type == pkcs11.KeyType.RSA:
        n = int.from_bytes(found[pkcs11.Attribute.MODULUS], "big")
        e = int.from_bytes(found[pkcs11.Attribute.PUBLIC_EXPONENT], "big")
        return rsa.RSAPublicNumbers(e, n).public_key()
    if found.key_type == pkcs11.KeyType.EC:
        curve = _CURVE_OIDS.get(bytes(found[pkcs11.Attribute.EC_PARAMS]))
        if curve is None:
            raise FatalError(
                f"The key '{config.label_pubkey}' in the HSM is on a curve that secure boot does "
                "not know: use P-256 or P-384."
            )
        curves = {c.name: c for c in (ec.SECP192R1, ec.SECP256R1, ec.SECP384R1)}
        encoded = _unwrap_octets(bytes(found[pkcs11.Attribute.EC_POINT]))
        return ec.EllipticCurvePublicKey.from_encoded_point(curves[curve](), encoded)
    raise FatalError(f"The key '{config.label_pubkey}' in the HSM is neither RSA nor ECDSA.")


def _unwrap_octets(point: bytes) -> bytes:
    """The point inside of a DER octet string; some tokens give it bare."""
    if len(point) > 2 and point[0] == 4:
        if point[1] == len(point) - 2:
            return point[2:]
        if point[1] == 0x81 and point[2] == len(point) - 3:
            return point[3:]
    return point


def _mechanism(session: Any, key: PublicKey, config: HsmConfig) -> tuple[Any, Any]:
    """How the token is to sign a digest, with the parameters of secure boot."""
    import pkcs11

    rsa = keys.is_rsa(key)
    wanted = pkcs11.Mechanism.RSA_PKCS_PSS if rsa else pkcs11.Mechanism.ECDSA
    if wanted not in session.token.slot.get_mechanisms():
        raise FatalError(
            f"The HSM ({config.place}) cannot sign by {wanted.name}, which secure boot needs."
        )
    parameter = (pkcs11.Mechanism.SHA256, pkcs11.MGF.SHA256, signers.PSS_SALT) if rsa else None
    return wanted, parameter


@contextmanager
def _translated(config: HsmConfig) -> Iterator[None]:
    """Turn what the library raises into one clear error."""
    try:
        import pkcs11
    except ImportError as e:
        raise FatalError(
            "Using an HSM needs the package python-pkcs11.",
            remedy="Install it with: pip install 'esptool[hsm]'",
        ) from e
    problems = {
        "PinIncorrect": "the PIN is wrong",
        "PinInvalid": "the PIN is wrong",
        "PinLenRange": "the PIN is too short or too long",
        "PinLocked": "the PIN is locked after too many wrong ones",
        "PinExpired": "the PIN has expired",
        "UserPinNotInitialized": "the token has no user PIN yet",
        "TokenNotPresent": "no token is present: was it removed?",
        "TokenNotRecognised": "the token is not initialised",
        "DeviceRemoved": "the token was removed",
        "SlotIDInvalid": "there is no such slot",
        "MultipleTokensReturned": "several tokens have this label: give the slot",
        "KeyTypeInconsistent": "the private key is of another kind than the public one",
        "MechanismInvalid": "the token does not sign in the way that secure boot needs",
        "KeySizeRange": "the token does not sign with keys of this size",
    }
    try:
        yield
    except pkcs11.exceptions.PKCS11Error as e:
        name = type(e).__name__
        detail = problems.get(name) or f"{name}: {_first_line(e)}".rstrip(": ")
        raise FatalError(f"HSM, {config.place}: {detail}.") from e


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0]

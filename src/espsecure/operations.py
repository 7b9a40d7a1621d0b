# SPDX-License-Identifier: Apache-2.0
"""What a person asks for, on open files: the commands without their command line.

Each function checks everything before it writes, tells what it does through a listener, and gives
back a value that can be printed as JSON. Nothing here prints.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from espsecure import digests, hsm, keys, signatures_v1, signatures_v2, signers, streams
from esptool.errors import UsageError, VerifyError
from esptool.events import Level, Listener, Message, ignore
from esptool.files import atomic_writer
from esptool.nearest import checks_keywords

if TYPE_CHECKING:
    from espsecure.keys import PublicKey

Report = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Signing:
    """Who signs.

    Attributes:
        signers: one for each block to add.
        stored: the signatures exist already, so the data must not be changed.
    """

    signers: Sequence[signers.Signer]
    stored: bool = False


# --- signing ---------------------------------------------------------------------------------


@checks_keywords()
def choose_signers(
    version: str,
    *,
    keyfiles: Sequence[IO[bytes]] = (),
    pub_keys: Sequence[IO[bytes]] = (),
    signatures: Sequence[IO[bytes]] = (),
    use_hsm: bool = False,
    hsm_config: IO[str] | None = None,
    signer_command: str | None = None,
    ask_pin: hsm.AskPin,
    listener: Listener = ignore,
) -> Signing:
    """The signers that a combination of sources means.

    Raises:
        FatalError: the sources do not go together, or a key is not fit for the version.
    """
    if version == "1":
        if use_hsm:
            raise UsageError(
                "Secure Boot V1 does not support signing using an external Hardware Security "
                "Module (HSM)"
            )
        if signatures:
            listener(Message("Pre-calculated signatures found..."))
        if max(len(keyfiles), len(pub_keys), len(signatures)) > 1:
            raise UsageError("Secure Boot V1 only supports one signing key.")
    useless = {
        "--hsm-config": hsm_config is not None and not use_hsm,
        "--signature": signatures and use_hsm,
        "--signer-command": signer_command is not None and (use_hsm or signatures),
        "--keyfile": keyfiles and (use_hsm or signatures or signer_command is not None),
        "--pub-key": pub_keys and not (use_hsm or signatures or signer_command is not None),
    }
    for name in (name for name, found in useless.items() if found):
        listener(Message(f"{name} has no effect beside what else was given.", Level.WARNING))
    if use_hsm:
        if hsm_config is None:
            raise UsageError("Config file is required to generate signature using an external HSM.")
        return Signing(_hsm_signers(hsm_config, pub_keys, ask_pin))
    if signatures:
        if version != "1":
            listener(Message("Pre-calculated signatures found..."))
        return Signing(_stored_signers(version, pub_keys, signatures), stored=version != "1")
    if signer_command is not None:
        if not pub_keys:
            raise UsageError("--signer-command needs the public key of its signatures: --pub-key.")
        public = [_public(version, file) for file in pub_keys]
        return Signing([signers.CommandSigner(signer_command, key) for key in public])
    if version == "1":
        if not keyfiles:
            raise UsageError(
                "Signing needs a key: --keyfile, or --pub-key with --signature, or "
                "--signer-command."
            )
        key = keys.load_private_v1(streams.small(keyfiles[0]), streams.name_of(keyfiles[0]))
        return Signing([signers.KeySigner(key, deterministic=True)])
    return Signing(
        [
            signers.KeySigner(keys.load_private(streams.small(file), streams.name_of(file)))
            for file in keyfiles
        ]
    )


@checks_keywords()
def sign_file(
    version: str,
    data: IO[bytes],
    signing: Signing,
    output: str | os.PathLike[str] | IO[bytes] | None,
    *,
    append: bool = False,
    skip_padding: bool = False,
    listener: Listener = ignore,
) -> Report:
    """Sign `data` into `output`, or in place where that is None.

    Raises:
        FatalError: see `signatures_v1.sign` and `signatures_v2.sign`. Nothing is written then.
    """
    source = streams.name_of(data)
    if output is None and source == "<stream>":
        raise UsageError("Data that comes from no file cannot be signed in place: give --output.")
    if output is not None and version == "1" and isinstance(output, str | os.PathLike):
        streams.require_different(source, os.fspath(output))
    target = source if output is None else output
    data = streams.seekable(data)
    start = data.tell()
    if not data.read(1):
        # The public tool signs nothing, too; a script that lost its file should hear of it.
        listener(Message(f"'{source}' is empty: what is signed holds no program.", Level.WARNING))
    data.seek(start)
    if isinstance(target, str | os.PathLike):
        with atomic_writer(target) as out:
            report = _sign(version, data, signing, out, append, skip_padding, source, listener)
    else:
        report = _sign(version, data, signing, target, append, skip_padding, source, listener)
    report["output"] = target if isinstance(target, str) else streams.name_of(target)
    return report


def _sign(
    version: str,
    data: IO[bytes],
    signing: Signing,
    out: IO[bytes],
    append: bool,
    skip_padding: bool,
    source: str,
    listener: Listener,
) -> Report:
    if version == "1":
        done = signatures_v1.sign(data, signing.signers[0], out)
        listener(Message(f'Signed {done.length} bytes of data from "{source}".'))
        return {"version": 1, "datafile": source, "size": done.length, "blocks": 1}
    result = signatures_v2.sign(
        data,
        signing.signers,
        out,
        append=append,
        skip_padding=skip_padding,
        stored=signing.stored,
        source=source,
        listener=listener,
    )
    return {
        "version": 2,
        "datafile": source,
        "size": result.length,
        "padding": result.padding,
        "blocks": len(result.blocks),
    }


def _public(version: str, file: IO[bytes]) -> PublicKey:
    load = keys.load_public_v1 if version == "1" else keys.load_public
    return load(streams.small(file), streams.name_of(file))


def _stored_signers(
    version: str, pub_keys: Sequence[IO[bytes]], signatures: Sequence[IO[bytes]]
) -> list[signers.Signer]:
    if len(pub_keys) != len(signatures):
        raise UsageError(
            f"Number of public keys ({len(pub_keys)}) not equal to the number of signatures "
            f"({len(signatures)})."
        )
    return [
        signers.StoredSigner(_public(version, key), streams.small(signature))
        for key, signature in zip(pub_keys, signatures, strict=True)
    ]


def _hsm_signers(
    config: IO[str], pub_keys: Sequence[IO[bytes]], ask_pin: hsm.AskPin
) -> list[signers.Signer]:
    configs = hsm.read_config(config)
    if pub_keys and len(pub_keys) != len(configs):
        raise UsageError(
            f"{len(pub_keys)} public keys are given for {len(configs)} keys of the HSM config."
        )
    public: list[PublicKey | None] = [_public("2", file) for file in pub_keys]
    public = public or [None] * len(configs)
    return [hsm.signer(one, ask_pin, key) for one, key in zip(configs, public, strict=True)]


# --- verifying -------------------------------------------------------------------------------


@checks_keywords()
def verify_file(
    version: str,
    data: IO[bytes],
    *,
    keyfile: IO[bytes] | None,
    use_hsm: bool = False,
    hsm_config: IO[str] | None = None,
    skip_padding: bool = False,
    ask_pin: hsm.AskPin,
    listener: Listener = ignore,
) -> Report:
    """Check that a file is signed by a key.

    Raises:
        VerifyError: it is not.
        FatalError: the key cannot be read, or the file is not signed at all.
    """
    if version == "1" and use_hsm:
        raise UsageError("Secure Boot V1 does not support verifying with an external HSM.")
    if use_hsm and hsm_config is None:
        raise UsageError("Config file is required to extract public key from an external HSM.")
    if not use_hsm and keyfile is None:
        other = "." if version == "1" else " or --hsm with --hsm-config."
        raise UsageError(f"Verifying needs a key: --keyfile{other}")
    name = streams.name_of(data)
    data = streams.seekable(data)
    if version == "1" and keyfile is not None:
        key = keys.load_public_v1(streams.small(keyfile), streams.name_of(keyfile))
        result = signatures_v1.verify(data, key, listener)
        listener(Message("Signature is valid."))
        return {"version": 1, "datafile": name, "verified": True, "size": result.length}
    good = _verify_v2(data, keyfile, hsm_config, skip_padding, ask_pin, listener)
    return {"version": 2, "datafile": name, "verified": True, "blocks": list(good)}


def _verify_v2(
    data: IO[bytes],
    keyfile: IO[bytes] | None,
    hsm_config: IO[str] | None,
    skip_padding: bool,
    ask_pin: hsm.AskPin,
    listener: Listener,
) -> tuple[int, ...]:
    if hsm_config is None and keyfile is not None:
        key = keys.load_public(streams.small(keyfile), streams.name_of(keyfile))
        return signatures_v2.verify(data, key, skip_padding=skip_padding, listener=listener)
    assert hsm_config is not None
    start = data.tell()
    good: tuple[int, ...] = ()
    for config in hsm.read_config(hsm_config):
        data.seek(start)
        key = hsm.public_key(config, ask_pin)
        good += signatures_v2.verify(data, key, skip_padding=skip_padding, listener=listener)
    return good


@checks_keywords()
def signature_info(data: IO[bytes], listener: Listener = ignore) -> Report:
    """The blocks of a signed file, up to the first that is absent or damaged.

    Raises:
        VerifyError: a block is of other data.
        FatalError: the file is not a whole number of sectors.
    """
    file = signatures_v2.read_signed(streams.seekable(data))
    blocks: list[Report] = []
    for number, block in enumerate(file.blocks):
        if block is None:
            listener(
                Message(
                    f"Signature block {number} absent/invalid. Skipping checking next blocks..."
                )
            )
            break
        listener(Message(f"Signature block {number} is valid ({block.kind})."))
        if block.digest != file.digests[block.hash_name]:
            raise VerifyError(f"Digest in signature block {number} doesn't match the image digest.")
        shown = block.key_digest.hex(" ")
        listener(Message(f"Public key digest for block {number}: {shown}"))
        blocks.append(
            {
                "block": number,
                "kind": block.kind,
                "curve": None if block.is_rsa or block.key is None else _curve(block.key),
                "image_digest": block.digest.hex(),
                "public_key_digest": block.key_digest.hex(),
            }
        )
    return {"datafile": streams.name_of(data), "size": file.length, "blocks": blocks}


def _curve(key: PublicKey) -> str | None:
    from cryptography.hazmat.primitives.asymmetric import ec

    return key.curve.name if isinstance(key, ec.EllipticCurvePublicKey) else None


# --- keys and digests ------------------------------------------------------------------------


@checks_keywords()
def extract_public_key(version: str, keyfile: IO[bytes]) -> bytes:
    """The public key of a private one: 64 raw bytes for version 1, PEM for version 2."""
    name = streams.name_of(keyfile)
    if version == "1":
        return keys.point(keys.load_private_v1(streams.small(keyfile), name).public_key())
    return keys.public_pem(keys.load_private(streams.small(keyfile), name).public_key())


@checks_keywords()
def public_key_digest(keyfile: IO[bytes]) -> bytes:
    """What an eFuse key block holds for the key in a PEM file."""
    return signatures_v2.public_key_digest(
        keys.load_public(streams.small(keyfile), streams.name_of(keyfile))
    )


@checks_keywords()
def private_key_digest(keyfile: IO[bytes], key_bits: int) -> bytes:
    """The secure boot v1 key that is made from a signing key."""
    key = keys.load_private_v1(streams.small(keyfile), streams.name_of(keyfile))
    return digests.private_key_digest(key, key_bits)


@checks_keywords()
def random_key(key_bits: int) -> bytes:
    """Random bytes for a flash encryption key.

    Raises:
        UsageError: not a whole number of bytes.
    """
    if key_bits <= 0 or key_bits % 8:
        raise UsageError(f"A key of {key_bits} bits cannot be made: use 128, 192, 256 or 512.")
    return os.urandom(key_bits // 8)

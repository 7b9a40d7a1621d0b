# SPDX-License-Identifier: Apache-2.0
"""Certificates of the secure debug controller, from files: who signs, for which chip, what for.

As in `espsecure.operations`, everything is checked before anything is written, and nothing prints.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from espsecure import hsm, keys, sdc, signers, streams
from espsecure.operations import Report
from esptool.errors import FatalError, UsageError
from esptool.events import Level, Listener, Message, ignore
from esptool.files import atomic_writer

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec

    from espsecure.keys import PublicKey


def sdc_signer(
    *,
    keyfile: str | None,
    hsm_config: str | None,
    pub_key: str | None,
    ask_pin: hsm.AskPin,
) -> signers.Signer:
    """The signer of a certificate: a PEM file or an HSM."""
    if keyfile is not None:
        return signers.KeySigner(keys.load_private(streams.read_small(keyfile), keyfile))
    if hsm_config is None:
        raise UsageError("Either --keyfile or --hsm with --hsm-config must be provided")
    config = _hsm_config(hsm_config)
    public = None if pub_key is None else sdc_public(streams.read_small(pub_key), pub_key)
    return hsm.signer(config, ask_pin, public)


def sdc_public_key(
    *,
    keyfile: str | None,
    pub_key: str | None,
    hsm_config: str | None,
    ask_pin: hsm.AskPin,
) -> ec.EllipticCurvePublicKey:
    """The public key of a certificate's signer from one of three sources."""
    if keyfile is not None:
        key: PublicKey = keys.load_private(streams.read_small(keyfile), keyfile).public_key()
    elif pub_key is not None:
        key = sdc_public(streams.read_small(pub_key), pub_key)
    elif hsm_config is not None:
        key = hsm.public_key(_hsm_config(hsm_config), ask_pin)
    else:
        raise UsageError("One of --keyfile, --pub-key, or --hsm must be provided")
    return sdc.require_p256(key, certificate=False)


def sdc_public(data: bytes, name: str) -> PublicKey:
    """A public key from PEM, and no private one.

    Raises:
        FatalError: another format.
    """
    if b"PUBLIC KEY-----" not in data:
        raise FatalError(
            "Unsupported public key format. Expected PEM format.",
            remedy=f"'{name}' has no PEM header of a public key.",
        )
    return keys.load_public(data, name)


def sdc_chip_info(
    *, chip_info: str | None, mac: str | None, counter: int, listener: Listener = ignore
) -> tuple[bytes, bytes]:
    """What binds a certificate to a chip, and its nonce.

    Raises:
        FatalError: neither a file nor a MAC, or a malformed one.
    """
    if chip_info is not None:
        if mac is not None or counter:
            listener(
                Message(
                    "--mac and --sdc-session-counter are ignored when --chip-info is provided",
                    Level.WARNING,
                )
            )
        return sdc.read_chip_info(chip_info)
    if mac is None:
        raise UsageError("--mac is required when --chip-info is not provided")
    nonce = os.urandom(sdc.NONCE_SIZE)
    return sdc.chip_info(sdc.parse_mac(mac), counter, nonce), nonce


def _hsm_config(path: str) -> hsm.HsmConfig:
    return hsm.read_config(hsm.open_config(path))[0]


def make_certificate(
    output: str,
    *,
    keyfile: str | None,
    hsm_config: str | None,
    pub_key: str | None,
    usc: str | None,
    enable_jtag: bool,
    enable_download_reuse: bool,
    enable_force_spi_boot: bool,
    chip_info: str | None,
    mac: str | None,
    sdc_session_counter: int,
    ask_pin: hsm.AskPin,
    verbose: bool = False,
    listener: Listener = ignore,
) -> Report:
    """Write a certificate of the secure debug controller.

    Raises:
        FatalError: the key is not P-256, or an input is malformed. Nothing is written then.
    """
    flags = sdc.Usc(enable_jtag, enable_download_reuse, enable_force_spi_boot)
    if usc is not None:
        flags = sdc.load_usc(usc, flags)
    info, nonce = sdc_chip_info(
        chip_info=chip_info, mac=mac, counter=sdc_session_counter, listener=listener
    )
    signer = sdc_signer(keyfile=keyfile, hsm_config=hsm_config, pub_key=pub_key, ask_pin=ask_pin)
    made = sdc.certificate(signer, flags, info, nonce)
    for source in (keyfile, chip_info, usc, hsm_config, pub_key):
        streams.require_different(source, output)
    with atomic_writer(output) as out:
        out.write(made.data)
    if verbose:
        lines = [f"Nonce (32 bytes): {nonce.hex()}", f"Chip info (32 bytes): {info.hex()}"]
        lines += [
            f"{name}: {'Enabled' if on else 'Disabled'}" for name, on in flags.labels().items()
        ]
        lines += [f"Public key hash: {made.key_hash.hex()}"]
        lines += [f"Certificate hash: {made.certificate_hash.hex()}"]
        for line in lines:
            listener(Message(f"  {line}"))
    enabled = [name for name, on in flags.labels().items() if on]
    listener(Message(f'SDC certificate generated successfully: "{output}"'))
    listener(Message(f"Certificate size: {len(made.data)} bytes"))
    listener(
        Message(
            f"Enabled features: {', '.join(enabled)}"
            if enabled
            else "No additional features enabled (default security configuration)"
        )
    )
    return {
        "output": output,
        "size": len(made.data),
        "features": enabled,
        "nonce": nonce.hex(),
        "chip_info": info.hex(),
        "public_key_hash": made.key_hash.hex(),
        "certificate_hash": made.certificate_hash.hex(),
    }


def digest_certificate_key(
    output: str,
    *,
    keyfile: str | None,
    pub_key: str | None,
    hsm_config: str | None,
    ask_pin: hsm.AskPin,
    verbose: bool = False,
    listener: Listener = ignore,
) -> Report:
    """Write the digest of a certificate signer's public key, as eFuses hold it.

    Raises:
        FatalError: the key is not P-256, or cannot be read.
    """
    key = sdc_public_key(keyfile=keyfile, pub_key=pub_key, hsm_config=hsm_config, ask_pin=ask_pin)
    for source in (keyfile, pub_key, hsm_config):
        streams.require_different(source, output)
    hashed = sdc.key_hash(key)
    if verbose:
        listener(Message(f"Public key bytes (64 bytes): {keys.point(key).hex()}"))
        listener(Message(f"Public key hash: {hashed.hex()}"))
        listener(Message(f"Public key digest (reversed): {hashed[::-1].hex()}"))
    with atomic_writer(output) as out:
        out.write(hashed[::-1])
    listener(Message(f'SDC public key digest generated successfully: "{output}"'))
    listener(Message("Digest size: 32 bytes"))
    listener(Message("Burn it with: espefuse burn-key <BLOCK> <digest_file> SDC_KEY_DIGEST"))
    return {"output": output, "digest": hashed[::-1].hex()}

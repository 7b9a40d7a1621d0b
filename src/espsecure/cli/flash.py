# SPDX-License-Identifier: Apache-2.0
"""The commands `encrypt-flash-data`, `decrypt-flash-data` and `digest-secure-bootloader`."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import IO, Any

import click

from espsecure import operations, streams
from espsecure.cli.common import OUTPUT, Command, output
from esptool.cli.params import AnyInt
from esptool.events import Level, Message

_F = Callable[..., Any]


def _crypt_options(function: _F) -> _F:
    """What both directions take."""
    for option in (
        click.option(
            "--aes-xts",
            "-x",
            is_flag=True,
            help="AES-XTS, the scheme of all chips but the first ESP32.",
        ),
        click.option(
            "--flash-crypt-conf",
            type=AnyInt(),
            default=0xF,
            help="Value of the eFuse FLASH_CRYPT_CONFIG (ESP32 only; 0xF if not given).",
        ),
        click.option(
            "--address",
            "-a",
            type=AnyInt(),
            required=True,
            help="Offset in flash of the first byte, a multiple of 16.",
        ),
        click.option(
            "--output",
            "-o",
            "target",
            type=OUTPUT,
            required=True,
            help="File for the result, or - for standard output.",
        ),
        click.option(
            "--keyfile",
            "-k",
            type=click.File("rb"),
            required=True,
            help="Flash encryption key, as raw bytes.",
        ),
    ):
        function = option(function)
    return function


@click.command("encrypt-flash-data", cls=Command)
@_crypt_options
@click.argument("plaintext_file", type=click.File("rb"))
@click.pass_context
def encrypt_flash_data(
    ctx: click.Context, /, plaintext_file: IO[bytes], **options: Any
) -> operations.Report:
    """Encrypt data as it is to stand in encrypted flash."""
    return _crypt(ctx, plaintext_file, decrypting=False, **options)


@click.command("decrypt-flash-data", cls=Command)
@_crypt_options
@click.argument("encrypted_file", type=click.File("rb"))
@click.pass_context
def decrypt_flash_data(
    ctx: click.Context, /, encrypted_file: IO[bytes], **options: Any
) -> operations.Report:
    """Turn data that was read from encrypted flash back into plain data."""
    return _crypt(ctx, encrypted_file, decrypting=True, **options)


def _crypt(
    ctx: click.Context,
    source: IO[bytes],
    *,
    decrypting: bool,
    keyfile: IO[bytes],
    target: str,
    address: int,
    flash_crypt_conf: int,
    aes_xts: bool,
) -> operations.Report:
    from espsecure import flash_encryption

    streams.require_different(streams.name_of(source), target)
    streams.require_different(streams.name_of(keyfile), target)
    key = flash_encryption.load_key(
        streams.small(keyfile), ctx.obj, aes_xts=aes_xts, name=streams.name_of(keyfile)
    )
    run = flash_encryption.decrypt if decrypting else flash_encryption.encrypt
    with output(target) as out:
        done = run(
            key,
            source,
            out,
            address,
            aes_xts=aes_xts,
            crypt_conf=flash_crypt_conf,
            listener=ctx.obj,
        )
    return {
        "input": streams.name_of(source),
        "output": target,
        "address": address,
        "size": done.length,
        "padding": done.padding,
    }


@click.command("digest-secure-bootloader", cls=Command)
@click.option(
    "--keyfile",
    "-k",
    type=click.File("rb"),
    required=True,
    help="Secure boot V1 key, as raw bytes (256 bits, shorter ones are extended).",
)
@click.option(
    "--output",
    "-o",
    "target",
    type=OUTPUT,
    help="File for digest and image; without it IMAGE-digest-0x0000.bin.",
)
@click.option(
    "--iv", type=click.File("rb"), help="The 128 bytes to start from instead of random ones."
)
@click.argument("image", type=click.File("rb"))
@click.pass_context
def digest_secure_bootloader(
    ctx: click.Context,
    keyfile: IO[bytes],
    target: str | None,
    iv: IO[bytes] | None,
    image: IO[bytes],
) -> operations.Report:
    """Put a keyed digest in front of an ESP32 bootloader, for a chip that holds the same key.

    The result is flashed at offset 0.
    """
    from espsecure import digests, flash_encryption

    name = streams.name_of(image)
    if target is None:
        target = f"{os.path.splitext(name)[0]}-digest-0x0000.bin"
    for source in (name, streams.name_of(keyfile), streams.name_of(iv)):
        streams.require_different(source, target)
    if iv is not None:
        ctx.obj(Message("--iv argument is for TESTING PURPOSES ONLY", Level.WARNING))
    key = flash_encryption.load_key(
        streams.small(keyfile), ctx.obj, flash_encryption=False, name=streams.name_of(keyfile)
    )
    result = digests.digested_bootloader(key, image, None if iv is None else streams.small(iv))
    with output(target) as out:
        out.write(result)
    ctx.obj.say(f'Digest + image written to "{target}"')
    return {"image": name, "output": target, "size": len(result)}

# SPDX-License-Identifier: Apache-2.0
"""The commands that make keys, take them apart, or hash them."""

from __future__ import annotations

import itertools
import os
from typing import IO

import click

from espsecure import keys, operations, streams
from espsecure.cli.common import OUTPUT, Command, write
from esptool.cli.params import OutputFile
from esptool.events import Level, Listener, Message

_ANY_KEY = click.option(
    "--keyfile", "-k", type=click.File("rb"), required=True, help="Public or private key (PEM)."
)
_PRIVATE_KEY = click.option(
    "--keyfile", "-k", type=click.File("rb"), required=True, help="Private key (PEM)."
)
_OUTPUT = click.option("--output", "-o", type=OUTPUT, required=True, help="Digest file.")
_KEYLEN = click.option(
    "--keylen",
    "-l",
    type=int,
    default=256,
    help="Length of the key in bits. The 3/4 coding scheme of ESP32's eFuses needs 192.",
)


@click.command("generate-signing-key", cls=Command)
@click.option(
    "--version",
    "-v",
    type=click.Choice(["1", "2"]),
    default="1",
    help="Version of secure boot that the key is for.",
)
@click.option(
    "--scheme",
    "-s",
    type=click.Choice(list(keys.SCHEMES)),
    help="Kind of key. Version 1 has ecdsa256 only; of version 2 rsa3072 is the default.",
)
@click.option("--force", is_flag=True, help="Replace a key file that exists.")
@click.argument("keyfile", type=OutputFile())
@click.pass_context
def generate_signing_key(
    ctx: click.Context, version: str, scheme: str | None, force: bool, keyfile: str
) -> operations.Report:
    """Make a private key for signing images; only its owner can read the file."""
    kind = keys.write_signing_key(version, scheme, keyfile, overwrite=force)
    ctx.obj.say(f'{kind} private key in PEM format written to "{keyfile}".')
    return {"keyfile": keyfile, "version": int(version), "kind": kind}


@click.command("generate-flash-encryption-key", cls=Command)
@_KEYLEN
@click.option("--force", is_flag=True, help="Replace a key file without keeping the old one.")
@click.argument("key_file", type=OUTPUT)
@click.pass_context
def generate_flash_encryption_key(
    ctx: click.Context, keylen: int, force: bool, key_file: str
) -> operations.Report:
    """Make a random flash encryption key; only its owner can read the file.

    A key that the file already holds is kept beside it with the ending ".old" (".old2" and so on).
    """
    key = operations.random_key(keylen)
    ctx.obj.say(f'Writing {keylen} random bits to key file "{key_file}".')
    if not force:
        _keep_old(key_file, ctx.obj)
    write(key_file, key, 0o600)
    return {"keyfile": key_file, "bits": keylen}


def _keep_old(path: str, listener: Listener) -> None:
    """Losing the only copy of a key that is burned into chips cannot be undone."""
    if not os.path.isfile(path) or not os.path.getsize(path):
        return
    data = streams.read_small(path)
    names = itertools.chain((f"{path}.old",), (f"{path}.old{n}" for n in itertools.count(2)))
    kept = next(name for name in names if not os.path.lexists(name))
    streams.write_private(kept, data, overwrite=False)
    listener(Message(f"'{path}' held a key already: it is kept as '{kept}'.", Level.WARNING))


@click.command("extract-public-key", cls=Command)
@click.option(
    "--version",
    "-v",
    type=click.Choice(["1", "2"]),
    default="1",
    help="Version of secure boot: 1 writes 64 raw bytes, 2 writes PEM.",
)
@_PRIVATE_KEY
@click.argument("public_keyfile", type=OUTPUT)
@click.pass_context
def extract_public_key(
    ctx: click.Context, version: str, keyfile: IO[bytes], public_keyfile: str
) -> operations.Report:
    """Write the public part of a signing key to a file."""
    name = streams.name_of(keyfile)
    streams.require_different(name, public_keyfile)
    write(public_keyfile, operations.extract_public_key(version, keyfile))
    ctx.obj.say(f'"{name}" public key extracted to "{public_keyfile}".')
    return {"keyfile": name, "public_keyfile": public_keyfile}


@click.command("digest-sbv2-public-key", cls=Command)
@_ANY_KEY
@_OUTPUT
@click.pass_context
def digest_sbv2_public_key(
    ctx: click.Context, keyfile: IO[bytes], output: str
) -> operations.Report:
    """Hash a public key as eFuses hold it for secure boot V2."""
    return _public_digest(ctx, keyfile, output)


@click.command("digest-rsa-public-key", cls=Command, deprecated=True)
@_ANY_KEY
@_OUTPUT
@click.pass_context
def digest_rsa_public_key(ctx: click.Context, keyfile: IO[bytes], output: str) -> operations.Report:
    """Hash a public key: the old name of digest-sbv2-public-key."""
    return _public_digest(ctx, keyfile, output)


def _public_digest(ctx: click.Context, keyfile: IO[bytes], output: str) -> operations.Report:
    name = streams.name_of(keyfile)
    streams.require_different(name, output)
    digest = operations.public_key_digest(keyfile)
    ctx.obj.say(f'Writing the public key digest of "{name}" to "{output}".')
    write(output, digest)
    return {"keyfile": name, "output": output, "digest": digest.hex()}


@click.command("digest-private-key", cls=Command)
@_PRIVATE_KEY
@_KEYLEN
@click.argument("digest_file", type=OUTPUT)
@click.pass_context
def digest_private_key(
    ctx: click.Context, keyfile: IO[bytes], keylen: int, digest_file: str
) -> operations.Report:
    """Make the secure boot V1 key of a chip from a signing key."""
    name = streams.name_of(keyfile)
    streams.require_different(name, digest_file)
    write(digest_file, operations.private_key_digest(keyfile, keylen), 0o600)
    cut = "" if keylen == 256 else f" (truncated to {keylen} bits)"
    ctx.obj.say(f'SHA-256 digest of private key "{name}"{cut} written to "{digest_file}".')
    return {"keyfile": name, "output": digest_file, "bits": keylen}

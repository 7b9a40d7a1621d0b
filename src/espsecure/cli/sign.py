# SPDX-License-Identifier: Apache-2.0
"""The commands `sign-data`, `verify-signature` and `signature-info-v2`."""

from __future__ import annotations

import os
import sys
from typing import IO, Any

import click

from espsecure import operations, streams
from espsecure.cli.common import Command, HsmConfigFile, ask_pin
from espsecure.cli.report import Reporter
from espsecure.keys import V1_POINT_SIZE
from esptool.cli.words import EatAll

_VERSION = click.option(
    "--version",
    "-v",
    type=click.Choice(["1", "2"]),
    required=True,
    help="Version of secure boot: 1 is the first ESP32's, 2 that of all later chips.",
)
_HSM = click.option("--hsm", is_flag=True, help="Use a key in an HSM, through PKCS#11.")
_HSM_CONFIG = click.option(
    "--hsm-config", type=HsmConfigFile(), help="File that says which HSM and which key."
)


@click.command("sign-data", cls=Command)
@_VERSION
@click.option(
    "--keyfile",
    "-k",
    cls=EatAll,
    type=click.File("rb"),
    help="Private keys in PEM form, up to three; one signature block each.",
)
@click.option(
    "--output",
    "-o",
    type=click.Path(),
    help="File for the signed data (a folder for several). Without it the data file is changed.",
)
@click.option(
    "--append-signatures",
    "-a",
    is_flag=True,
    help="Keep signature blocks that the data ends with, and add to them. Not for ESP32 and "
    "ESP32-C2, which check one block.",
)
@_HSM
@_HSM_CONFIG
@click.option(
    "--signer-command",
    metavar="CMD",
    help="Program that reads a digest and prints its raw signature. Needs --pub-key.",
)
@click.option(
    "--pub-key",
    cls=EatAll,
    type=click.File("rb"),
    help="Public keys in PEM form of signatures that are made elsewhere.",
)
@click.option(
    "--signature",
    cls=EatAll,
    type=click.File("rb"),
    help="Signatures that were made elsewhere, in the order of --pub-key.",
)
@click.option(
    "--skip-padding",
    is_flag=True,
    help="Do not fill the data up to a whole sector (secure boot V2 only).",
)
@click.argument("datafile", nargs=-1, type=click.File("rb"), metavar="DATAFILE")
@click.pass_context
def sign_data(
    ctx: click.Context,
    version: str,
    keyfile: tuple[IO[bytes], ...],
    output: str | None,
    append_signatures: bool,
    hsm: bool,
    hsm_config: IO[str] | None,
    signer_command: str | None,
    pub_key: tuple[IO[bytes], ...],
    signature: tuple[IO[bytes], ...],
    skip_padding: bool,
    datafile: tuple[IO[bytes], ...],
) -> operations.Report:
    """Sign a file for secure boot.

    Options that take several files take all that follow, so give the data file first or put
    another option in between.
    """
    if not datafile:  # not `required`, or a key file would be taken for the data
        keyfile, pub_key, signature, datafile = _data_among(keyfile, pub_key, signature)
    if not datafile:
        raise click.MissingParameter(
            "Put it before options that take several files, or another option in between.",
            ctx=ctx,
            param_hint="'DATAFILE'",
            param_type="argument",
        )
    reporter: Reporter = ctx.obj
    several = len(datafile) > 1
    if several and signature:
        raise click.UsageError("--signature is of one data file; several are given.", ctx)
    if several and output is not None and not os.path.isdir(output):
        raise click.UsageError("--output must be a folder when several files are signed.", ctx)
    signing = operations.choose_signers(
        version,
        keyfiles=keyfile,
        pub_keys=pub_key,
        signatures=signature,
        use_hsm=hsm,
        hsm_config=hsm_config,
        signer_command=signer_command,
        ask_pin=ask_pin,
        listener=reporter,
    )
    reports = [
        operations.sign_file(
            version,
            data,
            signing,
            _target(output, data),
            append=append_signatures,
            skip_padding=skip_padding,
            listener=reporter,
        )
        for data in datafile
    ]
    return {"files": reports} if several else reports[0]


_Files = tuple[IO[bytes], ...]


def _data_among(
    keyfile: _Files, pub_key: _Files, signature: _Files
) -> tuple[_Files, _Files, _Files, _Files]:
    """Take the data file from the end of what an option with several files took too much.

    A file with a key in it is never taken: signing in place would destroy it.
    """
    if signature:
        if len(signature) == len(pub_key) + 1:
            return keyfile, pub_key, signature[:-1], signature[-1:]
    elif len(keyfile) > 1 and not _holds_a_key(keyfile[-1]):
        return keyfile[:-1], pub_key, signature, keyfile[-1:]
    elif len(pub_key) > 1 and not _holds_a_key(pub_key[-1]):
        return keyfile, pub_key[:-1], signature, pub_key[-1:]
    return keyfile, pub_key, signature, ()


def _holds_a_key(file: IO[bytes]) -> bool:
    if not file.seekable():
        return True  # nobody knows
    start = file.read(0x10000)
    file.seek(0)
    return b"-----BEGIN" in start or len(start) == V1_POINT_SIZE


def _target(output: str | None, data: IO[bytes]) -> str | IO[bytes] | None:
    if output == "-":
        return sys.stdout.buffer
    if output is not None and os.path.isdir(output):
        return os.path.join(output, os.path.basename(streams.name_of(data)))
    return output


@click.command("verify-signature", cls=Command)
@_VERSION
@_HSM
@_HSM_CONFIG
@click.option(
    "--keyfile",
    "-k",
    type=click.File("rb"),
    help="Public or private key in PEM form; with version 1 also a raw public key.",
)
@click.option(
    "--skip-padding",
    is_flag=True,
    help="Accept data that is not a whole number of sectors (secure boot V2 only).",
)
@click.argument("datafile", type=click.File("rb"))
@click.pass_context
def verify_signature(
    ctx: click.Context,
    version: str,
    hsm: bool,
    hsm_config: IO[str] | None,
    keyfile: IO[bytes] | None,
    skip_padding: bool,
    datafile: IO[bytes],
) -> operations.Report:
    """Check that a file is signed by a key."""
    result: dict[str, Any] = operations.verify_file(
        version,
        datafile,
        keyfile=keyfile,
        use_hsm=hsm,
        hsm_config=hsm_config,
        skip_padding=skip_padding,
        ask_pin=ask_pin,
        listener=ctx.obj,
    )
    return result


@click.command("signature-info-v2", cls=Command)
@click.argument("datafile", type=click.File("rb"))
@click.pass_context
def signature_info_v2(ctx: click.Context, datafile: IO[bytes]) -> operations.Report:
    """Show the signature blocks at the end of a file and the digests of their keys."""
    return operations.signature_info(datafile, ctx.obj)

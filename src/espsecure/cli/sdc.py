# SPDX-License-Identifier: Apache-2.0
"""The commands `generate-sdc-certificate` and `digest-sdc-public-key`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from espsecure import certificates, operations
from espsecure.cli.common import OUTPUT, Command, ask_pin, bad_parameter
from esptool.cli.params import AnyInt

_F = Callable[..., Any]
_EXISTING = click.Path(exists=True, dir_okay=False)
_CLASH = "Illegal usage: {} is mutually exclusive with arguments: {}."
_VERBOSE = click.option("--verbose", is_flag=True, help="Show values in between as well.")


def _key_options(function: _F) -> _F:
    for option in (
        click.option("--pub-key", type=_EXISTING, help="Public key (PEM, ECDSA P-256)."),
        click.option(
            "--hsm-config", type=_EXISTING, help="File that says which HSM and which key."
        ),
        click.option("--hsm", is_flag=True, help="Use a key in an HSM, through PKCS#11."),
        click.option("--keyfile", "-k", type=_EXISTING, help="Private key (PEM, ECDSA P-256)."),
    ):
        function = option(function)
    return function


@click.command("generate-sdc-certificate", cls=Command)
@_key_options
@click.option(
    "--output",
    "-o",
    type=OUTPUT,
    default="sdc_cert.bin",
    help="File for the certificate (sdc_cert.bin).",
)
@click.option("--enable-jtag", is_flag=True, help="Open JTAG.")
@click.option("--enable-download-reuse", is_flag=True, help="Open download mode again.")
@click.option("--enable-force-spi-boot", is_flag=True, help="Allow to force SPI boot.")
@click.option("--mac", help="Base MAC of the chip as hex digits, or a file with it (.bin, .hex).")
@click.option(
    "--sdc-session-counter",
    type=AnyInt(),
    default=0,
    help="Session counter in the chip's eFuses: 0, 1, 3 or 7.",
)
@click.option(
    "--chip-info",
    type=_EXISTING,
    help="File from 'esptool read-sdc-chip-info', in place of MAC and counter.",
)
@click.option("--usc", type=_EXISTING, help="JSON file with what to open; it wins over flags.")
@_VERBOSE
@click.pass_context
def generate_sdc_certificate(
    ctx: click.Context,
    /,
    keyfile: str | None,
    output: str,
    hsm: bool,
    hsm_config: str | None,
    verbose: bool,
    **options: Any,
) -> operations.Report:
    """Make a certificate that opens a locked ESP32-S31 for debugging."""
    if keyfile and (hsm or hsm_config):
        raise click.UsageError(_CLASH.format("--keyfile", "--hsm, --hsm-config"), ctx)
    if hsm and not hsm_config:
        bad_parameter(ctx, "--hsm-config", "--hsm-config is required when --hsm is used")
    if not keyfile and not hsm:
        bad_parameter(
            ctx,
            "--keyfile or --hsm",
            "Either --keyfile or --hsm with --hsm-config must be provided",
        )
    if not options["chip_info"] and not options["mac"]:
        bad_parameter(ctx, "--mac", "--mac is required when --chip-info is not provided")
    return certificates.make_certificate(
        output,
        keyfile=keyfile,
        hsm_config=hsm_config,
        verbose=verbose,
        ask_pin=ask_pin,
        listener=ctx.obj,
        **options,
    )


@click.command("digest-sdc-public-key", cls=Command)
@_key_options
@_VERBOSE
@click.option(
    "--output",
    "-o",
    type=OUTPUT,
    default="sdc_pub_key_digest.bin",
    help="File for the digest (sdc_pub_key_digest.bin).",
)
@click.pass_context
def digest_sdc_public_key(
    ctx: click.Context,
    keyfile: str | None,
    pub_key: str | None,
    hsm: bool,
    hsm_config: str | None,
    verbose: bool,
    output: str,
) -> operations.Report:
    """Hash the public key that signs certificates, as eFuses hold it.

    Give one of --keyfile, --pub-key and --hsm.
    """
    given = [bool(keyfile), bool(pub_key), hsm].count(True)
    if given != 1:
        word = "Only one" if given else "One"
        bad_parameter(
            ctx,
            "--keyfile/--pub-key/--hsm",
            f"{word} of --keyfile, --pub-key, or --hsm {'can' if given else 'must'} be provided",
        )
    if hsm and not hsm_config:
        bad_parameter(ctx, "--hsm-config", "--hsm-config is required when using --hsm")
    return certificates.digest_certificate_key(
        output,
        keyfile=keyfile,
        pub_key=pub_key,
        hsm_config=hsm_config if hsm else None,
        verbose=verbose,
        ask_pin=ask_pin,
        listener=ctx.obj,
    )

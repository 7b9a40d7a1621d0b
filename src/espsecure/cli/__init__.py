# SPDX-License-Identifier: Apache-2.0
"""The command line of espsecure. Commands are loaded when they are called."""

from __future__ import annotations

from espsecure.cli.common import Group
from espsecure.cli.report import Reporter
from esptool._version import __version__
from esptool.cli.common import Entry, call, machine_options

_TITLE = f"espsecure v{__version__}"


def _entry(module: str, name: str, help_line: str) -> tuple[str, Entry]:
    return name, Entry(f"{__name__}.{module}:{name.replace('-', '_')}", help_line)


COMMANDS = dict(
    (
        _entry("flash", "decrypt-flash-data", "Turn data read from encrypted flash back."),
        _entry("keys", "digest-private-key", "Make the secure boot V1 key from a signing key."),
        _entry("keys", "digest-rsa-public-key", "Old digest-sbv2-public-key. [deprecated]"),
        _entry("keys", "digest-sbv2-public-key", "Hash a public key for eFuses (V2)."),
        _entry("sdc", "digest-sdc-public-key", "Hash a public key for eFuses (debugging)."),
        _entry("flash", "digest-secure-bootloader", "Put a keyed digest before a bootloader."),
        _entry("flash", "encrypt-flash-data", "Encrypt data for encrypted flash."),
        _entry("keys", "extract-public-key", "Write the public part of a signing key."),
        _entry("keys", "generate-flash-encryption-key", "Make a random key."),
        _entry("sdc", "generate-sdc-certificate", "Make a certificate to debug a locked chip."),
        _entry("keys", "generate-signing-key", "Make a private key for signing images."),
        _entry("sign", "sign-data", "Sign a file for secure boot."),
        _entry("sign", "signature-info-v2", "Show the signature blocks of a file."),
        _entry("sign", "verify-signature", "Check a signed file against a key."),
    )
)
"""Commands with where each is, and the line that the overview shows."""


def run(argv: list[str]) -> None:
    """Run a command line; see `espsecure.main`."""
    group = Group(
        name="espsecure",
        entries=COMMANDS,
        help=f"{_TITLE} - keys, signatures and flash encryption for ESP chips.",
        no_args_is_help=True,
        params=machine_options(),
    )
    call(group, argv, "espsecure", Reporter.for_arguments(argv, _TITLE))

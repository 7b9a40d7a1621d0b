# SPDX-License-Identifier: Apache-2.0
"""The command line of espsecure. Commands are loaded when they are called."""

from __future__ import annotations

import sys

from espsecure.cli.common import Group, run_group
from espsecure.cli.report import Reporter
from esptool._version import __version__
from esptool.errors import FatalError

COMMANDS = {
    "decrypt-flash-data": ("flash", "Turn data read from encrypted flash back into plain data."),
    "digest-private-key": ("keys", "Make the secure boot V1 key of a chip from a signing key."),
    "digest-rsa-public-key": ("keys", "Old name of digest-sbv2-public-key. [deprecated]"),
    "digest-sbv2-public-key": ("keys", "Hash a public key as eFuses hold it for secure boot V2."),
    "digest-sdc-public-key": ("sdc", "Hash a public key as eFuses hold it for secure debugging."),
    "digest-secure-bootloader": ("flash", "Put a keyed digest in front of an ESP32 bootloader."),
    "encrypt-flash-data": ("flash", "Encrypt data as it is to stand in encrypted flash."),
    "extract-public-key": ("keys", "Write the public part of a signing key to a file."),
    "generate-flash-encryption-key": ("keys", "Make a random flash encryption key."),
    "generate-sdc-certificate": ("sdc", "Make a certificate that opens a locked chip to debug."),
    "generate-signing-key": ("keys", "Make a private key for signing images."),
    "sign-data": ("sign", "Sign a file for secure boot."),
    "signature-info-v2": ("sign", "Show the signature blocks of a file."),
    "verify-signature": ("sign", "Check a signed file against a key."),
}
"""Commands with the module that has each, and the line that the overview shows."""


def run(argv: list[str]) -> None:
    """Run a command line; see `espsecure.main`."""
    group = Group(
        name="espsecure",
        package=__name__,
        index=COMMANDS,
        help=f"espsecure v{__version__} - keys, signatures and flash encryption for ESP chips.",
    )
    run_group(group, argv, Reporter.for_arguments(argv, f"espsecure v{__version__}"))


def run_process() -> None:
    """Run the process's own command line and end the process with its exit code."""
    try:
        run(sys.argv[1:])
    except FatalError as e:
        sys.stdout.flush()
        print(f"\nA fatal error occurred: {e}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(2)

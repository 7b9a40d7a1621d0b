# SPDX-License-Identifier: Apache-2.0
"""espsecure: keys, signatures, flash encryption and debug certificates of Espressif chips.

The names of the v5 Python interface are served from `espsecure.v5` when they are first used, so
that importing this package, and showing help, loads neither `cryptography` nor the command line.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from esptool.lazily import borrowed

if TYPE_CHECKING:
    from espsecure.v5 import *  # noqa: F403


def main(argv: list[str] | None = None) -> None:
    """Run a command line; with None, that of the process.

    Raises:
        FatalError: the command failed.
        SystemExit: with code 2, the command line cannot be understood.
    """
    from espsecure.cli import run

    run(sys.argv[1:] if argv is None else [str(word) for word in argv])


def _main() -> None:
    """The console script: errors end it with exit code 2."""
    from esptool import _start

    _start(main, lead="\n")  # an error begins a line, as v5 has it


def _main_py() -> None:
    """The console script under its old name with a suffix."""
    from esptool import _start

    _start(main, old="espsecure.py", lead="\n")


#: Undocumented names.
_OLD = (
    "_get_sbv2_pub_key",
    "_load_sbv2_pub_key",
    "_load_sbv2_signing_key",
    "_load_ecdsa_signing_key",
    "_load_ecdsa_verifying_key",
    "_digest_sbv2_public_key",
    "_get_sbv2_rsa_primitives",
    "_microecc_format",
    "_sha256_digest",
    "_sha384_digest",
    "_flash_encryption_tweak_range_bits",
    "_flash_encryption_tweak_key",
)

__getattr__ = borrowed(__name__, dict.fromkeys(_OLD, "espsecure.old"), rest="espsecure.v5")


def __dir__() -> list[str]:
    from espsecure import v5

    return sorted({*globals(), *v5.__all__})

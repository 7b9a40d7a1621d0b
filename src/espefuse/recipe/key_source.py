# SPDX-License-Identifier: Apache-2.0
"""Public keys of secure boot whose private halves are in an HSM, or behind a signer's command.

Both are espsecure's, imported where a recipe names one.
"""

from __future__ import annotations

import hashlib
import os
from typing import Any

from esptool.errors import FatalError

#: The forms of an entry that is not a file.
FORMS = '{ hsm = "hsm.ini" } or { signer = "COMMAND", public-key = "key.pem" }'


def public_keys(entry: Any, folder: str) -> list[bytes]:
    """The public keys (PEM) that an entry of `digests` means.

    Args:
        entry: `{hsm}`, a configuration of espsecure, or `{signer, public-key}`: the command has to
            sign once, so that no board ever trusts a key that nobody can sign with.
        folder: of the recipe; names of files are relative to it.

    Raises:
        FatalError: the entry has another form, or the key cannot be had.
    """
    whole = isinstance(entry, dict) and all(isinstance(value, str) for value in entry.values())
    if whole and set(entry) == {"hsm"}:
        return _of_hsm(os.path.join(folder, entry["hsm"]))
    if whole and set(entry) == {"signer", "public-key"}:
        return [_of_signer(entry["signer"], os.path.join(folder, entry["public-key"]))]
    raise FatalError(f"{entry!r} names no public key.", remedy=f"Name a file, or write {FORMS}.")


def _of_hsm(path: str) -> list[bytes]:
    from espsecure import hsm, keys

    with hsm.open_config(path) as file:
        configs = hsm.read_config(file)
    # Nobody is asked: a station reads its recipe before each board.
    ask = hsm.ask_environment_then(lambda _text: "")
    return [keys.public_pem(hsm.public_key(config, ask)) for config in configs]


def _of_signer(command: str, path: str) -> bytes:
    from espsecure import keys, signers

    try:
        with open(path, "rb") as file:
            key = keys.load_public(file.read(), path)
    except OSError as e:
        raise FatalError(f"Cannot read the public key '{path}': {e.strerror or e}.") from e
    name = signers.digest_name(key)
    signers.CommandSigner(command, key).sign(hashlib.new(name, b"").digest())
    return keys.public_pem(key)

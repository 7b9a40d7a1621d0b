# SPDX-License-Identifier: Apache-2.0
"""Names of C++ and Rust functions as people write them.

The linker's names are taken apart by the `demangle` package, of the extra `esptool[monitor]`;
without it they stay as they are.
"""

from __future__ import annotations

import re
from functools import lru_cache

#: Itanium C++ ABI 5.1.2 and both of Rust's manners.
_MANGLED = ("_Z", "__Z", "_R")
#: What compilers add to the name of a copy that they made.
_COPY = re.compile(r"\.(?:constprop|isra|part|cold|lto_priv|llvm|clone)\.?[0-9.]*.*$")
_RUST_HASH = re.compile(r"::h[0-9a-f]{16}$")


@lru_cache(maxsize=4096)
def readable(name: str) -> str:
    """The name without what the linker needs; what is not understood stays as it is."""
    if not name.startswith(_MANGLED):
        return name
    try:
        from demangle import demangle
    except ImportError:
        return name
    stem = _COPY.sub("", name)
    try:
        found = str(demangle(stem))
    except Exception:  # whatever a name from a damaged file brings about
        return name
    return _RUST_HASH.sub("", found) if found != stem else name

# SPDX-License-Identifier: Apache-2.0
"""An address of the loopback that no other process has."""

from __future__ import annotations

import os
import sys


def own_loopback() -> str:
    """For servers whose port is known before they listen: seen to be free, it stays so here.

    Linux answers on all of 127.0.0.0/8. Elsewhere it is the common address.
    """
    if sys.platform != "linux":
        return "127.0.0.1"
    number = os.getpid()
    return f"127.{64 | number >> 16 & 63}.{number >> 8 & 255}.{number & 255}"

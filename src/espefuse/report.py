# SPDX-License-Identifier: Apache-2.0
"""What the reading commands tell, as plain values for JSON."""

from __future__ import annotations

from typing import Any

from espefuse import token
from espefuse.state import EfuseState


def blocks(efuses: EfuseState) -> dict[str, Any]:
    """All blocks as hex (first byte first) with their protection, and the token of all."""
    return {
        "chip": efuses.table.chip,
        "token": token.current(efuses),
        "blocks": [
            {
                "index": b.id,
                "name": b.name,
                "aliases": b.alias,
                "data": b.get_raw().hex(),
                "readable": b.is_readable(),
                "writeable": b.is_writeable(),
                "coding_scheme": b.scheme.name,
            }
            for b in efuses.blocks
        ],
    }


def custom_mac(efuses: EfuseState) -> dict[str, Any]:
    """The user's MAC address; null where none was burned."""
    field = efuses["CUSTOM_MAC"]
    raw = field.raw()
    text = ":".join(f"{b:02x}" for b in raw.to_bytes(6, "little"))
    version = efuses["MAC_VERSION"].raw() if "MAC_VERSION" in efuses else None
    return {
        "custom_mac": text if raw else None,
        "readable": field.is_readable(),
        "text": str(field.get()),
        "version": version,
    }


def calibration(efuses: EfuseState) -> dict[str, Any]:
    """The values of all calibration fields that exist on this chip."""
    groups = ("calibration", "adc_calibration")
    return {
        "block_version": efuses.get_block_version(),
        "fields": {
            f.name: f.get() for f in efuses if f.d.group in groups or f.category == "calibration"
        },
    }


def errors(efuses: EfuseState) -> dict[str, Any]:
    """Coding errors by block."""
    return {
        "valid": not efuses.get_coding_scheme_warnings(silent=True),
        "blocks": [
            {"index": b.id, "name": b.name, "errors": b.num_errors, "fail": b.fail}
            for b in efuses.blocks
        ],
    }

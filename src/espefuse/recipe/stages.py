# SPDX-License-Identifier: Apache-2.0
"""The order in which a recipe burns."""

from __future__ import annotations

from enum import Enum


class Stage(Enum):
    """One burn. The members stand in the order in which they are burned.

    Source of the order: ESP-IDF, "Security Features Enablement Workflows". Keys that get hidden
    come before anything locks RD_DIS, flash encryption before secure boot, and what cuts the
    tool off from the chip at the very end.
    """

    KEYS = "keys"
    ENCRYPTION = "flash encryption"
    SECURE_BOOT = "secure boot"
    SETTINGS = "settings"
    PROTECTION = "protection"
    DOWNLOAD = "download mode"

    @property
    def position(self) -> int:
        """0 for the first."""
        return list(Stage).index(self)

# SPDX-License-Identifier: Apache-2.0
"""The loader classes by chip, for what must not import `esptool.targets`, which fills the table."""

from __future__ import annotations

from typing import Any

#: Chip key to class.
LOADERS: dict[str, Any] = {}

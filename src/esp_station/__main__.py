# SPDX-License-Identifier: Apache-2.0
"""`python -m esp_station`."""

from __future__ import annotations

from esp_station import _main

if __name__ == "__main__":
    _main()

# SPDX-License-Identifier: Apache-2.0
"""The command line of `esp_station`: one file a command; the only place here that prints."""

from __future__ import annotations

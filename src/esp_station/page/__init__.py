# SPDX-License-Identifier: Apache-2.0
"""The operator page: a station as a browser shows it. Plain HTML, style and script, as files."""

from __future__ import annotations

# SPDX-License-Identifier: Apache-2.0
"""A live chip: connect to it, ask it, command it. One `Session` is one chip on one port."""

from __future__ import annotations

from esptool.device.connect import connect
from esptool.device.link import Link, Reply, Trace
from esptool.device.session import Session, StubKind

__all__ = ["Link", "Reply", "Session", "StubKind", "Trace", "connect"]

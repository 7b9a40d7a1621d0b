# SPDX-License-Identifier: Apache-2.0
"""What the system knows of a port without opening it: its driver, permission, who has it open.

Fully on Linux; elsewhere what can be found out is told, and the rest is None.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass

_LSOF_S = 5.0


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that has a port open."""

    pid: int
    name: str


def holders_of(device: str) -> tuple[Holder, ...] | None:
    """The processes that have it open, as far as we may see; None where that cannot be told."""
    if "://" in device:
        return None
    if os.path.isdir("/proc/self/fd"):
        return _by_proc(os.path.realpath(device))
    if sys.platform != "win32" and device.startswith("/") and shutil.which("lsof"):
        return _by_lsof(device)
    return None


def _by_proc(device: str) -> tuple[Holder, ...]:
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        folder = f"/proc/{entry}/fd"
        with suppress(OSError):  # it has ended, or is another user's
            if any(_leads_to(f"{folder}/{fd}", device) for fd in os.listdir(folder)):
                found.append(Holder(int(entry), _name(int(entry))))
    return tuple(found)


def _leads_to(link: str, device: str) -> bool:
    with suppress(OSError):
        return os.readlink(link) == device
    return False


def _name(pid: int) -> str:
    with (
        suppress(OSError),
        open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file,
    ):
        return file.read().strip()
    return "?"


def _by_lsof(device: str) -> tuple[Holder, ...] | None:
    try:
        done = subprocess.run(
            ["lsof", "-F", "pc", "--", device],
            capture_output=True,
            text=True,
            timeout=_LSOF_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found, pid = [], 0
    for line in done.stdout.splitlines():
        if line[:1] == "p" and line[1:].isdigit():
            pid = int(line[1:])
        elif line[:1] == "c":
            found.append(Holder(pid, line[1:]))
    return tuple(found)


#: Where Linux tells of terminals.
_TTYS = "/sys/class/tty"


def driver_of(device: str) -> str | None:
    """Name of the driver (Linux), None where it has none or that cannot be told."""
    name = os.path.basename(os.path.realpath(device))
    place = os.path.realpath(os.path.join(_TTYS, name, "device"))
    with suppress(OSError):
        driver = os.path.realpath(os.path.join(place, "driver"), strict=True)
        # Linux 6.5 and later put devices of the serial core between a UART and its terminal.
        while "/serial-base/" in driver:
            place = os.path.dirname(place)
            driver = os.path.realpath(os.path.join(place, "driver"), strict=True)
        return os.path.basename(driver)
    return None


def may_open(device: str) -> bool | None:
    """Whether its permissions let us open it; None where that cannot be told."""
    if sys.platform == "win32" or not device.startswith("/") or not os.path.exists(device):
        return None
    return os.access(device, os.R_OK | os.W_OK)


def group_of(device: str) -> str | None:
    """The group whose members may open it, where it lets a group."""
    if sys.platform == "win32":
        return None
    with suppress(OSError, KeyError, ImportError):
        import grp

        found = os.stat(device)
        return grp.getgrgid(found.st_gid).gr_name if found.st_mode & 0o060 == 0o060 else None
    return None

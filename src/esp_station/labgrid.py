# SPDX-License-Identifier: Apache-2.0
"""Places of a labgrid: a slot `labgrid://PLACE` acquires one, uses its serial port, releases it.

labgrid is asked through its own program, `labgrid-client`, in whatever environment that is: its
package replaces pyserial by a copy of its own. A small process of ours releases a place also when
the station is gone without a word.
"""

from __future__ import annotations

import ast
import contextlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

from esptool.errors import FatalError, PortError, UsageError

SCHEME = "labgrid"
PROGRAM = "labgrid-client"
#: A call of the program takes a moment; one that goes on for longer has no coordinator.
CALL_S = 60.0
#: An exporter starts to serve a port when its place is acquired.
PORT_S = 20.0
#: How long a place may still be held by a station that was ended before this one.
BUSY_S = 10.0
_PAUSE_S = 0.5
_PROTOCOLS = {"rfc2217": "rfc2217", "raw": "socket"}
_RESOURCE = re.compile(r"^Acquired resource '[^']*' \(.*\):\n((?:  .*\n?)+)", re.MULTILINE)
_OWNER = re.compile(r"^  acquired: (.*)$", re.MULTILINE)
#: Waits until its standard input ends, with the station or before; then releases the place.
_RELEASE = "import subprocess, sys; sys.stdin.read(); sys.exit(subprocess.call(sys.argv[1:]))"


class BusyError(FatalError):
    """Somebody else has the place."""

    error_code = "place_busy"


def is_place(port: str) -> bool:
    """A port is a place of a labgrid."""
    return port.startswith(f"{SCHEME}:")


class Place:
    """A place, by `labgrid://PLACE` or `labgrid://HOST:PORT/PLACE` with the coordinator's address.

    Attributes:
        name: the place.
    """

    def __init__(self, url: str) -> None:
        """
        Raises:
            UsageError: it names no place, or labgrid is not installed.
        """
        parts = urlsplit(url)
        coordinator, name = ("", parts.netloc) if not parts.path.strip("/") else parts[1:3]
        self.name = name.strip("/")
        if not re.fullmatch(r"[\w.+-]+", self.name):
            raise UsageError(
                f"'{url}' names no place.",
                remedy="Write labgrid://PLACE, or labgrid://COORDINATOR:PORT/PLACE.",
            )
        self._command = [_client(), *(["-x", coordinator] if coordinator else [])]
        self._command += ["-p", self.name]
        self._owner = ""
        self._looked = 0.0

    @contextlib.contextmanager
    def acquired(
        self, stopped: Callable[[], bool] = lambda: False, busy_s: float = BUSY_S
    ) -> Iterator[str]:
        """Have the place for the length of a `with`; the URL of its serial port.

        Args:
            stopped: whether nobody wants it any more.
            busy_s: how long to wait for somebody else to release it.

        Raises:
            BusyError: somebody else has it.
            FatalError: there is no such place, or it has no serial port that can be used.
        """
        self._acquire(stopped, busy_s)
        # From here on it is released whatever happens, also to this process.
        with subprocess.Popen(
            [sys.executable, "-c", _RELEASE, *self._command, "release"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        ) as guard:
            try:
                yield self._port(stopped)
            finally:
                assert guard.stdin is not None
                guard.stdin.close()
                guard.wait(CALL_S)

    def refuse_lost(self) -> None:
        """
        Raises:
            FatalError: the place was taken away, or its exporter is gone.
        """
        if not self.is_held():
            raise PortError(
                f"The place '{self.name}' was lost while the board was in work.",
                remedy="See who took it, or whether its exporter runs: labgrid-client who.",
            )

    def is_held(self, lately_s: float = 0.0) -> bool:
        """The place is still acquired, and its exporter there; so it was at most so long ago."""
        if time.monotonic() - self._looked < lately_s:
            return True
        text = self._show()
        held = _owner(text) == self._owner and any(r.get("avail") for r in _resources(text))
        if held:
            self._looked = time.monotonic()
        return held

    def _acquire(self, stopped: Callable[[], bool], busy_s: float) -> None:
        end = time.monotonic() + busy_s
        while True:
            done = self._call("acquire")
            if not done.returncode:
                return
            said = _said(done)
            if "already acquired" not in said:
                raise FatalError(
                    f"The place '{self.name}' cannot be had: {said}",
                    remedy="See which there are: labgrid-client places. Its coordinator is what "
                    "LG_COORDINATOR names.",
                )
            if stopped() or time.monotonic() > end:
                raise BusyError(
                    f"The place '{self.name}' is not free: {said}",
                    remedy="Wait until it is released.",
                )
            time.sleep(_PAUSE_S)

    def _port(self, stopped: Callable[[], bool]) -> str:
        """The URL of the serial port, once it is served."""
        end = time.monotonic() + PORT_S
        while True:
            text = self._show()
            self._owner = _owner(text)
            ports = [r for r in _resources(text) if r.get("cls") == "NetworkSerialPort"]
            ready = [r["params"] for r in ports if r.get("avail") and r["params"].get("port")]
            if ready:
                self._looked = time.monotonic()
                return self._url(ready[0])
            if stopped() or time.monotonic() > end or not ports:
                raise PortError(
                    f"The place '{self.name}' has no serial port that is there.",
                    remedy="Does its exporter run, and is the adapter plugged in there?",
                )
            time.sleep(_PAUSE_S)

    def _url(self, params: dict[str, Any]) -> str:
        if params.get("extra", {}).get("proxy_required"):
            raise PortError(
                f"The serial port of '{self.name}' is behind a proxy of its exporter.",
                remedy="Let the exporter serve it on an address that this machine can reach.",
            )
        scheme = _PROTOCOLS.get(str(params.get("protocol", "rfc2217")))
        if scheme is None:
            raise PortError(f"The serial port of '{self.name}' speaks {params['protocol']}.")
        return f"{scheme}://{params['host']}:{params['port']}"

    def _show(self) -> str:
        done = self._call("show")
        if done.returncode:
            raise PortError(f"The place '{self.name}' cannot be looked at: {_said(done)}")
        return done.stdout

    def _call(self, word: str) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                [*self._command, word],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=CALL_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise FatalError(
                f"labgrid has not answered within {CALL_S:g} s.",
                remedy="Is the coordinator there that LG_COORDINATOR names?",
            ) from None


def _client() -> str:
    """labgrid's program: beside this Python, else on PATH.

    Raises:
        UsageError: it is not installed.
    """
    beside = os.path.join(os.path.dirname(sys.executable), PROGRAM)
    found = beside if os.access(beside, os.X_OK) else shutil.which(PROGRAM)
    if found is None:
        raise UsageError(
            f"There is no program '{PROGRAM}', which slots of labgrid need.",
            remedy='Install it, best in an environment of its own: pip install "esptool[labgrid]"',
        )
    return found


def _said(done: subprocess.CompletedProcess[str]) -> str:
    line = (done.stderr.strip().splitlines() or ["it said nothing"])[0]
    return line.removeprefix(f"{PROGRAM}: Error: ")


def _owner(text: str) -> str:
    found = _OWNER.search(text)
    return "" if found is None or found[1] == "None" else found[1]


def _resources(text: str) -> list[dict[str, Any]]:
    """The acquired resources that `show` lists, each as it is printed by Python."""
    found = []
    for match in _RESOURCE.finditer(text):
        with contextlib.suppress(ValueError, SyntaxError):
            value = ast.literal_eval(match[1].strip())
            if isinstance(value, dict) and isinstance(value.get("params"), dict):
                found.append(value)
    return found

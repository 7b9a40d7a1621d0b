# SPDX-License-Identifier: Apache-2.0
"""OpenOCD as our own debugger: found, started for one chip, understood when it fails, and ended."""

from __future__ import annotations

import atexit
import contextlib
import os
import queue
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote

from esptool.errors import PortError, UsageError

SCHEME = "jtag://"
READY_S = 20.0
_END_S = 5.0
_READY = re.compile(r"Listening on port (\d+) for gdb connections")
#: OpenOCD's own lines begin so, all others are of the program behind it.
_OWN_LINE = re.compile(r"(Error|Warn|Info|Debug|User)\s*:")
INSTALL = 'Install it: pip install "esptool[jtag]".'
#: What OpenOCD says, and what helps. The first that fits counts.
_ADVICE: tuple[tuple[str, str, str], ...] = (
    (
        r"LIBUSB_ERROR_BUSY|unable to claim interface|finding/claiming JTAG|could not claim",
        "Another program has the USB debugger.",
        "End the other OpenOCD or the debug session of an IDE, or use it: "
        "--port gdb://localhost:3333.",
    ),
    (
        r"LIBUSB_ERROR_ACCESS|insufficient permissions|Permission denied"
        r"|check (?:device connections|connection) and permissions",
        "The USB debugger may not be opened by this user.",
        "On Linux install OpenOCD's udev rules (60-openocd.rules), then plug it in again.",
    ),
    (
        r"LIBUSB_ERROR_NOT_SUPPORTED",
        "The USB debugger has a driver that OpenOCD cannot use.",
        "On Windows give its JTAG interface the driver WinUSB, by Zadig or Espressif's installer.",
    ),
    (
        r"LIBUSB_ERROR_(?:PIPE|IO|NO_DEVICE|TIMEOUT)|usb sent only|failed to (?:send|write) .*USB"
        r"|failed to read USB reply|libusb_bulk_\w+ error",
        "The connection to the USB debugger is broken.",
        "Check the cable and its sockets, without a hub; plug it in again.",
    ),
    (
        r"could not find or open device|unable to open \S+ device|no device found|device not found"
        r"|No J-Link device found|No device matches|libusb_open\(\) failed|unable to find .*device",
        "No debugger was found on USB.",
        "Plug in the board's USB port that is named USB or JTAG, or the adapter (ESP-Prog), and "
        "check that no other OpenOCD uses it. An application may have taken the USB pins.",
    ),
    (
        r"\bUNEXPECTED\b|expected \d+ of \d+: 0x",
        "The chip behind the debugger is another one.",
        "Name the chip that it is by --chip, or its configuration: jtag://board/NAME.cfg.",
    ),
    (
        r"JTAG scan chain interrogation failed|Invalid ACK|IR capture error"
        r"|Unsupported DTM version|target examination failed|examination failed"
        r"|Target not examined|Failed to read DTM|Unable to (?:reset|halt) target",
        "The debugger works, but the chip behind it does not answer.",
        "Check wiring and power. JTAG may be disabled by eFuse (DIS_PAD_JTAG, DIS_USB_JTAG, "
        "SOFT_DIS_JTAG), or be at the USB instead of the pins (JTAG_SEL_ENABLE), or the "
        "application has taken its pins.",
    ),
    (
        r"Can't find (\S+)",
        "OpenOCD does not have the configuration that was asked for.",
        "Name a file of its folder 'scripts', such as jtag://board/esp32c3-builtin.cfg.",
    ),
    (
        r"couldn't bind|Address already in use",
        "OpenOCD cannot listen: another one runs.",
        "Use that one: --port gdb://localhost:3333.",
    ),
    (
        r"adapter driver was not found|interface driver .* not found"
        r"|Debug Adapter has to be specified",
        "This OpenOCD does not know the adapter.",
        'Take Espressif\'s: pip install "esptool[jtag]".',
    ),
    (r"^OpenOCD cannot be started", "OpenOCD cannot be started.", INSTALL),
)
#: After these it serves nevertheless, though its target is not there.
_NOT_THERE = _ADVICE[5:7]
#: Ends the program when this process ends, however it ends, as its end of a pipe is closed then.
#: A session of its own keeps Ctrl-C from the program while it is still needed.
_GUARDIAN = """\
import os, subprocess, sys, threading
try:
    p = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
except OSError as e:
    sys.exit(f"OpenOCD cannot be started: {e.strerror or e}")
threading.Thread(target=lambda: os._exit(p.wait() & 255), daemon=True).start()
sys.stdin.buffer.read()
p.terminate()
try:
    p.wait(2)
except subprocess.TimeoutExpired:
    p.kill()
"""
#: Configurations by chip: of USB-Serial/JTAG inside it, else of a common adapter.
_BOARDS = {
    "esp32": "board/esp32-wrover-kit-3.3v.cfg",
    "esp32s2": "board/esp32s2-kaluga-1.cfg",
    "esp32c2": "board/esp32c2-ftdi.cfg",
}
_BUILTIN = "board/{}-builtin.cfg"


def find() -> tuple[Path, Path | None]:
    """OpenOCD's program, and its folder of scripts where it does not know that by itself.

    The package `openocd-esp32` first, then PATH, then ESP-IDF's tools.

    Raises:
        UsageError: there is none.
    """
    name = "openocd.exe" if sys.platform == "win32" else "openocd"
    package = find_spec("openocd_esp32")
    if package is not None and package.submodule_search_locations:
        folder = Path(next(iter(package.submodule_search_locations)))
        for program in (*folder.rglob(f"bin/{name}"), *folder.glob(name)):
            return program, next(iter(sorted(folder.rglob("scripts"))), None)
    if in_path := shutil.which("openocd"):
        return Path(in_path), None
    home = Path(os.environ.get("IDF_TOOLS_PATH") or Path.home() / ".espressif")
    for program in sorted(home.glob(f"tools/openocd-esp32/*/openocd-esp32/bin/{name}"))[::-1]:
        scripts = program.parent.parent / "share" / "openocd" / "scripts"
        return program, scripts if scripts.is_dir() else None
    raise UsageError("There is no OpenOCD here.", remedy=INSTALL)


def arguments(url: str, chip: str | None) -> list[str]:
    """What OpenOCD is told for `jtag://[SERIAL|CONFIG]`.

    A CONFIG ends in `.cfg`; several are separated by commas. All else is the adapter's serial
    number.

    Raises:
        UsageError: the chip is not known, and no configuration is named.
    """
    if not url.startswith(SCHEME) or any(mark in url for mark in "?#"):
        raise UsageError(
            f"The port '{url}' is none.",
            remedy="Write jtag:// alone, jtag://SERIAL, or jtag://board/esp32c3-builtin.cfg.",
        )
    what = unquote(url[len(SCHEME) :]).rstrip("/")
    if what.endswith(".cfg"):
        configs, serial = what.split(","), ""
    elif chip is None:
        raise UsageError(
            "Over JTAG the chip must be named, as it decides how it is spoken to.",
            remedy="Add --chip, or name a configuration: jtag://board/esp32c3-builtin.cfg.",
        )
    else:
        configs, serial = [_BOARDS.get(chip, _BUILTIN.format(chip))], what
    told: list[str] = []
    # Without its own support for flash, which would put a program of its own into the chip.
    settings = ("set ESP_FLASH_SIZE 0", "set ESP_RTOS none")
    ports = ("gdb_port 0", "tcl_port disabled", "telnet_port disabled")
    for command in (*settings, *ports):
        told += ["-c", command]
    for config in configs:
        told += ["-f", config]
    if serial:
        if re.search(r"[\s\"\[\]{}$;\\]", serial):
            raise UsageError(f"'{serial}' is not a serial number of an adapter.")
        told += ["-c", f"adapter serial {serial}"]
    return told


class OpenOcd:
    """A running OpenOCD.

    Attributes:
        host, port: where it serves GDB.
        log: what it has said, line by line.
        on_text: told of the lines that are a program's, and none of its own.
    """

    def __init__(
        self, command: list[str], trace: Callable[[str], None] | None, timeout_s: float = READY_S
    ) -> None:
        self.host, self.port = "127.0.0.1", 0
        self.log: list[str] = []
        self.on_text: Callable[[bytes], None] = lambda _text: None
        self._trace = trace
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        try:
            self._process = subprocess.Popen(
                _guarded(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
            )
        except OSError as e:
            raise UsageError(
                f"OpenOCD cannot be started: {e.strerror or e}.", remedy=INSTALL
            ) from e
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        atexit.register(self.stop)
        try:
            self._await_ready(timeout_s)
        except BaseException:
            self.stop()
            raise

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            text = line.rstrip()
            self.log.append(text)
            del self.log[:-1000]
            if self._trace is not None:
                self._trace(f"TRACE OpenOCD {text}")
            self._lines.put(text)
            if self.port and not _OWN_LINE.match(text):
                self.on_text(text.encode() + b"\r\n")
        self._lines.put(None)

    def _await_ready(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise PortError(
                    f"OpenOCD is not ready after {timeout_s:g} s.", remedy=self.advice()
                ) from None
            if line is None:
                what, remedy = self._reason()
                raise PortError(what, remedy=remedy)
            if found := _READY.search(line):
                reason = self._said(_NOT_THERE)
                if reason is not None:
                    raise PortError(reason[0], remedy=reason[1])
                self.port = int(found[1])
                return

    def _said(self, rows: tuple[tuple[str, str, str], ...]) -> tuple[str, str] | None:
        """What is wrong and what helps, by the first of these rows that fits."""
        for pattern, what, remedy in rows:
            for line in self.log:
                if re.search(pattern, line, re.IGNORECASE):
                    return f"{what} (OpenOCD: {_plain(line)})", remedy
        return None

    def _reason(self) -> tuple[str, str]:
        known = self._said(_ADVICE)
        if known is not None:
            return known
        last = next((line for line in reversed(self.log) if "Error" in line), "")
        last = last or next(iter(reversed(self.log)), "it said nothing")
        return f"OpenOCD has ended: {_plain(last)}", "Run with --trace to see all that it says."

    def advice(self) -> str:
        """What helps, by what it has said so far."""
        return self._reason()[1]

    @property
    def is_alive(self) -> bool:
        """It runs."""
        return self._process.poll() is None

    def stop(self) -> None:
        """End it, whatever it does."""
        atexit.unregister(self.stop)
        process = self._process
        if process.stdin is not None:
            # The guardian ends it. Without one, this does.
            with contextlib.suppress(OSError):
                process.stdin.close()
        if not _guardian():
            process.terminate()
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._reader.join(_END_S)
        with contextlib.suppress(OSError):
            if process.stdout is not None:
                process.stdout.close()


def _guardian() -> list[str]:
    """The program that guards another; none where Python is packed into one of its own."""
    if getattr(sys, "frozen", False) or not sys.executable:
        return []
    return [sys.executable, "-I", "-S", "-c", _GUARDIAN]


def _guarded(command: list[str]) -> list[str]:
    return [*_guardian(), *command]


def _plain(line: str) -> str:
    return line.removeprefix("Error: ").strip().rstrip(".")


def start(url: str, chip: str | None, trace: Callable[[str], None] | None = None) -> OpenOcd:
    """Start OpenOCD for a URL `jtag://...` and wait until it serves.

    Raises:
        UsageError: the URL or the chip is not understood, or there is no OpenOCD.
        PortError: it has no adapter, or does not reach the chip; the remedy says what helps.
    """
    told = arguments(url, chip)
    program, scripts = find()
    command = [str(program), *(("-s", str(scripts)) if scripts is not None else ()), *told]
    return OpenOcd(command, trace)

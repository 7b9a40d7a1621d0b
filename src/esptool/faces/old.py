# SPDX-License-Identifier: Apache-2.0
"""Names that are no part of the documented interface, but which programs and forks touch."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, MutableMapping
from typing import TYPE_CHECKING, Any

from esptool.errors import LinkTimeoutError, UnsupportedCommandError
from esptool.protocol import slip

if TYPE_CHECKING:
    from serial import Serial

    from esptool.device import Session


def with_address(progress: Callable[..., object] | None) -> Callable[..., object] | None:
    """A callback of (done, total, address): those of 4.x take the first two only."""
    if progress is None:
        return None
    from inspect import signature

    try:
        signature(progress).bind(0, 0, 0)
    except TypeError:
        return lambda done, total, address: progress(done, total)
    except ValueError:  # a built-in does not tell what it takes
        pass
    return progress


def slip_reader(
    port: Serial, trace_function: Callable[[str], object] | None = None
) -> Iterator[bytes]:
    """The payloads of the frames that come in at `port` (forks, and tests of them).

    Raises:
        FatalError: nothing came within the port's timeout.
    """
    decoder = slip.Decoder()
    while True:
        data = port.read(port.in_waiting or 1)
        if not data:
            raise LinkTimeoutError("No serial data received.")
        if trace_function is not None:
            trace_function(f"Read {len(data)} bytes: {data.hex()}")
        yield from decoder.feed(data)


class FrameSource:
    """`_slip_reader` of the loader object: frames as its link gives them.

    A program may put a generator of its own into the object; `read` takes that then.
    """

    def __get__(self, esp: Any, owner: type | None = None) -> Any:
        if esp is None:
            return self
        return iter(lambda: esp.session.link.read_frame(esp.session.settings.timeout), None)


class Cache(MutableMapping[str, Any]):
    """`cache` of the loader object: what was read once; None makes it be read again (tests)."""

    KEYS = ("flash_id", "usb_vid", "usb_pid", "security_info")

    def __init__(self, session: Session) -> None:
        self._session = session
        self._usb: dict[str, Any] = {}

    def __getitem__(self, key: str) -> Any:
        if key in self._usb:
            return self._usb[key]
        if key == "flash_id":
            return self._session.flash.known_id
        if key == "security_info":
            return self._session.facts.__dict__.get("security_info")
        if key in self.KEYS:
            from esptool.transport.discovery import usb_ids

            return usb_ids(self._session.link.port)[key == "usb_pid"]
        raise KeyError(key)

    def __setitem__(self, key: str, value: Any) -> None:
        if key == "flash_id":
            self._session.flash.known_id = value
        elif key == "security_info":
            self._session.facts.forget_security_info()
        else:
            self._usb[key] = value

    def __delitem__(self, key: str) -> None:
        self[key] = None

    def __iter__(self) -> Iterator[str]:
        return iter(self.KEYS)

    def __len__(self) -> int:
        return len(self.KEYS)


_F = Callable[..., Any]


def check_supported_function(func: _F, check_func: Callable[[Any], bool]) -> _F:
    """A method that refuses where `check_func` says no of its object (forks)."""

    @functools.wraps(func)
    def inner(esp: Any, *args: Any, **kwargs: Any) -> Any:
        if not check_func(esp):
            raise UnsupportedCommandError(
                f"{esp.CHIP_NAME} ROM does not support function {func.__name__}."
            )
        return func(esp, *args, **kwargs)

    return inner


def stub_function_only(func: _F) -> _F:
    """A method for a running stub only (forks)."""
    return check_supported_function(func, lambda esp: bool(esp.IS_STUB))


def stub_and_esp32_function_only(func: _F) -> _F:
    """A method for a running stub, or the ROM of any chip but ESP8266 (forks)."""
    return check_supported_function(
        func, lambda esp: bool(esp.IS_STUB) or esp.CHIP_NAME != "ESP8266"
    )


class HexFormatter:
    """Bytes as a hex text that is made when it is shown (forks)."""

    def __init__(self, binary_string: bytes, auto_split: bool = True) -> None:
        self._s = binary_string
        self._auto_split = auto_split

    def __str__(self) -> str:
        if not self._auto_split or len(self._s) <= 16:
            return self._s.hex()
        lines = []
        for at in range(0, len(self._s), 16):
            row = self._s[at : at + 16]
            text = "".join(chr(b) if 32 <= b < 127 else "." for b in row)
            lines.append(f"\n    {row[:8].hex():<16} {row[8:].hex():<16} | {text}")
        return "".join(lines)


__all__ = [
    "Cache",
    "FrameSource",
    "HexFormatter",
    "check_supported_function",
    "slip_reader",
    "stub_and_esp32_function_only",
    "stub_function_only",
    "with_address",
]

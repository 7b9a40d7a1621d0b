# SPDX-License-Identifier: Apache-2.0
"""`Port` over pyserial's objects: one class for each kind that is reached in a way of its own.

This is the one place that turns what a port can raise into `PortError`.
"""

from __future__ import annotations

import errno
import os
import queue
import select
import struct
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, cast

from esptool.errors import PortError
from esptool.serving import IN_USE
from esptool.transport import discovery
from esptool.transport.port import Adapted, NoLinesError, Port, PortClosedError

if TYPE_CHECKING:
    import socket

    from serial import Serial

    from esptool.events import Message
    from esptool.transport.discovery import PortInfo
    from esptool.virtual.handlers.protocol_virtual import Serial as VirtualSerial

try:
    import termios

    _TERMIOS: tuple[type[Exception], ...] = (termios.error,)
except ImportError:  # Windows
    _TERMIOS = ()

#: What pyserial and the system raise of a port that is gone, closed under a caller's hands, or
#: asked for what it cannot do. `termios.error` is no OSError.
RAISED: tuple[type[Exception], ...] = (OSError, ValueError, TypeError, ArithmeticError, *_TERMIOS)

#: What the system answers where a port has no control lines.
NO_LINES = (errno.ENOTTY, errno.EINVAL)

_CHUNK = 65536
_SLICE_S = 0.1
_SHORTEST_S = 0.001
#: What keeps coming is not discarded any longer.
_DISCARD_S = 0.1
_TAIL = 200
#: Bytes that pyserial's RFC 2217 client may keep for us; then the network has to wait.
_MOST_KEPT = 1 << 20
#: How often it is looked for an answer of its server.
_LOOK_S = 0.002


def reason(e: BaseException) -> str:
    """What an error of a port says, without the number that the system puts in front."""
    if isinstance(e, _TERMIOS) and len(e.args) > 1:
        return str(e.args[1])
    if isinstance(e, OSError) and e.strerror:
        return str(e.strerror)
    return str(e).rstrip(".")


class SerialPort(Adapted):
    """Any pyserial object, reached by nothing but its documented interface."""

    def __init__(self, serial: Serial | VirtualSerial) -> None:
        #: A virtual port does all that is asked of it here, though its class is not pyserial's.
        self._serial = cast("Serial", serial)
        #: See `Port`; a simulated line has a clock of its own.
        self.now: Callable[[], float] = time.monotonic
        self.sleep: Callable[[float], None] = time.sleep
        #: It was open when we last had to do with it, and is not to be opened by us.
        self._taken = bool(serial.is_open)
        self._closed = False
        #: What the other side sends at once, when it is opened, is not dropped.
        self.keeps_all = False
        if serial.is_open:
            self._opened()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.url}>"

    def _opened(self) -> None:
        """The object has been opened."""

    def prepare(self) -> None:
        """Called before the object is opened for the first time."""

    def _refusal(self) -> str:
        """What the other side said before it closed the connection, if it said why."""
        return ""

    @property
    def serial(self) -> Serial:
        """See `Port`."""
        return self._serial

    @property
    def url(self) -> str:
        """See `Port`."""
        return str(self._serial.port or self._serial.name or "")

    @contextmanager
    def _speaking(self) -> Iterator[None]:
        try:
            yield
        except PortError:
            raise
        except RAISED as e:
            if not self._serial.is_open:
                raise PortError(
                    f"The port {self.url or 'in use'} is closed.",
                    remedy="Open it again, or connect anew.",
                ) from e
            raise PortError(
                f"Lost the connection to {self.url or 'the port'}: {reason(e)}.",
                remedy="Check cable and power; another program may have taken the port.",
            ) from e

    # --- opening -----------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """See `Port`."""
        return bool(self._serial.is_open)

    def open(self, url: str | None = None) -> None:
        """See `Port`."""
        if self._closed or (self._taken and not self._serial.is_open):
            raise PortClosedError(
                f"The port {self.url} was closed.", remedy="Open it again, or connect anew."
            )
        try:
            if url is not None and url != self._serial.port:
                self._serial.port = url
            self._serial.open()
        except RAISED as e:
            if refusal := self._refusal():
                raise PortError(refusal) from None
            raise PortError(f"Could not open {self.url}: {reason(e)}.") from e
        self._taken = True
        self._opened()

    def release(self) -> None:
        """See `Port`."""
        if self._serial.is_open:
            self._taken = False
            with suppress(*RAISED):
                self._serial.close()

    def close(self) -> None:
        """See `Port`."""
        self._closed = True
        with self._speaking():
            self._serial.close()

    # --- bytes -------------------------------------------------------------------------------

    def receive(self, timeout_s: float) -> bytes:
        """See `Port`. The timeout is seldom set: on some ports a change of it reconfigures them."""
        serial = self._serial
        with self._speaking():
            waiting = serial.in_waiting
            if waiting:
                return bytes(serial.read(waiting))
            if timeout_s <= 0:
                return b""
            wanted = min(max(timeout_s, _SHORTEST_S), _SLICE_S)
            present = serial.timeout
            # A much shorter one than wanted would make a busy loop of the caller's.
            if present is None or present > wanted or present * 8 < wanted:
                serial.timeout = wanted
            first = bytes(serial.read(1))
            waiting = serial.in_waiting if first else 0
            return first + bytes(serial.read(waiting)) if waiting else first

    def send(self, data: bytes) -> None:
        """See `Port`."""
        with self._speaking():
            self._serial.write(data)

    def discard_received(self) -> None:
        """See `Port`."""
        with self._speaking():
            self._serial.reset_input_buffer()

    def limit_sending(self, seconds: float) -> None:
        """See `Port`."""
        with self._speaking():
            if self._serial.write_timeout is None:
                self._serial.write_timeout = seconds

    # --- rate and lines ----------------------------------------------------------------------

    @property
    def baud(self) -> int:
        """See `Port`."""
        return int(self._serial.baudrate)

    @baud.setter
    def baud(self, value: int) -> None:
        try:
            self._set_rate(value)
        except RAISED as e:
            raise PortError(
                f"Failed to set baud rate {value}: the driver may not support it.",
                remedy="Choose another --baud, for example 460800.",
            ) from e

    def _set_rate(self, value: int) -> None:
        self._serial.baudrate = value

    @property
    def lines(self) -> tuple[bool, bool]:
        """See `Port`."""
        return bool(self._serial.dtr), bool(self._serial.rts)

    def set_dtr(self, on: bool) -> None:
        """See `Port`."""
        with self._moving():
            self._serial.dtr = on

    def set_rts(self, on: bool) -> None:
        """See `Port`."""
        with self._moving():
            self._serial.rts = on
            # usbser.sys on Windows only sends a change of RTS together with one of DTR.
            self._serial.dtr = self._serial.dtr

    def set_lines(self, dtr: bool, rts: bool) -> None:
        """See `Port`."""
        with self._moving():
            self._set_lines(dtr, rts)

    def _set_lines(self, dtr: bool, rts: bool) -> None:
        self._serial.dtr = dtr
        self._serial.rts = rts

    @contextmanager
    def _moving(self) -> Iterator[None]:
        with self._speaking():
            try:
                yield
            except RAISED as e:
                number = e.args[0] if e.args and isinstance(e.args[0], int) else None
                if number in NO_LINES:
                    raise NoLinesError(
                        "Chip was NOT reset. Setting RTS/DTR lines is not supported for port "
                        f"'{self.url}'. Set --before and --after arguments to "
                        "'no-reset' and switch to bootloader manually to avoid this warning."
                    ) from e
                raise

    # --- what is behind it ---------------------------------------------------------------------

    @property
    def usb(self) -> PortInfo | None:
        """See `Port`."""
        return discovery.usb_device(self.url)

    @property
    def remarks(self) -> tuple[Message, ...]:
        """See `Port`."""
        return ()


class _DescriptorPort(SerialPort):
    """One that is read through its file descriptor.

    pyserial's own `read(n)` waits for n bytes and reconfigures the device when the timeout is
    changed; over a socket it would go byte by byte.
    """

    def receive(self, timeout_s: float) -> bytes:
        """See `Port`."""
        with self._speaking():
            if not self._serial.is_open:
                raise OSError(errno.EBADF, "the port is closed")
            fd = self._serial.fileno()
            ready, _, _ = select.select([fd], [], [], max(0.0, timeout_s))
            if not ready:
                return b""
            try:
                data = self._take(fd)
            except BlockingIOError:
                return b""
            if not data:
                raise OSError(errno.ENODEV, self._ended())
            return data

    def _ended(self) -> str:
        return "the device reports data but gives none: it is gone"

    def _take(self, fd: int) -> bytes:
        raise NotImplementedError


class PosixPort(_DescriptorPort):
    """A local device on a POSIX system."""

    def _take(self, fd: int) -> bytes:
        return os.read(fd, _CHUNK)

    def _set_lines(self, dtr: bool, rts: bool) -> None:
        set_both(self._serial, dtr, rts)


class SpyingPort(SerialPort):
    """A local device whose class reads or writes in a way of its own, such as `spy://`."""

    def _set_lines(self, dtr: bool, rts: bool) -> None:
        set_both(self._serial, dtr, rts)


def _inside(serial: Serial) -> Any:
    """The object with what only its own classes are meant to touch, which has no types."""
    return serial


def set_both(serial: Serial, dtr: bool, rts: bool) -> None:
    """Both lines of a local device in one system call, so that nothing sees a step between."""
    import fcntl
    import struct

    fd = serial.fileno()
    bits = struct.unpack("I", fcntl.ioctl(fd, termios.TIOCMGET, struct.pack("I", 0)))[0]
    for flag, on in ((termios.TIOCM_DTR, dtr), (termios.TIOCM_RTS, rts)):
        bits = bits | flag if on else bits & ~flag
    fcntl.ioctl(fd, termios.TIOCMSET, struct.pack("I", bits))
    # pyserial writes its own idea of the lines on a reopen: keep it in step.
    inside = _inside(serial)
    inside._dtr_state, inside._rts_state = dtr, rts


def _refusal_in(data: bytes) -> str:
    """The line in which a server of ours says that it is taken."""
    at = data.find(IN_USE.encode())
    return data[at:].decode("ascii", "replace").partition("\r")[0].rstrip(".") if at >= 0 else ""


class _BoundedPort(SerialPort):
    """One whose pyserial object discards for as long as something comes, also while it opens."""

    def prepare(self) -> None:
        """Put our own way of discarding in place of pyserial's."""
        _inside(self._serial).reset_input_buffer = self._begin_empty

    def _begin_empty(self) -> None:
        if not self.keeps_all:
            self._discard()

    def discard_received(self) -> None:
        """See `Port`."""
        with self._speaking():
            if not self._serial.is_open:
                raise OSError(errno.EBADF, "the port is closed")
            self._discard()

    def _discard(self) -> None:
        """Drop what has come by now."""
        raise NotImplementedError


class SocketPort(_BoundedPort, _DescriptorPort):
    """`socket://`: bytes and nothing else."""

    #: The latest bytes, in which a server may have said why it hangs up.
    _tail = b""

    def _ended(self) -> str:
        return _refusal_in(self._tail) or "the other side has closed the connection"

    @property
    def _socket(self) -> socket.socket:
        found: socket.socket = _inside(self._serial)._socket
        return found

    def _take(self, fd: int) -> bytes:
        data = self._socket.recv(_CHUNK)
        self._tail = (self._tail + data)[-_TAIL:] if data else self._tail
        return data

    def _discard(self) -> None:
        end = time.monotonic() + _DISCARD_S
        with suppress(BlockingIOError):
            while self._take(0) and time.monotonic() < end:
                pass

    @contextmanager
    def _moving(self) -> Iterator[None]:
        with super()._moving():
            if self._serial.is_open:
                raise NoLinesError(
                    f"Chip was NOT reset. A TCP socket ({self.url}) carries no RTS/DTR lines. Set "
                    "--before and --after arguments to 'no-reset' and switch to bootloader "
                    "manually to avoid this warning."
                )
            yield


class Rfc2217Port(_BoundedPort):
    """`rfc2217://`: pyserial's client, which reads in a thread.

    It looks for each answer of the server 50 ms apart, and sends all settings where one changes, be
    it its own timeout: 100 ms on any network. So rates and timeouts are seen to here.
    """

    def _opened(self) -> None:
        _inside(self._serial)._read_buffer.maxsize = _MOST_KEPT

    def receive(self, timeout_s: float) -> bytes:
        """See `Port`."""
        client = _inside(self._serial)
        kept, data = client._read_buffer, bytearray()
        with self._speaking():
            if not client.is_open:
                raise OSError(errno.EBADF, "the port is closed")
            with suppress(queue.Empty):
                item = kept.get(timeout_s > 0, min(max(timeout_s, _SHORTEST_S), _SLICE_S))
                while item is not None:
                    data += item
                    item = kept.get(False)
                # The mark of a connection that has ended is still needed.
                kept.put(None)
                if not data:
                    raise OSError("connection failed")
        return bytes(data)

    def limit_sending(self, seconds: float) -> None:
        """Nothing: this client has no such limit, and fails ever after when one is set."""

    def _refusal(self) -> str:
        kept = _inside(self._serial)._read_buffer
        return (
            "" if kept is None else _refusal_in(b"".join(b for b in list(kept.queue)[:_TAIL] if b))
        )

    def _discard(self) -> None:
        from serial import rfc2217

        client = _inside(self._serial)
        self._ask(client, client._rfc2217_options["purge"], rfc2217.PURGE_RECEIVE_BUFFER)
        kept = client._read_buffer
        for _ in range(kept.qsize()):
            if kept.get(False) is None:
                kept.put(None)  # the mark of a connection that has ended is still needed
                return

    def _set_rate(self, value: int) -> None:
        client = _inside(self._serial)
        if not client.is_open or not 0 < value < 1 << 32:
            super()._set_rate(value)
            return
        self._ask(client, client._rfc2217_port_settings["baudrate"], struct.pack("!I", value))
        client._baudrate = value

    @staticmethod
    def _ask(client: Any, option: Any, value: bytes) -> None:
        """Ask the server for something, and wait until it has answered.

        Raises:
            ValueError: it refuses.
            OSError: no answer came in time.
        """
        option.set(value)
        deadline = time.monotonic() + client._network_timeout
        while not option.active:
            if time.monotonic() > deadline:
                raise OSError(f"no answer of the server to: {option.name}")
            time.sleep(_LOOK_S)


class VirtualPort(SerialPort):
    """`virtual://`: a simulated board with its own clock and USB identity."""

    def __init__(self, serial: VirtualSerial) -> None:
        super().__init__(serial)
        self._virtual = serial
        self.now, self.sleep = serial.now, serial.sleep

    def receive(self, timeout_s: float) -> bytes:
        """See `Port`."""
        with self._speaking():
            return self._virtual.receive(timeout_s)

    def _set_lines(self, dtr: bool, rts: bool) -> None:
        self._virtual.set_lines(dtr, rts)

    @property
    def usb(self) -> PortInfo | None:
        """See `Port`."""
        return discovery.PortInfo(self.url, *self._virtual.usb)

    @property
    def remarks(self) -> tuple[Message, ...]:
        """See `Port`."""
        return self._virtual.remarks


def adapt(port: Serial | Port) -> Port:
    """The port over a pyserial object, or one of a program's own that does as pyserial's do.

    What is adapted already comes back as it is.
    """
    if isinstance(port, Adapted):
        return cast("Port", port)
    for kind, takes in _KINDS:
        if takes(port):
            return kind(port)
    return SerialPort(cast("Serial", port))


def _is_virtual(serial: Any) -> bool:
    if "esptool.virtual.handlers.protocol_virtual" not in sys.modules:
        return False
    from esptool.virtual.handlers.protocol_virtual import Serial as Virtual

    return isinstance(serial, Virtual)


def _is_of(module: str) -> Callable[[Any], bool]:
    """It is exactly the class `Serial` of one of pyserial's modules."""

    def check(serial: Any) -> bool:
        return type(serial).__module__ == module and type(serial).__name__ == "Serial"

    return check


def _is_local(serial: Any) -> bool:
    import serial as pyserial

    return os.name == "posix" and isinstance(serial, pyserial.Serial)


_KINDS: tuple[tuple[Callable[[Any], Port], Callable[[Any], bool]], ...] = (
    (VirtualPort, _is_virtual),
    (PosixPort, _is_of("serial.serialposix")),
    (SocketPort, _is_of("serial.urlhandler.protocol_socket")),
    (Rfc2217Port, _is_of("serial.rfc2217")),
    (SpyingPort, _is_local),
)

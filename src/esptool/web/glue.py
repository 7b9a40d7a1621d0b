# SPDX-License-Identifier: Apache-2.0
"""Between the page's worker and the engine: the one module that knows Pyodide.

The worker calls `call` in a way that may be suspended (JavaScript Promise Integration): a blocking
call of the engine waits for the page's promise, and the worker goes on meanwhile.
"""

from __future__ import annotations

import json
import operator
import time
from typing import TYPE_CHECKING, Any

from esptool.errors import FatalError
from esptool.web import first

if TYPE_CHECKING:
    from collections.abc import Callable

    from esptool.events import Message
    from esptool.web.board import BoardChannel
    from esptool.web.engine import Engine

_MS = 1000


def _wait(promise: Any) -> Any:
    """What the promise gives; meanwhile this is suspended and the worker goes on."""
    from pyodide.ffi import JsException, run_sync  # only there in a page

    try:
        return run_sync(promise)
    except JsException as e:
        raise OSError(str(getattr(e, "message", e))) from None


class PageChannel:
    """`esptool.transport.browser.Channel` over the worker's object, whose calls give promises."""

    remarks: tuple[Message, ...] = ()

    def __init__(self, page: Any) -> None:
        self._page = page
        self.name: str = page.name
        self.vid: int | None = page.vid
        self.pid: int | None = page.pid

    def open(self, baud: int) -> None:
        """See `Channel`."""
        _wait(self._page.open(baud))

    def close(self) -> None:
        """See `Channel`."""
        _wait(self._page.close())

    def receive(self, timeout_s: float) -> bytes:
        """See `Channel`."""
        data: bytes = _wait(self._page.receive(timeout_s * _MS)).to_bytes()
        return data

    def send(self, data: bytes) -> None:
        """See `Channel`."""
        from pyodide.ffi import to_js

        _wait(self._page.send(to_js(data)))

    def discard(self) -> None:
        """See `Channel`."""
        _wait(self._page.discard())

    def set_rate(self, baud: int) -> None:
        """See `Channel`."""
        _wait(self._page.rate(baud))

    def set_lines(self, dtr: bool, rts: bool) -> None:
        """See `Channel`."""
        _wait(self._page.lines(dtr, rts))

    def now(self) -> float:
        """See `Channel`."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """See `Channel`."""
        _wait(self._page.sleep(seconds * _MS))


class Glue:
    """What the worker holds on to: its wishes come in here, events go out through `post`.

    Args:
        post: takes an event as JSON.
        page: the worker's object with the ports.
    """

    def __init__(self, post: Callable[[str], None], page: Any) -> None:
        self._page = page
        self._boards: dict[str, BoardChannel] = {}
        self._post = post
        self._engine: Engine | None = None

    @property
    def engine(self) -> Engine:
        """All that works with a board, loaded when it is first asked for."""
        if self._engine is None:
            from esptool.web.engine import Engine

            self._engine = Engine(lambda event: self._post(json.dumps(event)))
        return self._engine

    def prepare(self) -> None:
        """Load the engine while the visitor still looks at the page."""
        _ = self.engine

    def version(self) -> str:
        """Version of the tool."""
        return first.version()

    def stop(self) -> None:
        """End the present work at its next step."""
        if self._engine is not None:
            self._engine.stopped = True

    def call(self, name: str, text: str, blobs: Any) -> Any:
        """Do one wish.

        Args:
            name: of the engine's method, or that of a part of it: "wifi.ask".
            text: its keyword arguments as JSON; {"$blob": 0} stands for the first of `blobs`.
            blobs: typed arrays.

        Returns:
            A list of JSON and, where the answer is bytes, an array of them. A failure that was
            foreseen is JSON with `error`.
        """
        from pyodide.ffi import to_js

        arguments = json.loads(text, object_hook=lambda found: _whole(found, blobs))
        try:
            if self._engine is not None:
                self._engine.begin()
            if name in ("connect", "console", "diagnose", "wifi.open"):
                arguments["channel"] = self._channel(arguments.pop("port"))
            place = first if name in first.WISHES else self.engine
            found = operator.attrgetter(name)(place)(**arguments)
        except FatalError as e:
            return to_js([json.dumps(self.engine.failure(e)), None])
        if isinstance(found, bytes):
            return to_js([json.dumps({"result": None}), found])
        return to_js([json.dumps({"result": found}), None])

    def _channel(self, port: str) -> Any:
        if port.startswith("virtual:"):
            from esptool.web.board import BoardChannel

            # What was written to it is still there when it is connected to again.
            if port not in self._boards:
                self._boards[port] = BoardChannel(port, self._sleep)
            return self._boards[port]
        return PageChannel(self._page)

    def _sleep(self, seconds: float) -> None:
        _wait(self._page.sleep(seconds * _MS))


def _whole(found: dict[str, Any], blobs: Any) -> Any:
    return blobs[found["$blob"]].to_bytes() if "$blob" in found else found

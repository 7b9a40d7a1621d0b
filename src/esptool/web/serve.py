# SPDX-License-Identifier: Apache-2.0
"""Shows a built folder on this machine. For a look at it; any web server can serve it for good."""

from __future__ import annotations

import functools
import http.server
import socket
from pathlib import Path
from typing import Any

from esptool.errors import FatalError, UsageError
from esptool.serving import LOOPBACK
from esptool.web.build import MARK

DEFAULT_PORT = 8017


class Handler(http.server.SimpleHTTPRequestHandler):
    """Files of one folder, with the types that browsers insist on."""

    protocol_version = "HTTP/1.1"
    timeout = 30
    extensions_map = {  # noqa: RUF012 - the library's own name and kind
        **http.server.SimpleHTTPRequestHandler.extensions_map,
        ".js": "text/javascript",
        ".mjs": "text/javascript",
        ".json": "application/json",
        ".svg": "image/svg+xml",
        ".wasm": "application/wasm",
    }

    def end_headers(self) -> None:
        """A page that was built anew is seen at once; what is the same is not sent again."""
        self.send_header("Cache-Control", "no-cache")
        self.send_header("X-Content-Type-Options", "nosniff")
        super().end_headers()

    def list_directory(self, path: Any) -> None:
        """Nothing is listed."""
        self.send_error(404)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is logged: the page says itself what it misses."""


class Server(http.server.ThreadingHTTPServer):
    """Serves `folder` on the loopback interface.

    Args:
        folder: made by `esptool.web.build.build`.
        port: 0 takes any that is free.
        handler: what answers.

    Raises:
        UsageError: it is no such folder.
        FatalError: the port is taken.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(
        self, folder: str, port: int = DEFAULT_PORT, handler: type[Handler] = Handler
    ) -> None:
        if not (Path(folder) / MARK).is_file():
            raise UsageError(
                f"'{folder}' holds no page.", remedy=f"Make one: esptool web build {folder}"
            )
        try:
            super().__init__((LOOPBACK, port), functools.partial(handler, directory=folder))
        except (OSError, OverflowError) as e:
            raise FatalError(
                f"Cannot serve on port {port}: {getattr(e, 'strerror', None) or e}.",
                remedy="Choose another one: --port 0 takes any that is free.",
            ) from None

    @property
    def url(self) -> str:
        """Where it is to be seen. Browsers trust this name as they do https."""
        return f"http://localhost:{self.server_port}/"

    def handle_error(
        self, request: socket.socket | tuple[bytes, socket.socket], client: Any
    ) -> None:
        """A browser that hangs up is not an error."""

# SPDX-License-Identifier: Apache-2.0
"""Serves the operator page in a thread beside the station."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from esp_station.page.guard import Guard, new_token
from esptool.errors import PortError, UsageError
from esptool.serving import bracketed, parse_endpoint

if TYPE_CHECKING:
    from esp_station.station import Station

_JOIN_S = 5.0


class Address:
    """Where a page is served.

    Attributes:
        url: its address, with the token.
        is_open: other machines can reach it.
    """

    def __init__(self, host: str, port: int, token: str) -> None:
        # No browser can go to "all addresses".
        shown = {"0.0.0.0": socket.gethostname(), "::": socket.gethostname()}.get(host, host)
        self.url = f"http://{bracketed(shown)}:{port}/{token}/"
        try:
            self.is_open = not ipaddress.ip_address(host).is_loopback
        except ValueError:
            self.is_open = host != "localhost"


@contextlib.contextmanager
def served(station: Station, endpoint: str, token: str | None = None) -> Iterator[Address]:
    """Serve the page of a station for the length of a `with`.

    Args:
        station: whose page it is.
        endpoint: HOST:PORT to listen on; 0 takes a free port.
        token: the secret of the address; a new one where None is given.

    Raises:
        UsageError: it is not an address, or a package is missing.
        PortError: the address cannot be had.
    """
    try:
        import uvicorn

        from esp_station.page.app import Page, make_app
    except ImportError as e:
        raise UsageError(
            "The operator page needs the packages starlette and uvicorn.",
            remedy='Install them: pip install "esptool[station]"',
        ) from e
    host, port = parse_endpoint(endpoint)
    listening = _listen(host, port)
    guard = Guard(token or new_token(), host)
    page = Page(station)
    config = uvicorn.Config(
        make_app(page, guard),
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=2,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(
        target=server.run, kwargs={"sockets": [listening]}, name="operator-page", daemon=True
    )
    thread.start()
    try:
        yield Address(host, listening.getsockname()[1], guard.token)
    finally:
        page.closing.set()
        server.should_exit = True
        thread.join(_JOIN_S)
        listening.close()


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server((address[0], port), family=family)
    except OSError as e:
        raise PortError(
            f"Cannot serve the page on {bracketed(host)}:{port}: {e.strerror or e}.",
            remedy="Another program may use it; choose another port, or 0 for a free one.",
        ) from e

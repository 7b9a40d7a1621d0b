# SPDX-License-Identifier: Apache-2.0
"""Who may see the operator page: whoever has its address, from a page of its own.

The token stands in the address. A page of somebody else's that a browser shows at the same time
must not be able to ask for anything, so `Origin` has to be the page's own; and a name that was made
to point to this machine is not a name of this page, so `Host` is looked at, too.
"""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Mapping
from urllib.parse import urlsplit

#: What a person can still type, and nobody can guess.
TOKEN_BYTES = 18


def new_token() -> str:
    """A token for one run of a station."""
    return secrets.token_urlsafe(TOKEN_BYTES)


class Guard:
    """Judges requests by their path and headers.

    Attributes:
        token: the first part of every path.
    """

    def __init__(self, token: str, host: str) -> None:
        """
        Args:
            token: the secret of the address.
            host: the address that is listened on.
        """
        self.token = token
        self._host = host

    def why_not(self, method: str, path: str, headers: Mapping[str, str]) -> str | None:
        """Why a request is refused; None where it is not.

        Args:
            method: such as GET.
            path: with the token.
            headers: by small names.
        """
        token = path.strip("/").partition("/")[0]
        if not secrets.compare_digest(token.encode(), self.token.encode()):
            return "This address is not the one that the station has shown: its token is wrong."
        host = headers.get("host", "")
        if not self._is_own(host):
            return "The page is asked for by a name that is not this station's."
        origin = headers.get("origin")
        if origin is not None and origin != f"http://{host}":
            return "A page from elsewhere may not ask this station for anything."
        if origin is None and method not in ("GET", "HEAD"):
            return "A request that changes something has to come from the page itself."
        return None

    def _is_own(self, host: str) -> bool:
        """The name is that of this machine for itself, or a full address.

        Names can be made to point anywhere by whoever owns them, addresses cannot.
        """
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name in ("localhost", self._host):
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

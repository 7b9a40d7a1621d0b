# SPDX-License-Identifier: Apache-2.0
"""The baud rate as a parameter: apart from the others, as each start of espefuse takes it alone."""

from __future__ import annotations

from typing import Any

import click

from esptool.cli.kinds import AnyType

#: Rates are 32-bit numbers for operating systems and chips.
FASTEST = (1 << 32) - 1
AUTO_BAUD = "auto"
BAUD_RATES = (115200, 230400, 460800, 921600, 1500000, 2000000, 3000000)


class Baud(AnyType):
    """A baud rate: a positive decimal number; or "auto" for the best that the line bears."""

    name = "baud rate"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | str:
        if str(value).strip().lower() == AUTO_BAUD:
            return AUTO_BAUD
        try:
            baud = int(value)
        except ValueError:
            self.fail(f"'{value}' is not a valid baud rate.", param, ctx)
        if not 0 < baud <= FASTEST:
            self.fail(f"'{value}' is not a valid baud rate.", param, ctx)
        return baud

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> Any:
        from click.shell_completion import CompletionItem

        known = (AUTO_BAUD, *map(str, BAUD_RATES))
        return [CompletionItem(b) for b in known if b.startswith(incomplete)]

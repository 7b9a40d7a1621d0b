# SPDX-License-Identifier: Apache-2.0
"""`esptool web`: the tool as a web page, made and shown."""

from __future__ import annotations

from esptool.cli.common import Entry, Group

command = Group(
    "web",
    entries={
        "build": Entry("esptool.cli.web.build:command", "Make the page, for any web server."),
        "serve": Entry("esptool.cli.web.serve:command", "Show a page on this computer."),
    },
    no_args_is_help=True,
    help="An installer and workbench for the browser: this tool as a page that needs no server.\n\n"
    "Visitors connect a board by Web Serial and install your firmware from your project's site.",
)

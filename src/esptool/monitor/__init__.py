# SPDX-License-Identifier: Apache-2.0
"""The console: what a chip says, line by line, with addresses, panics and core dumps explained.

Nothing here prints or reads a keyboard; `esptool.cli.monitor` does.
"""

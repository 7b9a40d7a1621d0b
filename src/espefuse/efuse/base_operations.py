# SPDX-License-Identifier: Apache-2.0
"""The v5 path of `BaseCommands`."""

from espefuse.commands import BaseCommands as BaseCommands

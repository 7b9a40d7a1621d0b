# SPDX-License-Identifier: Apache-2.0
"""The command line: one file a command, loaded when that command is asked for."""

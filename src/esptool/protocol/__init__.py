# SPDX-License-Identifier: Apache-2.0
"""The serial protocol as pure codecs: bytes in, values out. No port, no clock, no chip."""

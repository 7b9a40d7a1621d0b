# SPDX-License-Identifier: Apache-2.0
"""Firmware images, ELF, Intel HEX and UF2: all that needs no chip. Import the module you need."""

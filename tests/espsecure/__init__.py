# SPDX-License-Identifier: Apache-2.0
"""Tests of espsecure: at its command line, its Python names, and beside the public tool."""

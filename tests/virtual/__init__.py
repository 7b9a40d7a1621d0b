# SPDX-License-Identifier: Apache-2.0
"""Tests of the virtual chip, at its port, its servers, its flash, and beside other sources."""

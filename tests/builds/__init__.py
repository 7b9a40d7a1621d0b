# SPDX-License-Identifier: Apache-2.0
"""Tests of what builds leave behind: recognised, bundled, and flashed to virtual chips."""

# SPDX-License-Identifier: Apache-2.0
"""Tests of the operations, on virtual chips and on plain values."""

# SPDX-License-Identifier: Apache-2.0
"""Benchmarks: each module is run with `python -m bench.NAME` from the repository."""

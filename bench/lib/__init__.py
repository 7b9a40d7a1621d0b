# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks share. Nothing here is part of the product."""

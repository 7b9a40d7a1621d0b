# SPDX-License-Identifier: Apache-2.0
"""The `espefuse` command line: one group that takes several commands in one run."""

# SPDX-License-Identifier: Apache-2.0
"""Module paths of esptool v5 (`espefuse.efuse...`); the code is in `espefuse` itself."""

# SPDX-License-Identifier: Apache-2.0
"""The version, in one place. The public interface is that of esptool v5."""

__version__ = "5.60.0"

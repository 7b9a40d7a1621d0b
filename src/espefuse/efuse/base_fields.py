# SPDX-License-Identifier: Apache-2.0
"""The v5 names of the engine's classes."""

from espefuse.efuses import Block as EfuseBlockBase
from espefuse.efuses import Efuses as EspEfusesBase
from espefuse.efuses import Field as EfuseFieldBase

__all__ = ["EfuseBlockBase", "EfuseFieldBase", "EspEfusesBase"]

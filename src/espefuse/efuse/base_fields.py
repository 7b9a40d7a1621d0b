# SPDX-License-Identifier: Apache-2.0
"""The v5 names of the engine's classes."""

from espefuse.efuses import Efuses as EspEfusesBase
from espefuse.fields import Block as EfuseBlockBase
from espefuse.fields import Field as EfuseFieldBase

__all__ = ["EfuseBlockBase", "EfuseFieldBase", "EspEfusesBase"]

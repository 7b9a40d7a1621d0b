# SPDX-License-Identifier: Apache-2.0
"""Typed base classes for kinds of values, as older versions of click cannot be subscripted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    IntType = click.ParamType[int]
    FloatType = click.ParamType[float]
    StrType = click.ParamType[str]
    AnyType = click.ParamType[Any]
    StrChoice = click.Choice[str]
else:
    IntType = FloatType = StrType = AnyType = click.ParamType
    StrChoice = click.Choice

# SPDX-License-Identifier: Apache-2.0
"""esptool: placeholder until the public names are wired."""

from esptool._version import __version__ as __version__
from esptool.errors import FatalError as FatalError

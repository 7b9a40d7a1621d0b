# SPDX-License-Identifier: Apache-2.0
"""What build systems leave behind: folders and files in, images with their places out. No chip."""

from __future__ import annotations

from esptool.builds.find import Found, Given, find_build
from esptool.builds.model import Build, FlashWords, Part, Role

__all__ = ["Build", "FlashWords", "Found", "Given", "Part", "Role", "find_build"]

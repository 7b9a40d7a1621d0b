# SPDX-License-Identifier: Apache-2.0
"""The steps that a job may have, by the word behind `do`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from esp_station.steps.base import Env, Step
from esp_station.steps.console import read_boot, read_test_ram
from esp_station.steps.data import read_files, read_nvs
from esp_station.steps.flash import read_erase, read_read_back, read_verify, read_write
from esp_station.steps.outside import read_hook, read_label
from esp_station.steps.recipe import read_recipe
from esp_station.tomlfile import Table

Reader = Callable[[Table, Env, str], Step | None]

READERS: Mapping[str, Reader] = {
    "test-ram": read_test_ram,
    "erase": read_erase,
    "write": read_write,
    "nvs": read_nvs,
    "files": read_files,
    "recipe": read_recipe,
    "verify": read_verify,
    "boot": read_boot,
    "label": read_label,
    "hook": read_hook,
    "read-back": read_read_back,
}

# SPDX-License-Identifier: Apache-2.0
"""Jobs whose images come from a bundle, or from the build itself."""

from __future__ import annotations

from pathlib import Path

import pytest

import esptool
from esp_station.job import read_job
from esp_station.records import PASS
from esptool.errors import UsageError
from esptool.virtual.board import NAMED
from tests.builds.shapes import idf

from .support import run_line, slots_of, write_rows

JOB = """
product = "lamp"
chip = "esp32s3"
bundle = "{bundle}"
[data]
rows = "boards.csv"
key = "serial"
[[step]]
do = "write"
[[step]]
do = "nvs"
values = {{ "app.serial" = "{{row.serial}}" }}
[[step]]
do = "verify"
"""


@pytest.mark.parametrize("packed", [True, False])
def test_what_is_written_is_what_flash_writes(tmp_path: Path, packed: bool) -> None:
    shape = idf(tmp_path / "build", chip="esp32s3")
    esptool.make_bundle(shape.path, str(tmp_path / "product.zip"), listener=lambda _event: None)
    write_rows(tmp_path, 3)
    job = tmp_path / "job.toml"
    job.write_text(JOB.format(bundle="product.zip" if packed else "build"))
    [attempt] = run_line(job, slots_of([1], f"bundle-{packed}")).values()
    assert attempt.result == PASS, attempt.log
    read = NAMED[f"bundle-{packed}-1"].nor.cells.read
    checked = read_job(str(job))
    assert len(checked.images.regions) >= 3
    for region in checked.images.regions:
        assert read(region.address, len(region.data)) == bytes(region.data)


def test_a_bundle_for_another_chip_is_refused(tmp_path: Path) -> None:
    idf(tmp_path / "build", chip="esp32c3")
    write_rows(tmp_path, 3)
    job = tmp_path / "job.toml"
    job.write_text(JOB.format(bundle="build"))
    with pytest.raises(UsageError, match="is for ESP32-C3, not for ESP32-S3"):
        read_job(str(job))

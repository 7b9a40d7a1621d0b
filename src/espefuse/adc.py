# SPDX-License-Identifier: Apache-2.0
"""The report on ADC calibration: which fields, in which order and grouping, is table data."""

from __future__ import annotations

from collections.abc import Iterator

from espefuse.state import EfuseState


def report(efuses: EfuseState) -> Iterator[str]:
    """Lines that tell the calibration of a chip's ADC, as far as it was burned."""
    table = efuses.table
    if table.controller == "direct":
        yield from _two_points(efuses)
        return
    version = efuses.get_block_version()
    need = table.calibration_block_version
    rows = table.rules.get("adc_report")
    if rows and rows[0] == [""]:
        yield ""
        rows = rows[1:]
    yield f"Block version: {version}"
    if need is None or version < need:
        return
    if rows is None:
        for field in efuses:
            if field.d.group == "calibration":
                yield f"{field.name:<30} =  {field.get()}"
        return
    for row in rows:
        if len(row) == 1:
            yield row[0]
        else:
            yield f"{row[0]} {efuses[row[1]].get()}{row[2] if len(row) > 2 else ''}"


def _two_points(efuses: EfuseState) -> Iterator[str]:
    vref = efuses["ADC_VREF"]
    if vref.raw():
        yield f"ADC VRef calibration: {vref.get()}mV"
    else:
        yield "ADC VRef calibration: None (1100mV nominal)"
    if efuses["BLK3_PART_RESERVE"].raw():
        yield "ADC readings stored in eFuse BLOCK3:"
        for adc in (1, 2):
            yield f"    ADC{adc} Low reading  (150mV): {efuses[f'ADC{adc}_TP_LOW'].get()}"
            yield f"    ADC{adc} High reading (850mV): {efuses[f'ADC{adc}_TP_HIGH'].get()}"

# SPDX-License-Identifier: Apache-2.0
"""Renews the measured tables of docs/performance.md from the figures of `bench.transfer`."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def renew(page: Path, figures: dict[str, Any]) -> None:
    """Replace what stands between the `<!-- NAME -->` and `<!-- end -->` marks of the page."""
    text = page.read_text()
    for name, lines in (
        ("lines", _lines(figures)),
        ("delta", _delta(figures)),
        ("faults", _faults(figures)),
        ("rest", _rest(figures)),
    ):
        if not lines:
            continue
        begin = f"<!-- {name} -->\n"
        head, _, rest = text.partition(begin)
        if not rest:
            raise SystemExit(f"{page} has no mark {begin.strip()}")
        _, end, tail = rest.partition("<!-- end -->")
        text = head + begin + "\n".join(lines) + "\n" + end + tail
    page.write_text(text)


def _lines(figures: dict[str, Any]) -> list[str]:
    rows = [
        "| baud | latency each way | limit | transfer | share | with checks | read | line in use "
        "| its bytes at line rate | public tool: write / read |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in figures["lines"]:
        public = row.get("public")
        beside = f"{public['write_s']:.2f} / {public['read_s']:.2f} s" if public else ""
        rows.append(
            f"| {row['baud']} | {row['latency_ms']} ms | {row['limit_s']:.2f} s "
            f"| {row['transfer_s']:.2f} s | {row['write_share']:.1%} | {row['total_s']:.2f} s "
            f"| {row['read_s']:.2f} s | {row['read_share']:.1%} | {row['plain_read_s']:.2f} s "
            f"| {beside} |"
        )
    return rows


def _delta(figures: dict[str, Any]) -> list[str]:
    if "delta" not in figures:
        return []
    whole = figures["delta"][0]["total_s"]
    rows = ["| changed sectors of 256 | bytes sent | time | of a full write |"]
    rows.append("| ---: | ---: | ---: | ---: |")
    rows += [
        f"| {r['changed']} | {r['bytes']:.0f} | {r['total_s']:.2f} s | {r['total_s'] / whole:.1%} |"
        for r in figures["delta"]
    ]
    return rows


def _faults(figures: dict[str, Any]) -> list[str]:
    if "faults" not in figures:
        return []
    good = figures["faults"][0]
    rows = ["| damaged bytes | write | more | read | more |"]
    rows.append("| ---: | ---: | ---: | ---: | ---: |")
    rows += [
        f"| {r['rate']:g} | {r['write_s']:.2f} s | {r['write_s'] / good['write_s'] - 1:+.1%} "
        f"| {r['read_s']:.2f} s | {r['read_s'] / good['read_s'] - 1:+.1%} |"
        for r in figures["faults"]
    ]
    return rows


def _rest(figures: dict[str, Any]) -> list[str]:
    requests = figures["requests"]
    rows = [
        f"- Stub: {figures['stub']}.",
        f"- Requests: {requests['flash_id']} for `flash-id`, {requests['first_block']} before the "
        "first data block.",
    ]
    if "half_empty" in figures:
        half = figures["half_empty"]
        rows.append(
            f"- 4 MB half empty at 921600 baud: read in {half['read_s']:.1f} s, "
            f"{half['ratio']:.1f} times faster than its bytes at line rate."
        )
    return rows

# SPDX-License-Identifier: Apache-2.0
"""Renews the measured tables of docs/performance.md from the figures of `bench.transfer`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import mean
from typing import Any

Row = dict[str, Any]
Figures = dict[str, dict[str, Row]]
CHIP = "esp32s3"
KINDS = {"code": "machine code", "model": "model"}


def renew(page: Path, figures: Figures) -> None:
    """Replace what stands between the `<!-- NAME -->` and `<!-- end -->` marks of the page.

    What the figures do not hold stays as it is in the page: tables, rows, and single cells. A row
    that failed says so.
    """
    text = page.read_text()
    for name, table in TABLES.items():
        lines = table(figures)
        if not lines:
            continue
        begin = f"<!-- {name} -->\n"
        head, _, rest = text.partition(begin)
        if not rest:
            raise SystemExit(f"{page} has no mark {begin.strip()}")
        old, end, tail = rest.partition("<!-- end -->")
        text = head + begin + "\n".join(merged(old.splitlines(), lines)) + "\n" + end + tail
    page.write_text(text)


def merged(old: list[str], new: list[str]) -> list[str]:
    """The table `new`, with the rows and cells of `old` that it lacks.

    Rows are known by their first cell. A table with other columns is replaced as a whole.
    """
    if old[:2] != new[:2]:
        return new
    rows = {_cells(line)[0]: line for line in old[2:]}
    place = list(rows)
    before: str | None = None
    for line in new[2:]:
        cells = _cells(line)
        if cells[0] not in rows:
            place.insert(0 if before is None else place.index(before) + 1, cells[0])
        elif "failed" not in cells:
            kept = _cells(rows[cells[0]])
            cells = [cell or was for cell, was in zip(cells, kept, strict=True)]
        rows[cells[0]] = "| " + " | ".join(cells) + " |"
        before = cells[0]
    return [*new[:2], *(rows[name] for name in place)]


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def _table(head: str, rows: list[list[str]]) -> list[str]:
    """A Markdown table, nothing without rows; all columns but the first to the right."""
    if not rows:
        return []
    columns = head.split(" | ")
    rule = ["---", *["---:"] * (len(columns) - 1)]
    return ["| " + " | ".join(cells) + " |" for cells in (columns, rule, *rows)]


def _rows(figures: Figures, table: str, stub: str, chip: str = CHIP) -> list[tuple[list[str], Row]]:
    """The rows of a table by what they are of, in order."""
    found = []
    for key, row in figures.get(table, {}).items():
        its_chip, its_stub, *of = key.split(" ")
        if (its_chip, its_stub) == (chip, stub):
            found.append((of, row))
    return sorted(found, key=lambda item: [_number(word) for word in item[0]])


def _number(word: str) -> tuple[float, str]:
    """Numbers in their order behind words."""
    try:
        return float(word), ""
    except ValueError:
        return -1.0, word


def _line(of: list[str]) -> str:
    return ", ".join([f"{of[0]} baud", f"{of[1]} ms", *of[2:]])


def _seconds(row: Row, name: str) -> str:
    if "error" in row:
        return "failed"
    return f"{row[name]:.2f} s" if name in row else ""


def _ratio(ours: Row, other: Row, name: str) -> str:
    """Ours as a part of the other's."""
    if name not in ours or not other.get(name):
        return ""
    return f"{ours[name] / other[name]:.2f}"


def _transfers(figures: Figures, table: str, stub: str, chip: str = CHIP) -> list[list[str]]:
    """Both directions over each line. The public tool's times are those of the same rows."""
    beside = figures.get("public-lines", {}) if table == "lines" else {}
    rows = []
    for of, row in _rows(figures, table, stub, chip):
        if "error" in row:
            rows.append([_line(of), "", "failed", *[""] * 8])
            continue
        public = beside.get(f"{chip} real {' '.join(of)}", {}).get("public", {})
        rows.append(
            [
                _line(of),
                _seconds(row, "limit_s"),
                _seconds(row, "transfer_s"),
                f"{row['write_share']:.1%}",
                _seconds(row, "write_s"),
                _ratio(row, public, "write_s"),
                _seconds(row, "read_s"),
                f"{row['read_share']:.1%}",
                f"{row['read_limit_s'] / row['read_s']:.1%}",
                f"{row['plain_s'] / row['read_s']:.2f}",
                _ratio(row, public, "read_s"),
            ]
        )
    return rows


_TRANSFER_HEAD = (
    "line | limit | transfer | share of the limit | with checks | of the public tool | read "
    "| line in use | share of the limit | bytes at line rate / read | of the public tool"
)


def _lines(figures: Figures) -> list[str]:
    return _table(_TRANSFER_HEAD, _transfers(figures, "lines", "code"))


def _lines_model(figures: Figures) -> list[str]:
    return _table(_TRANSFER_HEAD, _transfers(figures, "lines", "model"))


def _half(figures: Figures) -> list[str]:
    rows = []
    for stub, word in KINDS.items():
        for cells in _transfers(figures, "half", stub):
            rows.append([f"{word}, {cells[0]}", *cells[1:5], *cells[6:10]])
    head = [c for c in _TRANSFER_HEAD.split(" | ") if c != "of the public tool"]
    return _table(" | ".join(head), rows)


def _chips(figures: Figures) -> list[str]:
    others = sorted({key.split(" ")[0] for key in figures.get("lines", {})} - {CHIP})
    rows = []
    for chip in others:
        for cells in _transfers(figures, "lines", "code", chip):
            rows.append([f"{chip}, {cells[0]}", *cells[1:5], *cells[6:10]])
    head = [c for c in _TRANSFER_HEAD.split(" | ") if c != "of the public tool"]
    return _table(" | ".join(head), rows)


def _public(figures: Figures) -> list[str]:
    clock = {tuple(of): row for of, row in _rows(figures, "lines", "model")}
    rows = []
    for of, row in _rows(figures, "public-lines", "real"):
        ours, public = row["ours"], row["public"]
        cells = [_line(of)]
        for name in ("write_s", "read_s"):
            virtual = clock.get(tuple(of), {})
            off = f"{ours[name] / virtual[name] - 1:+.1%}" if name in virtual else ""
            cells += [_seconds(ours, name), _seconds(public, name), _ratio(ours, public, name), off]
        rows.append(cells)
    return _table(
        "line | write: ours | public tool | ratio | off the virtual clock "
        "| read: ours | public tool | ratio | off the virtual clock",
        rows,
    )


_SIDES = {"own": "its own stub", "public": "a public stub", "rom": "the ROM loader"}


def _fallback(figures: Figures) -> list[str]:
    rows = []
    for (side, latency), row in _rows(figures, "fallback", "real"):
        ours, public = row["ours"], row["public"]
        cells = [f"{_SIDES[side]}, {latency} ms"]
        for name in ("write_s", "read_s"):
            cells += [_seconds(ours, name), _seconds(public, name), _ratio(ours, public, name)]
        rows.append(cells)
    return _table(
        "side | write: ours | public tool | ratio | read: ours | public tool | ratio", rows
    )


def _requests(figures: Figures) -> list[str]:
    rows = []
    for (side,), row in _rows(figures, "public-requests", "real"):
        cells = [_SIDES[side]]
        for tool in ("ours", "public"):
            counts = row[tool]
            cells += (
                ["failed", ""]
                if "error" in counts
                else [str(counts["requests"]), str(counts["upload"])]
            )
        rows.append(cells)
    return _table("side | ours | upload | public tool | upload", rows)


_DELTA = {
    "blank": "all, over blank flash",
    "dirty": "all, over other content",
    "0": "none changed",
    "1": "1 changed",
}


def _delta(figures: Figures) -> list[str]:
    rows = []
    for stub, word in KINDS.items():
        mine = _rows(figures, "delta", stub)
        whole = {of[0]: row["write_s"] for of, row in mine if "error" not in row}
        for (what,), row in mine:
            shares = [
                f"{row['write_s'] / whole[base]:.1%}" if base in whole and what in whole else ""
                for base in ("blank", "dirty")
            ]
            name = _DELTA.get(what, f"{what} changed")
            sent = str(row.get("bytes", ""))
            rows.append([f"{word}: {name}", sent, _seconds(row, "write_s"), *shares])
    return _table(
        "sectors of 256 | bytes sent | time | of all over blank | of all over other content", rows
    )


def _delta_public(figures: Figures) -> list[str]:
    rows = [
        [
            _DELTA.get(of[0], f"{of[0]} changed"),
            _seconds(row["ours"], "write_s"),
            _seconds(row["public"], "write_s"),
            _ratio(row["ours"], row["public"], "write_s"),
        ]
        for of, row in _rows(figures, "public-delta", "real")
    ]
    return _table("sectors of 256 | ours | public tool | ratio", rows)


def _erase(figures: Figures) -> list[str]:
    beside = {of[0]: row for of, row in _rows(figures, "public-erase", "real")}
    rows = []
    for stub, word in KINDS.items():
        for (sectors,), row in _rows(figures, "erase", stub):
            public = beside.get(sectors, {}).get("public", {})
            rows.append(
                [
                    f"{word}, {sectors}",
                    _seconds(row, "limit_s"),
                    _seconds(row, "erase_s"),
                    _seconds(row, "chip_s"),
                    _seconds(public, "erase_s"),
                    _ratio(row, public, "erase_s"),
                ]
            )
    return _table("sectors not blank | limit | ours | erasing the chip | public tool | ratio", rows)


def _faults(figures: Figures) -> list[str]:
    rows = []
    for stub, word in KINDS.items():
        runs: dict[str, list[Row]] = {}
        for (rate, _seed), row in _rows(figures, "faults", stub):
            runs.setdefault(rate, []).append(row)
        good = runs.get("0.0", [{}])[0]
        for rate, all_of in runs.items():
            well = [row for row in all_of if "error" not in row]
            cells = [f"{word}, {float(rate):g}", f"{len(well)} of {len(all_of)}"]
            for name in ("write_s", "read_s"):
                times = [row[name] for row in well]
                if not times or name not in good:
                    cells += [""] * 3
                    continue
                cells += [f"{mean(times):.2f} s"]
                cells += [f"{t / good[name] - 1:+.1%}" for t in (mean(times), max(times))]
            rows.append(cells)
    return _table(
        "damaged bytes | finished | write, mean | more | at worst | read, mean | more | at worst",
        rows,
    )


def _own_requests(figures: Figures) -> list[str]:
    rows = [
        [KINDS[stub], str(row["flash_id"]), str(row["first_block"])]
        for stub in KINDS
        for _of, row in _rows(figures, "requests", stub)
        if "error" not in row
    ]
    return _table("stub | `flash-id` | before the first data block", rows)


#: The parts of a session until its stub runs.
_UNTIL_READY = ("reset pulses", "boot log", "sync", "detection", "stage one", "stage two")
_JOBS = ("flash-id", "nothing", "one", "ten", "all")
_WAYS = {"uart": "", "usb-jtag": ", USB"}


def _sessions(figures: Figures, stub: str) -> dict[tuple[str, str, str], dict[str, Row]]:
    """Rows of `bench.loop` by chip, link and rate, and in those by job."""
    found: dict[tuple[str, str, str], dict[str, Row]] = {}
    for key, row in figures.get("loop", {}).items():
        chip, its_stub, link, baud, job = key.split(" ")
        if its_stub == stub and "error" not in row:
            found.setdefault((chip, link, baud), {})[job] = row
    return found


def _ready(row: Row) -> float:
    return float(sum(row[part] for part in _UNTIL_READY))


def _loop_parts(figures: Figures) -> list[str]:
    rows = []
    for (chip, link, baud), jobs in _sessions(figures, "code").items():
        row = jobs.get("flash-id")
        if row is None:
            continue
        parts = [f"{row[part] * 1000:.0f} ms" for part in _UNTIL_READY]
        rows.append([f"{chip}{_WAYS[link]}, {baud}", *parts, f"{_ready(row):.2f} s"])
    return _table(f"chip, baud | {' | '.join(_UNTIL_READY)} | stub runs after", rows)


def _loop(figures: Figures) -> list[str]:
    rows = []
    for stub, word in KINDS.items():
        for (chip, link, baud), jobs in _sessions(figures, stub).items():
            if "one" not in jobs:
                continue
            cells = [f"{word}, {chip}{_WAYS[link]}, {baud}"]
            cells += [_seconds(jobs.get(job, {}), "total") for job in _JOBS]
            rows.append(cells)
    return _table(f"session | {' | '.join(_JOBS)}", rows)


def _loop_public(figures: Figures) -> list[str]:
    rows = []
    for (chip, link, baud), jobs in _sessions(figures, "code").items():
        for job, row in jobs.items():
            beside = row.get("public")
            if beside is None or "session_s" not in beside:
                continue
            ratio = f"{row['total'] / beside['session_s']:.2f}"
            name = f"{chip}{_WAYS[link]}, {baud}: {job}"
            rows.append([name, _seconds(row, "total"), f"{beside['session_s']:.2f} s", ratio])
    return _table("session | ours | public tool | ratio", rows)


TABLES: dict[str, Callable[[Figures], list[str]]] = {
    "lines": _lines,
    "lines-model": _lines_model,
    "half": _half,
    "chips": _chips,
    "public": _public,
    "fallback": _fallback,
    "requests": _own_requests,
    "public-requests": _requests,
    "delta": _delta,
    "delta-public": _delta_public,
    "erase": _erase,
    "faults": _faults,
    "loop-parts": _loop_parts,
    "loop": _loop,
    "loop-public": _loop_public,
}

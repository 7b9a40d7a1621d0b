# SPDX-License-Identifier: Apache-2.0
"""Makes `tests/compat/cli_v5.json` of a facts file: the command lines that must keep working.

    python tools/gen_cli_table.py --facts FILE

Names, defaults, choices and environment variables only; no texts.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parents[1] / "tests" / "compat" / "cli_v5.json"
OPTION_KEYS = (
    *("type", "flag", "count", "multiple", "choices", "default", "envvar", "hidden", "required"),
    *("takes_all_following_values", "range"),
)
ARGUMENT_KEYS = ("arg", "type", "nargs", "required", "default", "range", "choices", "accepts_all")


def option(facts: dict[str, Any]) -> dict[str, Any]:
    """One option: its names, and what of `OPTION_KEYS` it has."""
    row: dict[str, Any] = {"names": facts["long"] + facts["short"]}
    row.update({key: facts[key] for key in OPTION_KEYS if key in facts})
    return row


def argument(facts: dict[str, Any]) -> dict[str, Any]:
    """One argument."""
    return {key: facts[key] for key in ARGUMENT_KEYS if key in facts}


def command(facts: dict[str, Any]) -> dict[str, Any]:
    """One command."""
    row: dict[str, Any] = {
        "arguments": [argument(a) for a in facts.get("arguments", [])],
        "options": [option(o) for o in facts.get("options", [])],
    }
    if facts.get("hidden"):
        row["hidden"] = True
    if facts.get("deprecated_alias"):
        row["old_name"] = facts["deprecated_alias"]
    return row


def table(facts: dict[str, Any]) -> dict[str, Any]:
    """The whole table, by program."""
    result: dict[str, Any] = {}
    for program in ("esptool", "espsecure", "espefuse"):
        rows = facts[program]
        result[program] = {
            "options": [option(o) for o in rows["global_options"]],
            "old_options": rows["deprecated_options"],
            "commands": {name: command(c) for name, c in rows["commands"].items()},
        }
    result["esp_rfc2217_server"] = command(facts["esp_rfc2217_server"])
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--facts", type=Path, required=True)
    args = parser.parse_args()
    facts = json.loads(args.facts.read_text())
    text = {
        "generated": "by tools/gen_cli_table.py; do not edit",
        **table(facts),
    }
    TARGET.write_text(json.dumps(text, indent=1) + "\n")


if __name__ == "__main__":
    main()

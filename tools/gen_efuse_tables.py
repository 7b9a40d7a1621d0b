# SPDX-License-Identifier: Apache-2.0
"""Makes `src/espefuse/tables/*.json` from a folder of reference facts; it writes no descriptions.

The table files are the project's own data from then on: edit them by hand to correct a chip. Run
this only to bring in a new chip's facts: `python tools/gen_efuse_tables.py FACTS_FOLDER [CHIP...]`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

TABLES = Path(__file__).resolve().parents[1] / "src" / "espefuse" / "tables"
RULES = TABLES.parents[1] / "esptool" / "virtual" / "efuse_rules.json"
FLAGS = {"digest": "d", "virtual": "v", "reverse": "r", "read_protect": "p"}
ROW = ("name", "block", "word", "pos", "type", "wr_dis", "rd_dis", "category")
EXTRAS = ("alt", "class", "dict", "group", "bits_from", "bytes_from", "map", "burnable")


# Values that programs compare: the facts shorten them.
FULL_LABELS = {
    "USB_PHY_SEL": {
        "0": "internal PHY is assigned to USB Device while external PHY is assigned to USB OTG",
        "1": "internal PHY is assigned to USB OTG while external PHY is assigned to USB Device",
    },
    "CODING_SCHEME": {"2": "REPEAT (BLK1-3 len=128 bits) not supported"},
}


def offset(address: str, base: int) -> str:
    return f"0x{int(address, 16) - base:03X}"


def register_offsets(facts: dict[str, Any]) -> dict[str, str]:
    """Short register names (CONF, CMD, WR_TIM_CONF1...) to offsets from the controller's base."""
    out = {}
    for name, value in facts["register_offsets"].items():
        short = name.removeprefix("EFUSE_").removesuffix("_REG").removeprefix("REG_")
        if short in ("CHECK_VALUE0", "PGM_CHECK_VALUE0"):
            short = "CHECK_VALUE0"
        if "RDATA" not in short and short != "DATE":
            out[short] = value
    return out


def timing(facts: dict[str, Any]) -> list[list[Any]]:
    """Rows `[register, mask, value]`; a value that depends on the crystal is `{MHz: value}`."""
    spec, regs = facts["timing"], facts["registers"]
    by_name: dict[str, dict[str, int]] = {}
    for columns, values in (
        ("clk_settings_columns", "clk_settings_by_mhz"),
        ("programming_columns", "programming_by_mhz"),
        ("vddq_columns", "vddq_by_mhz"),
        ("reading_columns", "reading_by_mhz"),
    ):
        for i, column in enumerate(spec.get(columns, [])):
            by_name[column] = {mhz: row[i] for mhz, row in spec[values].items()}
    rows = []
    for register, mask, value in spec["writes"]:
        short = register.removeprefix("EFUSE_").removesuffix("_REG").removeprefix("REG_")
        rows.append([short, regs[mask], by_name[value] if isinstance(value, str) else value])
    return rows


def block_errors(facts: dict[str, Any], base: int) -> list[list[Any]]:
    """Rows `[block, register offset, fail bit, error count mask, error count shift]`."""
    errors = facts["error_registers"]
    merged: dict[int, list[Any]] = {}
    for row in errors.get("BLOCK_ERRORS", []):
        merged[row["block"]] = [row["reg"], row["fail_bit"], row["num_mask"], row["num_shift"]]
    for row in errors.get("BLOCK_NUM_ERRORS", []):
        merged[row["block"]] = [row["reg"], None, row["num_mask"], row["num_shift"]]
    rows = [[b, offset(v[0], base), *v[1:]] for b, v in merged.items() if v[2] is not None]
    for row in errors.get("BLOCK_FAIL_BIT", []):
        for out in rows:
            if out[0] == row["block"] and row["fail_bit"] is not None:
                out[2] = row["fail_bit"]
                if offset(row["reg"], base) != out[1]:
                    out.append(offset(row["reg"], base))
    return rows


def rules_of(facts: dict[str, Any]) -> dict[str, Any]:
    """The chip's own rules, named by what they do."""
    rules = facts["rules"]
    out: dict[str, Any] = {}
    refused = rules.get("KEY_PURPOSE_5_forbidden")
    if refused:
        names = [refused] if isinstance(refused, str) else refused
        out["refused_purposes"] = {"KEY_PURPOSE_5": [name.rstrip("*") for name in names]}
    if "burn_incompatible" in rules:
        out["never_together"] = [rules["burn_incompatible"]]
    if "burn_ECDSA_KEY_also_sets" in rules:
        out["purpose_sets"] = {"ECDSA_KEY": rules["burn_ECDSA_KEY_also_sets"]}
    targets = rules.get("key_purpose_targets")
    if targets:
        out["purpose_targets"] = {name: row["field"] for name, row in targets.items()}
        out["purpose_pair"] = rules["pair_allowed"]
        out["purpose_sets"] = {
            name: {"field": row["also_sets"]} for name, row in targets.items() if "also_sets" in row
        }
        out["custom_mac_sets"] = rules["burn_custom_mac_also_sets"]
        out["keep_readable"] = [
            {"fields": ["BLOCK_KEY0"], "when": {"XTS_KEY_LENGTH_256": 0}},
            {"fields": ["BLOCK_KEY0", "BLOCK_KEY0_HI_128"], "when": {"SECURE_BOOT_EN": 1}},
        ]
    report = ADC_REPORTS.get(facts["module"])
    if report:
        out["adc_report"] = report()
    return out


def _codes(names: str, width: int, adc: int) -> list[list[str]]:
    rows = [f"{name}" for name in names.split()]
    return [[f"{name:<{width}} = ", f"ADC{adc}_{name}"] for name in rows]


TEMPERATURE = ["Temperature Sensor Calibration =", "TEMP_CALIB", "C"]
INIT = "INIT_CODE_ATTEN0 INIT_CODE_ATTEN1 INIT_CODE_ATTEN2 INIT_CODE_ATTEN3"
VOLTS = "CAL_VOL_ATTEN0 CAL_VOL_ATTEN1 CAL_VOL_ATTEN2 CAL_VOL_ATTEN3"
CHANNELS = " ".join(f"INIT_CODE_ATTEN0_CH{i}" for i in range(7))
H2 = (
    "AVE_INITCODE_ATTEN0 AVE_INITCODE_ATTEN1 AVE_INITCODE_ATTEN2 AVE_INITCODE_ATTEN3 "
    "HI_DOUT_ATTEN0 HI_DOUT_ATTEN1 HI_DOUT_ATTEN2 HI_DOUT_ATTEN3 "
    + " ".join(f"CH{i}_ATTEN0_INITCODE_DIFF" for i in range(5))
)
S2 = [f"RTCCALIB_V1IDX_A{a}{i}{e}" for e in "HL" for a in "12" for i in range(4)]
ADC_REPORTS: dict[str, Any] = {
    "esp32c2": lambda: [
        TEMPERATURE,
        ["ADC OCode        = ", "OCODE"],
        ["ADC1:"],
        *_codes("INIT_CODE_ATTEN0 INIT_CODE_ATTEN3 CAL_VOL_ATTEN0 CAL_VOL_ATTEN3", 16, 1),
    ],
    "esp32c3": lambda: [
        TEMPERATURE,
        ["ADC OCode        = ", "OCODE"],
        ["ADC1:"],
        *_codes(f"{INIT} {VOLTS}", 16, 1),
    ],
    "esp32c6": lambda: [
        TEMPERATURE,
        ["ADC OCode             = ", "OCODE"],
        ["ADC1:"],
        *_codes(f"{INIT} {VOLTS} {CHANNELS}", 20, 1),
    ],
    "esp32h2": lambda: [TEMPERATURE, [""], ["ADC1:"], *_codes(H2, 24, 1)],
    "esp32s2": lambda: [
        TEMPERATURE,
        ["TADC_CALIB          =", "ADC_CALIB", "C"],
        *([f"{name} = ", name] for name in S2),
    ],
    "esp32s3": lambda: [
        [""],
        TEMPERATURE,
        ["ADC OCode        = ", "OCODE"],
        ["ADC1:"],
        *_codes(f"{INIT} {VOLTS}", 16, 1),
        ["ADC2:"],
        *_codes(f"{INIT} {VOLTS.removesuffix(' CAL_VOL_ATTEN3')}", 16, 2),
    ],
}


def field_row(field: dict[str, Any]) -> list[Any]:
    row = [field.get(key) for key in ROW]
    extras = {key: field[key] for key in EXTRAS if key in field and field[key] is not None}
    if "dict" in extras:
        top = 1 << field["len"]
        labels = {k: v for k, v in extras["dict"].items() if int(k) < top}
        extras["dict"] = labels | FULL_LABELS.get(field["name"], {})
    if extras.get("group") in ("efuses", "keyblocks"):
        del extras["group"]
    return [*row, extras] if extras else row


def convert(facts: dict[str, Any]) -> dict[str, Any]:
    base = int(facts["registers"]["DR_REG_EFUSE_BASE"], 16)
    sequences = facts["controller_sequences"]
    legacy = facts["module"] == "esp32"
    names = {value: name for name, value in facts["registers"].items() if isinstance(value, str)}
    block0 = facts["error_registers"]["BLOCK0_ERRORS"]
    rules = facts["rules"]
    out: dict[str, Any] = {
        "chip": facts["chip"],
        "controller": "direct" if legacy else "pgm",
        "base": f"0x{base:08X}",
        "memory_bytes": int(facts["registers"]["EFUSE_MEM_SIZE"], 16),
        "registers": register_offsets(facts),
        "clear_words": sequences["clear_pgm_bytes"] // 4,
        "block0_words": sequences.get("pgm_window_words", {}).get("block0", 0),
        "xtal_mhz": facts["timing"]["xtal_mhz_allowed"],
        "timing": timing(facts),
        "block0_errors": [offset(a, base) for a in block0],
        "status_registers": [
            [names[a], offset(a, base)]
            for a in facts["error_registers"]["ERRORS"]
            if a not in block0
        ],
        "block_errors": block_errors(facts, base),
        "postponed": rules["postponed_block0_fields"],
        "calibration_block_version": rules.get("calibration_fields_present_when_block_version_ge"),
        "flash_voltage": rules.get("set_flash_voltage"),
        "blocks": [
            [
                b["name"],
                b["aliases"],
                b["index"],
                offset(b["rd_addr"], base),
                offset(b["wr_addr"], base),
                b["wr_dis_bit"],
                b["rd_dis_bit"],
                b["len_words"],
                b["key_purpose_field"],
            ]
            for b in facts["blocks"]
        ],
        "burn_block_names": facts["names_for_burn_block_data"],
        "burn_key_names": facts["names_for_burn_key"],
        "purposes": [
            [p["name"], p["value"], "".join(f for k, f in FLAGS.items() if p[k])]
            for p in facts.get("key_purposes", [])
        ],
        "purpose_split": facts.get("virtual_purpose_split") or {},
        "rules": rules_of(facts),
        "custom_purposes": (facts.get("custom_key_purposes") or {}).get("ids", []),
        "tables": [
            {
                "when": t["when"],
                "fields": [field_row(f) for f in t["fields"] + t.get("calculated", [])],
                "reserved": [
                    [f["name"], f["block"], f["word"], f["pos"], f["type"], f["wr_dis"]]
                    for f in t["hidden_fields"]
                ],
            }
            for t in facts["field_tables"]
        ],
    }
    return out


def dump(table: dict[str, Any]) -> str:
    """JSON with one row of data a line, so that a change of one field is one line of a diff."""

    def value(item: Any, indent: int) -> str:
        pad = " " * indent
        flat = json.dumps(item)
        if isinstance(item, dict) and len(pad + flat) > 100:
            rows = [f"{pad} {json.dumps(k)}: {value(v, indent + 1)}" for k, v in item.items()]
            return "{\n" + ",\n".join(rows) + f"\n{pad}}}"
        if isinstance(item, list) and item and len(pad + flat) > 100:
            if isinstance(item[0], dict):
                rows = [f"{pad} {value(v, indent + 1)}" for v in item]
            else:
                rows = [f"{pad} {json.dumps(v)}" for v in item]
            return "[\n" + ",\n".join(rows) + f"\n{pad}]"
        return flat

    return value(table, 0) + "\n"


def controller_rules(table: dict[str, Any]) -> dict[str, Any]:
    """What the virtual chip's controller must know: locked and hidden bits, error registers."""
    fields = table["tables"][-1]["fields"] + (
        table["tables"][0]["fields"] if table["chip"] == "ESP32-H2" else []
    )
    locks: dict[int, int] = {}
    hides: dict[int, int] = {}
    for name, block, word, pos, kind, wr_dis, rd_dis, *_ in fields:
        if block == 0 and word is not None:
            length = 1 if kind == "bool" else int(kind.split(":")[1]) * (8 if "by" in kind else 1)
            mask = ((1 << length) - 1) << (word * 32 + pos)
            if wr_dis is not None:
                locks[wr_dis] = locks.get(wr_dis, 0) | mask
            if isinstance(rd_dis, int) and name != "RD_DIS":
                hides[rd_dis] = hides.get(rd_dis, 0) | mask
    return {
        "locks": [[bit, f"0x{mask:x}"] for bit, mask in sorted(locks.items())],
        "hides": [[bit, f"0x{mask:x}"] for bit, mask in sorted(hides.items())],
        "coded": table["controller"] == "pgm",
        "window_words": table["block0_words"],
        "check": table["registers"].get("CHECK_VALUE0"),
        "block0_errors": table["block0_errors"],
        "block_errors": table["block_errors"],
        "decode_status": table["registers"].get("DEC_STATUS"),
    }


def main(folder: str, chips: list[str]) -> None:
    rules = json.loads(RULES.read_text(encoding="utf-8")) if RULES.exists() else {}
    for path in sorted(Path(folder).glob("esp32*.json")):
        if not chips or path.stem in chips:
            table = convert(json.loads(path.read_text(encoding="utf-8")))
            (TABLES / path.name).write_text(dump(table), encoding="utf-8")
            rules[path.stem] = controller_rules(table)
            print(f"wrote {path.name}")
    lines = [f"{json.dumps(chip)}: {json.dumps(rule)}" for chip, rule in sorted(rules.items())]
    RULES.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])

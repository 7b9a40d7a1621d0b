# SPDX-License-Identifier: Apache-2.0
"""Writes `src/esptool/chips/<chip>.py` from the reference facts (JSON), one literal file a SoC.

Use: `python tools/gen_chips.py --facts DIR` (the folder with chips.json and chip_info.json), with
`--check` to compare instead of write. What the facts call doubtful is left out unless `DECIDED`
names it with the source that settles it.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import subprocess
import sys
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

from esptool.chips import spec as s  # noqa: E402
from esptool.chips.spec import frozen  # noqa: E402

OUT = ROOT / "src" / "esptool" / "chips"
COMMAND = "python tools/gen_chips.py --facts DIR"

#: v5 constant names that a section of the spec already holds; the rest goes to `registers`.
IN_SECTIONS = {
    "BOOTLOADER_FLASH_OFFSET",
    "DROM_MAP_END",
    "DROM_MAP_START",
    "IROM_MAP_END",
    "IROM_MAP_START",
    "EFUSE_BASE",
    "EFUSE_RD_REG_BASE",
    "EFUSE_BLOCK1_ADDR",
    "EFUSE_MAX_KEY",
    "FLASH_ENCRYPTED_WRITE_ALIGN",
    "IMAGE_CHIP_ID",
    "MAGIC_VALUE",
    "SPI_REG_BASE",
    "SPI_MISO_DLEN_OFFS",
    "SPI_MOSI_DLEN_OFFS",
    "SPI_USR1_OFFS",
    "SPI_USR2_OFFS",
    "SPI_USR_OFFS",
    "SPI_W0_OFFS",
    "UART_CLKDIV_REG",
    "UART_DATE_REG_ADDR",
    "UF2_FAMILY_ID",
    "XTAL_CLK_DIVIDER",
}

#: UART registers keep their place in the block on all chips since ESP32 (uart_reg.h: CLKDIV at
#: 0x14; the block is 4 KiB aligned), so a doubtful divider address follows from the date register.
UART_CLKDIV_OFFSET = 0x14

#: Doubtful values that are kept: (chip, constant) -> why.
DECIDED: dict[tuple[str, str], str] = {
    ("esp32h2", "IROM_MAP_START"): "soc/ext_mem_defs.h: IRAM0 and DRAM0 cache share one bus range",
    ("esp32c61", "IROM_MAP_START"): "soc/ext_mem_defs.h: IRAM0 and DRAM0 cache share one bus range",
}

ARCH = {
    "esp8266": s.Arch.LX106,
    "esp32": s.Arch.XTENSA,
    "esp32s2": s.Arch.XTENSA,
    "esp32s3": s.Arch.XTENSA,
}


def num(value: str | int) -> int:
    return value if isinstance(value, int) else int(value, 16)


def _clock(select: int, pll: int, bus: int, update: int, mhz: int, times: int) -> s.CpuClock:
    pcr = 0x60096000
    return s.CpuClock(
        s.Bits(pcr + select, 0x30000), pll << 16, pcr + bus, s.Bits(pcr + update, 1), mhz, times
    )


#: The PCR registers of the vendor's headers and the divider of its framework's clock code. Only
#: chips whose UART and flash controller have sources of their own, and whose settings are agreed
#: upon by all public sources.
CPU_CLOCKS = {
    "esp32c61": _clock(0xE8, 2, 0xF4, 0x120, 160, 4),
    "esp32h2": _clock(0x10C, 1, 0x118, 0x148, 96, 3),
    "esp32h21": _clock(0x10C, 1, 0x118, 0x148, 96, 3),
}


class Builder:
    """Turns the facts of one chip into a `ChipSpec`."""

    def __init__(self, key: str, facts: dict[str, Any], info: dict[str, Any], sdc: bool) -> None:
        self.key, self.f, self.i, self.sdc = key, facts, info, sdc
        self.ints: dict[str, int] = facts["int"]
        self.doubtful = set(facts["doubtful_or_not_applicable"])

    def build(self) -> s.ChipSpec:
        f, n, flags = self.f, self.ints, self.f["flags"]
        is8266 = self.key == "esp8266"
        return s.ChipSpec(
            key=self.key,
            name=f["CHIP_NAME"],
            arch=ARCH.get(self.key, s.Arch.RISCV),
            image_chip_id=f["IMAGE_CHIP_ID"],
            uf2_family_id=n["UF2_FAMILY_ID"],
            rom=s.Rom(
                status_bytes=2 if is8266 else 4,
                magic=n["MAGIC_VALUE"] if flags["USES_MAGIC_VALUE"] else None,
                security_info=flags["SECURITY_INFO_SUPPORTED"],
                baud={
                    "esp32": s.RomBaud.ESP32_MEASURED,
                    "esp32c2": s.RomBaud.C2_26MHZ,
                    "esp32c5": s.RomBaud.C5_40_OR_48MHZ,
                }.get(self.key, s.RomBaud.EXACT),
                ext_flash_begin=self.key not in ("esp8266", "esp32"),
                flash_ops=not is8266,
            ),
            uart=self.uart(),
            spi=s.SpiMem(
                n["SPI_REG_BASE"],
                n["SPI_USR_OFFS"],
                n["SPI_USR1_OFFS"],
                n["SPI_USR2_OFFS"],
                n["SPI_W0_OFFS"],
                n.get("SPI_MOSI_DLEN_OFFS"),
                n.get("SPI_MISO_DLEN_OFFS"),
                flags["SPI_ADDR_REG_MSB"],
            ),
            flash=s.Flash(
                n["BOOTLOADER_FLASH_OFFSET"],
                frozen({k: num(v) for k, v in f["strings_lists"]["FLASH_SIZES"].items()}),
                frozen({k: num(v) for k, v in f["strings_lists"]["FLASH_FREQUENCY"].items()}),
                n["FLASH_ENCRYPTED_WRITE_ALIGN"],
                flags["FLASH_32BIT_ADDR_SUPPORTED"],
                flags["CUSTOM_SPI_FLASH_PINS_SUPPORTED"],
            ),
            memory_map=tuple(
                s.MemoryRange(num(a), num(b), kind)
                for a, b, kind in f["strings_lists"].get("MEMORY_MAP", [])
            ),
            image=self.image(),
            identity=self.identity(),
            crystal=self.crystal(),
            security=self.security(),
            efuse=self.efuse(),
            reset=self.reset(),
            usb=s.Usb(flags["USB_SERIAL_JTAG_SUPPORTED"], flags["USB_OTG_SUPPORTED"]),
            stub=self.stub(),
            voltage=self.voltage(),
            octal_flash=self.octal(),
            spi_pins=self.pins(),
            flash_power_on=self.power_on(),
            sdc=self.sdc,
            registers=frozen({k: v for k, v in sorted(n.items()) if self.keeps(k)}),
        )

    def uart(self) -> s.Uart:
        n = self.ints
        clkdiv, date = n["UART_CLKDIV_REG"], n["UART_DATE_REG_ADDR"]
        if "UART_CLKDIV_REG" in self.doubtful:
            clkdiv = (date & ~0xFFF) + UART_CLKDIV_OFFSET
        return s.Uart(clkdiv, date, n["XTAL_CLK_DIVIDER"])

    def keeps(self, name: str) -> bool:
        if name in IN_SECTIONS:
            return False
        return name not in self.doubtful or (self.key, name) in DECIDED

    def image(self) -> s.ImageRules:
        im = self.f["image"]
        if self.key == "esp8266":
            a, b = im["irom_range"]
            return s.ImageRules(False, (num(a), num(b)), (0, 0), (), s.MinRev.NONE, 0, False, 0)
        ranges = {k: (num(a), num(b)) for k, (a, b) in im["flash_mapped_ranges"].items()}
        return s.ImageRules(
            True,
            ranges["IROM"],
            ranges["DROM"],
            tuple(im["mmu_page_sizes_allowed"]),
            s.MinRev(im["legacy_min_rev_meaning"]),
            num(im.get("last_page_tail_min_bytes", 0)),
            im.get("secure_pad_v1_supported", False),
        )

    def identity(self) -> s.Identity:
        i = self.i
        name = i["name"]
        parts = [self.part(p) for p in name["parts"]]
        if "suffix" in name:
            parts.append(self.part(name["suffix"]))
        return s.Identity(
            fields=frozen(
                {
                    k: tuple(
                        s.Piece(num(p["addr"]), p["shift"], p["width"], p["out_shift"])
                        for p in pieces
                    )
                    for k, pieces in self.identity_fields().items()
                }
            ),
            revision=self.revision(),
            name=tuple(parts),
            features=tuple(self.part(p) for p in i["features"]),
            vendors=frozen(
                {
                    k: frozen({int(a): b for a, b in v["map"].items()})
                    for k, v in (i.get("vendors") or {}).items()
                }
            ),
            mac=self.mac(),
            unknown_marker=name.get("unknown_marker"),
        )

    def identity_fields(self) -> dict[str, Any]:
        if self.key != "esp8266":
            fields = dict(self.i["fields"])
            rule = self.i["revision"] or {}
            if "pkg_const" in rule:
                fields["pkg"] = []
            if "raw_minor_low3" in rule.get("force_0_0_when", {}):
                fields["raw_minor_low3"] = [p for p in fields["raw_minor"] if p["out_shift"] < 3]
            return fields
        words = {n: f"w{n}" for n in range(4)}
        otp = self.i["otp_words"]

        def bit(index: int) -> dict[str, Any]:
            word = otp[words[index // 32]]
            return {"addr": word, "shift": index % 32, "width": 1, "out_shift": 0}

        bits = self.i["otp_bits_128"]
        a, b = bits["esp8285_any_of"]
        return {
            "esp8285_a": [bit(a)],
            "esp8285_b": [bit(b)],
            "max_temp": [bit(bits["max_temp"])],
            "flash_sel": [
                {**bit(bits[f"flash_sel_{name}"]), "out_shift": pos}
                for pos, name in enumerate("abcd")
            ],
            "chip_id": [{**p, "addr": otp[p["word"]]} for p in self.i["chip_id"]["pieces"]],
        }

    def revision(self) -> s.RevisionRule | None:
        r = self.i["revision"]
        if r is None:
            return None
        zero = tuple(s.When(k, "eq", v) for k, v in r.get("force_0_0_when", {}).items())
        table = r.get("major_map")
        return s.RevisionRule(
            r.get("major_from"),
            r.get("minor_from"),
            frozen({int(k): v for k, v in table.items()}) if table else None,
            zero,
        )

    def part(self, p: Any) -> s.Part:
        if isinstance(p, str):
            return s.Part(default=p)
        if "literal" in p:
            return s.Part(default=p["literal"], when=self.when(p.get("when", {})))
        fields = tuple(p["fields"]) if "fields" in p else (p["field"],)
        labels: dict[tuple[int, ...], Any] = {}
        for raw, label in p["map"].items():
            key = tuple(int(x) for x in raw.split(","))
            if isinstance(label, list):
                label = tuple(s.Variant(text, self.when(cond)) for cond, text in label)
            labels[key] = label
        return s.Part(
            fields,
            frozen(labels),
            p["default"],
            self.when(p.get("when", {})),
            p.get("vendor_suffix"),
            tuple(p.get("vendor_suffix_when", ())),
        )

    @staticmethod
    def when(cond: dict[str, Any]) -> tuple[s.When, ...]:
        out = []
        for name, rule in cond.items():
            for op, value in rule.items() if isinstance(rule, dict) else [("eq", rule)]:
                out.append(s.When(name, op, value))
        return tuple(out)

    def mac(self) -> s.Mac:
        m = self.i["mac"]
        if self.key == "esp8266":
            otp = self.i["otp_words"]
            return s.Mac(s.MacLayout.OTP_8266, num(otp["w0"]), num(otp["w1"]))
        if "words" in m:
            hi, lo = m["words"]
            return s.Mac(s.MacLayout.ESP32_BLK0, num(lo), num(hi))
        layout = s.MacLayout.BLK1_EUI64 if "eui64" in m else s.MacLayout.BLK1
        return s.Mac(layout, num(m["word0"]), num(m["word1"]))

    def crystal(self) -> s.Crystal:
        c = self.i["crystal"]
        rom = c.get("rom_expected")
        piece = None
        if rom:
            width = (num(rom["mask"]) >> rom["shift"]).bit_length()
            piece = s.Piece(num(rom["reg"]), rom["shift"], width)
        method = s.CrystalMethod(c["method"].replace("_", "-"))
        return s.Crystal(method, c.get("mhz"), piece)

    def bits(self, table: dict[str, Any], reg: str, mask: str) -> s.Bits | None:
        if not table.get(reg):
            return None
        return s.Bits(num(table[reg]), num(table[mask]))

    def security(self) -> s.Security:
        t = self.i["security"]
        if self.key == "esp8266":
            return s.Security()
        check = s.KeyCheck.PURPOSES
        if "key_valid_any" in t:
            check = s.KeyCheck.ESP32_BLK1
        elif "key_valid" in t:
            check = s.KeyCheck.C2_KEY0
        km = t.get("key_manager")
        reg = "secure_boot_reg"
        v1 = "secure_boot_mask" if "secure_boot_mask" in t else "secure_boot_v1_mask"
        return s.Security(
            secure_boot=self.bits(t, reg, v1),
            secure_boot_v2=self.bits(t, reg, "secure_boot_v2_mask")
            if "secure_boot_v2_mask" in t
            else None,
            secure_boot_v2_min=t.get("secure_boot_v2_min_revision", 0),
            crypt_cnt=self.bits(t, "flash_crypt_cnt_reg", "flash_crypt_cnt_mask"),
            no_manual_encrypt=self.bits(t, "dis_dl_encrypt_reg", "dis_dl_encrypt_mask"),
            key_check=check,
            key_purposes=tuple(tuple(p) for p in t.get("key_valid_purposes_any", ())),
            purpose_fields=tuple(
                s.Piece(num(p["reg"]), p["shift"], num(p["mask"]).bit_length())
                for p in t.get("key_purpose_regs", ())
            ),
            key_manager=s.Piece(num(km["reg"]), km["shift"], 2) if km else None,
            key_manager_xts=km["xts_mask"] if km else 0,
        )

    def efuse(self) -> s.Efuse | None:
        n = self.ints
        if self.key == "esp8266":
            return None
        purposes = self.f["strings_lists"].get("KEY_PURPOSES", {})
        rd = n["EFUSE_RD_REG_BASE"]
        return s.Efuse(
            n.get("EFUSE_BASE", rd),
            rd,
            n.get("EFUSE_BLOCK1_ADDR"),
            n["EFUSE_MAX_KEY"],
            frozen({int(k): v for k, v in purposes.items()}),
        )

    def value(self, v: str | int) -> int:
        if isinstance(v, int):
            return v
        return int(v, 16) if v.startswith("0x") else self.ints[v]

    def steps(self, rows: list[list[Any]] | None) -> tuple[s.Step, ...]:
        ops = {"write": s.Op.WRITE, "or": s.Op.SET_BITS, "andnot": s.Op.CLEAR_BITS}
        out = []
        for row in rows or ():
            if row[0] == "sleep_s":
                out.append(s.Step(s.Op.SLEEP, 0, round(row[1] * 1e6)))
            elif row[0] == "write_masked":
                out.append(s.Step(s.Op.CLEAR_BITS, self.value(row[1]), self.value(row[3])))
            else:
                out.append(s.Step(ops[row[0]], self.value(row[1]), self.value(row[2])))
        return tuple(out)

    def reset(self) -> s.Reset:
        r = self.i["reset"]
        w = r["watchdog_reset"]
        watchdog = None
        if w:
            rows = [
                ["write", w["unlock_reg"], w["unlock_key"]],
                ["write", w["timeout_reg"], w["timeout_value"]],
                ["write", w["enable_reg"], w["enable_value"]],
                ["write", w["unlock_reg"], w["lock_value"]],
            ]
            watchdog = s.WatchdogReset(self.steps(rows), w["wait_s"])
        h = r["hard_reset"]
        otg, strap, forced = s.OtgReset.NEVER, None, None
        if "usb_otg" in h:
            otg = s.OtgReset.ALWAYS
        elif "usb_otg_and_not_secure_download" in h:
            otg = s.OtgReset.UNLESS_SECURE_DOWNLOAD
        elif any(k.startswith("usb_otg_and_strap_low") for k in h):
            otg, n = s.OtgReset.WHEN_STRAPPED, self.ints
            strap = s.Bits(n["GPIO_STRAP_REG"], n["GPIO_STRAP_SPI_BOOT_MASK"])
            forced = s.Bits(n["RTC_CNTL_OPTION1_REG"], n["RTC_CNTL_FORCE_DOWNLOAD_BOOT_MASK"])
        return s.Reset(
            watchdog,
            self.steps(r["disable_watchdogs_on_usb_serial_jtag"]),
            self.steps([h["first"]] if "first" in h else []),
            otg,
            strap,
            forced,
            h["usb_delay_when"],
        )

    def stub(self) -> s.StubRules:
        layouts = {}
        for name, versions in self.f.get("published_stub_layouts", {}).items():
            v = versions.get("v2") or versions["v1"]
            layouts[name] = s.StubLayout(
                *(num(v[k]) for k in ("text_start", "data_start", "bss_start"))
            )
        off = self.i.get("stub_disabled_when", {})
        detour = self.i.get("stub_start_with_secure_boot")
        variants: tuple[tuple[int, str], ...] = ()
        if "stub_variant_by_revision" in self.i:
            variants = ((300, self.i["stub_variant_by_revision"]["lt_300"]),)
        return s.StubRules(
            self.f["stub_available"] and "always" not in off,
            frozen(layouts),
            variants,
            bool(off.get("secure_boot_enabled")),
            off.get("revision"),
            (num(detour["rom_read_fn_ptr"]), num(detour["trigger_opcode"])) if detour else None,
            cpu_clock=CPU_CLOCKS.get(self.key),
        )

    def voltage(self) -> s.FlashVoltage | None:
        v = self.i["flash_voltage"]
        if not v["order"]:
            return None
        e, st, rtc = v["efuse"], v["strap"], v.get("rtc_cntl")
        return s.FlashVoltage(
            tuple(v["order"]),
            num(e["reg"]),
            num(e["force"]),
            num(e["xpd"]),
            num(e["tieh"]),
            s.Bits(num(st["reg"]), num(st["mask"])),
            num(rtc["reg"]) if rtc else None,
            "override_write" in v,
        )

    def octal(self) -> s.Bits | None:
        t = self.i.get("flash_type")
        return s.Bits(num(t["reg"]), num(t["mask"])) if t else None

    def pins(self) -> s.SpiPins | None:
        p = self.i.get("spi_connection_pins")
        if not p:
            return None
        ranges = tuple((a, b) for a, b in p["allowed_ranges"])
        return s.SpiPins(ranges, tuple(p["usb_pins_warn"]), p["hd_pin_max"])

    def power_on(self) -> s.PowerOn | None:
        p = self.i.get("flash_power_on")
        if not p:
            return None
        skip = p["rev_302_skip_when"]
        reg, bit = skip["then_if_all_set_clear"]
        return s.PowerOn(
            tuple(p["revisions"]),
            self.steps(p["sequence"]),
            302,
            s.Bits(self.value(skip["reg"]), self.value(skip["mask"])),
            self.steps([["andnot", reg, bit]]),
        )


# --- rendering ---------------------------------------------------------------------------------

SMALL = {"shift", "width", "out_shift", "status_bytes", "major", "hd_max", "wait_s", "value_small"}


def render(value: Any, indent: int, name: str = "") -> str:
    """A Python literal for `value`, wrapped by hand at 100 columns."""
    flat = render_flat(value, name)
    if len(flat) + indent <= 96 and "\n" not in flat:
        return flat
    pad, end = " " * (indent + 4), " " * indent
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        rows = [f"{pad}{k}={render(v, indent + 4, k)},\n" for k, v in non_default(value)]
        return f"{type(value).__name__}(\n{''.join(rows)}{end})"
    if isinstance(value, MappingProxyType):
        rows = [
            f"{pad}    {render_flat(k, '')}: {render(v, indent + 8, name)},\n"
            for k, v in value.items()
        ]
        return f"frozen(\n{pad}{{\n{''.join(rows)}{pad}}}\n{end})"
    if isinstance(value, tuple):
        rows = [f"{pad}{render(v, indent + 4, name)},\n" for v in value]
        return f"(\n{''.join(rows)}{end})"
    return flat


def non_default(value: Any) -> list[tuple[str, Any]]:
    out = []
    for f in dataclasses.fields(value):
        v = getattr(value, f.name)
        if f.default is not dataclasses.MISSING and v == f.default:
            continue
        if f.default_factory is not dataclasses.MISSING and v == f.default_factory():
            continue
        out.append((f.name, v))
    return out


POSITIONAL = {"Piece", "Step", "MemoryRange", "When", "Variant", "Bits", "Usb"}


def render_flat(value: Any, name: str) -> str:
    if isinstance(value, Enum):
        return f"{type(value).__name__}.{value.name}"
    if isinstance(value, bool) or value is None:
        return repr(value)
    if isinstance(value, int):
        return f"0x{value:X}" if value > 255 and name not in SMALL else str(value)
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, tuple):
        inner = ", ".join(render_flat(v, name) for v in value)
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    if isinstance(value, MappingProxyType):
        if not value:
            return "frozen({})"
        inner = ", ".join(f"{render_flat(k, '')}: {render_flat(v, name)}" for k, v in value.items())
        return f"frozen({{{inner}}})"
    if isinstance(value, float):
        return repr(value)
    kind = type(value).__name__
    items = non_default(value)
    if kind in POSITIONAL:
        return f"{kind}({', '.join(render_flat(v, k) for k, v in items)})"
    return f"{kind}({', '.join(f'{k}={render_flat(v, k)}' for k, v in items)})"


def module(chip: s.ChipSpec) -> str:
    body = render(chip, 0)
    classes = [
        n
        for n in dir(s)
        if (n[0].isupper() and f"{n}(" in body) or (f"{n}." in body and n[0].isupper())
    ]
    names = [*sorted({n for n in classes if n != "Field"}, key=lambda n: n), "frozen"]
    imports = "".join(f"    {n},\n" for n in names)
    return (
        "# SPDX-License-Identifier: Apache-2.0\n"
        f'"""{chip.name}: what the tool-set knows about it.\n\n'
        f'Generated by `{COMMAND}`; do not edit.\n"""\n\n'
        "from __future__ import annotations\n\n"
        f"from esptool.chips.spec import (\n{imports})\n\n"
        f"CHIP = {body}\n"
    )


def generate(facts: Path) -> dict[str, str]:
    chips = json.loads((facts / "chips.json").read_text())
    info = json.loads((facts / "chip_info.json").read_text())["chips"]
    sdc = set(chips["_meta"]["sdc_supported_chips"])
    out = {}
    for key in chips["_meta"]["chip_order"]:
        data = chips["chips"][key]
        text = module(Builder(key, data, info[key], data["CHIP_NAME"] in sdc).build())
        out[key] = formatted(text)
    return out


def formatted(text: str) -> str:
    """The text as ruff lays it out, so that the committed file and a fresh one are equal."""
    ruff = [sys.executable, "-m", "ruff", "format", "--config", str(ROOT / "pyproject.toml"), "-"]
    return subprocess.run(ruff, input=text, capture_output=True, text=True, check=True).stdout


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--facts", type=Path, required=True)
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    args = parser.parse_args()
    stale = []
    for key, text in generate(args.facts).items():
        path = OUT / f"{key}.py"
        if args.check:
            if path.read_text() != text:
                stale.append(path.name)
        else:
            path.write_text(text)
    if stale:
        print("differ from the facts:", ", ".join(stale))
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())

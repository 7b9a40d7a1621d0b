# SPDX-License-Identifier: Apache-2.0
"""What the two witnesses say of the register recipes that quiet or use a watchdog."""

from __future__ import annotations

from esptool.chips.spec import ChipSpec, Op, Step
from tests.chips.witness import Pairs, Silicon


def watchdog(spec: ChipSpec, silicon: Silicon) -> Pairs:
    """Each step of a recipe as (name of the register, value), against what the register is."""
    names = {
        silicon.get(f"wdt.{name}"): name
        for name in ("config0", "config1", "wprotect", "swd_conf", "swd_wprotect", "feed")
    }
    names |= {silicon.get(f"timg0.{name}"): f"timg0 {name}" for name in TIMER_REGISTERS}
    names.pop(None, None)
    if not names:
        return
    recipes = {"quiet": spec.reset.quiet_watchdogs}
    if spec.reset.watchdog is not None:
        recipes["reset"] = spec.reset.watchdog.steps
    for recipe, steps in recipes.items():
        for i, (step, (register, value)) in enumerate(
            zip(steps, _expected(recipe, steps, silicon), strict=True)
        ):
            found = (names.get(step.address, hex(step.address)), step.value)
            yield f"reset {recipe}[{i}]", found, (register, value)
    constants = {
        "WDTCONFIG0_REG": "wdt.config0",
        "WDTCONFIG1_REG": "wdt.config1",
        "WDTWPROTECT_REG": "wdt.wprotect",
        "WDT_WKEY": "wdt.wkey",
        "SWD_CONF_REG": "wdt.swd_conf",
        "SWD_WPROTECT_REG": "wdt.swd_wprotect",
        "SWD_WKEY": "wdt.swd_wkey",
    }
    for ours, theirs in constants.items():
        yield (
            f"registers.RTC_CNTL_{ours}",
            spec.registers.get(f"RTC_CNTL_{ours}"),
            silicon.get(theirs),
        )
    feed = silicon.get("wdt.swd.auto_feed_en")
    bit = spec.registers.get("RTC_CNTL_SWD_AUTO_FEED_EN")
    yield "registers.RTC_CNTL_SWD_AUTO_FEED_EN", bit, None if feed is None else 1 << feed[0]


TIMER_REGISTERS = ("wdtconfig0", "wdtwprotect")
#: What a reset by the watchdog writes into CONFIG1 (its wait) and CONFIG0: enabled, stage 0 resets
#: the system, the reset signals take a while. Their bits differ a little between chips.
RESET_VALUES = {"config1": 2000}
RESET_WIDTH = 0x102


def _expected(recipe: str, steps: tuple[Step, ...], silicon: Silicon) -> list[tuple[str, int]]:
    """What a recipe must do on this silicon: unlock, set, lock, watchdog by watchdog."""
    key, swd_key = silicon.get("wdt.wkey"), silicon.get("wdt.swd_wkey") or silicon.get("wdt.wkey")
    if recipe == "reset":
        enable = 1 << (silicon.get("wdt.config0.en") or [31])[0]
        stage = 5 << (silicon.get("wdt.config0.stg0") or [28])[0]
        return [
            ("wprotect", key),
            ("config1", RESET_VALUES["config1"]),
            ("config0", enable | stage | RESET_WIDTH),
            ("wprotect", 0),
        ]
    found: list[tuple[str, int]] = []
    if steps:
        found += [("wprotect", key), ("config0", 0), ("wprotect", 0)]
    if len(steps) > 6:
        found += [("timg0 wdtwprotect", key), ("timg0 wdtconfig0", 0), ("timg0 wdtwprotect", 0)]
    if any(step.op is Op.SET_BITS for step in steps):
        feed = silicon.get("wdt.swd.auto_feed_en") or [31]
        found += [("swd_wprotect", swd_key), ("swd_conf", 1 << feed[0]), ("swd_wprotect", 0)]
    return found

# SPDX-License-Identifier: Apache-2.0
"""What a program says when it fails, in words, and what usually helps.

Recognised are the texts of ESP-IDF's panic handler (`esp_system/port`), of FreeRTOS, the heap
(`heap/multi_heap_poisoning.c`), boot loaders, the chips' ROMs, and the Arduino core of ESP8266.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple


class Reason(NamedTuple):
    """Why a program failed.

    Attributes:
        code: stable name, for programs.
        words: what happened.
        help: what usually helps.
        fatal: the program does not go on.
    """

    code: str
    words: str
    help: str
    fatal: bool = True

    def record(self) -> dict[str, str]:
        """The same for programs."""
        return {"reason": self.code, "description": self.words, "help": self.help}


_POINTER = (
    "Look at the pointer used at that line: it may be null, freed, not yet set, or overwritten."
)
ILLEGAL = Reason(
    "illegal-instruction",
    "The processor came to something that is no instruction.",
    "Usual causes: a function pointer that was overwritten, a function without a return "
    "statement, a damaged stack, or flash that is read wrongly (mode, frequency, power).",
)
FETCH = Reason(
    "instruction-access",
    "The processor jumped to where there is no code.",
    "A function pointer is null or was overwritten, or the stack with the return address was.",
)
LOAD = Reason("load-access", "The program read from an address that it may not read.", _POINTER)
STORE = Reason("store-access", "The program wrote to an address that it may not write.", _POINTER)
ALIGNMENT = Reason(
    "alignment",
    "The program accessed memory at an address that is not a multiple of the size.",
    "Copy with memcpy instead of casting a pointer; memory for code takes whole words only.",
)
DIVIDE = Reason("divide-by-zero", "The program divided by zero.", "Check the divisor at that line.")
INT_WDT = Reason(
    "interrupt-watchdog",
    "Interrupts were off, or one handler ran, for too long.",
    "Shorten critical sections and interrupt handlers; do not wait, print or take locks in them.",
)
TASK_WDT = Reason(
    "task-watchdog",
    "A task kept the processor for so long that others did not run.",
    "Let long loops wait (vTaskDelay), or give the work a lower priority; the backtrace shows "
    "what was running.",
    fatal=False,
)
STACK = Reason(
    "stack-overflow",
    "A task needed more stack than it has.",
    "Give the task a larger stack, or move large local variables and deep recursion elsewhere.",
)
SMASHED = Reason(
    "stack-smashed",
    "A function wrote past the end of one of its local variables.",
    "Check sizes of local arrays and of what is copied into them in that function.",
)
CACHE = Reason(
    "cache-disabled",
    "Code or data in flash was needed while flash was being written or erased.",
    "Put interrupt handlers and all that they use into RAM (IRAM_ATTR, DRAM_ATTR), or do not "
    "register them with ESP_INTR_FLAG_IRAM.",
)
BROWNOUT = Reason(
    "brown-out",
    "The supply voltage fell too low.",
    "Use a shorter or thicker USB cable, a port or supply that gives more current, and a capacitor "
    "at the module; radios draw up to half an ampere for moments.",
)
HEAP = Reason(
    "heap-damage",
    "Memory around an allocated block was overwritten.",
    "Something wrote past the end of a block, or used one after it was freed. The place where it "
    "is noticed is not the place that did it: turn on comprehensive heap poisoning or heap "
    "tracing.",
)
ABORT = Reason(
    "abort",
    "The program ended itself by abort().",
    "The backtrace shows who called it; the line before usually says why.",
)
ASSERT = Reason(
    "assertion", "A condition that the program relies on did not hold.", "It is named in the line."
)
PANICKED = Reason(
    "rust-panic",
    "A Rust program has panicked.",
    "The line says where; a message follows. Addresses behind it are the callers.",
)
ZEPHYR = Reason(
    "zephyr-fatal",
    "Zephyr has stopped for a fatal error.",
    "The lines around say which exception, where, and in which thread.",
)
ERROR_CHECK = Reason(
    "error-check",
    "A function returned an error that the program does not handle (ESP_ERROR_CHECK).",
    "The line names the error and the call.",
)
DOUBLE = Reason(
    "double-exception",
    "A second fault happened while the first was dealt with.",
    "Mostly the stack is damaged or used up: look for stack overflow first.",
)
PROTECTED = Reason(
    "memory-protection",
    "The program wrote to code, or ran data.",
    "A pointer was overwritten; code that is made at run time needs executable memory.",
)
DEBUG = Reason(
    "debug-exception",
    "A breakpoint or watchpoint was reached without a debugger.",
    "A watchpoint at the end of a stack means stack overflow: the next line says so.",
)
EXCEPTION = Reason("exception", "The processor took an exception.", "See the place below.")
RTC_WDT = Reason(
    "watchdog-reset",
    "A watchdog reset the chip.",
    "The program hung, or never started: interrupts off for long, a loop before the scheduler, or "
    "no valid program in flash.",
    fatal=False,
)
NO_PROGRAM = Reason(
    "no-program",
    "There is no boot loader in flash where the ROM looks for it.",
    "Flash one (mind the offset: 0x0, 0x1000 or 0x2000, by chip); with encrypted flash it must be "
    "written encrypted.",
)
FLASH_READ = Reason(
    "flash-read",
    "The flash was read wrongly.",
    "Choose a slower or simpler mode (DIO, 40 MHz); check power and whether GPIO12 (ESP32) or "
    "other strapping pins are pulled.",
)
NO_APP = Reason(
    "no-application",
    "The boot loader found no application that it may start.",
    "Flash one into a partition of the table; 'esptool partitions' shows what is there.",
)

#: What stands in the brackets of "panic'ed (...)" -> reason; longer texts come first.
_PANICS: tuple[tuple[str, Reason], ...] = (
    ("illegalinstruction", ILLEGAL),
    ("illegal instruction", ILLEGAL),
    ("instrfetchprohibited", FETCH),
    ("instruction access", FETCH),
    ("instructionfetcherror", FETCH),
    ("loadprohibited", LOAD),
    ("load access", LOAD),
    ("storeprohibited", STORE),
    ("store access", STORE),
    ("loadstorealignment", ALIGNMENT),
    ("misaligned", ALIGNMENT),
    ("loadstoreerror", ALIGNMENT),
    ("dividebyzero", DIVIDE),
    ("interrupt wdt", INT_WDT),
    ("stack protection", STACK),
    ("stack canary", STACK),
    ("cache", CACHE),
    ("memory protection", PROTECTED),
    ("double exception", DOUBLE),
    ("debug exception", DEBUG),
    ("breakpoint", DEBUG),
)

_LINES: tuple[tuple[re.Pattern[str], Reason], ...] = tuple(
    (re.compile(pattern), reason)
    for pattern, reason in (
        (r"Stack canary watchpoint triggered|stack overflow in task", STACK),
        (r"Stack smashing protect", SMASHED),
        (r"Brownout detector was triggered|rst:0x[0-9a-f]+ \([A-Z0-9_]*BROWN", BROWNOUT),
        (r"CORRUPT HEAP|Heap corruption|multi_heap_(?:free|assert)", HEAP),
        (r"Task watchdog got triggered", TASK_WDT),
        (r"ESP_ERROR_CHECK failed", ERROR_CHECK),
        (r"[Aa]ssert(?:ion)? failed", ASSERT),
        (r"panicked at ", PANICKED),
        (r"ZEPHYR FATAL ERROR", ZEPHYR),
        (r"abort\(\) was called", ABORT),
        (r"rst:0x[0-9a-f]+ \([A-Z0-9_]*WDT|Soft WDT reset|\bwdt reset\b", RTC_WDT),
        (r"invalid header: 0xffffffff", NO_PROGRAM),
        (r"flash read err", FLASH_READ),
        (r"No bootable app|no bootable app", NO_APP),
    )
)
_PANIC = re.compile(r"panic'ed \(([^)]*)\)|Fatal exception \(\d+\): ?(.*)")
_ESP8266 = re.compile(r"(?:Exception|Fatal exception) ?\((\d+)\)")
#: EXCCAUSE of Xtensa processors -> reason (Xtensa ISA reference manual, table of causes).
_CAUSES = {
    0: ILLEGAL,
    2: FETCH,
    3: ALIGNMENT,
    6: DIVIDE,
    9: ALIGNMENT,
    20: FETCH,
    28: LOAD,
    29: STORE,
}

#: What stands around a core dump in base64.
CORE_DUMP_BEGIN = "CORE DUMP START"
CORE_DUMP_END = "CORE DUMP END"

#: One search over a whole chunk tells whether any line in it needs to be looked at.
TRIGGERS = re.compile(
    r"0x[0-9a-fA-F]{8}|panic'ed|xception|canary|stack|Stack|rownout|BROWN|HEAP|atchdog|WDT|wdt"
    r"|_CHECK|ssert|panicked|ZEPHYR|abort|invalid header|read err|ootable|SHA256|CORE DUMP"
)


def reasons_in(line: str) -> Iterator[Reason]:
    """The reasons that a line of output tells, the most telling first."""
    found = _PANIC.search(line)
    if found:
        text = (found[1] or found[2] or "").lower()
        yield next((reason for part, reason in _PANICS if part in text), EXCEPTION)
        return
    for pattern, reason in _LINES:
        if pattern.search(line):
            yield reason
            return
    found = _ESP8266.search(line)
    if found:
        yield _CAUSES.get(int(found[1]), EXCEPTION)


def cause(number: int) -> Reason | None:
    """The reason behind a number in EXCCAUSE of Xtensa processors, None where there is none."""
    return _CAUSES.get(number)

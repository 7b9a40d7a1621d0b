# SPDX-License-Identifier: Apache-2.0
"""Events while a command runs, and codes of failures."""

from __future__ import annotations

from output_fields import Fields

EVENTS: dict[str, tuple[str, Fields]] = {
    "message": (
        "A sentence for a person.",
        {
            "level": ("text", "`debug`, `info`, `note`, `hint`, `warning` or `error`."),
            "text": ("text", "It may change in any version: do not parse it."),
        },
    ),
    "stage": (
        "A stage of the work begins.",
        {
            "stage": ("text", "Which."),
            "address~": ("int", "Offset in flash, or address in memory."),
            "size~": ("int", "Bytes that it is about."),
            "file~": ("text?", "The file."),
            "what~": ("text", "What is tested."),
        },
    ),
    "progress": (
        "Work advanced; at most ten times a second, and always at its end.",
        {
            "action": ("text", "What is going on."),
            "address": ("int?", "How far it got."),
            "done": ("int", "Bytes done."),
            "total": ("int", "Bytes in all."),
            "seconds_left": ("number?", "How long it will still take; null before it is known."),
        },
    ),
    "finding": (
        "`doctor`: something was found.",
        {"finding": ("finding", "What.")},
    ),
    "plug": (
        "`ports --watch`: something was plugged in or pulled out.",
        {
            "change": ("text", "`added` or `removed`."),
            "port": ("port", "The port."),
        },
    ),
    "attempt": (
        "The chip is called.",
        {"attempt": ("int", "For which time, from 1.")},
    ),
    "port": (
        "Monitor: what becomes of the port.",
        {
            "seconds": ("number", "Since the monitor began."),
            "state": ("text", "`open`, `lost` or `back`."),
            "port": ("text", "Its name or URL."),
        },
    ),
    "line": (
        "Monitor: the chip has sent a line.",
        {
            "seconds": ("number", "Since the monitor began."),
            "text": ("text", "The line, without colours."),
            "level~": ("text", "ESP-IDF's log: `error`, `warning`, `info`, `debug` or `verbose`."),
            "tag~": ("text", "ESP-IDF's log: who speaks."),
            "uptime~": ("text", "ESP-IDF's log: the time as the program prints it."),
        },
    ),
    "address": (
        "Monitor: an address in the line before is code of the program.",
        {
            "seconds": ("number", "Since the monitor began."),
            "address": ("int", "The address."),
            "frames": ("[frame]", "Functions there, the innermost first."),
        },
    ),
    "backtrace": (
        "Monitor: the chain of callers of a program that failed.",
        {
            "seconds": ("number", "Since the monitor began."),
            "backtrace": ("[caller]", "The innermost first."),
            "corrupted": ("bool", "The stack is damaged behind the last one."),
        },
    ),
    "panic": (
        "Monitor: the line before tells of a failure.",
        {
            "seconds": ("number", "Since the monitor began."),
            "reason": ("text", "A word for the kind of failure, which stays."),
            "description": ("text", "What happened."),
            "help": ("text", "What usually helps."),
        },
    ),
    "hint": (
        "Monitor: more about a failure.",
        {
            "seconds": ("number", "Since the monitor began."),
            "hint": ("text", "`null-pointer` or `baud-rate`."),
            "address~": ("int", "The address that was used."),
        },
    ),
    "core-dump": (
        "Monitor: the program has shown a core dump.",
        {
            "seconds": ("number", "Since the monitor began."),
            "problem": ("text?", "Why it cannot be read."),
            "core_dump": ("core_dump?", "What it tells."),
        },
    ),
    "build": (
        "Monitor: the program has said which build it is.",
        {
            "seconds": ("number", "Since the monitor began."),
            "elf_sha256": ("text", "Beginning of the SHA-256 of its ELF file."),
            "matches": ("bool", "The ELF files at hand are of this build, or one was found."),
            "files": ("[text]", "ELF files at hand."),
        },
    ),
}

ERROR_CODES = {
    "failed": "Something else failed; the message says what.",
    "usage": "What was asked for cannot be meant; nothing was done.",
    "aborted": "It was not confirmed.",
    "interrupted": "Ctrl-C or a signal.",
    "internal": "A mistake of the program.",
    "out_of_memory": "There is not enough memory.",
    "line_lost": "The line failed, or the chip was reset meanwhile.",
    "no_answer": "No good answer came.",
    "timeout": "The chip did not answer in time.",
    "bad_answer": "What came is not what the protocol allows.",
    "port": "The port cannot be opened, vanished, or refuses a setting.",
    "port_not_found": "There is no such port, or none that fits.",
    "port_permission": "Opening the port is not permitted.",
    "port_busy": "Something else holds the port.",
    "baud_rate": "Port or line cannot go at this rate.",
    "no_connection": "No chip answered.",
    "board": "Something is wrong with the board; the findings say what.",
    "wrong_board": "Another board answered than --mac names.",
    "wrong_chip": "Another chip answered than was expected.",
    "boot_mode": "The chip answers, but is not in download mode.",
    "refused_by_chip": "The chip answered with an error; operands: opcode, status, reason.",
    "damaged_request": "A request arrived damaged.",
    "unsupported_command": "The loader that runs has no such command.",
    "not_supported": "This chip cannot do that.",
    "security": "Secure boot, flash encryption or secure download mode forbids it.",
    "image": "A firmware image or file is damaged, or does not fit the chip.",
    "storage": "What lies in flash is damaged, or none.",
    "not_seen": "Monitor: what was expected did not come in time.",
    "program_failed": "Monitor: the program failed before what was expected came.",
    "verify": "What is there differs from what should be.",
    "file": "A file cannot be read or written.",
    "place_busy": "Somebody else has the board: a labgrid place.",
    "nand_program_failed": "A page of NAND flash is worn out.",
    "nand_erase_failed": "A block of NAND flash is worn out.",
}

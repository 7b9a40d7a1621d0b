/* SPDX-License-Identifier: Apache-2.0 */
/* Plays a ROM on a core with register windows: windowed code 20 calls deep, with interrupts let
 * through, calls the stub's entry. The stub's `main` here calls windowed functions back, and ends the
 * machine with 42 when all is as it must be. The assembler knows no windows: hence the bytes. */
    .macro wsr_n reg, number
    .byte \reg << 4, \number, 0x13
    .endm
    .macro rsr_n reg, number
    .byte \reg << 4, \number, 0x03
    .endm
    .macro s32e reg, base, offset
    .byte \reg << 4, ((\offset + 64) / 4) << 4 | \base, 0x49
    .endm
    .macro l32e reg, base, offset
    .byte \reg << 4, ((\offset + 64) / 4) << 4 | \base, 0x09
    .endm
    .macro rfwo
    .byte 0x00, 0x34, 0x00
    .endm
    .macro rfwu
    .byte 0x00, 0x35, 0x00
    .endm
    .macro entry64              /* entry a1, 64 */
    .byte 0x36, 0x81, 0x00
    .endm
    .macro retw
    .byte 0x90, 0x00, 0x00
    .endm
    .macro callx reg, windows   /* callx4, callx8 or callx12 */
    .byte 0xC0 | (\windows / 4) << 4, \reg, 0x00
    .endm
    .macro check reg, value
    movi a2, \value
    bne \reg, a2, wrong
    .endm
    .macro leave status
    movi a3, \status
    movi a2, 1
    .byte 0x00, 0x51, 0x00      /* simcall: exit */
    .endm

    .equ VECBASE, 231
    .equ WINDOWBASE, 72
    .equ WINDOWSTART, 73
    .equ INTENABLE, 228
    .equ INTSET, 226
    .equ INTCLEAR, 227
    .equ EXCSAVE1, 209
    .equ SOFTWARE, 1 << 7       /* the software interrupt of level 1 on this core */

    /* Where the machine begins. */
    .section .reset, "ax"
    j 1f
    .align 4
    .literal_position
1:
    movi a2, _start
    jx a2

    .text
vectors:
    s32e 0, 5, -16              /* overflow by call4 */
    s32e 1, 5, -12
    s32e 2, 5, -8
    s32e 3, 5, -4
    rfwo
    .org vectors + 0x40         /* underflow by call4 */
    l32e 0, 5, -16
    l32e 1, 5, -12
    l32e 2, 5, -8
    l32e 3, 5, -4
    rfwu
    .org vectors + 0x80         /* overflow by call8 */
    s32e 0, 9, -16
    l32e 0, 1, -12
    s32e 1, 9, -12
    s32e 2, 9, -8
    s32e 3, 9, -4
    s32e 4, 0, -32
    s32e 5, 0, -28
    s32e 6, 0, -24
    s32e 7, 0, -20
    rfwo
    .org vectors + 0xC0         /* underflow by call8 */
    l32e 0, 9, -16
    l32e 1, 9, -12
    l32e 2, 9, -8
    l32e 7, 1, -12
    l32e 3, 9, -4
    l32e 4, 7, -32
    l32e 5, 7, -28
    l32e 6, 7, -24
    l32e 7, 7, -20
    rfwu
    .org vectors + 0x100        /* overflow by call12 */
    s32e 0, 13, -16
    l32e 0, 1, -12
    s32e 1, 13, -12
    s32e 2, 13, -8
    s32e 3, 13, -4
    s32e 4, 0, -48
    s32e 5, 0, -44
    s32e 6, 0, -40
    s32e 7, 0, -36
    s32e 8, 0, -32
    s32e 9, 0, -28
    s32e 10, 0, -24
    s32e 11, 0, -20
    rfwo
    .org vectors + 0x140        /* underflow by call12 */
    l32e 0, 13, -16
    l32e 1, 13, -12
    l32e 2, 13, -8
    l32e 11, 1, -12
    l32e 3, 13, -4
    l32e 4, 11, -48
    l32e 5, 11, -44
    l32e 6, 11, -40
    l32e 7, 11, -36
    l32e 8, 11, -32
    l32e 9, 11, -28
    l32e 10, 11, -24
    l32e 11, 11, -20
    rfwu
    .org vectors + 0x300        /* an exception out of kernel mode */
    leave 3
    .org vectors + 0x340        /* an interrupt or exception out of user mode */
    j tick
    .org vectors + 0x3C0        /* an exception inside a handler */
    leave 4
    .org vectors + 0x400

    .align 4
    .literal_position
tick:
    wsr_n 2, EXCSAVE1
    movi a2, saved
    s32i a3, a2, 0
    rsr_n 3, 232                /* EXCCAUSE: 4 is an interrupt of level 1 */
    addi a3, a3, -4
    beqz a3, 1f
    leave 5
1:
    movi a2, ticks
    l32i a3, a2, 0
    addi a3, a3, 1
    s32i a3, a2, 0
    movi a3, -1
    wsr_n 3, INTCLEAR
    movi a2, saved
    l32i a3, a2, 0
    rsr_n 2, EXCSAVE1
    .byte 0x00, 0x30, 0x00      /* rfe */

    .global _start
_start:
    movi a2, vectors
    wsr_n 2, VECBASE
    movi a2, 0
    wsr_n 2, WINDOWBASE
    rsync
    movi a2, 1
    wsr_n 2, WINDOWSTART
    movi a2, 0x40020            /* windows on, user mode, all interrupts let through */
    wsr.ps a2
    rsync
    movi a1, rom_stack_top
    movi a2, bss_start
    movi a3, 0x5A5A5A5A
    s32i a3, a2, 0
    movi a2, -1
    wsr_n 2, INTENABLE
    rsync
    movi a10, 20
    movi a8, rom
    callx 8, 8
    leave 6                     /* the stub does not come back */

    .align 4
rom:                            /* void rom(u32 n): n calls deeper, then the stub */
    entry64
    beqz a2, 1f
    addi a10, a2, -1
    movi a8, rom
    callx 8, 8
    leave 7
1:                              /* an interrupt of software comes through here */
    movi a3, SOFTWARE
    wsr_n 3, INTSET
    rsync
1:
    movi a3, ticks
    l32i a3, a3, 0
    beqz a3, 1b
    movi a8, start
    callx 8, 8
    leave 8

    .align 4
    .global main
main:
    movi a3, bss_start          /* zeroed on the way here */
    l32i a3, a3, 0
    bnez a3, wrong
    rsr.ps a3
    extui a3, a3, 0, 4
    check a3, 15
    movi a3, ticks
    l32i a3, a3, 0
    movi a4, ticks_before
    s32i a3, a4, 0
    movi a3, SOFTWARE           /* but none here, though one waits from now on */
    wsr_n 3, INTSET
    rsync
    rsr_n 3, INTSET
    beqz a3, wrong
    movi a7, 0x7777
    movi a12, 0x1212
    movi a13, 0x1313
    movi a14, 0x1414
    movi a15, 0x1515
    movi a4, sp_before
    s32i a1, a4, 0
    movi a4, depth
    movi a3, 0
    s32i a3, a4, 0
    /* One frame alone is left, and nothing below the stack is written by it but what is its own:
     * rom_call replaces this stray pointer by the end of its frame. */
    rsr_n 3, WINDOWSTART
    addi a4, a3, -1
    and a3, a3, a4
    bnez a3, wrong
    movi a3, guard_end
    addi a4, a1, -92
    s32i a3, a4, 0
again:                          /* at every depth, so that the windows stand at every place */
    movi a2, deep
    movi a4, depth
    l32i a3, a4, 0
    movi a4, 5
    movi a5, 7
    movi a6, 9
    call0 rom_call
    mov a3, a2
    movi a4, depth
    l32i a2, a4, 0
    addi a2, a2, 21
    bne a3, a2, wrong
    movi a2, mixed
    l32i a3, a4, 0
    call0 rom_call
    mov a3, a2
    movi a4, depth
    l32i a2, a4, 0
    bne a3, a2, wrong
    addi a2, a2, 1
    s32i a2, a4, 0
    movi a3, 101
    blt a2, a3, again
    check a12, 0x1212
    check a13, 0x1313
    check a14, 0x1414
    check a15, 0x1515
    movi a4, sp_before
    l32i a4, a4, 0
    bne a1, a4, wrong
    movi a3, guard
    movi a4, guard_end
1:
    l32i a5, a3, 0
    bnez a5, wrong
    addi a3, a3, 4
    bltu a3, a4, 1b
    movi a3, ticks
    l32i a3, a3, 0
    movi a4, ticks_before
    l32i a4, a4, 0
    bne a3, a4, wrong
    rsr.ps a3
    extui a3, a3, 0, 4
    check a3, 15
    leave 42
wrong:
    leave 9

    .align 4
deep:                           /* u32 deep(u32 n, u32 a, u32 b, u32 c): n + a + b + c */
    entry64
    beqz a2, 1f
    addi a10, a2, -1
    addi a11, a3, 1
    mov a12, a4
    mov a13, a5
    movi a8, deep
    callx 8, 8
    mov a2, a10
    retw
1:
    add a2, a3, a4
    add a2, a2, a5
    retw

    .align 4
mixed:                          /* u32 mixed(u32 n): n, by calls of all three widths */
    entry64
    beqz a2, 1f
    addi a14, a2, -1
    movi a12, mixed_4
    callx 12, 12
    addi a2, a14, 1
1:
    retw

    .align 4
mixed_4:
    entry64
    beqz a2, 1f
    addi a6, a2, -1
    movi a4, mixed_8
    callx 4, 4
    addi a2, a6, 1
1:
    retw

    .align 4
mixed_8:
    entry64
    beqz a2, 1f
    addi a10, a2, -1
    movi a8, mixed
    callx 8, 8
    addi a2, a10, 1
1:
    retw

    .data
    .align 16
saved: .word 0
ticks: .word 0
ticks_before: .word 0
sp_before: .word 0
depth: .word 0
guard: .space 64
guard_end:
    .global bss_start, bss_end, stack_top
bss_start: .word 0x5A5A5A5A, 0x5A5A5A5A
bss_end:
    .space 32768
rom_stack_top:
    .space 32768
stack_top:
    .space 64

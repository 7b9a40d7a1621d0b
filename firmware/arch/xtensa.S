/* SPDX-License-Identifier: Apache-2.0 */
/* Entry on the windowed Xtensa chips, for code of the call0 convention.
 *
 * The ROM's frames are given up: the stub never returns.
 * An emulator without register windows begins at `start` + 64. */
#include "xtensa.inc"

    begin_at_start
#ifdef MAILBOX
    /* Debuggers stop a program below the level of their own interrupt only. */
    begin_windows 5
#else
    begin_windows 15
#endif
    j plain

    .org 64
plain:
    movi a1, stack_top
    clear_bss
    call0 main
3:
    j 3b

    /* u32 rom_call(u32 function, u32 a, u32 b, u32 c, u32 d): call a windowed function of the ROM.
     * The window handlers spill a0 to a3 below the callee's frame and a4 to a7 below what they
     * find at sp - 12, which must therefore be the end of this frame. */
    .section .text.rom_call, "ax"
    .align 4
    .global rom_call
rom_call:
    addi a1, a1, -80
    s32i a0, a1, 0
    s32i a12, a1, 4
    s32i a13, a1, 8
    s32i a14, a1, 12
    s32i a15, a1, 16
    addi a8, a1, 80
    addi a9, a1, -12
    s32i a8, a9, 0
    mov a8, a2
    mov a10, a3
    mov a11, a4
    mov a12, a5
    mov a13, a6
    callx8_a8
    mov a2, a10
    l32i a0, a1, 0
    l32i a12, a1, 4
    l32i a13, a1, 8
    l32i a14, a1, 12
    l32i a15, a1, 16
    addi a1, a1, 80
    ret

/* SPDX-License-Identifier: Apache-2.0 */
/* Calls a windowed function 100 deep from call0 code, and exits with 42 when all came back right. */
    .macro check reg, value
    movi a2, \value
    bne \reg, a2, wrong
    .endm

    .text
    .global _start
_start:
    movi a12, 0x1212
    movi a13, 0x1313
    movi a14, 0x1414
    movi a15, 0x1515
    mov a7, a1
    movi a2, deep
    movi a3, 100
    movi a4, 5
    movi a5, 7
    movi a6, 9
    call0 rom_call
    mov a3, a2
    check a3, 121
    check a12, 0x1212
    check a13, 0x1313
    check a14, 0x1414
    check a15, 0x1515
    bne a1, a7, wrong
    movi a6, 42
    j leave
wrong:
    movi a6, 1
leave:
    movi a2, 118                /* exit(a6) */
    .byte 0x00, 0x50, 0x00      /* syscall */

    .align 4
deep:                           /* u32 deep(u32 n, u32 a, u32 b, u32 c): n + a + b + c */
    .byte 0x36, 0x41, 0x00      /* entry a1, 32 */
    beqz a2, 1f
    addi a10, a2, -1
    addi a11, a3, 1
    mov a12, a4
    mov a13, a5
    movi a8, deep
    .byte 0xE0, 0x08, 0x00      /* callx8 a8 */
    mov a2, a10
    .byte 0x90, 0x00, 0x00      /* retw */
1:
    add a2, a3, a4
    add a2, a2, a5
    .byte 0x90, 0x00, 0x00

/* SPDX-License-Identifier: Apache-2.0 */
/* Entry of the first stage on ESP8266. What it has loaded begins with the registers and the stack
 * that the ROM left, so that it can return there. */
    .section .start, "ax"
    .align 4
    .global start
start:
    j 1f
    .align 4
    .literal_position
1:
    rsil a3, 15
    movi a2, stack_top - 32
    s32i a0, a2, 16
    s32i a1, a2, 20
    s32i a3, a2, 24
    s32i a12, a2, 0
    s32i a13, a2, 4
    s32i a14, a2, 8
    s32i a15, a2, 12
    mov a1, a2
    call0 stage
    l32i a12, a1, 0
    l32i a13, a1, 4
    l32i a14, a1, 8
    l32i a15, a1, 12
    l32i a3, a1, 24
    l32i a0, a1, 16
    l32i a1, a1, 20
    wsr.ps a3
    rsync
    jx a2

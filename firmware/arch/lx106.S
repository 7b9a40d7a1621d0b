/* SPDX-License-Identifier: Apache-2.0 */
/* Entry on ESP8266 (call0 convention): interrupts off, own stack, zeroed data. When main returns
 * (RUN_USER_CODE), the ROM goes on as after any program that it has called. */
    .section .start, "ax"
    .align 4
    .global start
start:
    j 1f
    .align 4
    .literal_position
1:
#ifdef MAILBOX
    rsil a3, 1
#else
    rsil a3, 15
#endif
    movi a2, stack_top - 32
    s32i a0, a2, 16
    s32i a1, a2, 20
    s32i a3, a2, 24
    s32i a12, a2, 0
    s32i a13, a2, 4
    s32i a14, a2, 8
    s32i a15, a2, 12
    mov a1, a2
    movi a2, bss_start
    movi a3, bss_end
    movi a4, 0
2:
    s32i a4, a2, 0
    addi a2, a2, 4
    bltu a2, a3, 2b
    call0 main
    l32i a12, a1, 0
    l32i a13, a1, 4
    l32i a14, a1, 8
    l32i a15, a1, 12
    l32i a3, a1, 24
    wsr.ps a3
    rsync
    l32i a0, a1, 16
    l32i a1, a1, 20
    ret

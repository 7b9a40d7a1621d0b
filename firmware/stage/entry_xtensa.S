/* SPDX-License-Identifier: Apache-2.0 */
/* Entry of the first stage on the windowed Xtensa chips; see arch/xtensa.S. What it has loaded is
 * entered behind that shim of its own, in the same state. An emulator without register windows begins
 * at `plain`. */
    .section .start, "ax"
    .align 4
    .global start
start:
    j 1f
    .align 4
    .literal_position
1:
    movi a2, 0x4002F                   /* windows on, user mode, interrupts off */
    wsr.ps a2
    rsync
    .byte 3 << 4, 72, 0x03             /* rsr a3, windowbase */
    ssl a3
    movi a2, 1
    sll a2, a2
    .byte 2 << 4, 73, 0x13             /* wsr a2, windowstart */
    rsync
    .global plain
plain:
    movi a1, stack_top
    call0 stage
    isync
    jx a2

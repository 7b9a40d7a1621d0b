/* SPDX-License-Identifier: Apache-2.0 */
/* Entry of the first stage on RISC-V: interrupts off, own stack, and on to what it has loaded. */
    .section .start, "ax"
    .global start
start:
    .insn i 0x73, 7, x0, x8, 0x300     /* csrci mstatus, 8: MIE off */
    la sp, stack_top
    call stage
    .word 0x0000100F                   /* fence.i: what was written is code */
    jr a0

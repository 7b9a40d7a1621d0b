/* SPDX-License-Identifier: Apache-2.0 */
/* Entry on RISC-V: the ROM jumps here. Interrupts off, own stack, zeroed data, no way back. */
    .section .start, "ax"
    .global start
start:
    .insn i 0x73, 7, x0, x8, 0x300     /* csrci mstatus, 8: MIE off */
    la sp, stack_top
    la t0, bss_start
    la t1, bss_end
1:
    sw x0, 0(t0)
    addi t0, t0, 4
    bltu t0, t1, 1b
    call main
2:
    j 2b

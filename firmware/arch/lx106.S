/* SPDX-License-Identifier: Apache-2.0 */
/* Entry on ESP8266 (call0 convention): interrupts off, own stack, zeroed data. When main returns
 * (RUN_USER_CODE), the ROM goes on as after any program that it has called. */
#include "xtensa.inc"

    begin_at_start
#ifdef MAILBOX
    keep_rom_frame 1
#else
    keep_rom_frame 15
#endif
    movi a2, bss_start
    movi a3, bss_end
    movi a4, 0
2:
    s32i a4, a2, 0
    addi a2, a2, 4
    bltu a2, a3, 2b
    call0 main
    restore_rom_frame
    ret

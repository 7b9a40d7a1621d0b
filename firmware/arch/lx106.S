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
    clear_bss
    call0 main
    restore_rom_frame
    ret

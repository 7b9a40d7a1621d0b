/* SPDX-License-Identifier: Apache-2.0 */
/* Entry of the first stage on ESP8266. What it has loaded begins with the registers and the stack
 * that the ROM left, so that it can return there. */
#include "xtensa.inc"

    begin_at_start
    keep_rom_frame 15
    call0 stage
    restore_rom_frame
    jx a2

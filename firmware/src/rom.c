/* SPDX-License-Identifier: Apache-2.0 */
/* What only the ROM can do, and calling it. */
#include "hal.h"

#include "link.h"

#ifndef ROM_IS_WINDOWED
u32 rom_call(u32 address, u32 a, u32 b, u32 c, u32 d)
{
    return ((u32(*)(u32, u32, u32, u32))(uintptr_t)address)(a, b, c, d);
}
#endif

void delay_us(u32 us) { rom_call(ROM_DELAY_US, us, 0, 0, 0); }

void chip_restart(void)
{
    delay_us(10000);
    rom_call(ROM_RESTART, 0, 0, 0, 0);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What only the ROM can do, and calling it. */
#include "hal.h"


#if !defined(ROM_IS_WINDOWED) && !defined(HOST_BUILD)
word rom_call(u32 address, word a, word b, word c, word d)
{
    return ((word(*)(word, word, word, word))(word)address)(a, b, c, d);
}
#endif

/* The ROM counts cycles of the clock that it has set. */
void delay_us(u32 us) { rom_call(ROM_DELAY_US, us * clock_times, 0, 0, 0); }

void chip_restart(void)
{
    clock_restore();
    delay_us(10000);
    rom_call(ROM_RESTART, 0, 0, 0, 0);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The processor's clock. It is raised only where the PLL already runs, as it does for USB-Serial/JTAG,
 * and the bus is divided further by as much, so that no other clock changes. */
#include "hal.h"

#ifdef CLOCK_SELECT_REG

enum { DIVIDER = 0xFF, PATIENCE = 1000 };

u32 clock_times = 1;
static u32 bus;

static void update(void)
{
    reg_set(CLOCK_UPDATE_REG, CLOCK_UPDATE_BIT);
    for (u32 i = 0; i < PATIENCE && (reg_read(CLOCK_UPDATE_REG) & CLOCK_UPDATE_BIT); i++)
        ;
}

void clock_raise(void)
{
    if (clock_times != 1)
        return;
    bus = reg_read(CLOCK_BUS_REG);
    /* Only from what the ROM leaves: on the crystal, undivided. */
    if ((reg_read(CLOCK_SELECT_REG) & CLOCK_SELECT_MASK) || (bus & DIVIDER))
        return;
    reg_write(CLOCK_BUS_REG, bus | (CLOCK_TIMES - 1));
    reg_set(CLOCK_SELECT_REG, CLOCK_SELECT_PLL);
    update();
    clock_times = CLOCK_TIMES;
}

void clock_restore(void)
{
    if (clock_times == 1)
        return;
    reg_write(CLOCK_BUS_REG, bus);
    reg_clear(CLOCK_SELECT_REG, CLOCK_SELECT_MASK);
    update();
    clock_times = 1;
}

#endif

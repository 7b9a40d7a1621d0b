/* SPDX-License-Identifier: Apache-2.0 */
/* The chip as the portable code sees it: registers, the ROM's functions, time.
 * On the chip registers are memory; the host build supplies functions of the same names. */
#ifndef HAL_H
#define HAL_H

#include "types.h"

#include "chip.h"

#ifdef HOST_BUILD
u32 reg_read(u32 address);
void reg_write(u32 address, u32 value);
#else
INLINE u32 reg_read(u32 address) { return *(volatile u32 *)(uintptr_t)address; }
INLINE void reg_write(u32 address, u32 value)
{
    *(volatile u32 *)(uintptr_t)address = value;
}
#endif

static inline void reg_set(u32 address, u32 bits) { reg_write(address, reg_read(address) | bits); }
static inline void reg_clear(u32 address, u32 bits)
{
    reg_write(address, reg_read(address) & ~bits);
}

/* Call a function in the ROM (or code in RAM) with up to four arguments. */
word rom_call(u32 address, word a, word b, word c, word d);

/* Raise the processor's clock, and put it back: before anything else than this program runs. */
#ifdef CLOCK_SELECT_REG
extern u32 clock_times; /* by how much it is raised now */
void clock_raise(void);
void clock_restore(void);
#else
enum { clock_times = 1 };
static inline void clock_raise(void) {}
static inline void clock_restore(void) {}
#endif

void delay_us(u32 us);
void chip_restart(void);

#endif

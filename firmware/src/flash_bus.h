/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of flash.h share: commands on the flash's bus, and what is known of the part. */
#ifndef FLASH_BUS_H
#define FLASH_BUS_H

#include "hal.h"
#include "spi.h"
#include "types.h"

enum { READ_ID = 0x9F, READ_STATUS = 0x05, READ_STATUS2 = 0x35, WRITE_STATUS = 0x01 };
enum { WRITE_ENABLE = 0x06, ERASE_CHIP = 0xC7 };
enum { WIP = 1, WEL = 2, PROTECT = 0x7C };

/* Commands with a 24-bit address, and those with a 32-bit one. */
enum operation { READ, PROGRAM, ERASE_SECTOR, ERASE_32K, ERASE_64K };
struct spi_shape flash_shape(enum operation op, u32 address, u32 out, u32 in);
void flash_command(u8 command);
u8 flash_status(u8 command);
/* An operation of the flash has begun. */
void flash_begun(void);

/* What has been found out of the part, until flash or pins may be others. */
extern struct flash_known {
    /* On how many lines it can be read: tried where the contents can tell, as a flash in a mode of
     * its own, or one of which not all lines are connected, cannot be told otherwise. 0: not yet. */
    u32 read_lanes;
#ifdef SPI_HOLD_REG
    /* A page is programmed by one command where the controller can keep the flash selected from one
     * filling of its buffer to the next. */
    enum { HOLD_UNKNOWN, HOLD_WORKS, HOLD_FAILS } hold;
    /* Where four lines can be read, a page can be sent on four, to the makes that know the command. */
    enum { QUAD_UNKNOWN, QUAD_CHECKED, QUAD_WORKS, QUAD_FAILS } quad;
#endif
} known;

bool same_bytes(const u8 *a, const u8 *b, u32 n);
#ifdef SPI_HOLD_REG
bool flash_can_hold(void);
#else
static inline bool flash_can_hold(void) { return false; }
#endif

#endif

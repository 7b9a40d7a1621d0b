/* SPDX-License-Identifier: Apache-2.0 */
/* The flash as a whole: attached, its size, busy or not. */
#include "flash.h"

#include "flash_bus.h"
#include "slip.h"

/* Bytes: told by the host, and told by the id; 0: not known. */
static u32 size_told, size_found;
static bool size_sought;
static bool busy;
struct flash_known known;

static const u8 opcodes[2][5] = {{0x03, 0x02, 0x20, 0x52, 0xD8}, {0x13, 0x12, 0x21, 0x5C, 0xDC}};

struct spi_shape flash_shape(enum operation op, u32 address, u32 out, u32 in)
{
    bool large = address >> 24;
    struct spi_shape s = {
        .command = opcodes[large][op],
        .address_bits = large ? 32 : 24,
        .out = (u8)out,
        .in = (u8)in,
    };
    return s;
}

EARLY void flash_command(u8 command)
{
    struct spi_shape s = {.command = command};
    spi_transfer(&s, 0, NULL, NULL);
}

EARLY u8 flash_status(u8 command)
{
    static const struct spi_shape none;
    struct spi_shape s = none;
    u8 value[4] __attribute__((aligned(4)));

    s.command = command;
    s.in = 1;
    spi_transfer(&s, 0, NULL, value);
    return value[0];
}

void flash_begun(void) { busy = true; }

EARLY bool flash_busy(void)
{
    if (busy && !(flash_status(READ_STATUS) & WIP))
        busy = false;
    return busy;
}

EARLY void flash_wait(void)
{
    while (flash_busy())
        pump();
}

EARLY void flash_attach(u32 pins)
{
#ifdef ROM_SELECT_SPI_PINS
    rom_call(ROM_SELECT_SPI_PINS, 0, 0, 0, 0);
#endif
#ifdef ROM_SPICONFIG
    if (!pins)
        pins = (u32)rom_call(ROM_SPICONFIG, 0, 0, 0, 0); /* as eFuses say */
#endif
    rom_call(ROM_SPI_ATTACH, pins, 0, 0, 0);
    spi_forget();
    size_sought = false;
    known.read_lanes = 0;
#ifdef SPI_HOLD_REG
    known.hold = HOLD_UNKNOWN;
    if (known.quad != QUAD_FAILS)
        known.quad = QUAD_UNKNOWN;
#endif
}

EARLY void flash_set_params(const u8 *six_words) { size_told = get32(six_words + 4); }

/* The id's third byte is the power of two on most parts; some that ran out of it go on at 0x20, and
 * some low-voltage ones count from 0x32. Adesto tells it in five bits of the second byte. Anything
 * else says nothing. */
static u32 size_of_id(const u8 *id)
{
    u32 capacity = id[2], adesto = id[1] & 0x1F;

    if (id[0] == 0x1F)
        return adesto >= 4 && adesto <= 9 ? 1u << (adesto + 15) : 0;
    if (capacity >= 0x20 && capacity <= 0x22)
        return 1u << (capacity - 6);
    if (capacity >= 0x32 && capacity <= 0x3A)
        capacity -= 0x20;
    return capacity >= 0x12 && capacity <= 0x1C ? 1u << capacity : 0;
}

bool flash_holds(u32 address, u32 size)
{
    u32 limit = size_told;

    if (!size_sought) {
        struct spi_shape s = {.command = READ_ID, .in = 3};
        u8 id[4] __attribute__((aligned(4)));
        flash_wait();
        spi_transfer(&s, 0, NULL, id);
        size_found = size_of_id(id);
        size_sought = true;
    }
    if (size_found && (!limit || size_found < limit))
        limit = size_found;
    if (!limit)
        return size <= 0xFFFFFFFF - address;
    return address <= limit && size <= limit - address;
}

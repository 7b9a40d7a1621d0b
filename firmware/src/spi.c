/* SPDX-License-Identifier: Apache-2.0 */
#include "spi.h"

#include "hal.h"

enum { CMD = 0x00, ADDR = 0x04, CTRL = 0x08 };
enum { CMD_USR = 1u << 18 };

#define USER_COMMAND (1u << 31)
#define USER_ADDRESS (1u << 30)
#define USER_DUMMY (1u << 29)
#define USER_IN (1u << 28)
#define USER_OUT (1u << 27)
/* Chip-select set-up and hold and the clock edges stay as the ROM has chosen them. */
#define USER_TIMING 0xF0u
/* Dual and quad data, dual and quad address: of no use to commands on single lines. */
#define CTRL_WIDE (1u << 7 | 1u << 8 | 1u << 14 | 1u << 20 | 1u << 23 | 1u << 24)
/* Two lines for what is read. */
#define CTRL_DUAL (1u << 13 | 1u << 14)

#ifdef SPI_LENGTHS_IN_USER1
#define LENGTHS(out, in) (((out) ? (out)*8u - 1 : 0) << 17 | ((in) ? (in)*8u - 1 : 0) << 8)
#else
#define LENGTHS(out, in) 0
#endif

static struct spi_shape present;
static bool known;
static u32 timing, control; /* as the ROM has set them up */

void spi_forget(void) { known = false; }

static bool same(const struct spi_shape *a, const struct spi_shape *b)
{
    const u32 *x = (const void *)a, *y = (const void *)b;

    return x[0] == y[0] && x[1] == y[1];
}

static void set_shape(const struct spi_shape *s)
{
    u32 user = s->bare ? 0 : USER_COMMAND;

    if (!known) {
        control = reg_read(SPI_BASE + CTRL) & ~CTRL_WIDE;
        timing = reg_read(SPI_BASE + SPI_USER) & USER_TIMING;
    }
    if (!known || s->dual != present.dual)
        reg_write(SPI_BASE + CTRL, control | (s->dual ? CTRL_DUAL : 0));
#ifdef SPI_HOLD_REG
    if (!known || s->more != present.more) {
        if (s->more)
            reg_set(SPI_HOLD_REG, SPI_HOLD_BIT);
        else
            reg_clear(SPI_HOLD_REG, SPI_HOLD_BIT);
    }
#endif
    if (s->address_bits)
        user |= USER_ADDRESS;
    if (s->dummy_bits)
        user |= USER_DUMMY;
    if (s->out)
        user |= USER_OUT;
    if (s->in)
        user |= USER_IN;
    reg_write(SPI_BASE + SPI_USER, user | timing);
    reg_write(SPI_BASE + SPI_USER1, (s->address_bits ? s->address_bits - 1u : 0) << 26
              | LENGTHS(s->out, s->in) | (s->dummy_bits ? s->dummy_bits - 1u : 0));
    reg_write(SPI_BASE + SPI_USER2, s->bare ? 0 : 7u << 28 | s->command);
#ifndef SPI_LENGTHS_IN_USER1
    if (s->out)
        reg_write(SPI_BASE + SPI_OUT_LENGTH, s->out * 8u - 1);
    if (s->in)
        reg_write(SPI_BASE + SPI_IN_LENGTH, s->in * 8u - 1);
#endif
    present = *s;
    known = true;
}

void spi_begin(const struct spi_shape *s, u32 address, const u8 *out)
{
    if (!known || !same(s, &present))
        set_shape(s);
    if (s->address_bits) {
#ifdef SPI_ADDRESS_AT_TOP
        address <<= 32 - s->address_bits;
#endif
        reg_write(SPI_BASE + ADDR, address);
    }
    for (u32 i = 0; i < s->out; i += 4)
        reg_write(SPI_BASE + SPI_W0 + i, *(const u32 *)(const void *)(out + i));
    reg_write(SPI_BASE + CMD, CMD_USR);
}

HOT void spi_end(const struct spi_shape *s, u8 *in)
{
    u32 whole = s->in & ~3u, i = 0;

    while (reg_read(SPI_BASE + CMD) & CMD_USR)
        ;
    for (; i + 16 <= whole; i += 16) {
        u32 *to = (u32 *)(void *)(in + i);
        to[0] = reg_read(SPI_BASE + SPI_W0 + i);
        to[1] = reg_read(SPI_BASE + SPI_W0 + i + 4);
        to[2] = reg_read(SPI_BASE + SPI_W0 + i + 8);
        to[3] = reg_read(SPI_BASE + SPI_W0 + i + 12);
    }
    for (; i < whole; i += 4)
        *(u32 *)(void *)(in + i) = reg_read(SPI_BASE + SPI_W0 + i);
    if (i < s->in)
        for (u32 word = reg_read(SPI_BASE + SPI_W0 + i); i < s->in; i++, word >>= 8)
            in[i] = (u8)word;
}

void spi_transfer(const struct spi_shape *s, u32 address, const u8 *out, u8 *in)
{
    spi_begin(s, address, out);
    spi_end(s, in);
}

void spi_spoil(void)
{
    for (u32 i = 0; i < SPI_BUFFER; i += 4)
        reg_write(SPI_BASE + SPI_W0 + i, 0xA55AC33Cu ^ i * 0x01010101u);
}

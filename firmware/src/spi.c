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
/* Two or four lines for what is read; four for what is sent is a bit of USER. */
#define CTRL_DUAL (1u << 13 | 1u << 14)
#define CTRL_QUAD (1u << 13 | 1u << 20)
#define USER_OUT_QUAD (1u << 13)

#ifdef SPI_LENGTHS_IN_USER1
#define LENGTHS(out, in) (((out) ? (out)*8u - 1 : 0) << 17 | ((in) ? (in)*8u - 1 : 0) << 8)
#else
#define LENGTHS(out, in) 0
#endif

static struct spi_shape present;
static bool known;
static u32 timing, control; /* as the ROM has set them up */
#ifdef SPI_HOLD_REG
static u32 hold;
#endif

void spi_forget(void) { known = false; }

static bool same(const struct spi_shape *a, const struct spi_shape *b)
{
    const u32 *x = (const void *)a, *y = (const void *)b;

    return x[0] == y[0] && x[1] == y[1];
}

static u32 wide(const struct spi_shape *s)
{
    if (!s->in || s->lanes < 2)
        return 0;
    return s->lanes == 4 ? CTRL_QUAD : CTRL_DUAL;
}

static HOT void set_shape(const struct spi_shape *s)
{
    u32 user = s->bare ? 0 : USER_COMMAND;

    if (!known) {
        control = reg_read(SPI_BASE + CTRL) & ~CTRL_WIDE;
        timing = reg_read(SPI_BASE + SPI_USER) & USER_TIMING;
#ifdef SPI_HOLD_REG
        hold = reg_read(SPI_HOLD_REG) & ~SPI_HOLD_BIT;
#endif
    }
    if (!known || wide(s) != wide(&present))
        reg_write(SPI_BASE + CTRL, control | wide(s));
#ifdef SPI_HOLD_REG
    if (!known || s->more != present.more)
        reg_write(SPI_HOLD_REG, hold | (s->more ? SPI_HOLD_BIT : 0));
#endif
    if (s->address_bits)
        user |= USER_ADDRESS;
    if (s->dummy_bits)
        user |= USER_DUMMY;
    if (s->out)
        user |= s->lanes == 4 ? USER_OUT | USER_OUT_QUAD : USER_OUT;
    if (s->in)
        user |= USER_IN;
    reg_write(SPI_BASE + SPI_USER, user | timing);
    reg_write(SPI_BASE + SPI_USER1, (s->address_bits ? s->address_bits - 1u : 0) << 26
              | LENGTHS(s->out, s->in) | (s->dummy_bits ? s->dummy_bits - 1u : 0));
    if (!s->bare)
        reg_write(SPI_BASE + SPI_USER2, 7u << 28 | s->command);
#ifndef SPI_LENGTHS_IN_USER1
    if (s->out)
        reg_write(SPI_BASE + SPI_OUT_LENGTH, s->out * 8u - 1);
    if (s->in)
        reg_write(SPI_BASE + SPI_IN_LENGTH, s->in * 8u - 1);
#endif
    present = *s;
    known = true;
}

/* The buffer's address, kept in a register: each word is an offset from it. */
INLINE u32 buffer(void)
{
    u32 address = SPI_BASE + SPI_W0;
#ifndef HOST_BUILD
    __asm__("" : "+r"(address));
#endif
    return address;
}

/* What is to be sent, into the controller's buffer. */
static HOT void fill(const u8 *out, u32 length)
{
    const u32 *words = (const u32 *)(const void *)out;
    u32 to = buffer(), end = to + (length & ~15u);

    for (; to != end; to += 16, words += 4) {
        reg_write(to, words[0]);
        reg_write(to + 4, words[1]);
        reg_write(to + 8, words[2]);
        reg_write(to + 12, words[3]);
    }
    for (end += length & 15; (int)(end - to) > 0; to += 4)
        reg_write(to, *words++);
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
    fill(out, s->out);
    reg_write(SPI_BASE + CMD, CMD_USR);
}

void spi_again(void) { reg_write(SPI_BASE + CMD, CMD_USR); }

INLINE void await(void)
{
    while (reg_read(SPI_BASE + CMD) & CMD_USR)
        ;
}

HOT bool spi_end_blank(void)
{
    u32 at = buffer();

    await();
    for (u32 end = at + SPI_BUFFER; at != end; at += 32)
        if ((reg_read(at) & reg_read(at + 4) & reg_read(at + 8) & reg_read(at + 12)
             & reg_read(at + 16) & reg_read(at + 20) & reg_read(at + 24) & reg_read(at + 28))
            != 0xFFFFFFFF)
            return false;
    return true;
}

HOT void spi_end_whole(u32 *to)
{
    u32 at = buffer();

    await();
    for (u32 end = at + SPI_BUFFER; at != end; at += 32, to += 8) {
        to[0] = reg_read(at);
        to[1] = reg_read(at + 4);
        to[2] = reg_read(at + 8);
        to[3] = reg_read(at + 12);
        to[4] = reg_read(at + 16);
        to[5] = reg_read(at + 20);
        to[6] = reg_read(at + 24);
        to[7] = reg_read(at + 28);
    }
}

HOT void spi_end(const struct spi_shape *s, u8 *in)
{
    u32 *to = (u32 *)(void *)in;
    u32 at = buffer(), end = at + (s->in & ~15u), rest = s->in & 15;

    await();
    for (; at != end; at += 16, to += 4) {
        to[0] = reg_read(at);
        to[1] = reg_read(at + 4);
        to[2] = reg_read(at + 8);
        to[3] = reg_read(at + 12);
    }
    for (; rest >= 4; rest -= 4, at += 4)
        *to++ = reg_read(at);
    if (rest) {
        u8 *bytes = (u8 *)to;
        for (u32 word = reg_read(at); rest; rest--, word >>= 8)
            *bytes++ = (u8)word;
    }
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

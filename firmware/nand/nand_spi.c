/* SPDX-License-Identifier: Apache-2.0 */
#include "nand_spi.h"

#include "hal.h"

enum {
    CMD = 0x00, ADDR = 0x04, CTRL = 0x08, CLOCK = 0x0C, USER = 0x10, USER1 = 0x14, USER2 = 0x18,
    LENGTH = 0x1C, MISC = 0x20, DIN_MODE = 0x24, DIN_NUM = 0x28, DOUT_MODE = 0x2C, DMA = 0x30,
    W0 = 0x98, SLAVE = 0xE0, GATE = 0xE8,
};
enum { CMD_UPDATE = 1u << 23, CMD_USR = 1u << 24 };
/* WP and HD are kept high while they carry no data. */
enum { CTRL_IDLE_HIGH = 3u << 20 };
/* The crystal, through two: slow enough for any pins by way of the GPIO matrix. */
enum { CLOCK_HALF = 1u << 12 | 1u };
enum { GATE_ON = 3u };
#define FIFO_RESET (3u << 29)
#define USER_COMMAND (1u << 31)
#define USER_ADDRESS (1u << 30)
#define USER_IN (1u << 28)
#define USER_OUT (1u << 27)
#define USER_SELECT (3u << 6) /* set-up and hold of chip select */
enum { PATIENCE = 100000 };

enum { PAD_GPIO = 1u << 12, PAD_INPUT = 1u << 9, PAD_DRIVE = 2u << 10, PAD_FIELDS = 0x7E00 };
enum { PINS = 49 };

static void pad(u32 pin)
{
    u32 at = NAND_IO_MUX + 4 * pin;

    reg_write(at, (reg_read(at) & ~(u32)PAD_FIELDS) | PAD_GPIO | PAD_INPUT | PAD_DRIVE);
}

static void drive(u32 pin, u32 signal)
{
    pad(pin);
    reg_write(NAND_OUT_SELECT + 4 * pin, signal);
#ifdef NAND_ENABLE1
    if (pin >= 32) {
        reg_write(NAND_ENABLE1, 1u << (pin - 32));
        return;
    }
#endif
    reg_write(NAND_ENABLE, 1u << pin);
}

bool gpspi_start(u32 pins)
{
    if (!pins)
        pins = NAND_PINS;
    for (u32 shift = 0; shift < 30; shift += 6)
        if ((pins >> shift & 63) >= PINS)
            return false;
    NAND_CLOCK();
    reg_write(NAND_SPI_BASE + GATE, GATE_ON);
    reg_write(NAND_SPI_BASE + SLAVE, 0);
    reg_write(NAND_SPI_BASE + CTRL, CTRL_IDLE_HIGH);
    reg_write(NAND_SPI_BASE + CLOCK, CLOCK_HALF);
    for (u32 at = MISC; at <= DMA; at += 4)
        reg_write(NAND_SPI_BASE + at, 0);
    drive(pins & 63, NAND_SIGNAL_CLK);
    drive(pins >> 12 & 63, NAND_SIGNAL_D);
    drive(pins >> 18 & 63, NAND_SIGNAL_CS);
    drive(pins >> 24 & 63, NAND_SIGNAL_HD);
    pad(pins >> 6 & 63);
    reg_write(NAND_IN_SELECT + 4 * NAND_SIGNAL_Q, NAND_IN_SELECT_BIT | (pins >> 6 & 63));
    return true;
}

static bool issue(u32 bits)
{
    reg_write(NAND_SPI_BASE + CMD, bits);
    for (u32 i = 0; i < PATIENCE; i++)
        if (!(reg_read(NAND_SPI_BASE + CMD) & bits))
            return true;
    return false;
}

bool gpspi_transfer(const struct transfer *t)
{
    u32 count = t->out_count + t->in_count, user = USER_COMMAND | USER_SELECT;

    if (t->address_bits) {
        user |= USER_ADDRESS;
        reg_write(NAND_SPI_BASE + ADDR, t->address << (32 - t->address_bits));
        reg_write(NAND_SPI_BASE + USER1, (t->address_bits - 1) << 27);
    }
    if (t->out_count)
        user |= USER_OUT;
    if (t->in_count)
        user |= USER_IN;
    reg_write(NAND_SPI_BASE + USER, user);
    reg_write(NAND_SPI_BASE + USER2, 7u << 28 | t->command);
    if (count)
        reg_write(NAND_SPI_BASE + LENGTH, count * 8 - 1);
    reg_write(NAND_SPI_BASE + DMA, FIFO_RESET);
    reg_write(NAND_SPI_BASE + DMA, 0);
    for (u32 i = 0; i < t->out_count; i += 4)
        reg_write(NAND_SPI_BASE + W0 + i, get32(t->out + i));
    /* The registers are carried over to the clock of the bus before they count. */
    if (!issue(CMD_UPDATE) || !issue(CMD_USR))
        return false;
    for (u32 i = 0; i < t->in_count; i += 4) {
        u32 word = reg_read(NAND_SPI_BASE + W0 + i);
        for (u32 j = i; j < i + 4 && j < t->in_count; j++, word >>= 8)
            t->in[j] = (u8)word;
    }
    return true;
}

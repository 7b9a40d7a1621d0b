/* SPDX-License-Identifier: Apache-2.0 */
#include "flash.h"

#include "hal.h"
#include "spi.h"

enum { WIP = 1, WEL = 2, PROTECT = 0x7C };
enum { WRITE_ENABLE = 0x06, READ_STATUS = 0x05, READ_STATUS2 = 0x35, WRITE_STATUS = 0x01 };

u32 flash_size = 0x400000;
static bool busy;

/* Commands with a 24-bit address, and those with a 32-bit one. */
enum operation { READ, PROGRAM, ERASE_SECTOR, ERASE_32K, ERASE_64K };
static const u8 opcodes[2][5] = {{0x03, 0x02, 0x20, 0x52, 0xD8}, {0x13, 0x12, 0x21, 0x5C, 0xDC}};

static struct spi_shape shape(enum operation op, u32 address, u32 out, u32 in)
{
    bool large = address >> 24;
    struct spi_shape s = {opcodes[large][op], large ? 32 : 24, 0, (u8)out, (u8)in};
    return s;
}

static void simple(u8 command)
{
    struct spi_shape s = {command, 0, 0, 0, 0};
    spi_transfer(&s, 0, NULL, NULL);
}

static u8 status_byte(u8 command)
{
    static const struct spi_shape none;
    struct spi_shape s = none;
    u8 value[4] __attribute__((aligned(4)));

    s.command = command;
    s.in = 1;
    spi_transfer(&s, 0, NULL, value);
    return value[0];
}

bool flash_busy(void)
{
    if (busy && !(status_byte(READ_STATUS) & WIP))
        busy = false;
    return busy;
}

void flash_wait(void)
{
    while (flash_busy())
        pump();
}

static enum status write_enable(void)
{
    flash_wait();
    for (u32 i = 0; i < 10; i++) {
        simple(WRITE_ENABLE);
        if ((status_byte(READ_STATUS) & (WEL | WIP)) == WEL)
            return OK;
    }
    return FLASH_FAILED;
}

void flash_attach(u32 pins)
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
}

u32 flash_set_params(const u8 *six_words)
{
    flash_size = get32(six_words + 4);
    return OK;
}

void flash_read(u32 address, u8 *to, u32 length)
{
    flash_wait();
    while (length) {
        u32 n = min32(length, SPI_BUFFER);
        struct spi_shape s = shape(READ, address + n - 1, 0, n);
        /* A piece that reaches over the 16 MB border takes the long address throughout. */
        spi_transfer(&s, address, NULL, to);
        address += n;
        to += n;
        length -= n;
        pump();
    }
}

HOT bool all_ff(const u8 *data, u32 length)
{
    const u32 *words = (const u32 *)(const void *)data;

    for (u32 i = 0; i < length / 4; i++)
        if (words[i] != 0xFFFFFFFF)
            return false;
    for (u32 i = length & ~3u; i < length; i++)
        if (data[i] != 0xFF)
            return false;
    return true;
}

bool flash_blank(u32 address, u32 length)
{
    u8 piece[SPI_BUFFER] __attribute__((aligned(4)));

    for (u32 done = 0; done < length; done += SPI_BUFFER) {
        flash_read(address + done, piece, SPI_BUFFER);
        if (!all_ff(piece, SPI_BUFFER))
            return false;
    }
    return true;
}

enum status flash_program(u32 address, const u8 *data, u32 length)
{
    while (length) {
        u32 n = min32(length, SPI_BUFFER);
        if (!all_ff(data, n)) {
            struct spi_shape s = shape(PROGRAM, address, n, 0);
            enum status status = write_enable();
            if (status)
                return status;
            spi_transfer(&s, address, data, NULL);
            busy = true;
        }
        address += n;
        data += n;
        length -= n;
    }
    return OK;
}

enum status flash_program_encrypted(u32 address, const u8 *data, u32 length)
{
#ifdef ROM_WRITE_ENCRYPTED
    u32 result;

    flash_wait();
    result = (u32)rom_call(ROM_WRITE_ENCRYPTED, address, (word)data, length, 0);
    spi_forget();
    return result ? FLASH_FAILED : OK;
#else
    (void)address, (void)data, (void)length;
    return NOT_IMPLEMENTED;
#endif
}

enum status flash_erase_start(u32 address, u32 size)
{
    enum operation op = size == SECTOR ? ERASE_SECTOR : size == BLOCK32 ? ERASE_32K : ERASE_64K;
    enum status status = write_enable();

    if (status)
        return status;
    if (size) {
        struct spi_shape s = shape(op, address, 0, 0);
        spi_transfer(&s, address, NULL, NULL);
    } else {
        simple(0xC7);
    }
    busy = true;
    return OK;
}

enum status flash_unlock(void)
{
    struct spi_shape s = {WRITE_STATUS, 0, 0, 0, 0};
    u8 old, value[4] __attribute__((aligned(4))) = {0};

    flash_wait();
    old = status_byte(READ_STATUS);
    value[1] = status_byte(READ_STATUS2);
    if (old == 0xFF || !(old & PROTECT))
        return OK;
    /* Both registers at once keeps QE, which sits in the second on most parts; the parts that take
     * one byte only refuse two. */
    for (s.out = 2; s.out; s.out--) {
        enum status status = write_enable();
        if (status)
            return UNLOCK_FAILED;
        spi_transfer(&s, 0, value, NULL);
        busy = true;
        flash_wait();
        if (!(status_byte(READ_STATUS) & PROTECT))
            return OK;
    }
    return UNLOCK_FAILED;
}

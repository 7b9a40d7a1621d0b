/* SPDX-License-Identifier: Apache-2.0 */
/* A chip in a process of the host: a UART on a pair of descriptors, a SPI controller with a NOR
 * flash behind it, some RAM. The stub's own code runs on it unchanged, under sanitizers. */
#include "host.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hal.h"

enum { FLASH_SIZE = 4 << 20, RAM_START = 0x3FC80000, RAM_SIZE = 0x1000, REGISTERS = 0x100 };

static u8 cells[FLASH_SIZE];
static u8 ram[RAM_SIZE];
static u32 spi[REGISTERS / 4], uart[REGISTERS / 4];
static u8 status_register, enabled, busy_polls;
static u32 idle; /* looks at the line since anything happened */

struct host_line host_line = {.in = -1, .out = -1};

/* --- flash --------------------------------------------------------------------------------- */

u8 *host_flash(void) { return cells; }

static u32 erase_size(u8 command)
{
    switch (command) {
    case 0x20: case 0x21: return 0x1000;
    case 0x52: case 0x5C: return 0x8000;
    case 0xD8: case 0xDC: return 0x10000;
    case 0xC7: case 0x60: return FLASH_SIZE;
    default: return 0;
    }
}

static void program(u32 address, const u8 *data, u32 count)
{
    for (u32 i = 0; i < count; i++)
        cells[(address & ~0xFFu) + ((address + i) & 0xFF)] &= data[i];
}

static void transact(void)
{
    u8 command = (u8)spi[SPI_USER2 / 4], *buffer = (u8 *)&spi[SPI_W0 / 4];
    u32 address = spi[1] % FLASH_SIZE, size = erase_size(command);
    u32 in = spi[SPI_USER / 4] >> 28 & 1 ? (spi[SPI_IN_LENGTH / 4] + 1) / 8 : 0;
    u32 out = spi[SPI_USER / 4] >> 27 & 1 ? (spi[SPI_OUT_LENGTH / 4] + 1) / 8 : 0;

    idle = 0;
    if (in > 64)
        in = 64;
    if (out > 64)
        out = 64;
    if (command == 0x05) {
        buffer[0] = status_register | (u8)(enabled << 1) | (busy_polls != 0);
        busy_polls -= busy_polls != 0;
        return;
    }
    if (command == 0x06) {
        enabled = 1;
    } else if (command == 0x9F) {
        memcpy(buffer, "\xEF\x40\x16", 3);
    } else if (command == 0x35) {
        buffer[0] = 2;
    } else if (command == 0x03 || command == 0x13) {
        for (u32 i = 0; i < in; i++)
            buffer[i] = cells[(address + i) % FLASH_SIZE];
    } else if (enabled) {
        enabled = 0;
        busy_polls = 2;
        if (command == 0x02 || command == 0x12)
            program(address, buffer, out);
        else if (command == 0x01)
            status_register = buffer[0];
        else if (size)
            memset(cells + (address & ~(size - 1)), 0xFF, size);
    }
}

/* --- registers ----------------------------------------------------------------------------- */

static u32 waiting(void)
{
    struct pollfd p = {host_line.in, POLLIN, 0};

    if (host_line.data)
        return host_line.length ? host_line.length : (host_line.idle(), 0);
    /* A loop that finds nothing again and again may sleep. */
    if (poll(&p, 1, idle > 100 ? 5 : 0) <= 0) {
        idle++;
        return 0;
    }
    idle = 0;
    return 1;
}

static u8 receive(void)
{
    u8 byte;

    if (host_line.data) {
        if (!host_line.length)
            return 0;
        host_line.length--;
        return *host_line.data++;
    }
    if (read(host_line.in, &byte, 1) != 1)
        exit(0);
    return byte;
}

static u8 out_buffer[4096];
static u32 out_used;

static void let_go(void)
{
    u32 done = 0;

    while (host_line.out >= 0 && done < out_used) {
        ssize_t n = write(host_line.out, out_buffer + done, out_used - done);
        if (n <= 0)
            exit(0);
        done += (u32)n;
    }
    out_used = 0;
}

u32 reg_read(u32 address)
{
    u32 offset = address % REGISTERS;

    if (address - UART_BASE < REGISTERS) {
        if (offset == 0x1C) {
            u32 n = waiting();
            let_go();
            return n > 100 ? 100 : n;
        }
        return offset ? uart[offset / 4] : receive();
    }
    if (address - SPI_BASE < REGISTERS)
        return offset ? spi[offset / 4] : 0;
    if (address - RAM_START <= RAM_SIZE - 4) {
        u32 value;
        memcpy(&value, ram + (address - RAM_START), 4);
        return value;
    }
    return 0;
}

void reg_write(u32 address, u32 value)
{
    u32 offset = address % REGISTERS;

    if (address - UART_BASE < REGISTERS) {
        if (offset) {
            uart[offset / 4] = value;
            return;
        }
        if (out_used == sizeof(out_buffer))
            let_go();
        out_buffer[out_used++] = (u8)value;
    } else if (address - SPI_BASE < REGISTERS) {
        if (!offset)
            transact();
        else
            spi[offset / 4] = value;
    } else if (address - RAM_START <= RAM_SIZE - 4) {
        memcpy(ram + (address - RAM_START), &value, 4);
    }
}

word rom_call(u32 address, word a, word b, word c, word d)
{
    (void)d;
    if (address == ROM_WRITE_ENCRYPTED) {
        /* Any change that is told from a plain write will do. */
        const u8 *data = (const u8 *)b;
        for (word i = 0; i < c; i++) {
            u8 byte = data[i] ^ 0xA5;
            program((u32)(a + i) % FLASH_SIZE, &byte, 1);
        }
    } else if (address == ROM_RESTART) {
        let_go();
        host_line.restart();
    }
    return 0;
}

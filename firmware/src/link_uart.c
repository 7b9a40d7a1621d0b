/* SPDX-License-Identifier: Apache-2.0 */
/* UART0, polled. The divider is scaled from the present rate, so no clock needs to be known. */
#include "hal.h"
#include "link.h"

enum { INT_ENA = 0x0C, CLKDIV = 0x14, STATUS = 0x1C };
enum { FIFO_DEPTH = 128, DIVIDER_MASK = 0xFFFFF, FRACTION_SHIFT = 20 };

static u32 uart_available(void) { return reg_read(UART_BASE + STATUS) & 0xFF; }

static u32 uart_room(void)
{
    /* One place is kept free: the count cannot tell a full FIFO on every chip. */
    u32 used = reg_read(UART_BASE + STATUS) >> 16 & 0xFF;
    return used < FIFO_DEPTH - 2 ? FIFO_DEPTH - 2 - used : 0;
}

static void uart_write(u8 byte) { reg_write(UART_WRITE_FIFO, byte); }

static void uart_flush(void) {}

const struct link link_uart = {
    .available = uart_available, .inbox = UART_READ_FIFO,
    .room = uart_room, .write = uart_write, .outbox = UART_WRITE_FIFO, .flush = uart_flush,
};

static void apply_divider(void)
{
#ifdef UART_UPDATE_REG
    /* Carries the divider into the clock domain of the UART's core. */
    reg_set(UART_UPDATE_REG, UART_UPDATE_BIT);
    for (u32 i = 0; i < 100 && (reg_read(UART_UPDATE_REG) & UART_UPDATE_BIT); i++)
        ;
#endif
}

void uart_set_baud(u32 present, u32 wanted)
{
    u32 divider = reg_read(UART_BASE + CLKDIV);
    u32 sixteenths = (divider & DIVIDER_MASK) << 4 | (divider >> FRACTION_SHIFT & 15);
    u32 next;

    if (!wanted || !sixteenths || present > 0xFFFFFFFF / sixteenths)
        return;
    next = (sixteenths * present + wanted / 2) / wanted;
#ifndef UART_HAS_FRACTION
    next = (next + 8) & ~15u;
#endif
    if (next < 16)
        return;
    reg_write(UART_BASE + CLKDIV, next >> 4 | (next & 15) << FRACTION_SHIFT);
    apply_divider();
}

static u32 saved_interrupts;

void links_start(void)
{
    /* The ROM's handler must not take bytes away, should anything let interrupts through. */
    saved_interrupts = reg_read(UART_BASE + INT_ENA);
    reg_write(UART_BASE + INT_ENA, 0);
}

void uart_restore(void) { reg_write(UART_BASE + INT_ENA, saved_interrupts); }

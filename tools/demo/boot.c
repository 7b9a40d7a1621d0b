/* SPDX-License-Identifier: Apache-2.0 */
/* The boot loader of the demonstration: stands where one stands, and does next to nothing. */

#include <stdint.h>

#define UART_FIFO (*(volatile uint32_t *)0x60000000u)

static const char words[] = "demonstration boot loader\n";
volatile uint32_t boots;

void start(void)
{
    boots++;
    for (const char *p = words; *p; p++)
        UART_FIFO = (uint32_t)*p;
    for (;;) {
    }
}

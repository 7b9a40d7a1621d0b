/* SPDX-License-Identifier: Apache-2.0 */
/* The application of the demonstration: a description, some text, and a loop in flash and RAM.
 * It exists to be made into an image, written and read back; it uses no SDK. */

#include <stdint.h>

struct app_description {
    uint32_t magic;
    uint32_t secure_version;
    uint32_t reserved1[2];
    char version[32];
    char project[32];
    char time[16];
    char date[16];
    char sdk[32];
    uint8_t elf_sha256[32];
    uint16_t min_block_rev;
    uint16_t max_block_rev;
    uint8_t page_size_log2;
    uint8_t reserved2[3];
    uint32_t reserved3[18];
};

__attribute__((section(".rodata_desc"), used))
static const struct app_description description = {
    .magic = 0xABCD5432u,
    .version = "1.0",
    .project = "demonstration",
    .time = "12:00:00",
    .date = "Jan  1 2026",
    .sdk = "none",
    .max_block_rev = 0xFFFF,
    .page_size_log2 = 16,
};

static const char greeting[] = "Hello from a program that was flashed by the demonstration.\n";

volatile uint32_t counter = 1;
volatile uint32_t sink;

/* UART0's transmit FIFO. */
#define UART_FIFO (*(volatile uint32_t *)0x60000000u)

__attribute__((section(".iram"), noinline))
static void put(char c)
{
    UART_FIFO = (uint32_t)c;
}

static uint32_t mix(uint32_t x)
{
    for (int i = 0; i < 64; i++)
        x = (x >> 1) ^ (-(x & 1u) & 0xEDB88320u);
    return x;
}

void start(void)
{
    for (const char *p = greeting; *p; p++)
        put(*p);
    for (;;) {
        counter = mix(counter + 1);
        sink = counter;
    }
}

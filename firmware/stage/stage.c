/* SPDX-License-Identifier: Apache-2.0 */
/* The first stage: takes the stub in at any rate, in numbered blocks with a CRC, and starts it.
 * Its frames are specified in docs/serial-protocol.md. The ROM loads it at 115200 baud, so it is
 * written for size; it relies on no zeroed memory. */
#include "stage.h"

#include "hal.h"

enum { END = 0xC0, ESCAPE = 0xDB, ESCAPED_END = 0xDC };
enum { CLKDIV = 0x14, STATUS = 0x1C, FIFO_DEPTH = 128 };
enum { EP1 = 0x00, EP1_CONF = 0x04, DONE = 1, FREE = 2, HEARD = 4, PACKET = 32 };
enum { ANY, UART, USB };
enum { NONE = 0x100 };
#ifdef UART_HAS_FRACTION
enum { FRACTION_BITS = 4 };
#else
enum { FRACTION_BITS = 0 };
#endif

/* Bytes for which a rate is kept without a good frame. Time is not counted: a processor may be as
 * slow or as fast as an emulator makes it, and a line may lead through a network. A host that is
 * not heard at a rate sends bytes at the old one, which come as some bytes at any. */
enum { ON_TRIAL = 256, PROVEN = 8192 };
/* Loops that last longer than a character at 115200 baud. */
enum { CHARACTER = 8192 };

static struct {
    u32 link, source; /* the one that the host uses, once known; where the last byte came from */
    u32 crc, count;
    u32 frame[(HEADER + LONGEST + SEAL) / 4];
} s;

static u32 uart(u32 offset) { return reg_read(UART_BASE + offset); }

static void spin(u32 times)
{
    while (--times)
        __asm__ volatile("");
}

static APART void count_in(u32 byte)
{
    u32 crc = s.crc ^ byte;

    for (u32 i = 8; i; i--)
        crc = crc >> 1 ^ (0xEDB88320 & -(crc & 1));
    s.crc = crc;
}

/* --- the line ------------------------------------------------------------------------------ */

static u32 get(void)
{
    if (s.link != USB && (uart(STATUS) & 0xFF)) {
        s.source = UART;
        return reg_read(UART_READ_FIFO) & 0xFF;
    }
#ifdef USB_JTAG_BASE
    if (s.link != UART && (reg_read(USB_JTAG_BASE + EP1_CONF) & HEARD)) {
        s.source = USB;
        return reg_read(USB_JTAG_BASE + EP1) & 0xFF;
    }
#endif
    return NONE;
}

static APART void put(u32 byte)
{
#ifdef USB_JTAG_BASE
    if (s.link != UART) {
        /* Before the link is known nobody may be there, and nothing is waited for. */
        while (s.link && !(reg_read(USB_JTAG_BASE + EP1_CONF) & FREE))
            ;
        reg_write(USB_JTAG_BASE + EP1, byte);
        /* Packets are never full: behind a full one an empty one would be due. */
        if (!(++s.count % PACKET))
            reg_write(USB_JTAG_BASE + EP1_CONF, DONE);
    }
#endif
    if (s.link != USB) {
        while ((uart(STATUS) >> 16 & 0xFF) > FIFO_DEPTH - 3)
            ;
        reg_write(UART_WRITE_FIFO, byte);
    }
}

/* Send what stands in the frame: its header and so many bytes of fields. */
static APART void answer(u32 length)
{
    const u8 *at = (const u8 *)s.frame, *end = at + HEADER + length;

    s.crc = ~0u;
    put(END);
    for (; at < end + SEAL; at++) {
        u32 byte = ~s.crc & 0xFF;

        if (at < end) {
            byte = *at;
            count_in(byte);
        } else {
            s.crc >>= 8;
        }
        if (byte == END || byte == ESCAPE) {
            put(ESCAPE);
            byte = ESCAPED_END + (byte == ESCAPE);
        }
        put(byte);
    }
    put(END);
#ifdef USB_JTAG_BASE
    reg_write(USB_JTAG_BASE + EP1_CONF, DONE);
#endif
}

static APART void set_divider(u32 divider)
{
    while (uart(STATUS) >> 16 & 0xFF)
        ;
    spin(CHARACTER);
    reg_write(UART_BASE + CLKDIV, divider);
#ifdef UART_UPDATE_REG
    reg_set(UART_UPDATE_REG, UART_UPDATE_BIT);
#endif
}

/* The next frame is in: its length without the seal. */
static u32 receive(u32 base, u32 patience)
{
    u32 length, escaped, byte;

    for (;;) {
        s.crc = ~0u;
        length = escaped = 0;
        for (;;) {
            byte = get();
            if (byte == NONE)
                continue;
            if (!patience--) {
                set_divider(base);
                patience = PROVEN;
            }
            if (byte == END)
                break;
            if (byte == ESCAPE) {
                escaped = 1;
            } else {
                if (escaped)
                    byte = byte & 1 ? ESCAPE : END;
                escaped = 0;
                count_in(byte);
                if (length < sizeof(s.frame))
                    ((u8 *)s.frame)[length] = (u8)byte;
                length++;
            }
        }
        if (!length)
            continue;
        if (s.crc == RESIDUE && length >= LEAST && length <= sizeof(s.frame)) {
            s.link = s.source;
            return length - SEAL;
        }
        s.frame[0] = DAMAGED;
        answer(0);
    }
}

/* --- commands ------------------------------------------------------------------------------ */

void copy(u32 to, const u32 *from, u32 bytes)
{
    /* Words only: code memory takes nothing else on some chips. */
    for (u32 *word = (u32 *)to; bytes >= 4; bytes -= 4)
        *word++ = *from++;
}

/* What was stored is code: let it get to where instructions come from, as the ROM does before it
 * enters what it has loaded. */
static void write_back(void)
{
#ifdef ROM_CACHE_WRITE_BACK
    enum { L1_DATA = 16 };
    ((void (*)(u32))ROM_CACHE_WRITE_BACK)(L1_DATA);
#endif
}

/* Returns the entry of what was loaded. */
u32 stage(void)
{
    const u32 base = uart(CLKDIV);
    u32 *const f = s.frame;
    u32 length = 0;

    s.link = ANY;
    s.count = 0;
    f[0] = HELLO;
    for (;;) {
        u32 patience = PROVEN, status = GOOD, fields = 0, op = f[0] & 0xFF, first = f[1];

        if (op == HELLO) {
            f[1] = LONGEST | VERSION << 16 | FRACTION_BITS << 24;
            f[2] = uart(CLKDIV);
            fields = 8;
        } else if (op == ECHO) {
            fields = length - HEADER;
        } else if (op == WRITE) {
            copy(first, f + 2, length - 8);
        } else if (op == START) {
            write_back();
            status = first ? ((call *)first)(f + 1, length / 4 - 1) : GOOD;
            write_back();
        } else if (op != RATE) {
            status = UNKNOWN;
        }
        ((u8 *)f)[1] = (u8)status;
        answer(fields);
        if (op == RATE) {
            set_divider(first);
            patience = ON_TRIAL;
        }
        if (op == START && status == GOOD)
            return f[2];
        length = receive(base, patience);
    }
}

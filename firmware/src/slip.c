/* SPDX-License-Identifier: Apache-2.0 */
#include "slip.h"

#include "crc32.h"
#include "hal.h"
#include "link.h"

enum { END = 0xC0, ESCAPE = 0xDB, ESCAPED_END = 0xDC, ESCAPED_ESCAPE = 0xDD };
enum { HEADER = 8, QUEUE = 16 };

/* Told by one comparison for most bytes. */
INLINE bool is_mark(u32 byte)
{
    return __builtin_expect(byte >= END, 0) && (byte == END || byte == ESCAPE);
}

/* --- receiving ------------------------------------------------------------------------------
 * Frames lie one after the other in `arena`; the one that is coming in starts at `start`. */

static u8 arena[RX_ARENA] __attribute__((aligned(4)));

static struct {
    struct frame frames[QUEUE];
    u32 first, count;      /* the queue; the first may be in use */
    u32 start, length;     /* the frame that is coming in */
    u32 limit;             /* how long it may become */
    u32 crc;
    bool escaped, dropping;
    bool held;             /* the first of the queue is being worked on */
    const struct link *source; /* where it comes from */
} rx;

/* Make room for a frame at rx.start: up to the end of the arena, or up to the oldest frame. */
static void place(void)
{
    u32 oldest;

    if (!rx.count) {
        rx.start = 0;
        rx.limit = RX_LONGEST;
        return;
    }
    oldest = (u32)(rx.frames[rx.first].data - arena);
    rx.limit = oldest >= rx.start ? oldest - rx.start : RX_ARENA - rx.start;
}

/* The frame has outgrown its place: move it to the arena's start, if that is larger. */
static bool grow(void)
{
    u32 oldest;

    oldest = rx.count ? (u32)(rx.frames[rx.first].data - arena) : RX_LONGEST;
    if (!rx.start || (rx.count && oldest >= rx.start) || oldest <= rx.length)
        return false;
    memmove(arena, arena + rx.start, rx.length);
    rx.start = 0;
    rx.limit = oldest;
    return true;
}

static const struct line_client *client;

void line_serve(const struct line_client *of) { client = of; }

static bool is_request(const struct frame *f)
{
    return f->length >= HEADER && f->data[0] == 0 && get16(f->data + 2) == f->length - HEADER;
}

/* Not a part of its caller: the stack is reckoned by who calls through a pointer. */
static APART void frame_done(void)
{
    struct frame f = {arena + rx.start, rx.length, rx.crc == CRC32_RESIDUE};
    /* Acknowledgements of READ_FLASH are four bare bytes. */
    bool good = !rx.dropping && (is_request(&f) || f.length == 4);

    if (rx.length && !good) {
        client->damage();
    } else if (rx.length && (f.length < HEADER || client->frame(&f))) {
        if (rx.count < QUEUE) {
            rx.frames[(rx.first + rx.count++) % QUEUE] = f;
            rx.start += (rx.length + 3) & ~3u;
            if (!link_active && f.length >= HEADER)
                link_active = rx.source;
        }
    }
}

static void frame_start(void)
{
    rx.length = 0;
    rx.crc = CRC32_START;
    rx.escaped = rx.dropping = false;
    place();
}

/* The seal covers the opcode and everything after the header. */
INLINE bool is_covered(u32 index) { return index == 1 || index >= HEADER; }

static void take(u8 byte)
{
    if (byte == END) {
        frame_done();
        frame_start();
        return;
    }
    if (rx.dropping)
        return;
    if (rx.escaped) {
        rx.escaped = false;
        if (byte == ESCAPED_END)
            byte = END;
        else if (byte == ESCAPED_ESCAPE)
            byte = ESCAPE;
        else
            rx.dropping = true;
    } else if (byte == ESCAPE) {
        rx.escaped = true;
        return;
    }
    if (rx.length >= rx.limit && !grow()) {
        rx.dropping = true;
        rx.length = 1;
        return;
    }
    if (is_covered(rx.length))
        rx.crc = crc32_byte(rx.crc, byte);
    arena[rx.start + rx.length++] = byte;
}

/* Up to `n` ordinary bytes from within a frame. Returns how many were read; the last of them may be
 * one that means something, and is left in *last then, which else is 0. */
INLINE u32 take_run(const struct link *link, bool gated, u32 n, u8 *last)
{
    u8 *to = arena + rx.start + rx.length, *const start = to, *const end = to + n;
    const u32 *const table = crc32_table;
    const u32 inbox = link->inbox;
    u32 crc = rx.crc, byte = 0;

    while (to != end) {
        if (gated && !(reg_read(link->gate) & link->open))
            break;
        byte = reg_read(inbox) & 0xFF;
        if (is_mark(byte))
            break;
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8;
        *to++ = (u8)byte;
        byte = 0;
    }
    rx.crc = crc;
    rx.length += (u32)(to - start);
    *last = (u8)byte;
    return (u32)(to - start) + (byte != 0);
}

static HOT u32 take_many(const struct link *link, u32 n, u8 *last)
{
    return take_run(link, false, n, last);
}

#ifdef USB_JTAG_BASE
static HOT u32 take_gated(const struct link *link, u32 n, u8 *last)
{
    return take_run(link, true, n, last);
}
#else
#define take_gated take_many
#endif

static void drain(const struct link *link)
{
    u32 n = link->available();

    while (n) {
        u8 byte;
        if (link->inbox && link == rx.source && rx.length >= HEADER && rx.length < rx.limit
            && !rx.escaped && !rx.dropping) {
            u32 most = min32(n, rx.limit - rx.length);
            u32 taken = link->gate ? take_gated(link, most, &byte) : take_many(link, most, &byte);
            if (byte)
                take(byte);
            if (!taken)
                return;
            n -= taken;
            continue;
        }
        if (link->gate && !(reg_read(link->gate) & link->open))
            return;
        byte = link->inbox ? (u8)reg_read(link->inbox) : link->read();
        n--;
        if (link != rx.source) {
            /* Until the host's link is known, a frame belongs to where its start was seen. */
            if (byte != END)
                continue;
            rx.source = link;
            rx.length = 0;
        }
        take(byte);
    }
}

void rx_drain(void)
{
    if (link_active) {
        drain(link_active);
        return;
    }
    for (u32 i = 0; i < link_count; i++)
        drain(links[i]);
}

bool rx_next(struct frame *f)
{
    if (!rx.count)
        return false;
    *f = rx.frames[rx.first];
    rx.held = true;
    return true;
}

void rx_keep(void) { rx.held = false; }

LATE bool rx_count(u32 *received)
{
    struct frame f;

    while (!rx_next(&f)) {
        link_wait();
        pump();
    }
    if (f.length != 4) {
        rx_keep();
        return false;
    }
    *received = get32(f.data);
    rx_release();
    return true;
}

void rx_release(void)
{
    if (!rx.held)
        return;
    rx.held = false;
    rx.first = (rx.first + 1) % QUEUE;
    rx.count--;
    if (!rx.length)
        place();
    else if (!rx.count)
        rx.limit = RX_ARENA - rx.start;
    else if (rx.frames[rx.first].data >= arena + rx.start)
        rx.limit = (u32)(rx.frames[rx.first].data - arena) - rx.start;
    else
        rx.limit = RX_ARENA - rx.start;
}

/* --- sending ------------------------------------------------------------------------------- */

bool tx_active;
static u32 tx_room;

/* Bytes that wait for the line, counted up without end. */
static struct {
    u8 *buffer;
    u32 mask, in, out;
    bool ended; /* the last of them ends a frame */
} ahead;

static HOT void tx_drain(void)
{
    const u8 *const buffer = ahead.buffer;
    const u32 mask = ahead.mask, outbox = link_active->outbox;
    u32 at = ahead.out, end;

    end = at + min32(link_active->room(), ahead.in - at);
    if (outbox)
        for (; at != end; at++)
            reg_write(outbox, buffer[at & mask]);
    else
        for (; at != end; at++)
            link_active->write(buffer[at & mask]);
    ahead.out = at;
    if (ahead.in == at && ahead.ended)
        link_active->flush();
}

bool tx_is_idle(void) { return ahead.in == ahead.out; }

void tx_ahead(u8 *buffer, u32 size)
{
    while (ahead.in != ahead.out)
        breathe();
    ahead.buffer = buffer;
    ahead.mask = size - 1;
}

void breathe(void)
{
    rx_drain();
    if (ahead.in != ahead.out)
        tx_drain();
}

void pump(void)
{
    breathe();
    if (!tx_active)
        client->report();
}

static void put(u8 byte)
{
    if (ahead.buffer) {
        while (ahead.in - ahead.out > ahead.mask)
            breathe();
        ahead.buffer[ahead.in++ & ahead.mask] = byte;
        return;
    }
    while (!tx_room) {
        tx_room = link_active->room();
        rx_drain();
    }
    tx_room--;
    link_active->write(byte);
}

void tx_begin(void)
{
    tx_active = true;
    ahead.ended = false;
    tx_room = 0;
    put(END);
}

void tx_byte(u8 byte)
{
    if (is_mark(byte)) {
        put(ESCAPE);
        byte = byte == END ? ESCAPED_END : ESCAPED_ESCAPE;
    }
    put(byte);
}

/* The same for many, into a buffer with room for all of them escaped. */
static HOT void stuff(const u8 *data, u32 length)
{
    u8 *const buffer = ahead.buffer;
    const u32 mask = ahead.mask;
    u32 in = ahead.in;

    for (const u8 *const end = data + length; data < end; data++) {
        u32 byte = *data;
        if (is_mark(byte)) {
            buffer[in++ & mask] = ESCAPE;
            byte = byte == END ? ESCAPED_END : ESCAPED_ESCAPE;
        }
        buffer[in++ & mask] = (u8)byte;
    }
    ahead.in = in;
}

void tx_bytes(const void *data, u32 length)
{
    const u8 *bytes = data;

    while (length) {
        u32 n = min32(length, 64);
        if (ahead.buffer) {
            while (ahead.in - ahead.out + 2 * n > ahead.mask + 1)
                breathe();
            stuff(bytes, n);
        } else {
            for (u32 i = 0; i < n; i++)
                tx_byte(bytes[i]);
        }
        bytes += n;
        length -= n;
        if (length)
            breathe();
    }
}

void tx_end(void)
{
    put(END);
    ahead.ended = true;
    if (!ahead.buffer)
        link_active->flush();
    tx_active = false;
}

void tx_frame(const void *data, u32 length)
{
    tx_begin();
    tx_bytes(data, length);
    tx_end();
}

/* Nobody knows yet where the host is: greet everywhere, but wait nowhere. */
void tx_greeting(void)
{
    static const u8 greeting[6] = {END, 'O', 'H', 'A', 'I', END};

    for (u32 i = 0; i < link_count; i++) {
        if (links[i]->room() < sizeof(greeting))
            continue;
        for (u32 j = 0; j < sizeof(greeting); j++)
            links[i]->write(greeting[j]);
        links[i]->flush();
    }
    frame_start();
}

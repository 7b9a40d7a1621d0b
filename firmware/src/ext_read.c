/* SPDX-License-Identifier: Apache-2.0 */
/* Reading in a window of sealed frames, compressed here; any frame may be asked for again, as each
 * is made afresh from the flash. */
#include "ext.h"

#include "answer.h"
#include "compress.h"
#include "crc32.h"
#include "flash.h"
#include "hal.h"
#include "inflate.h"
#include "link.h"

enum { FLAG_COMPRESS = 1, METHOD_PLAIN = 0, METHOD_DEFLATE = 1, METHOD_FILL = 2 };
enum { FRAME_FIELDS = 12, HEADER = 8, MOST_AGAIN = 32 };

static struct {
    u32 session, offset, size, frame, frames;
    bool compress;
} rd;

/* The inflate window is free while nothing is written: a frame's fields and body (plain), its
 * compressed form, the compressor's memory, and tables for the seals. */
static u8 *const plain = inflate_window;
static u8 *const packed = inflate_window + 0x1100;
static struct compressor *const compressor = (void *)(inflate_window + 0x2400);
static u32 *const crc_tables = (void *)(inflate_window + 0x3000);
_Static_assert(sizeof(struct compressor) <= 0x3000 - 0x2400, "see above");
/* What waits for the line, so that the next frame is made while this one leaves. */
enum { AHEAD = 0x4000 };
static u8 *const ahead = inflate_window + INFLATE_WINDOW - AHEAD;
_Static_assert(0x3000 + CRC32_TABLES <= INFLATE_WINDOW - AHEAD, "see above");

/* `data` on a word boundary. */
static HOT bool uniform(const u8 *data, u32 length)
{
    const u32 *words = (const u32 *)(const void *)data, wanted = data[0] * 0x01010101u;

    for (u32 i = 0; i < length / 4; i++)
        if (words[i] != wanted)
            return false;
    for (u32 i = length & ~3u; i < length; i++)
        if (data[i] != data[0])
            return false;
    return true;
}

/* `plainly`: where the line waits for the processor, packing would not save time. */
static void send_frame(u32 number, bool plainly)
{
    u32 length = min32(rd.frame, rd.size - number * rd.frame), body = length;
    u32 method = METHOD_PLAIN;
    u8 *out = plain, *data = plain + FRAME_FIELDS;

    flash_read(rd.offset + number * rd.frame, data, length);
    if (rd.compress) {
        if (uniform(data, length)) {
            method = METHOD_FILL;
            body = 1;
        } else if (!plainly) {
            u32 n = compress(compressor, data, length, packed + FRAME_FIELDS, length - 1);
            if (n) {
                method = METHOD_DEFLATE;
                body = n;
                out = packed;
            }
        }
    }
    put32(out, rd.session);
    put32(out + 4, method);
    put32(out + 8, length);
    sealed_reply(EXT_READ_FRAME, OK, number, out, FRAME_FIELDS + body);
}

struct progress {
    u32 next;               /* all below have arrived */
    u32 sent;               /* all below have been sent */
    u32 again[MOST_AGAIN];
    u32 again_count;
    bool over, aborted;
};

static void take_ack(const struct frame *f, struct progress *p)
{
    const u8 *fields = f->data + HEADER;
    u32 length = f->length - HEADER, count;

    if (!f->sealed || length < 12 + SEAL || get32(fields) != rd.session)
        return;
    count = get32(fields + 8);
    if (count > MOST_AGAIN || length != 12 + 4 * count + SEAL)
        return;
    if (get32(fields + 4) > p->next)
        p->next = min32(get32(fields + 4), rd.frames);
    if (p->next > p->sent)
        p->sent = p->next;
    for (u32 i = 0; i < count; i++) {
        u32 number = get32(fields + 12 + 4 * i);
        if (number < rd.frames)
            p->again[i] = number;
        else
            p->again[i] = rd.frames - 1;
    }
    p->again_count = count;
    p->over = p->next == rd.frames;
}

/* What the host says meanwhile. A request of another kind ends the read and stays queued. */
static void listen(struct progress *p)
{
    struct frame f;

    pump();
    if (!rx_next(&f))
        return;
    if (f.length >= HEADER && f.data[1] == EXT_READ_ACK) {
        take_ack(&f, p);
        rx_release();
        return;
    }
    if (f.length < HEADER) {
        rx_release();
        return;
    }
    rx_keep();
    p->aborted = true;
}

u32 on_read(const struct request *r)
{
    static struct progress p;
    u32 window = get32(r->data + 16);

    rd.session = get32(r->data);
    rd.offset = get32(r->data + 4);
    rd.size = get32(r->data + 8);
    rd.frame = get32(r->data + 12);
    rd.compress = get32(r->data + 20) & FLAG_COMPRESS;
    if (!rd.session || !rd.frame || rd.frame > EXT_BLOCK || !window)
        return BAD_BLOCK_SIZE;
    if (!flash_holds(rd.offset, rd.size))
        return FLASH_FAILED;
    ext_write_forget();
    rd.frames = rd.size / rd.frame + (rd.size % rd.frame != 0);
    window = min32(window, EXT_READ_WINDOW);
    memset(&p, 0, sizeof(p));
    compress_init(compressor);
    sealed_reply(EXT_READ_BEGIN, OK, rd.frames, NULL, 0);
    rx_release();
    p.over = !rd.frames;
    crc32_prepare(crc_tables);
    crc32_lent = crc_tables;
    tx_ahead(ahead, AHEAD);
    while (!p.over && !p.aborted) {
        listen(&p);
        if (p.over || p.aborted)
            break;
        if (p.again_count)
            send_frame(p.again[--p.again_count], false);
        else if (p.sent < rd.frames && p.sent < p.next + window)
            /* A UART is always slower than the packer. */
            send_frame(p.sent++, p.next && link_active->gate && tx_is_idle());
        else
            link_wait();
    }
    tx_ahead(NULL, 0);
    crc32_lent = NULL;
    if (p.over && rd.frames)
        sealed_reply(EXT_READ_ACK, OK, rd.frames, NULL, 0);
    return ANSWERED;
}

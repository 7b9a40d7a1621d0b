/* SPDX-License-Identifier: Apache-2.0 */
#include "writer.h"

#include "flash.h"
#include "hal.h"
#include "inflate.h"
#include "slip.h"

static struct {
    struct write_order order;
    struct eraser eraser;
    u32 at;               /* plain bytes taken */
    u32 fill;             /* bytes waiting in `page` */
    enum status failed;
    bool open, stream_over;
} w;

static u8 page[PAGE] __attribute__((aligned(4)));

/* --- erasing ------------------------------------------------------------------------------ */

/* Of a block's sectors, how many are not blank; stops counting when the block is worth erasing. */
static u32 dirty_sectors(u32 address, u32 size, u32 enough, u32 *last)
{
    u32 count = 0;

    for (u32 at = address; at < address + size && count < enough; at += SECTOR) {
        if (flash_blank(at, SECTOR))
            continue;
        count++;
        *last = at;
    }
    return count;
}

enum status eraser_step(struct eraser *e)
{
    u32 room = e->end - e->at, size = SECTOR;

    if (!room)
        return OK;
    if (!(e->at % BLOCK64) && room >= BLOCK64)
        size = BLOCK64;
    else if (!(e->at % BLOCK32) && room >= BLOCK32)
        size = BLOCK32;
    if (e->spare_blank) {
        u32 only = e->at, dirty = dirty_sectors(e->at, size, 2, &only);
        if (dirty < 2) {
            /* One sector takes a third of a block's time. */
            e->at += size;
            return dirty ? flash_erase_start(only, SECTOR) : OK;
        }
    }
    e->at += size;
    return flash_erase_start(e->at - size, size);
}

/* Everything below `end` has been dealt with; the last erase may still be going on. */
static enum status erase_up_to(u32 end)
{
    enum status status = OK;

    while (!status && w.eraser.at < end && w.eraser.at < w.eraser.end) {
        status = eraser_step(&w.eraser);
        pump();
    }
    return status;
}

void writer_idle(void)
{
    if (!w.open || w.failed || flash_busy())
        return;
    if (w.order.deflated)
        inflate_hand_on();
    if (!w.failed && w.eraser.at < w.eraser.end && !flash_busy())
        w.failed = eraser_step(&w.eraser);
}

/* --- programming -------------------------------------------------------------------------- */

/* Within one page; `length` in words, or in the cipher's blocks. */
static enum status program(u32 address, const u8 *data, u32 length)
{
    enum status status;

    if (address - w.order.offset >= PAGE)
        flash_try_reading(address - PAGE);
    status = erase_up_to(address + length);
    if (status)
        return status;
    if (w.order.encrypted)
        status = flash_program_encrypted(address, data, length);
    else
        status = flash_program(address, data, length);
    pump();
    return status;
}

static enum status program_gathered(void)
{
    u32 address = w.order.offset + w.at - w.fill, length;

    /* What is missing in the last word or block stays blank. */
    while (w.fill % (w.order.encrypted ? ENCRYPTED_ALIGN : 4))
        page[w.fill++] = 0xFF;
    length = w.fill;
    w.fill = 0;
    return program(address, page, length);
}

static u32 left_in_page(void) { return PAGE - ((w.order.offset + w.at) % PAGE); }

/* Plain bytes, from a block or out of the stream. */
static enum status take(const u8 *data, u32 length)
{
    if (length > w.order.size - w.at)
        return TOO_MUCH;
    while (length) {
        u32 left = left_in_page(), n = min32(length, left);
        enum status status = OK;

        w.at += n;
        if (n == PAGE && !((word)data & 3)) {
            status = program(w.order.offset + w.at - n, data, n);
        } else {
            pump();
            memcpy(page + w.fill, data, n);
            w.fill += n;
            if (n == left || w.at == w.order.size)
                status = program_gathered();
        }
        if (status)
            return status;
        data += n;
        length -= n;
    }
    return OK;
}

/* The flash can take a page now; starts the next erase where that must come first. */
static bool can_program(u32 length)
{
    u32 end = w.order.offset + w.at + length;

    if (flash_busy())
        return false;
    if (w.eraser.at >= min32(end, w.eraser.end))
        return true;
    w.failed = eraser_step(&w.eraser);
    return w.failed || (w.eraser.at >= min32(end, w.eraser.end) && !flash_busy());
}

static u32 inflated(const u8 *data, u32 length, bool wait)
{
    u32 left = left_in_page(), n = min32(length, left);

    /* Whole pages, or the last. */
    if (!wait && ((n < left && w.at + n < w.order.size) || !can_program(n))) {
        pump();
        return 0;
    }
    /* The line is served behind it, when the flash is busy. */
    if (!w.failed)
        w.failed = take(data, n);
    return w.failed ? INFLATE_REFUSED : n;
}

/* --- orders ------------------------------------------------------------------------------- */

enum status writer_open(const struct write_order *order)
{
    enum status status;

    w.open = false;
    if (!flash_holds(order->offset, order->size))
        return FLASH_FAILED;
    status = flash_unlock();
    if (status)
        return status;
    w.order = *order;
    w.eraser.at = order->offset & ~(SECTOR - 1u);
    w.eraser.end = w.eraser.at;
    if (order->erase_size)
        w.eraser.end = (order->offset + order->erase_size + SECTOR - 1) & ~(SECTOR - 1u);
    w.eraser.spare_blank = order->spare_blank;
    w.at = w.fill = 0;
    w.failed = OK;
    w.stream_over = false;
    w.open = true;
    if (order->deflated)
        inflate_start(inflated);
    return OK;
}

static enum status inflate_feed(const u8 *data, u32 length)
{
    u32 left;

    if (w.stream_over)
        return TOO_MUCH;
    switch (inflate_add(data, length, &left)) {
    case INFLATE_MORE:
        return OK;
    case INFLATE_DONE:
        w.stream_over = true;
        return left ? TOO_MUCH : OK;
    case INFLATE_STOP:
        return w.failed;
    default:
        return BAD_STREAM;
    }
}

enum status writer_feed(const u8 *data, u32 length)
{
    if (!w.open)
        return NOT_WRITING;
    if (!w.failed)
        w.failed = w.order.deflated ? inflate_feed(data, length) : take(data, length);
    return w.failed;
}

enum status writer_finish(void)
{
    if (!w.failed)
        w.failed = erase_up_to(w.eraser.end);
    flash_wait();
    if (!w.failed && !writer_is_complete())
        return TOO_LITTLE;
    return w.failed;
}

void writer_close(void) { w.open = false; }
enum status writer_status(void) { return w.failed; }
bool writer_is_open(void) { return w.open; }
bool writer_is_complete(void)
{
    return w.at == w.order.size && (!w.order.deflated || w.stream_over);
}
u32 writer_done(void) { return w.at - w.fill; }
u32 writer_left(void) { return w.order.size - w.at; }

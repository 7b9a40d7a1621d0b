/* SPDX-License-Identifier: Apache-2.0 */
/* Numbered blocks: taken in order, each once, several on their way. What is accepted is decided as
 * soon as a frame is complete, so that the answer does not wait for the flash. */
#include "ext.h"

#include "answer.h"
#include "hal.h"
#include "writer.h"

enum { FLAG_DEFLATED = 1, FLAG_ERASE = 2, FLAG_ENCRYPTED = 4 };
enum { BLOCK_FIELDS = 8, HEADER = 8 };

static struct {
    u32 session;
    u32 expected;          /* the next block wanted */
    u32 processed;         /* blocks that have left the queue */
    u32 block, blocks;     /* size of a block, and how many there are */
    u32 stream;
    enum status failed;
    bool resend, resend_said;
    /* What is to be sent as soon as the line is free. */
    bool due, due_status;
    u8 wrong_session;      /* the opcode that named another one */
} w;

static void send_state(u8 opcode, enum status status)
{
    u8 fields[12];

    put32(fields, w.processed + EXT_WRITE_WINDOW);
    put32(fields + 4, writer_done());
    put32(fields + 8, w.resend);
    w.resend = false;
    sealed_reply(opcode, status ? status : w.failed, w.expected, fields, sizeof(fields));
}

void ext_report(void)
{
    if (w.wrong_session) {
        u8 opcode = w.wrong_session;
        w.wrong_session = 0;
        sealed_reply(opcode, NOT_WRITING, 0, NULL, 0);
    }
    if (w.due_status) {
        w.due_status = false;
        send_state(EXT_WRITE_STATUS, OK);
    }
    if (w.due) {
        w.due = false;
        send_state(EXT_WRITE_DATA, OK);
    }
}

static void ask_again(void)
{
    if (!w.resend_said)
        w.resend = true;
    w.resend_said = true;
    w.due = true;
}

void ext_write_damage(void)
{
    if (w.session && w.expected < w.blocks)
        ask_again();
}

/* True: the frame is to be queued. */
bool ext_write_frame(const struct frame *f)
{
    u8 opcode = f->data[1];
    u32 seq;

    if (opcode < EXT_WRITE_BEGIN || opcode > EXT_WRITE_END)
        return true;
    if (!w.session) {
        /* Sent behind a begin that was lost or is not done yet: it would not be counted. */
        if (opcode != EXT_WRITE_DATA || !f->sealed)
            return true;
        w.wrong_session = opcode;
        return false;
    }
    if (!f->sealed) {
        ext_write_damage();
        return false;
    }
    if (opcode != EXT_WRITE_DATA && opcode != EXT_WRITE_STATUS)
        return true;
    if (f->length < HEADER + 4 + SEAL || get32(f->data + HEADER) != w.session) {
        w.wrong_session = opcode;
        return false;
    }
    if (opcode == EXT_WRITE_STATUS) {
        w.due_status = true;
        return false;
    }
    w.due = true;
    if (f->length < HEADER + BLOCK_FIELDS + SEAL)
        return false;
    seq = get32(f->data + HEADER + 4);
    if (seq > w.expected) {
        ask_again();
        return false;
    }
    if (seq < w.expected)
        return false;
    /* A block beyond the window or of the wrong size would have no place or no meaning. */
    if (seq >= w.processed + EXT_WRITE_WINDOW || seq >= w.blocks
        || f->length - HEADER - BLOCK_FIELDS - SEAL
            != min32(w.block, w.stream - seq * w.block)) {
        ask_again();
        return false;
    }
    w.expected++;
    w.resend_said = w.resend = false;
    return true;
}

void ext_write_forget(void)
{
    w.session = 0;
    writer_close();
}

static enum status begin(const struct request *r)
{
    u32 session = get32(r->data), flags = get32(r->data + 20);
    struct write_order order = {
        .offset = get32(r->data + 4),
        .size = get32(r->data + 8),
        .deflated = flags & FLAG_DEFLATED,
        .encrypted = flags & FLAG_ENCRYPTED,
        .spare_blank = true,
        .erase_size = flags & FLAG_ERASE ? get32(r->data + 8) : 0,
    };
    enum status status;

    if (session && session == w.session)
        return OK;
    w.session = 0;
    w.block = get32(r->data + 16);
    w.stream = get32(r->data + 12);
    if (!session || !w.block || w.block > EXT_BLOCK || w.block % 4 || order.offset % 4
        || (flags & FLAG_ERASE && order.offset % 0x1000))
        return BAD_BLOCK_SIZE;
    if (!order.deflated && w.stream != order.size)
        return BAD_BLOCK_SIZE;
    status = writer_open(&order);
    if (status)
        return status;
    w.session = session;
    w.blocks = w.stream / w.block + (w.stream % w.block != 0);
    w.expected = w.processed = 0;
    w.failed = OK;
    w.resend = w.resend_said = w.due = w.due_status = false;
    return OK;
}

u32 on_write(const struct request *r)
{
    enum status status = OK;

    if (r->opcode == EXT_WRITE_BEGIN) {
        send_state(EXT_WRITE_BEGIN, begin(r));
        return ANSWERED;
    }
    if (!w.session || get32(r->data) != w.session)
        return NOT_WRITING;
    switch (r->opcode) {
    case EXT_WRITE_DATA:
        if (!w.failed)
            w.failed = writer_feed(r->data + BLOCK_FIELDS, r->length - BLOCK_FIELDS);
        w.processed++;
        w.due = true;
        return ANSWERED;
    case EXT_WRITE_END:
        if (w.expected < w.blocks)
            status = TOO_LITTLE;
        else if (!w.failed)
            w.failed = writer_finish();
        break;
    default:
        break;
    }
    send_state(r->opcode, status);
    return ANSWERED;
}

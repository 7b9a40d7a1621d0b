/* SPDX-License-Identifier: Apache-2.0 */
/* Memory as a link, for a debugger: it fills `in` and empties `out` while the processor stands at
 * `mailbox_break`, and lets it go on at `mailbox_resume`. Both lie side by side with their counts
 * between them, so that one write and one read are enough for a stop. */
#include "mailbox.h"

#include "hal.h"
#include "link.h"
#include "slip.h"

enum { IN = MAILBOX_SIZE / 2 - 16, OUT = MAILBOX_SIZE - IN - 16 };
/* Frames that may wait before the debugger is shown them while there is still work to do. */
enum { FRAMES = 4 };

static struct mailbox {
    u8 in[IN];     /* what has come stands at its end */
    u32 in_at;     /* up to here it is taken */
    u32 out_length;
    u32 stops;     /* tells a stop from the one before */
    u32 idle;      /* nothing is left to do */
    u8 out[OUT];
} volatile *const box = (void *)MAILBOX_START;

static u32 frames;

static APART void stop(bool idle)
{
    frames = 0;
    box->idle = idle;
    box->stops++;
#ifdef __riscv
    /* As long as any breakpoint instruction. */
    __asm__ volatile(".option push\n.option norvc\n.globl mailbox_break\nmailbox_break: nop\n"
                     ".globl mailbox_resume\nmailbox_resume: nop\n.option pop" ::: "memory");
#else
    __asm__ volatile(".globl mailbox_break\nmailbox_break: _or a1, a1, a1\n"
                     ".globl mailbox_resume\nmailbox_resume: _or a1, a1, a1" ::: "memory");
#endif
}

static u32 mailbox_available(void) { return IN - box->in_at; }

static u8 mailbox_read(void) { return box->in[box->in_at++]; }

static u32 mailbox_room(void)
{
    if (box->out_length == OUT)
        stop(false);
    return OUT - box->out_length;
}

static void mailbox_write(u8 byte) { box->out[box->out_length++] = byte; }

static void mailbox_flush(void)
{
    if (++frames >= FRAMES && box->in_at == IN)
        stop(false);
}

void mailbox_wait(void)
{
    if (box->in_at == IN && tx_is_idle())
        stop(true);
}

const struct link link_mailbox = {
    .available = mailbox_available, .read = mailbox_read,
    .room = mailbox_room, .write = mailbox_write, .flush = mailbox_flush,
};

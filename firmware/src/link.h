/* SPDX-License-Identifier: Apache-2.0 */
/* The ways in and out of the chip. Before the first good frame all of them are listened to;
 * from then on only the one that it came from. */
#ifndef LINK_H
#define LINK_H

#include "types.h"

struct link {
    u32 (*available)(void);            /* bytes that can be read now; more may follow */
    u8 (*read)(void);                  /* one of them; NULL where it is a load from */
    u32 inbox;                         /* this register, */
    u32 gate, open;                    /* as long as this one has these bits, if it is any */
    u32 (*room)(void);                 /* bytes that can be written now */
    void (*write)(u8 byte);
    u32 outbox;                        /* the register that `write` stores to, if that is all */
    void (*flush)(void);               /* the end of a frame: let it go */
};

extern const struct link link_uart;
extern const struct link link_usb_jtag;
extern const struct link link_usb_otg;

/* All links of this chip, and the one that the host uses (NULL until known). */
extern const struct link *const links[];
extern const u32 link_count;
extern const struct link *link_active;

/* Nothing is to be done but to wait for the host. */
#ifdef MAILBOX
void mailbox_wait(void);
#define link_wait() mailbox_wait()
#else
#define link_wait() ((void)0)
#endif

void links_start(void);
void uart_set_baud(u32 present, u32 wanted);
void uart_restore(void);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* A write to flash that is going on: plain bytes come in order, pages go out, and erasing keeps
 * ahead of them. One at a time, for the public commands and for the extensions alike. */
#ifndef WRITER_H
#define WRITER_H

#include "status.h"
#include "types.h"

struct write_order {
    u32 offset;
    u32 size;         /* plain bytes */
    u32 erase_size;   /* from `offset` on; 0 erases nothing */
    bool deflated;
    bool encrypted;
    bool spare_blank; /* look before erasing, and leave blank sectors alone */
};

enum status writer_open(const struct write_order *order);
/* Bytes of the stream. */
enum status writer_feed(const u8 *data, u32 length);
/* Everything has been fed: program the rest and wait for the flash. */
enum status writer_finish(void);
void writer_close(void);
bool writer_is_open(void);
enum status writer_status(void); /* what went wrong so far */
bool writer_is_complete(void);
u32 writer_done(void); /* plain bytes handed to the flash */
u32 writer_left(void); /* plain bytes that are still to come */

/* Erase ahead while nothing else is to be done. */
void writer_idle(void);

/* Erase a range by the largest commands that fit. `step` deals with one more piece and says how
 * far it has come; the piece is still being erased then. */
struct eraser {
    u32 at, end;
    bool spare_blank;
};
enum status eraser_step(struct eraser *e);

#endif

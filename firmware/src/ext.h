/* SPDX-License-Identifier: Apache-2.0 */
/* The extensions of docs/serial-protocol.md: what their files share. */
#ifndef EXT_H
#define EXT_H

#include "ext_opcodes.h"
#include "request.h"
#include "slip.h"

enum {
    EXT_BLOCK = 0x1000,      /* largest data of a write block, and of a read frame */
    EXT_WRITE_WINDOW = 6,    /* the arena holds eight; one may be lost at its end, one is a repeat */
    EXT_READ_WINDOW = 32,
    EXT_UNITS = 256,
    EXT_BATCH_BYTES = 1024,
};

extern const struct command_row extensions[];
extern const u32 extension_count;

/* Asked like a public command: the host does not know of seals yet. */
u32 on_info(const struct request *r);
u32 on_batch(const struct request *r);
u32 on_read(const struct request *r);
u32 on_write(const struct request *r);

/* Tell the host of the state of its write, if that has changed. Sends; call only between frames. */
void ext_report(void);
bool ext_write_frame(const struct frame *f);
void ext_write_damage(void);
void ext_write_forget(void);

#endif

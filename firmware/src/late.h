/* SPDX-License-Identifier: Apache-2.0 */
/* The late part: what short sessions do without. A host may load the stub without it, and sends it when it
 * is first needed; docs/serial-protocol.md, "The late part". */
#ifndef LATE_H
#define LATE_H

#include "request.h"

/* 0: all is there. Else the number of this build, which the host puts here. */
extern u32 late_missing;

#ifdef HOST_BUILD
static inline bool is_late(const struct command_row *row)
{
    (void)row;
    return false;
}
#else
extern const u8 late_start[];
static inline bool is_late(const struct command_row *row)
{
    return (word)row->handle >= (word)late_start;
}
#endif

/* Instruction memory takes whole words only; `from` may lie anywhere. */
void store_words(u32 to, const u8 *from, u32 length);

u32 on_load(const struct request *r);
u32 on_call(const struct request *r);

#endif

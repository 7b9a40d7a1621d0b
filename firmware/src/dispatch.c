/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatch.h"

#include "answer.h"
#include "commands.h"
#include "ext.h"
#include "hal.h"
#include "late.h"
#include "plugin.h"

enum { HEADER = 8 };

static const struct command_row *find(const struct command_row *row, u32 count, u8 opcode)
{
    for (; count; count--, row++)
        if (row->opcode == opcode)
            return row;
    return NULL;
}

#if defined(NAND_SPI_BASE) && !defined(MAILBOX)
struct plugin_table plugin_table __attribute__((section(".data")));

static APART u32 by_plugin(const struct request *r)
{
    u32 slot = r->opcode - PLUGIN_FIRST;

    if (slot >= PLUGIN_SLOTS || !plugin_table.handle[slot])
        return BAD_COMMAND;
    return plugin_table.handle[slot](r);
}
#else
#define by_plugin(r) BAD_COMMAND
#endif

bool dispatch(const struct frame *f)
{
    struct request r = {f->data[1], get32(f->data + 4), f->data + HEADER, f->length - HEADER};
    const struct command_row *row;
    u32 status = BAD_LENGTH;
    bool sealed;

    if (f->length < HEADER)
        return true;
    row = find(extensions, extension_count, r.opcode);
    sealed = row != NULL;
    if (sealed && !f->sealed) {
        sealed_reply(r.opcode, BAD_CHECKSUM, 0xFFFFFFFF, NULL, 0);
        return true;
    }
    if (sealed)
        r.length -= SEAL;
    else
        row = find(commands, command_count, r.opcode);
    if (!row)
        status = by_plugin(&r);
    else if (late_missing && is_late(row))
        status = NOT_LOADED;
    else if (r.length >= row->least * 4u &&
             (row->most == ANY_LENGTH || r.length <= row->most * 4u))
        status = row->handle(&r);
    if (status >= ANSWERED)
        return status != LEAVE_STUB;
    if (sealed)
        sealed_reply(r.opcode, (enum status)status, 0, NULL, 0);
    else
        reply(r.opcode, (enum status)status, 0, NULL, 0);
    return true;
}

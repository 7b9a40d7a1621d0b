/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatch.h"

#include "answer.h"
#include "commands.h"
#include "ext.h"

enum { HEADER = 8 };

static const struct command_row *find(const struct command_row *row, u32 count, u8 opcode)
{
    for (; count; count--, row++)
        if (row->opcode == opcode)
            return row;
    return NULL;
}

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
        status = BAD_COMMAND;
    else if (r.length >= row->words * 4u)
        status = row->handle(&r);
    if (status >= ANSWERED)
        return status != LEAVE_STUB;
    if (sealed)
        sealed_reply(r.opcode, (enum status)status, 0, NULL, 0);
    else
        reply(r.opcode, (enum status)status, 0, NULL, 0);
    return true;
}

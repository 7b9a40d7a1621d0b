/* SPDX-License-Identifier: Apache-2.0 */
/* Requests: the table of the public commands, and what the extensions share with them. */
#ifndef COMMANDS_H
#define COMMANDS_H

#include "slip.h"
#include "status.h"
#include "types.h"

struct request {
    u8 opcode;
    u32 checksum;
    u8 *data;
    u32 length;
    bool sealed;
};

/* False: leave the stub (RUN_USER_CODE). */
bool command(const struct frame *f);
/* The extensions: false where the opcode is none. */
bool extension(const struct request *r);
void reply(u8 opcode, enum status status, u32 value, const void *data, u32 length);

#endif

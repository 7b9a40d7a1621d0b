/* SPDX-License-Identifier: Apache-2.0 */
/* A request, and a row of the tables that say who deals with it. */
#ifndef REQUEST_H
#define REQUEST_H

#include "status.h"
#include "types.h"

struct request {
    u8 opcode;
    u32 checksum;
    u8 *data;
    u32 length;
};

/* A handler's status is sent by its caller, unless it is one of these. */
enum { ANSWERED = 0x100, LEAVE_STUB = 0x101 };

/* `words`: 32-bit words that the request has at least. */
struct command_row {
    u8 opcode;
    u8 words;
    u32 (*handle)(const struct request *r);
};

#endif

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

/*
 * `least`, `most`: 32-bit words of a request. A few more than needed are let pass, as hosts
 * differ; many are a block of data whose opcode was damaged on the way, and that must not
 * erase anything, say.
 */
enum { ANY_LENGTH = 0xFF };
struct command_row {
    u8 opcode;
    u8 least, most;
    u32 (*handle)(const struct request *r);
};

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers of the first stage's frames, as docs/serial-protocol.md specifies them. */
#ifndef STAGE_H
#define STAGE_H

#include "types.h"

enum { VERSION = 1, HEADER = 4, SEAL = 4, LEAST = 12, LONGEST = 1028 };
enum { HELLO = 0xA0, RATE = 0xA1, WRITE = 0xA2, ECHO = 0xA3, START = 0xA4, DAMAGED = 0xAF };
enum { GOOD = 0, UNKNOWN = 1, BAD_STREAM = 2, BAD_IMAGE = 3 };
/* What the CRC of anything with its own CRC behind it comes to. */
#define RESIDUE 0xDEBB20E3u

/* Words of START: the code to be called with them, the entry; and what our unpacker takes. */
enum { CALL, ENTRY, PACKED, PACKED_SIZE, PLAIN, SIZE, CRC, PIECES };

typedef u32 call(const u32 *words, u32 count);

/* Returns the entry of what was loaded. */
u32 stage(void);
void copy(u32 to, const u32 *from, u32 bytes);

/* --- the unpacker -------------------------------------------------------------------------- */

/* Unpack, check and place what has come. Returns a status. */
call place;

/* Unpack `length` bytes into exactly `size` ones. False: it is no such stream. */
bool unpack(const u8 *packed, u32 length, u8 *plain, u32 size);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Inflate (RFC 1950 and 1951) for input that comes in pieces of any size. */
#ifndef INFLATE_H
#define INFLATE_H

#include "types.h"

enum { INFLATE_WINDOW = 0x8000 };

enum inflate_result { INFLATE_MORE, INFLATE_DONE, INFLATE_BAD, INFLATE_STOP };

/* The last 32 KiB of output; lent to others while no stream is open. */
extern u8 inflate_window[INFLATE_WINDOW];

/* Takes plain bytes in order and returns how many; none is an answer only where it need not `wait`.
 * INFLATE_REFUSED stops the stream. */
#define INFLATE_REFUSED 0xFFFFFFFFu
typedef u32 (*inflate_sink)(const u8 *data, u32 length, bool wait);

void inflate_start(inflate_sink sink);
/* Hands plain bytes to the sink. INFLATE_MORE: all input was used up, though some output may still
 * wait. INFLATE_STOP: the output was refused. `*left` gets the number of bytes of input behind the
 * end of the stream; all output has been taken then. */
enum inflate_result inflate_add(const u8 *data, u32 length, u32 *left);
/* Offer what waits once more; false: it was refused. */
bool inflate_hand_on(void);

#endif

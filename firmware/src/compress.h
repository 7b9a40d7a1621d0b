/* SPDX-License-Identifier: Apache-2.0 */
/* A small deflate compressor for one frame: fixed codes, matches within the frame. */
#ifndef COMPRESS_H
#define COMPRESS_H

#include "types.h"

enum { COMPRESS_LARGEST = 0x1000, COMPRESS_HASHES = 1024, COMPRESS_SYMBOLS = 286 };

/* Working memory, lent by the caller and filled by `compress_init`. */
struct compressor {
    u16 heads[COMPRESS_HASHES];    /* last place of three bytes with this hash, plus 1 */
    u16 symbols[COMPRESS_SYMBOLS]; /* code << 4 | length, bits in the order of the stream */
    u8 distances[32];
};

void compress_init(struct compressor *c);
/* Compress up to COMPRESS_LARGEST bytes into at most `room`; 0 when they do not fit. */
u32 compress(struct compressor *c, const u8 *data, u32 length, u8 *out, u32 room);

#endif

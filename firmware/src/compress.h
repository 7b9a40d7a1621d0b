/* SPDX-License-Identifier: Apache-2.0 */
/* A small deflate compressor for one frame: fixed codes, matches within the frame. */
#ifndef COMPRESS_H
#define COMPRESS_H

#include "types.h"

enum { COMPRESS_LARGEST = 0x1000, COMPRESS_HASHES = 1024 };

/* Compress up to COMPRESS_LARGEST bytes into at most `room`; 0 when they do not fit. `heads` is
 * working memory for COMPRESS_HASHES numbers. */
u32 compress(const u8 *data, u32 length, u8 *out, u32 room, u16 *heads);

#endif

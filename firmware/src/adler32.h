/* SPDX-License-Identifier: Apache-2.0 */
/* The checksum of a zlib stream (RFC 1950). */
#ifndef ADLER32_H
#define ADLER32_H

#include "types.h"

struct adler32 {
    u32 a, b;
    u32 summed; /* bytes since the sums were reduced */
};

static inline void adler32_start(struct adler32 *sum)
{
    sum->a = 1;
    sum->b = sum->summed = 0;
}

void adler32_add(struct adler32 *sum, const u8 *data, u32 length);
u32 adler32_end(struct adler32 *sum);

#endif

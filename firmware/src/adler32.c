/* SPDX-License-Identifier: Apache-2.0 */
#include "adler32.h"

/* The sums grow for so many bytes before they are reduced: `b` stays below 2^32. */
enum { MOST_SUMMED = 5552, PRIME = 65521 };

static void reduce(struct adler32 *sum)
{
    sum->a %= PRIME;
    sum->b %= PRIME;
    sum->summed = 0;
}

HOT void adler32_add(struct adler32 *sum, const u8 *data, u32 length)
{
    while (length) {
        u32 n = min32(length, MOST_SUMMED - sum->summed), a = sum->a, b = sum->b;

        length -= n;
        sum->summed += n;
        for (; n >= 8; n -= 8, data += 8) {
            b += a += data[0];
            b += a += data[1];
            b += a += data[2];
            b += a += data[3];
            b += a += data[4];
            b += a += data[5];
            b += a += data[6];
            b += a += data[7];
        }
        for (; n; n--)
            b += a += *data++;
        sum->a = a;
        sum->b = b;
        if (sum->summed == MOST_SUMMED)
            reduce(sum);
    }
}

u32 adler32_end(struct adler32 *sum)
{
    reduce(sum);
    return sum->b << 16 | sum->a;
}

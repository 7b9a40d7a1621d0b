/* SPDX-License-Identifier: Apache-2.0 */
/* libFuzzer: any bytes as a compressed stream, whole and in pieces, which must agree; and any bytes
 * through the compressor, which must come back. */
#include <stdlib.h>
#include <string.h>

#include "compress.h"
#include "inflate.h"

enum { LIMIT = 1 << 14 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static u32 sum, total, patience;
static bool eager;

static u32 taken(const u8 *data, u32 length, bool wait)
{
    /* Now and then none or not all is taken, as a flash that is busy does. */
    if (!wait && !eager && (patience = patience * 5 + 1) % 4 == 0)
        return 0;
    if (patience % 3 == 0)
        length = min32(length, 256);
    if (length > LIMIT - total)
        return INFLATE_REFUSED;
    total += length;
    for (u32 i = 0; i < length; i++)
        sum = sum * 31 + data[i];
    return length;
}

void breathe(void) {}

static enum inflate_result run(const u8 *data, u32 size, u32 step)
{
    enum inflate_result result = INFLATE_MORE;
    u32 left = 0;

    sum = total = patience = 0;
    inflate_start(taken);
    for (u32 at = 0; at < size && result == INFLATE_MORE; at += step)
        result = inflate_add(data + at, min32(step, size - at), &left);
    eager = true;
    if (result == INFLATE_MORE && !inflate_hand_on())
        result = INFLATE_STOP;
    eager = false;
    return result;
}

static void round_trip(const u8 *data, u32 size)
{
    static u8 packed[COMPRESS_LARGEST + 8];
    static struct compressor c;
    u32 n, wanted = 0;

    if (!c.symbols[0])
        compress_init(&c);
    n = compress(&c, data, size, packed + 2, COMPRESS_LARGEST);
    if (!n)
        return;
    /* The compressor makes the bare stream: give it the header, and do without the checksum. */
    packed[0] = 0x78;
    packed[1] = 0x9C;
    for (u32 i = 0; i < size; i++)
        wanted = wanted * 31 + data[i];
    if (run(packed, n + 2, n + 2) != INFLATE_MORE || total != size || sum != wanted)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum inflate_result whole, pieces;
    u32 first_sum, first_total;

    if (!size || size > 1 << 16)
        return 0;
    whole = run(data, (u32)size, (u32)size);
    first_sum = sum;
    first_total = total;
    pieces = run(data, (u32)size, 1 + data[0] % 7);
    /* Good streams agree to the byte. Bad ones need not: output is handed on at other moments, and
     * so the limit may be met before a fault or after it. */
    if (pieces != whole && (whole <= INFLATE_DONE || pieces <= INFLATE_DONE))
        abort();
    if (whole <= INFLATE_DONE && (sum != first_sum || total != first_total))
        abort();
    if (size <= COMPRESS_LARGEST)
        round_trip(data, (u32)size);
    return 0;
}

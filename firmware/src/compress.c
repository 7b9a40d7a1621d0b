/* SPDX-License-Identifier: Apache-2.0 */
#include "compress.h"

enum { SHORTEST = 3, LONGEST = 258 };

static struct {
    u8 *at, *end;
    u32 bits, count;
    bool full;
} o;

static inline void put_bits(u32 value, u32 n)
{
    o.bits |= value << o.count;
    o.count += n;
    while (o.count >= 8) {
        if (o.at == o.end) {
            o.full = true;
            o.count = 0;
            return;
        }
        *o.at++ = (u8)o.bits;
        o.bits >>= 8;
        o.count -= 8;
    }
}

/* Huffman codes go out with their first bit lowest. */
static u32 reversed(u32 code, u32 n)
{
    u32 out = 0;

    for (u32 i = 0; i < n; i++)
        out |= (code >> i & 1) << (n - 1 - i);
    return out;
}

/* The fixed literal and length code of RFC 1951, 3.2.6. */
static void put_symbol(u32 symbol)
{
    if (symbol < 144)
        put_bits(reversed(0x30 + symbol, 8), 8);
    else if (symbol < 256)
        put_bits(reversed(0x190 + symbol - 144, 9), 9);
    else if (symbol < 280)
        put_bits(reversed(symbol - 256, 7), 7);
    else
        put_bits(reversed(0xC0 + symbol - 280, 8), 8);
}

/* Both lengths and distances come in groups of 2^k codes whose extra bits grow by one a group:
 * split a number that counts from 0 into its code and its extra bits. */
static u32 split(u32 value, u32 k, u32 *extra_bits, u32 *extra)
{
    u32 top = 31 - (u32)__builtin_clz(value | 1);

    if (value < 2u << k) {
        *extra_bits = *extra = 0;
        return value;
    }
    *extra_bits = top - k;
    *extra = value & ((1u << *extra_bits) - 1);
    return (*extra_bits << k) + (value >> *extra_bits);
}

static void put_match(u32 length, u32 distance)
{
    u32 bits, extra, code;

    if (length == LONGEST) {
        put_symbol(285);
    } else {
        code = split(length - SHORTEST, 2, &bits, &extra);
        put_symbol(257 + code);
        put_bits(extra, bits);
    }
    code = split(distance - 1, 1, &bits, &extra);
    put_bits(reversed(code, 5), 5);
    put_bits(extra, bits);
}

static inline u32 hash(const u8 *p)
{
    return ((p[0] | (u32)p[1] << 8 | (u32)p[2] << 16) * 0x9E3779B1u) >> 22;
}

HOT u32 compress(const u8 *data, u32 length, u8 *out, u32 room, u16 *heads)
{
    u32 at = 0;

    o.at = out;
    o.end = out + room;
    o.bits = o.count = 0;
    o.full = false;
    memset(heads, 0, COMPRESS_HASHES * sizeof(u16));
    put_bits(3, 3); /* the last block, fixed codes */
    while (at < length && !o.full) {
        u32 run = 0, from = 0;
        if (at + SHORTEST <= length) {
            u16 *head = &heads[hash(data + at)];
            u32 most = min32(length - at, LONGEST);
            from = *head;
            *head = (u16)(at + 1);
            if (from--)
                while (run < most && data[from + run] == data[at + run])
                    run++;
        }
        if (run >= SHORTEST) {
            put_match(run, at - from);
            at += run;
        } else {
            put_symbol(data[at++]);
        }
    }
    put_symbol(256);
    if (o.count)
        put_bits(0, 8 - o.count);
    return o.full ? 0 : (u32)(o.at - out);
}

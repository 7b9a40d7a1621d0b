/* SPDX-License-Identifier: Apache-2.0 */
#include "compress.h"

enum { SHORTEST = 3, LONGEST = 258 };
/* Literals and matches between two looks at the line. */
enum { BREATHE = 32 };

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
static u32 fixed_code(u32 symbol)
{
    if (symbol < 144)
        return reversed(0x30 + symbol, 8) << 4 | 8;
    if (symbol < 256)
        return reversed(0x190 + symbol - 144, 9) << 4 | 9;
    if (symbol < 280)
        return reversed(symbol - 256, 7) << 4 | 7;
    return reversed(0xC0 + symbol - 280, 8) << 4 | 8;
}

void compress_init(struct compressor *c)
{
    for (u32 i = 0; i < COMPRESS_SYMBOLS; i++)
        c->symbols[i] = (u16)fixed_code(i);
    for (u32 i = 0; i < 32; i++)
        c->distances[i] = (u8)reversed(i, 5);
}

static inline void put_symbol(const struct compressor *c, u32 symbol)
{
    put_bits(c->symbols[symbol] >> 4, c->symbols[symbol] & 15);
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

static void put_match(const struct compressor *c, u32 length, u32 distance)
{
    u32 bits, extra, code;

    if (length == LONGEST) {
        put_symbol(c, 285);
    } else {
        code = split(length - SHORTEST, 2, &bits, &extra);
        put_symbol(c, 257 + code);
        put_bits(extra, bits);
    }
    code = split(distance - 1, 1, &bits, &extra);
    put_bits(c->distances[code], 5);
    put_bits(extra, bits);
}

static inline u32 hash(const u8 *p)
{
    return ((p[0] | (u32)p[1] << 8 | (u32)p[2] << 16) * 0x9E3779B1u) >> 22;
}

HOT u32 compress(struct compressor *c, const u8 *data, u32 length, u8 *out, u32 room)
{
    u32 at = 0, breath = 0;

    o.at = out;
    o.end = out + room;
    o.bits = o.count = 0;
    o.full = false;
    memset(c->heads, 0, sizeof(c->heads));
    put_bits(3, 3); /* the last block, fixed codes */
    while (at < length && !o.full) {
        u32 run = 0, from = 0;
        if (++breath % BREATHE == 0)
            breathe();
        if (at + SHORTEST <= length) {
            u16 *head = &c->heads[hash(data + at)];
            u32 most = min32(length - at, LONGEST);
            from = *head;
            *head = (u16)(at + 1);
            if (from--)
                while (run < most && data[from + run] == data[at + run])
                    run++;
        }
        if (run >= SHORTEST) {
            put_match(c, run, at - from);
            at += run;
        } else {
            put_symbol(c, data[at++]);
        }
    }
    put_symbol(c, 256);
    if (o.count)
        put_bits(0, 8 - o.count);
    return o.full ? 0 : (u32)(o.at - out);
}

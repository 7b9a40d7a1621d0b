/* SPDX-License-Identifier: Apache-2.0 */
#include "compress.h"

enum { SHORTEST = 3, LONGEST = 258 };
/* Bytes between two looks at the line. */
enum { BREATHE = 128 };

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

/* Both lengths and distances come in groups of 2^k codes whose extra bits grow by one a group:
 * split a number that counts from 0 into its code and its extra bits. */
static u32 split(u32 value, u32 k, u32 *extra_bits, u32 *extra)
{
    u32 top = k + 1;

    if (value < 2u << k) {
        *extra_bits = *extra = 0;
        return value;
    }
    while (value >> top > 1)
        top++;
    *extra_bits = top - k;
    *extra = value & ((1u << *extra_bits) - 1);
    return (*extra_bits << k) + (value >> *extra_bits);
}

/* Bits that have not filled 16 yet, lowest first, and where those that have go. */
struct bits {
    u8 *at;
    u32 held, count; /* fewer than 16 between two calls */
};

INLINE void put(struct bits *o, u32 value, u32 n)
{
    o->held |= value << o->count;
    o->count += n;
    if (o->count >= 16) {
        o->at[0] = (u8)o->held;
        o->at[1] = (u8)(o->held >> 8);
        o->at += 2;
        o->held >>= 16;
        o->count -= 16;
    }
}

INLINE void put_symbol(struct bits *o, const u16 *symbols, u32 symbol)
{
    u32 code = symbols[symbol];
    put(o, code >> 4, code & 15);
}

/* At most four puts of up to 13 bits. */
static void put_match(struct bits *to, const struct compressor *c, u32 length, u32 distance)
{
    struct bits o = *to;
    u32 bits, extra, code;

    if (length == LONGEST) {
        put_symbol(&o, c->symbols, 285);
    } else {
        code = split(length - SHORTEST, 2, &bits, &extra);
        put_symbol(&o, c->symbols, 257 + code);
        put(&o, extra, bits);
    }
    code = split(distance - 1, 1, &bits, &extra);
    put(&o, c->distances[code], 5);
    put(&o, extra, bits);
    *to = o;
}

INLINE u32 hash(const u8 *p)
{
    return ((p[0] | (u32)p[1] << 8 | (u32)p[2] << 16) * 0x9E3779B1u) >> 22;
}

/* What one round of the loop below may add. */
enum { OUTPUT_AHEAD = 8 };

HOT u32 compress(struct compressor *c, const u8 *data, u32 length, u8 *out, u32 room)
{
    const u8 *p = data, *const end = data + length, *breath = data;
    const u16 *const symbols = c->symbols;
    u16 *const heads = c->heads;
    struct bits o = {out, 3, 3}; /* the last block, fixed codes */
    const u8 *const full = out + room - OUTPUT_AHEAD;

    if (room < OUTPUT_AHEAD)
        return 0;
    memset(heads, 0, sizeof(c->heads));
    while (p < end) {
        if (o.at > full)
            return 0;
        if (p >= breath) {
            breathe();
            breath = p + BREATHE;
        }
        if (end - p >= SHORTEST) {
            u16 *head = &heads[hash(p)];
            u32 place = *head;
            const u8 *from = place ? data + place - 1 : end;
            *head = (u16)(p - data + 1);
            if (place && from[0] == p[0] && from[1] == p[1] && from[2] == p[2]) {
                const u8 *start = p, *stop = end - p > LONGEST ? p + LONGEST : end;
                u32 distance = (u32)(p - from);
                p += 3;
                from += 3;
                while (p < stop && *from == *p)
                    p++, from++;
                put_match(&o, c, (u32)(p - start), distance);
                continue;
            }
        }
        put_symbol(&o, symbols, *p++);
    }
    if (o.at > full)
        return 0;
    put_symbol(&o, symbols, 256);
    for (; (int)o.count > 0; o.count -= 8, o.held >>= 8)
        *o.at++ = (u8)o.held;
    return (u32)(o.at - out);
}

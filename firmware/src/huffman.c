/* SPDX-License-Identifier: Apache-2.0 */
#include "huffman.h"

/* Symbols of a table between two looks at the line. */
enum { BREATHE = 64 };

/* The low 15 bits the other way round. */
static u32 mirrored(u32 v)
{
    v = (v >> 1 & 0x5555) | (v & 0x5555) << 1;
    v = (v >> 2 & 0x3333) | (v & 0x3333) << 2;
    v = (v >> 4 & 0x0F0F) | (v & 0x0F0F) << 4;
    return (v >> 8 | v << 8) & 0xFFFF;
}

bool code_build(struct code *code, const u8 *length, u32 symbols)
{
    u16 offset[MAX_BITS + 2], next[MAX_BITS + 2];
    u32 total = 0, value = 0;
    int room = 1;

    memset(code->count, 0, sizeof(code->count));
    for (u32 i = 0; i < 1u << code->fast_bits; i++)
        code->fast[i] = LONG_CODE;
    for (u32 i = 0; i < symbols; i++)
        code->count[length[i]]++;
    code->count[0] = 0;
    for (u32 n = 1; n <= MAX_BITS; n++) {
        room = room * 2 - code->count[n];
        if (room < 0)
            return false;
        offset[n] = (u16)total;
        next[n] = (u16)value;
        total += code->count[n];
        value = (value + code->count[n]) << 1;
    }
    if (room > 0 && total > 1)
        return false;
    for (u32 i = 0; i < symbols; i++) {
        u32 n = length[i], reversed, canonical;
        if (i % BREATHE == 0)
            breathe();
        if (!n)
            continue;
        code->sorted[offset[n]++] = (u16)i;
        canonical = next[n]++;
        if (n > code->fast_bits)
            continue;
        reversed = mirrored(canonical) >> (16 - n);
        for (u32 at = reversed; at < 1u << code->fast_bits; at += 1u << n)
            code->fast[at] = (u16)(i << 4 | n);
    }
    return true;
}

static int long_symbol(const struct code *code, u32 bits, u32 bit_count, u32 *used)
{
    int value = 0, first = 0, index = 0;

    for (u32 n = 1; n <= MAX_BITS; n++) {
        if (n > bit_count)
            return NEEDS_MORE;
        value |= bits & 1;
        bits >>= 1;
        if (value - code->count[n] < first) {
            *used = n;
            return code->sorted[index + (value - first)];
        }
        index += code->count[n];
        first = (first + code->count[n]) << 1;
        value <<= 1;
    }
    return NO_CODE;
}

int code_symbol(const struct code *code, u32 bits, u32 count, u32 *used)
{
    u32 entry = code->fast[bits & ((1u << code->fast_bits) - 1)];

    if (entry != LONG_CODE && (entry & 15) <= count) {
        *used = entry & 15;
        return (int)(entry >> 4);
    }
    return long_symbol(code, bits, count, used);
}

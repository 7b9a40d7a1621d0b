/* SPDX-License-Identifier: Apache-2.0 */
/* Canonical Huffman codes of deflate (RFC 1951), decoded by a table of the first bits; longer codes
 * go on bit by bit in canonical order. */
#ifndef HUFFMAN_H
#define HUFFMAN_H

#include "types.h"

enum { MAX_BITS = 15 };
/* `fast` is indexed by the next bits; an entry is symbol << 4 | length, LONG_CODE for a longer code
 * or none. `count` and `sorted` describe the canonical code. */
#define ENTRY(symbol) ((symbol) << 4)
enum { LONG_CODE = ENTRY(256) };
/* No symbol: more bits are needed, or there is no such code. */
enum { NEEDS_MORE = -1, NO_CODE = -2 };

struct code {
    u16 *fast;
    u32 fast_bits;
    u16 count[MAX_BITS + 1];
    u16 *sorted;
};

/* False: more codes than fit (a set that leaves codes unused is taken only if it has one code). */
bool code_build(struct code *code, const u8 *length, u32 symbols);
/* The symbol at the head of `count` bits, the lowest first, with its length in *used; or why there is
 * none. */
int code_symbol(const struct code *code, u32 bits, u32 count, u32 *used);

#endif

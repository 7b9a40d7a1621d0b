/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32 of zlib and Ethernet. */
#ifndef CRC32_H
#define CRC32_H

#include "types.h"

#define CRC32_START 0xFFFFFFFFu
/* The register after data that ends with its own CRC. */
#define CRC32_RESIDUE 0xDEBB20E3u

extern u32 crc32_table[256];

void crc32_init(void);
u32 crc32_update(u32 state, const u8 *data, u32 length);
/* For much data: tables for whole words, made in memory that is lent (CRC32_TABLES bytes). */
enum { CRC32_TABLES = 3 * 1024 };
void crc32_prepare(u32 *tables);
/* Such tables for crc32_update too, while they are there; NULL ends that. */
extern const u32 *crc32_lent;
u32 crc32_words(const u32 *tables, u32 state, const u32 *data, u32 count);

/* One word, for loops of one's own. The tables' addresses are kept in registers: they are too far
 * apart to be one and an offset. */
#ifdef HOST_BUILD
#define CRC32_KEEP(pointer) ((void)0)
#else
#define CRC32_KEEP(pointer) __asm__("" : "+r"(pointer))
#endif
#define CRC32_TABLES_AT(tables)                             \
    const u32 *first = crc32_table, *second = (tables);     \
    const u32 *third = (tables) + 256, *fourth = (tables) + 512; \
    CRC32_KEEP(first);                                      \
    CRC32_KEEP(second);                                     \
    CRC32_KEEP(third);                                      \
    CRC32_KEEP(fourth)
#define CRC32_STEP(state)                                                                   \
    (fourth[(state) & 0xFF] ^ third[(state) >> 8 & 0xFF] ^ second[(state) >> 16 & 0xFF] \
     ^ first[(state) >> 24])
INLINE u32 crc32_byte(u32 state, u8 byte)
{
    return crc32_table[(state ^ byte) & 0xFF] ^ state >> 8;
}

#endif

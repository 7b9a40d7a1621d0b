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
u32 crc32_words(const u32 *tables, u32 state, const u32 *data, u32 count);
static inline u32 crc32_byte(u32 state, u8 byte)
{
    return crc32_table[(state ^ byte) & 0xFF] ^ state >> 8;
}

#endif

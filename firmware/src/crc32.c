/* SPDX-License-Identifier: Apache-2.0 */
#include "crc32.h"

u32 crc32_table[256];

void crc32_init(void)
{
    for (u32 n = 0; n < 256; n++) {
        u32 c = n;
        for (u32 bit = 0; bit < 8; bit++)
            c = c & 1 ? c >> 1 ^ 0xEDB88320u : c >> 1;
        crc32_table[n] = c;
    }
}

const u32 *crc32_lent;

HOT u32 crc32_update(u32 state, const u8 *data, u32 length)
{
    if (crc32_lent && !((word)data & 3)) {
        state = crc32_words(crc32_lent, state, (const u32 *)(const void *)data, length / 4);
        data += length & ~3u;
        length &= 3;
    }
    for (; length; length--, data++)
        state = crc32_byte(state, *data);
    return state;
}

LATE void crc32_prepare(u32 *tables)
{
    for (u32 n = 0; n < 256; n++) {
        u32 c = crc32_table[n];
        for (u32 i = 0; i < 3; i++) {
            c = crc32_table[c & 0xFF] ^ c >> 8;
            tables[256 * i + n] = c;
        }
    }
}

LATE HOT u32 crc32_words(const u32 *tables, u32 state, const u32 *data, u32 count)
{
    CRC32_TABLES_AT(tables);

    for (const u32 *const end = data + count; data != end; data++) {
        state ^= *data;
        state = CRC32_STEP(state);
    }
    return state;
}

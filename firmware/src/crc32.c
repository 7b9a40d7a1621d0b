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

HOT u32 crc32_update(u32 state, const u8 *data, u32 length)
{
    for (; length; length--, data++)
        state = crc32_byte(state, *data);
    return state;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The unpacker: sent behind the first stage at the better rate, and called by its START. The packed
 * form is specified in docs/serial-protocol.md; tools/stub_pack.py makes it. */
#include "stage.h"

struct stream {
    const u8 *at, *end;
    u32 bits; /* those left of a byte, with a 1 behind them */
    u32 dry;  /* more was wanted than there is */
};

INLINE u32 next_byte(struct stream *s)
{
    if (s->at != s->end)
        return *s->at++;
    s->dry = 1;
    return 0xFF; /* ends every number */
}

INLINE u32 next_bit(struct stream *s)
{
    s->bits <<= 1;
    if (!(s->bits & 0xFF))
        s->bits = next_byte(s) << 1 | 1;
    return s->bits >> 8 & 1;
}

/* From 1 on: each bit below the highest one with a 0 before it, then a 1. */
static APART u32 number(struct stream *s)
{
    u32 value = 1;

    while (!next_bit(s))
        value = value << 1 | next_bit(s);
    return value;
}

bool unpack(const u8 *packed, u32 length, u8 *plain, u32 size)
{
    struct stream s = {packed, packed + length, 0x80, 0};
    u32 left = size, offset = 0, literals = 1, own = 0;

    while (left) {
        const u8 *from = plain;
        u32 n = 0;

        if (own) {
            offset = (number(&s) - 1) << 8;
            offset += next_byte(&s) + 1;
            n = 1;
        }
        n += number(&s);
        if (literals) {
            from = s.at;
            if (n > (u32)(s.end - from))
                return false;
            s.at += n;
        } else {
            if (offset - 1 >= size - left)
                return false;
            from -= offset;
        }
        if (s.dry || n > left)
            return false;
        left -= n;
        while (n--)
            *plain++ = *from++;
        own = next_bit(&s);
        literals = !literals && !own;
    }
    return true;
}

static u32 crc_of(const u8 *bytes, u32 size)
{
    u32 table[16], crc = ~0u;

    for (u32 i = 0; i < COUNT(table); i++) {
        u32 row = i;
        for (u32 bit = 0; bit < 4; bit++)
            row = row >> 1 ^ (0xEDB88320 & -(row & 1));
        table[i] = row;
    }
    for (; size; size--) {
        crc ^= *bytes++;
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return ~crc;
}

u32 place(const u32 *f, u32 words)
{
    const u8 *plain = (const u8 *)f[PLAIN];

    if (words < PIECES + 2 || !unpack((const u8 *)f[PACKED], f[PACKED_SIZE], (u8 *)f[PLAIN], f[SIZE]))
        return BAD_STREAM;
    if (crc_of(plain, f[SIZE]) != f[CRC])
        return BAD_IMAGE;
    for (u32 i = PIECES; i + 1 < words; i += 2) {
        copy(f[i], (const u32 *)plain, f[i + 1]);
        plain += f[i + 1];
    }
    return GOOD;
}

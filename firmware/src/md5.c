/* SPDX-License-Identifier: Apache-2.0 */
#include "md5.h"

/* floor(2^32 * |sin(i + 1)|) */
static const u32 sines[64] = {
    0xD76AA478, 0xE8C7B756, 0x242070DB, 0xC1BDCEEE,
    0xF57C0FAF, 0x4787C62A, 0xA8304613, 0xFD469501,
    0x698098D8, 0x8B44F7AF, 0xFFFF5BB1, 0x895CD7BE,
    0x6B901122, 0xFD987193, 0xA679438E, 0x49B40821,
    0xF61E2562, 0xC040B340, 0x265E5A51, 0xE9B6C7AA,
    0xD62F105D, 0x02441453, 0xD8A1E681, 0xE7D3FBC8,
    0x21E1CDE6, 0xC33707D6, 0xF4D50D87, 0x455A14ED,
    0xA9E3E905, 0xFCEFA3F8, 0x676F02D9, 0x8D2A4C8A,
    0xFFFA3942, 0x8771F681, 0x6D9D6122, 0xFDE5380C,
    0xA4BEEA44, 0x4BDECFA9, 0xF6BB4B60, 0xBEBFBC70,
    0x289B7EC6, 0xEAA127FA, 0xD4EF3085, 0x04881D05,
    0xD9D4D039, 0xE6DB99E5, 0x1FA27CF8, 0xC4AC5665,
    0xF4292244, 0x432AFF97, 0xAB9423A7, 0xFC93A039,
    0x655B59C3, 0x8F0CCC92, 0xFFEFF47D, 0x85845DD1,
    0x6FA87E4F, 0xFE2CE6E0, 0xA3014314, 0x4E0811A1,
    0xF7537E82, 0xBD3AF235, 0x2AD7D2BB, 0xEB86D391,
};

static struct {
    u32 words[16];
    u32 used;
} tail;

static inline u32 rotate(u32 v, u32 by) { return v << by | v >> (32 - by); }

#define F(b, c, d) ((d) ^ ((b) & ((c) ^ (d))))
#define G(b, c, d) ((c) ^ ((d) & ((b) ^ (c))))
#define H(b, c, d) ((b) ^ (c) ^ (d))
#define I(b, c, d) ((c) ^ ((b) | ~(d)))

#define STEP(f, a, b, c, d, word, n, by) \
    a = rotate(a + f(b, c, d) + m[(word) & 15] + k[n], by) + b

/* Four steps turn the roles of a, b, c and d once round. */
#define FOUR(f, first, stride, n, s0, s1, s2, s3)         \
    STEP(f, a, b, c, d, first, n, s0);                    \
    STEP(f, d, a, b, c, (first) + (stride), (n) + 1, s1); \
    STEP(f, c, d, a, b, (first) + 2 * (stride), (n) + 2, s2); \
    STEP(f, b, c, d, a, (first) + 3 * (stride), (n) + 3, s3)

#define ROUND(f, first, stride, n, s0, s1, s2, s3)                     \
    FOUR(f, first, stride, n, s0, s1, s2, s3);                         \
    FOUR(f, (first) + 4 * (stride), stride, (n) + 4, s0, s1, s2, s3);  \
    FOUR(f, (first) + 8 * (stride), stride, (n) + 8, s0, s1, s2, s3);  \
    FOUR(f, (first) + 12 * (stride), stride, (n) + 12, s0, s1, s2, s3)

static HOT void blocks(u32 state[4], const u32 *m, u32 count)
{
    const u32 *k = sines;

    for (; count; count--, m += 16) {
        u32 a = state[0], b = state[1], c = state[2], d = state[3];
#ifndef HOST_BUILD
        /* Keeps the table's address in a register: loads beat building 64 constants. */
        __asm__("" : "+r"(k));
#endif
        ROUND(F, 0, 1, 0, 7, 12, 17, 22);
        ROUND(G, 1, 5, 16, 5, 9, 14, 20);
        ROUND(H, 5, 3, 32, 4, 11, 16, 23);
        ROUND(I, 0, 7, 48, 6, 10, 15, 21);
        state[0] += a;
        state[1] += b;
        state[2] += c;
        state[3] += d;
    }
}

void md5_start(struct md5 *m)
{
    m->state[0] = 0x67452301;
    m->state[1] = 0xEFCDAB89;
    m->state[2] = 0x98BADCFE;
    m->state[3] = 0x10325476;
    m->length = 0;
    tail.used = 0;
}

void md5_add(struct md5 *m, const u8 *data, u32 length)
{
    blocks(m->state, (const u32 *)(const void *)data, length / 64);
    m->length += length;
    tail.used = length % 64;
    memcpy(tail.words, data + length - tail.used, tail.used);
}

void md5_finish(struct md5 *m, u8 digest[16])
{
    u8 *bytes = (u8 *)tail.words;

    bytes[tail.used++] = 0x80;
    memset(bytes + tail.used, 0, 64 - tail.used);
    if (tail.used > 56) {
        blocks(m->state, tail.words, 1);
        memset(bytes, 0, 64);
    }
    tail.words[14] = m->length << 3;
    tail.words[15] = m->length >> 29;
    blocks(m->state, tail.words, 1);
    for (u32 i = 0; i < 4; i++)
        put32(digest + 4 * i, m->state[i]);
}

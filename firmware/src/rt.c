/* SPDX-License-Identifier: Apache-2.0 */
/* Memory functions, and the arithmetic that the LX106 compiler leaves to a library. */
#include "hal.h"

HOT void *memcpy(void *to, const void *from, size_t n)
{
    u8 *d = to;
    const u8 *s = from;

    if (!(((uintptr_t)d | (uintptr_t)s) & 3))
        for (; n >= 4; n -= 4, d += 4, s += 4)
            *(u32 *)(void *)d = *(const u32 *)(const void *)s;
    while (n--)
        *d++ = *s++;
    return to;
}

void *memmove(void *to, const void *from, size_t n)
{
    u8 *d = to;
    const u8 *s = from;

    if (d <= s)
        return memcpy(to, from, n);
    while (n--)
        d[n] = s[n];
    return to;
}

HOT void *memset(void *to, int value, size_t n)
{
    u8 *d = to;

    if (!((uintptr_t)d & 3))
        for (; n >= 4; n -= 4, d += 4)
            *(u32 *)(void *)d = (u8)value * 0x01010101u;
    while (n--)
        *d++ = (u8)value;
    return to;
}

#ifdef NEED_DIVIDE

u32 __udivsi3(u32 a, u32 b);
u32 __umodsi3(u32 a, u32 b);
u32 __mulsi3(u32 a, u32 b);

static u32 divide(u32 a, u32 b, u32 *rest)
{
    u32 quotient = 0, r = 0;

    for (u32 i = 0; i < 32; i++) {
        r = r << 1 | a >> 31;
        a <<= 1;
        quotient <<= 1;
        if (r >= b) {
            r -= b;
            quotient |= 1;
        }
    }
    *rest = r;
    return quotient;
}

u32 __udivsi3(u32 a, u32 b)
{
    u32 rest;
    return divide(a, b, &rest);
}

u32 __umodsi3(u32 a, u32 b)
{
    u32 rest;
    divide(a, b, &rest);
    return rest;
}

u32 __mulsi3(u32 a, u32 b)
{
    u32 product = 0;

    for (; b; b >>= 1, a <<= 1)
        if (b & 1)
            product += a;
    return product;
}

#endif

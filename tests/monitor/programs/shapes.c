// SPDX-License-Identifier: Apache-2.0
// Functions that are inlined into each other, recursive, and far apart in a file.

typedef unsigned int u32;

struct point {
    int x, y;
};

volatile int sink;
static struct point points[8];

static inline __attribute__((always_inline)) int clamp(int value, int low, int high)
{
    if (value < low)
        return low;
    if (value > high)
        return high;
    return value;
}

static inline __attribute__((always_inline)) int distance(const struct point *a,
                                                          const struct point *b)
{
    int dx = clamp(a->x - b->x, -100, 100);
    int dy = clamp(a->y - b->y, -100, 100);
    return dx * dx + dy * dy;
}

static __attribute__((noinline)) int nearest(const struct point *to)
{
    int best = 0x7FFFFFFF;
    for (int i = 0; i < 8; i++) {
        int d = distance(&points[i], to);
        if (d < best)
            best = d;
    }
    return best;
}

static __attribute__((noinline)) u32 spread(u32 seed, int depth)
{
    if (depth == 0)
        return seed;
    points[depth & 7].x = (int)(seed >> 3);
    points[depth & 7].y = (int)(seed << 2);
    u32 left = spread(seed ^ 0x5A, depth - 1);
    sink = (int)left;
    return left + spread(seed + 7, depth - 1);
}

#define BIG(n)                                     \
    __attribute__((noinline)) int big_##n(int x)   \
    {                                              \
        int sum = n;                               \
        for (int i = 0; i < x; i++) {              \
            sum += clamp(sink + i, n, n * 100);    \
            if (sum & 1)                           \
                sink = sum;                        \
            else                                   \
                sum ^= nearest(&points[i & 7]);    \
        }                                          \
        return sum;                                \
    }
BIG(1)
BIG(2)
BIG(3)
BIG(4)
BIG(5)
BIG(6)
BIG(7)
BIG(8)

int entry(int x)
{
    struct point here = {x, -x};
    sink = (int)spread((u32)x, 3);
    return nearest(&here) + big_1(x) + big_2(x) + big_3(x) + big_4(x) + big_5(x) + big_6(x) +
           big_7(x) + big_8(x);
}

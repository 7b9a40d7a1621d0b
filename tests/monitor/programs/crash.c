// SPDX-License-Identifier: Apache-2.0
// Fails in several ways, each behind a chain of calls that the tests know.

typedef unsigned int u32;
typedef int (*function)(int);

#define UART0_FIFO (*(volatile u32 *)0x60000000)
#define NOINLINE __attribute__((noinline))

volatile int sink;
volatile int zero;

static NOINLINE void say(const char *text)
{
    while (*text)
        UART0_FIFO = (u32)*text++;
}

static inline __attribute__((always_inline)) int fail_inlined(int x)
{
    sink = x;
    __asm__ volatile("unimp"); // ILLEGAL
    return x + 1;
}

// A leaf that keeps nothing on the stack.
NOINLINE int leaf(int x) { return fail_inlined(x) * 3; }

NOINLINE int keeps_registers(int x)
{
    int a = sink + x, b = sink * x, c = sink - x, d = sink ^ x;
    int e = leaf(a + b);
    return a + b + c + d + e + leaf(c);
}

NOINLINE int large_frame(int x)
{
    volatile int room[300];
    for (int i = 0; i < 300; i++)
        room[i] = i * x;
    return keeps_registers(room[17]) + room[200];
}

NOINLINE int variable_frame(int x)
{
    volatile char *room = __builtin_alloca((u32)(sink & 31) + 20);
    room[3] = (char)x;
    return large_frame(room[3]) + room[4];
}

NOINLINE int recursive(int depth)
{
    if (depth == 0)
        return variable_frame(5) + 1;
    return recursive(depth - 1) * depth + sink;
}

__attribute__((noreturn)) NOINLINE void gives_up(int why)
{
    sink = why;
    __asm__ volatile("unimp");
    __builtin_unreachable();
}

// The call is the last instruction: what follows belongs to another function.
NOINLINE int calls_last(int x)
{
    if (x != 12345)
        gives_up(x);
    return 1;
}

NOINLINE int jumps_to_zero(int x)
{
    function nowhere = (function)zero;
    return nowhere(x) + 1;
}

NOINLINE int middle(int kind)
{
    sink = kind;
    switch (kind) {
    case 0:
        return recursive(4) + 1;
    case 1:
        return calls_last(kind) + 2;
    case 2:
        return jumps_to_zero(kind) + 3;
    default:
        return leaf(kind) + 4;
    }
}

NOINLINE int run(int kind)
{
    int result = middle(kind);
    sink = result;
    return result;
}

__attribute__((section(".text.entry"))) int entry(void)
{
    say("I (12) demo: about to fail\r\nE (13) demo: now\r\n");
    return run(0) + 1;
}

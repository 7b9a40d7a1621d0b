/* SPDX-License-Identifier: Apache-2.0 */
/* Fixed-size types and the few memory helpers that all files use. No hardware here. */
#ifndef TYPES_H
#define TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uintptr_t word; /* a register's width: 32 bits on every chip */

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
/* Not so clever as to turn the loop of memset into a call of memset. */
#define HOT __attribute__((optimize("O2", "no-tree-loop-distribute-patterns")))
#ifdef __clang__
#undef HOT
#define HOT
#endif

/* What the stub is loaded with first, and what comes when it is needed, where that is not decided by
 * whole files: see stub.ld and late.h. */
#ifdef HOST_BUILD
#define EARLY
#define LATE
#else
#define EARLY __attribute__((section(".early")))
#define LATE __attribute__((section(".late")))
#endif

/* Small functions that are called from HOT ones: the compiler takes in only those of like kind. */
#define INLINE static inline __attribute__((always_inline))
/* Kept out of its caller, whose frame lies under everything that it calls. */
#define APART __attribute__((noinline))

static inline u32 get16(const u8 *p) { return p[0] | (u32)p[1] << 8; }
static inline u32 get32(const u8 *p) { return get16(p) | get16(p + 2) << 16; }
static inline void put16(u8 *p, u32 v)
{
    p[0] = (u8)v;
    p[1] = (u8)(v >> 8);
}
static inline void put32(u8 *p, u32 v)
{
    put16(p, v);
    put16(p + 2, v >> 16);
}
INLINE u32 min32(u32 a, u32 b) { return a < b ? a : b; }

/* Serve the line in the midst of long work; says nothing to the host. */
void breathe(void);

void *memcpy(void *to, const void *from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *to, int value, size_t n);

#endif

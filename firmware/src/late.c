/* SPDX-License-Identifier: Apache-2.0 */
#include "late.h"

#include "answer.h"
#include "ext_opcodes.h"
#include "hal.h"

/* Not among what is zeroed: the stub's file says 0. */
u32 late_missing __attribute__((section(".data")));

void store_words(u32 to, const u8 *from, u32 length)
{
    for (u32 i = 0; i < length; i += 4)
        reg_write(to + i, get32(from + i));
}

/* The answer names the address, so that one to an earlier request is known. */
u32 on_load(const struct request *r)
{
    u32 at = get32(r->data);

    if (r->length % 4)
        return BAD_LENGTH;
    store_words(at, r->data + 4, r->length - 4);
    sealed_reply(EXT_LOAD, OK, at, NULL, 0);
    return ANSWERED;
}

/* Let what was stored get to where instructions come from. */
static void make_code(void)
{
#ifdef ROM_CACHE_WRITE_BACK
    enum { L1_DATA = 16 };
    rom_call(ROM_CACHE_WRITE_BACK, L1_DATA, 0, 0, 0);
#endif
#ifdef __riscv
    __asm__ volatile(".word 0x0000100F" ::: "memory"); /* fence.i */
#elif defined(__XTENSA__)
    __asm__ volatile("isync" ::: "memory");
#endif
}

/* Code of this convention, not the ROM's: apart, as the stack is reckoned by who calls what. */
static APART u32 call_sent(const u32 *words, u32 count)
{
    return ((u32 (*)(const u32 *, u32))(word)words[0])(words, count);
}

u32 on_call(const struct request *r)
{
    u32 status;

    make_code();
    status = call_sent((const u32 *)(const void *)r->data, r->length / 4);
    make_code();
    return status ? BAD_STREAM : OK;
}

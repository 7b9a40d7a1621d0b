/* SPDX-License-Identifier: Apache-2.0 */
/* The SPI NOR flash: read, program, erase, protection. Waiting goes on in `flash_busy`, which is
 * asked by the callers' loops, so that the line is served meanwhile. */
#ifndef FLASH_H
#define FLASH_H

#include "status.h"
#include "types.h"

enum { PAGE = 256, SECTOR = 0x1000, BLOCK32 = 0x8000, BLOCK64 = 0x10000 };

extern u32 flash_size; /* as the host says; limits nothing but the chip erase's progress */

void flash_attach(u32 pins);
u32 flash_set_params(const u8 *six_words);

/* `to` is on a word boundary. Waits for an operation that is going on. */
void flash_read(u32 address, u8 *to, u32 length);
/* Within one page; `data` on a word boundary, `address` a multiple of 4. Starts nothing when all
 * is 0xFF. Waits before, not after. */
enum status flash_program(u32 address, const u8 *data, u32 length);
enum status flash_program_encrypted(u32 address, const u8 *data, u32 length);
/* Start erasing `size` bytes: a sector, a 32 or 64 KiB block, or with size 0 all. */
enum status flash_erase_start(u32 address, u32 size);
bool flash_busy(void);
void flash_wait(void);
/* Clear the block-protect bits, if there are any. */
enum status flash_unlock(void);
bool flash_blank(u32 address, u32 length);
bool all_ff(const u8 *data, u32 length);

/* Serve the line; what every waiting loop calls. */
void pump(void);

#endif

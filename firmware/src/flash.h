/* SPDX-License-Identifier: Apache-2.0 */
/* The SPI NOR flash: read, program, erase, protection. Waiting goes on in `flash_busy`, which is
 * asked by the callers' loops, so that the line is served meanwhile. */
#ifndef FLASH_H
#define FLASH_H

#include "md5.h"
#include "spi.h"
#include "status.h"
#include "types.h"

enum { PAGE = 256, SECTOR = 0x1000, BLOCK32 = 0x8000, BLOCK64 = 0x10000 };

void flash_attach(u32 pins);
void flash_set_params(const u8 *six_words);
/* All of it lies in the flash: the smaller of what the host has told and what the id says. Without
 * either, in 32 bits. What lies outside would wrap to the start of the flash. */
bool flash_holds(u32 address, u32 size);

/* `to` is on a word boundary. Waits for an operation that is going on. */
void flash_read(u32 address, u8 *to, u32 length);
/* The same in pieces of up to SPI_BUFFER bytes, each of which comes over the bus while the one
 * before is worked on. Nothing else may use the flash until all are taken, or `stop`. */
struct flash_reader {
    u32 address, left;
    struct spi_shape shape;
    bool held; /* pieces follow each other without a command */
};
void flash_reader_start(struct flash_reader *r, u32 address, u32 length);
u32 flash_reader_next(struct flash_reader *r, u8 *to);
void flash_reader_stop(struct flash_reader *r);
/* Something stands at `address` by which the fastest way of reading can be told. */
void flash_try_reading(u32 address);
/* The same where boot loaders and tables of partitions stand, before much is read. */
void flash_learn(void);
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
/* `length` a multiple of SPI_BUFFER. */
bool flash_blank(u32 address, u32 length);
/* The MD5 goes on over a range. */
void flash_md5(struct md5 *md5, u32 address, u32 length);
/* The CRC-32 of a range of whole pieces, and the sum of its words' running sums: the second tells
 * where they stand. With tables of crc32_prepare. */
u32 flash_crc32(u32 address, u32 length, const u32 *tables, u32 *sum);
bool all_ff(const u8 *data, u32 length);

#endif

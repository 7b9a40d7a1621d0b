/* SPDX-License-Identifier: Apache-2.0 */
/* An SPI NAND flash: pages, blocks, and what its own error correction says. */
#ifndef NAND_FLASH_H
#define NAND_FLASH_H

#include "status.h"
#include "types.h"

enum { NAND_PROGRAM_FAILED = 0xCA, NAND_ERASE_FAILED = 0xCB };
enum { PIECE = 64 };
/* What the error correction made of a page: two bits for each value of status bits 4 to 6. */
enum ecc { ECC_CLEAN, ECC_CORRECTED, ECC_AT_LIMIT, ECC_LOST };
#define NO_PAGE 0xFFFFFFFFu

/* All in words: it lies among the code, where some chips take nothing else. */
struct nand {
    u32 magic; /* attached: everything else is set */
    u32 page, pages, blocks; /* bytes of a page, pages of a block, blocks */
    u32 plane_bit;           /* the column's bit that names the plane of odd blocks; 0: one plane */
    u32 ecc;
    u32 tells;               /* the host asks for the tally: what is damaged is sent all the same */
    u32 loaded;              /* the page in the flash's cache */
    u32 corrected, at_limit, lost, first_corrected, first_lost;
    /* a write that is going on */
    u32 at, left, filled, sum, seq, result, writing;
};
extern struct nand nand;
enum { ATTACHED = 0x444E414E };

/* Reset the flash, lift its protection, switch its error correction on. */
enum status nand_start(u32 pins);
/* Maker and two bytes of the device, most significant first. */
u32 nand_id(void);
u32 nand_feature(u32 which);
enum { FEATURE_PROTECTION = 0xA0, FEATURE_CONFIG = 0xB0, FEATURE_STATUS = 0xC0 };

/* Into the flash's cache, the tally told. */
enum status nand_load(u32 page);
/* From there: at most PIECE bytes. */
enum status nand_take(u32 column, u8 *to, u32 count);
enum status nand_program(u32 page, const u8 *data);
enum status nand_erase(u32 page);
/* The first four bytes of a page's spare area, without error correction. */
enum status nand_read_mark(u32 page, u32 *word);
enum status nand_mark(u32 page, bool bad);

#endif

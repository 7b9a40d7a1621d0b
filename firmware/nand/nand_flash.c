/* SPDX-License-Identifier: Apache-2.0 */
#include "nand_flash.h"

#include "nand_spi.h"
#include "hal.h"
#include "slip.h"

enum {
    RESET = 0xFF, READ_ID = 0x9F, GET_FEATURE = 0x0F, SET_FEATURE = 0x1F, WRITE_ENABLE = 0x06,
    PAGE_READ = 0x13, CACHE_READ = 0x03, LOAD = 0x02, LOAD_MORE = 0x84, EXECUTE = 0x10, ERASE = 0xD8,
};
enum { BUSY = 1, ERASE_FAIL = 4, PROGRAM_FAIL = 8 };
enum { CONFIG_ECC = 1 << 4, CONFIG_BUFFER = 1 << 3 };
enum { WINBOND = 0xEF };
/* Looks at the status, and from when on 50 us apart: 100 ms in all, ten times the longest erase. */
enum { LOOKS = 2000, HASTY_LOOKS = 20 };
#define NO_ANSWER 0x100u

struct nand nand __attribute__((section(".state")));

static bool command(u32 command, u32 row)
{
    struct transfer t = {.command = command, .address_bits = 24, .address = row};

    return gpspi_transfer(&t);
}

static bool simple(u32 command)
{
    struct transfer t = {.command = command};

    return gpspi_transfer(&t);
}

u32 nand_feature(u32 which)
{
    u8 value[4] = {0};
    struct transfer t = {.command = GET_FEATURE, .address_bits = 8, .address = which, .in = value,
                         .in_count = 1};

    return gpspi_transfer(&t) ? value[0] : NO_ANSWER;
}

static bool set_feature(u32 which, u32 bits)
{
    u8 value[4];
    struct transfer t = {.command = SET_FEATURE, .address_bits = 8, .address = which, .out = value,
                         .out_count = 1};

    put32(value, bits);
    return gpspi_transfer(&t);
}

u32 nand_id(void)
{
    u8 id[4] = {0};
    struct transfer t = {.command = READ_ID, .address_bits = 8, .in = id, .in_count = 3};

    gpspi_transfer(&t);
    return (u32)id[0] << 16 | (u32)id[1] << 8 | id[2];
}

/* The status when it is no longer busy. */
static u32 ready(void)
{
    for (u32 i = 0; i < LOOKS; i++) {
        u32 status = nand_feature(FEATURE_STATUS);
        if (!(status & BUSY))
            return status;
        pump();
        if (i >= HASTY_LOOKS)
            delay_us(50);
    }
    return NO_ANSWER;
}

static bool error_correction(bool on)
{
    u32 config = nand_feature(FEATURE_CONFIG);

    nand.loaded = NO_PAGE;
    return set_feature(FEATURE_CONFIG, on ? config | CONFIG_ECC : config & ~(u32)CONFIG_ECC);
}

enum status nand_start(u32 pins)
{
    u32 config = CONFIG_ECC, set;

    for (u32 i = 0; i < sizeof(nand) / 4; i++)
        ((volatile u32 *)&nand)[i] = 0;
    if (!gpspi_start(pins) || !simple(RESET))
        return FLASH_FAILED;
    delay_us(1000);
    if (ready() >= NO_ANSWER)
        return FLASH_FAILED;
    /* Buffer mode: a page is read when asked for, and the cache from any column on. */
    if (nand_id() >> 16 == WINBOND)
        config |= CONFIG_BUFFER;
    set = nand_feature(FEATURE_CONFIG) | config;
    if (!set_feature(FEATURE_PROTECTION, 0) || nand_feature(FEATURE_PROTECTION) != 0
        || !set_feature(FEATURE_CONFIG, set) || (nand_feature(FEATURE_CONFIG) & config) != config)
        return FLASH_FAILED;
    nand.page = 2048;
    nand.pages = 64;
    nand.blocks = 1024;
    nand.ecc = 0xF4F4;
    nand.loaded = nand.first_corrected = nand.first_lost = NO_PAGE;
    nand.magic = ATTACHED;
    return OK;
}

static u32 column(u32 page, u32 at)
{
    return (page / nand.pages) & 1 ? at | nand.plane_bit : at;
}

static void judge(u32 page, u32 status)
{
    enum ecc found = nand.ecc >> (status >> 4 & 7) * 2 & 3;

    if (found == ECC_LOST) {
        if (!nand.lost++)
            nand.first_lost = page;
    } else if (found != ECC_CLEAN) {
        if (!nand.corrected++)
            nand.first_corrected = page;
        nand.at_limit += found == ECC_AT_LIMIT;
    }
}

static enum status fetch(u32 page, u32 *status)
{
    if (!command(PAGE_READ, page))
        return FLASH_FAILED;
    *status = ready();
    return *status < NO_ANSWER ? OK : FLASH_FAILED;
}

enum status nand_load(u32 page)
{
    enum status failed;
    u32 status;

    if (page >= nand.pages * nand.blocks)
        return FLASH_FAILED;
    if (page == nand.loaded)
        return OK;
    nand.loaded = NO_PAGE;
    failed = fetch(page, &status);
    if (failed)
        return failed;
    judge(page, status);
    nand.loaded = page;
    return OK;
}

static enum status take(u32 page, u32 at, u8 *to, u32 count)
{
    struct transfer t = {.command = CACHE_READ, .address_bits = 24,
                         .address = column(page, at) << 8, .in = to, .in_count = count};

    return gpspi_transfer(&t) ? OK : FLASH_FAILED;
}

enum status nand_take(u32 at, u8 *to, u32 count) { return take(nand.loaded, at, to, count); }

/* From a column on, and what is not loaded stays 0xFF. */
static enum status program(u32 page, u32 at, const u8 *data, u32 count)
{
    struct transfer t = {.command = LOAD, .address_bits = 16};
    u32 status;

    nand.loaded = NO_PAGE;
    if (!simple(WRITE_ENABLE))
        return FLASH_FAILED;
    for (u32 done = 0; done < count; done += t.out_count) {
        t.address = column(page, at + done);
        t.out = data + done;
        t.out_count = min32(count - done, GPSPI_BUFFER);
        if (!gpspi_transfer(&t))
            return FLASH_FAILED;
        t.command = LOAD_MORE;
        pump();
    }
    if (!command(EXECUTE, page))
        return FLASH_FAILED;
    status = ready();
    if (status >= NO_ANSWER)
        return FLASH_FAILED;
    return status & PROGRAM_FAIL ? (enum status)NAND_PROGRAM_FAILED : OK;
}

enum status nand_program(u32 page, const u8 *data)
{
    u32 all = 0xFF;

    if (page >= nand.pages * nand.blocks)
        return FLASH_FAILED;
    for (u32 i = 0; i < nand.page && all == 0xFF; i++)
        all &= data[i];
    /* A blank page stays erased: whoever writes there later may. */
    return all == 0xFF ? OK : program(page, 0, data, nand.page);
}

enum status nand_erase(u32 page)
{
    u32 status;

    if (page >= nand.pages * nand.blocks)
        return FLASH_FAILED;
    nand.loaded = NO_PAGE;
    if (!simple(WRITE_ENABLE) || !command(ERASE, page))
        return FLASH_FAILED;
    status = ready();
    if (status >= NO_ANSWER)
        return FLASH_FAILED;
    return status & ERASE_FAIL ? (enum status)NAND_ERASE_FAILED : OK;
}

/* A mark of the factory has no check bits that belong to it: correction would only spoil it. */
enum status nand_read_mark(u32 page, u32 *word)
{
    enum status failed = FLASH_FAILED;
    u8 mark[4];
    u32 status;

    if (page >= nand.pages * nand.blocks || !error_correction(false))
        return FLASH_FAILED;
    if (!fetch(page, &status))
        failed = take(page, nand.page, mark, sizeof(mark));
    *word = get32(mark);
    return error_correction(true) ? failed : FLASH_FAILED;
}

enum status nand_mark(u32 page, bool bad)
{
    enum status failed;
    u8 mark[4];
    u32 found;

    if (page >= nand.pages * nand.blocks)
        return FLASH_FAILED;
    if (!bad)
        return OK; /* 0xFF programs nothing: only an erase makes a block good again */
    put32(mark, 0);
    if (!error_correction(false))
        return FLASH_FAILED;
    failed = program(page, nand.page, mark, sizeof(mark));
    if (!error_correction(true))
        return FLASH_FAILED;
    /* A block that is worn may say that it failed, and be marked all the same. */
    if (failed && !nand_read_mark(page, &found) && (found & 0xFF) != 0xFF)
        failed = OK;
    return failed;
}

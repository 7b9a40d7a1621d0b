/* SPDX-License-Identifier: Apache-2.0 */
/* The extensions but for writing, reading and batches, which have files of their own. */
#include "ext.h"

#include "answer.h"
#include "crc32.h"
#include "flash.h"
#include "hal.h"
#include "inflate.h"
#include "late.h"
#include "md5.h"
#include "writer.h"

enum { EXT1 = 0x31545845, REPORT_US = 500000, POLL_US = 200 };

u32 on_info(const struct request *r)
{
    u8 fields[32];

    (void)r;
    put16(fields, 1);
    put16(fields + 2, 0x1FF);
    put32(fields + 4, EXT_BLOCK);
    put32(fields + 8, EXT_WRITE_WINDOW);
    put32(fields + 12, EXT_BLOCK);
    put32(fields + 16, EXT_READ_WINDOW);
    put32(fields + 20, EXT_UNITS);
    put32(fields + 24, EXT_BATCH_BYTES);
    put32(fields + 28, late_missing);
    reply(EXT_INFO, OK, EXT1, fields, sizeof(fields));
    return ANSWERED;
}

/* Free while nothing is written; below is what waits for the line. */
enum { AHEAD = 0x1000 };
static u32 *const crc_tables = (void *)(inflate_window + 0x4000);

enum kind { KIND_CRC32, KIND_MD5, KIND_CRC32_SUM, KINDS };

static LATE void hash_unit(u32 at, u32 unit, enum kind kind, u8 *to)
{
    struct md5 md5;
    u8 digest[16];

    if (kind != KIND_MD5) {
        u32 sum, crc = flash_crc32(at, unit, crc_tables, &sum);
        put32(to, crc);
        put32(to + 4, sum);
        return;
    }
    md5_start(&md5);
    flash_md5(&md5, at, unit);
    md5_finish(&md5, digest);
    memcpy(to, digest, 8);
}

static LATE u32 on_hashes(const struct request *r)
{
    u32 offset = get32(r->data), size = get32(r->data + 4), unit = get32(r->data + 8);
    u32 kind = get32(r->data + 12), width = kind ? 8 : 4;

    if (!unit || unit % SECTOR || size % unit || size / unit > EXT_UNITS || kind >= KINDS)
        return BAD_BLOCK_SIZE;
    if (!flash_holds(offset, size))
        return FLASH_FAILED;
    ext_write_forget();
    crc32_prepare(crc_tables);
    flash_learn();
    /* What is known goes out while the rest is looked at. */
    tx_ahead(inflate_window, AHEAD);
    sealed_begin(EXT_HASHES, size / unit, size / unit * width);
    for (u32 i = 0; i < size / unit; i++) {
        u8 hash[8] __attribute__((aligned(4)));
        hash_unit(offset + i * unit, unit, (enum kind)kind, hash);
        sealed_add(hash, width);
    }
    sealed_end(OK);
    tx_ahead(NULL, 0);
    return ANSWERED;
}

static LATE u32 on_blank(const struct request *r)
{
    u32 offset = get32(r->data), size = get32(r->data + 4), count = size / SECTOR;
    u8 map[EXT_UNITS];

    if (size % SECTOR || count > 8 * EXT_UNITS)
        return BAD_BLOCK_SIZE;
    if (!flash_holds(offset, size))
        return FLASH_FAILED;
    memset(map, 0, sizeof(map));
    flash_learn();
    for (u32 i = 0; i < count; i++)
        if (flash_blank(offset + i * SECTOR, SECTOR))
            map[i / 8] |= (u8)(1 << i % 8);
    sealed_reply(EXT_BLANK, OK, count, map, (count + 7) / 8);
    return ANSWERED;
}

static LATE u32 on_erase(const struct request *r)
{
    u32 offset = get32(r->data), size = get32(r->data + 4);
    struct eraser e = {offset, offset + size, get32(r->data + 8) & 1};
    u8 final[4] = {0};
    enum status status;
    u32 waited = 0;

    if (offset % SECTOR || size % SECTOR)
        return BAD_BLOCK_SIZE;
    if (!flash_holds(offset, size))
        return FLASH_FAILED;
    status = flash_unlock();
    if (!status && e.spare_blank)
        flash_learn();
    while (!status && e.at < e.end) {
        status = eraser_step(&e);
        do {
            pump();
            if (flash_busy()) {
                delay_us(POLL_US);
                waited += POLL_US;
            } else {
                /* Looking for blank sectors takes time as well. */
                waited += e.spare_blank ? REPORT_US / 8 : 0;
            }
            if (waited >= REPORT_US) {
                sealed_reply(EXT_ERASE, OK, e.at - offset, final, sizeof(final));
                waited = 0;
            }
        } while (flash_busy());
    }
    flash_wait();
    final[0] = 1;
    sealed_reply(EXT_ERASE, status, e.at - offset, final, sizeof(final));
    return ANSWERED;
}

/* The read is over, and the answer that said so was lost. */
static LATE u32 on_read_ack(const struct request *r)
{
    sealed_reply(EXT_READ_ACK, OK, get32(r->data + 4), NULL, 0);
    return ANSWERED;
}

const struct command_row extensions[] = {
    {EXT_BATCH, 1, ANY_LENGTH, on_batch},
    {EXT_WRITE_BEGIN, 6, ANY_LENGTH, on_write},
    {EXT_WRITE_DATA, 2, ANY_LENGTH, on_write},
    {EXT_WRITE_STATUS, 1, ANY_LENGTH, on_write},
    {EXT_WRITE_END, 1, ANY_LENGTH, on_write},
    {EXT_HASHES, 4, ANY_LENGTH, on_hashes},
    {EXT_BLANK, 2, ANY_LENGTH, on_blank},
    {EXT_READ_BEGIN, 6, ANY_LENGTH, on_read},
    {EXT_READ_ACK, 3, ANY_LENGTH, on_read_ack},
    {EXT_ERASE, 3, ANY_LENGTH, on_erase},
    {EXT_LOAD, 1, ANY_LENGTH, on_load},
    {EXT_CALL, 2, ANY_LENGTH, on_call},
};
const u32 extension_count = COUNT(extensions);

/* SPDX-License-Identifier: Apache-2.0 */
/* The extensions but for writing, reading and batches, which have files of their own. */
#include "ext.h"

#include "crc32.h"
#include "flash.h"
#include "hal.h"
#include "inflate.h"
#include "md5.h"
#include "writer.h"

enum { SEAL = 4, EXT1 = 0x31545845, REPORT_US = 500000, POLL_US = 200 };

static u32 seal;

/* A sealed answer in pieces: its header, fields of that `length` in all, and its end. */
static void sealed_begin(u8 opcode, u32 value, u32 length)
{
    u8 header[8] = {1, opcode};

    put16(header + 2, length + SEAL + 2);
    put32(header + 4, value);
    seal = crc32_update(crc32_byte(CRC32_START, opcode), header + 4, 4);
    tx_begin();
    tx_bytes(header, sizeof(header));
}

static void sealed_add(const void *fields, u32 length)
{
    seal = crc32_update(seal, fields, length);
    tx_bytes(fields, length);
}

static void sealed_end(enum status status)
{
    u8 trailer[SEAL + 2];

    trailer[SEAL] = (u8)status;
    trailer[SEAL + 1] = 0;
    put32(trailer, ~crc32_update(seal, trailer + SEAL, 2));
    tx_bytes(trailer, sizeof(trailer));
    tx_end();
}

void sealed_reply(u8 opcode, enum status status, u32 value, const void *fields, u32 length)
{
    sealed_begin(opcode, value, length);
    sealed_add(fields, length);
    sealed_end(status);
}

static APART void info(void)
{
    u8 fields[28];

    put16(fields, 1);
    put16(fields + 2, 0x1FF);
    put32(fields + 4, EXT_BLOCK);
    put32(fields + 8, EXT_WRITE_WINDOW);
    put32(fields + 12, EXT_BLOCK);
    put32(fields + 16, EXT_READ_WINDOW);
    put32(fields + 20, EXT_UNITS);
    put32(fields + 24, EXT_BATCH_BYTES);
    reply(EXT_INFO, OK, EXT1, fields, sizeof(fields));
}

/* Free while nothing is written; below is what waits for the line. */
enum { AHEAD = 0x1000 };
static u32 *const crc_tables = (void *)(inflate_window + 0x4000);

enum kind { KIND_CRC32, KIND_MD5, KIND_CRC32_SUM, KINDS };

static void hash_unit(u32 at, u32 unit, enum kind kind, u8 *to)
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

static APART void hashes(const struct request *r)
{
    u32 offset = get32(r->data), size = get32(r->data + 4), unit = get32(r->data + 8);
    u32 kind = get32(r->data + 12), width = kind ? 8 : 4;

    if (!unit || unit % SECTOR || size % unit || size / unit > EXT_UNITS || kind >= KINDS) {
        sealed_reply(EXT_HASHES, BAD_BLOCK_SIZE, 0, NULL, 0);
        return;
    }
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
}

static APART void blank(const struct request *r)
{
    u32 offset = get32(r->data), size = get32(r->data + 4), count = size / SECTOR;
    u8 map[EXT_UNITS];

    if (size % SECTOR || count > 8 * EXT_UNITS) {
        sealed_reply(EXT_BLANK, BAD_BLOCK_SIZE, 0, NULL, 0);
        return;
    }
    memset(map, 0, sizeof(map));
    flash_learn();
    for (u32 i = 0; i < count; i++)
        if (flash_blank(offset + i * SECTOR, SECTOR))
            map[i / 8] |= (u8)(1 << i % 8);
    sealed_reply(EXT_BLANK, OK, count, map, (count + 7) / 8);
}

static APART void erase(const struct request *r)
{
    u32 offset = get32(r->data), size = get32(r->data + 4);
    struct eraser e = {offset, offset + size, get32(r->data + 8) & 1};
    u8 final[4] = {0};
    enum status status = BAD_BLOCK_SIZE;
    u32 waited = 0;

    if (!(offset % SECTOR) && !(size % SECTOR) && e.end >= offset)
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
    sealed_reply(EXT_ERASE, status, status == BAD_BLOCK_SIZE ? 0 : e.at - offset, final,
                 sizeof(final));
}

/* Fields that each request has at least. */
static u32 least(u8 opcode)
{
    static const u8 words[] = {0, 1, 6, 2, 1, 1, 4, 2, 6, 0, 3, 3};

    return words[opcode - EXT_INFO] * 4u;
}

bool extension(const struct request *r)
{
    struct request inner = *r;
    enum status status;

    if (r->opcode < EXT_INFO || r->opcode > EXT_ERASE || r->opcode == EXT_READ_FRAME)
        return false;
    if (r->opcode == EXT_INFO) {
        info();
        return true;
    }
    if (!r->sealed) {
        sealed_reply(r->opcode, BAD_CHECKSUM, 0xFFFFFFFF, NULL, 0);
        return true;
    }
    inner.length -= SEAL;
    if (inner.length < least(r->opcode)) {
        sealed_reply(r->opcode, BAD_LENGTH, 0, NULL, 0);
        return true;
    }
    switch (r->opcode) {
    case EXT_BATCH:
        status = ext_batch(&inner);
        if (status)
            sealed_reply(EXT_BATCH, status, 0, NULL, 0);
        break;
    case EXT_HASHES: ext_write_forget(); hashes(&inner); break;
    case EXT_BLANK: blank(&inner); break;
    case EXT_READ_BEGIN: ext_write_forget(); ext_read(&inner); break;
    case EXT_READ_ACK:
        /* The read is over, and the answer that said so was lost. */
        sealed_reply(EXT_READ_ACK, OK, get32(inner.data + 4), NULL, 0);
        break;
    case EXT_ERASE: erase(&inner); break;
    default: ext_write(&inner); break;
    }
    return true;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The commands of the NAND plug-in: those of the public one, and 0xDF, which docs/serial-protocol.md
 * specifies. */
#include "answer.h"
#include "nand_flash.h"
#include "inflate.h"
#include "md5.h"
#include "request.h"
#include "slip.h"

enum { READ_FLASH = 0xD8, CHECKSUM_START = 0xEF, BLOCK_HEADER = 16, PREVIEW = 16 };
enum { GEOMETRY, TALLY, DIGEST, MARKS };
enum { MOST_MARKS = 512, LARGEST_PAGE = 4096, TELLS = 1 };

/* A page that is not complete yet. The window is free while nothing is inflated; whether it was,
 * the sum of what should stand there tells. */
static u8 *const page_buffer = inflate_window;
_Static_assert((u32)LARGEST_PAGE <= (u32)INFLATE_WINDOW, "see above");

static u32 arg(const struct request *r, u32 index) { return get32(r->data + 4 * index); }

static bool attached(void) { return nand.magic == ATTACHED; }

static bool holds(u32 at, u32 size)
{
    /* 4 GiB do not fit into a word: in pages they do. */
    u32 pages = nand.pages * nand.blocks, first = at / nand.page;
    u32 last = size ? (at + (size - 1)) / nand.page : first;

    return at + size >= at && first < pages && last < pages;
}

/* --- attaching --------------------------------------------------------------------------------- */

u32 on_nand_attach(const struct request *r)
{
    enum status failed;
    u8 protection;

    if (r->length != 4)
        return BAD_LENGTH;
    failed = nand_start(arg(r, 0));
    if (failed)
        return failed;
    protection = (u8)nand_feature(FEATURE_PROTECTION);
    reply(r->opcode, OK, (nand_feature(FEATURE_STATUS) & 0xFF) << 24 | nand_id(), &protection, 1);
    return ANSWERED;
}

static u32 set_geometry(const struct request *r)
{
    u32 page = arg(r, 1), pages = arg(r, 2), blocks = arg(r, 3);

    if (r->length != 28)
        return BAD_LENGTH;
    if (page < 512 || page > LARGEST_PAGE || page & (page - 1) || !pages || pages & (pages - 1)
        || pages > 1024 || !blocks || blocks > 0x10000)
        return BAD_BLOCK_SIZE;
    nand.page = page;
    nand.pages = pages;
    nand.blocks = blocks;
    nand.plane_bit = arg(r, 4);
    nand.ecc = arg(r, 5);
    nand.tells = arg(r, 6) & TELLS;
    nand.loaded = NO_PAGE;
    nand.writing = 0;
    return OK;
}

static u32 tell_tally(const struct request *r)
{
    u8 fields[16] __attribute__((aligned(4)));

    put32(fields, nand.at_limit);
    put32(fields + 4, nand.first_corrected);
    put32(fields + 8, nand.lost);
    put32(fields + 12, nand.first_lost);
    reply(r->opcode, OK, nand.corrected, fields, sizeof(fields));
    nand.corrected = nand.at_limit = nand.lost = 0;
    nand.first_corrected = nand.first_lost = NO_PAGE;
    return ANSWERED;
}

/* --- reading ----------------------------------------------------------------------------------- */

/* Bytes as they lie there, over the pages' ends. */
static enum status fill(u32 at, u8 *to, u32 count)
{
    while (count) {
        u32 in_page = at & (nand.page - 1), n = min32(count, nand.page - in_page);
        enum status failed = nand_load(at / nand.page);
        if (!failed)
            failed = nand_take(in_page, to, n);
        if (failed)
            return failed;
        to += n;
        at += n;
        count -= n;
    }
    return OK;
}

static u32 on_digest(const struct request *r)
{
    u32 at = arg(r, 1), size = arg(r, 2);
    u8 piece[PIECE] __attribute__((aligned(4))), digest[16];
    struct md5 md5;

    if (r->length != 12)
        return BAD_LENGTH;
    if (!holds(at, size))
        return FLASH_FAILED;
    md5_start(&md5);
    for (u32 n; size; at += n, size -= n) {
        enum status failed;
        n = min32(size, PIECE);
        failed = fill(at, piece, n);
        if (failed)
            return failed;
        md5_add(&md5, piece, n);
        pump();
    }
    md5_finish(&md5, digest);
    reply(r->opcode, OK, 0, digest, sizeof(digest));
    return ANSWERED;
}

static u32 on_marks(const struct request *r)
{
    u32 first = arg(r, 1), count = arg(r, 2), bad = 0;
    u8 map[MOST_MARKS / 8];

    if (r->length != 12)
        return BAD_LENGTH;
    if (count > MOST_MARKS || first + count < first || first + count > nand.blocks)
        return FLASH_FAILED;
    memset(map, 0, sizeof(map));
    for (u32 i = 0; i < count; i++) {
        u32 word;
        enum status failed = nand_read_mark((first + i) * nand.pages, &word);
        if (failed)
            return failed;
        if ((word & 0xFF) != 0xFF) {
            map[i / 8] |= (u8)(1u << (i & 7));
            bad++;
        }
        pump();
    }
    reply(r->opcode, OK, bad, map, (count + 7) / 8);
    return ANSWERED;
}

u32 on_nand_more(const struct request *r)
{
    if (r->length < 4)
        return BAD_LENGTH;
    if (!attached())
        return FLASH_FAILED;
    switch (arg(r, 0)) {
    case GEOMETRY: return set_geometry(r);
    case TALLY: return tell_tally(r);
    case DIGEST: return on_digest(r);
    case MARKS: return on_marks(r);
    }
    return BAD_COMMAND;
}

u32 on_nand_read(const struct request *r)
{
    u32 at, length, packet, window, sent = 0, acknowledged = 0;
    u8 piece[PIECE] __attribute__((aligned(4))), digest[16];
    bool spoilt = false;
    struct md5 md5;

    if (r->length != 16)
        return BAD_LENGTH;
    if (!attached())
        return FLASH_FAILED;
    at = arg(r, 0);
    length = arg(r, 1);
    packet = arg(r, 2);
    window = arg(r, 3);
    if (!packet || packet > 2 * LARGEST_PAGE || packet % PIECE)
        return BAD_LENGTH;
    if (!holds(at, length))
        return FLASH_FAILED;
    reply(READ_FLASH, OK, 0, NULL, 0);
    rx_release();
    window = window ? min32(window, 64) : 1;
    md5_start(&md5);
    while (acknowledged < length) {
        u32 n = min32(packet, length - sent);
        if (!n || sent - acknowledged >= packet * window) {
            if (!rx_count(&acknowledged))
                return ANSWERED;
            continue;
        }
        tx_begin();
        for (u32 done = 0, m; done < n; done += m) {
            u32 lost = nand.lost;
            m = min32(n - done, PIECE);
            if (spoilt || fill(at + sent + done, piece, m))
                spoilt = true;
            /* A host that does not ask for the tally learns it by a digest that is wrong. */
            if (nand.lost != lost && !nand.tells)
                spoilt = true;
            if (spoilt)
                memset(piece, 0, sizeof(piece));
            md5_add(&md5, piece, m);
            tx_bytes(piece, m);
        }
        tx_end();
        sent += n;
    }
    md5_finish(&md5, digest);
    for (u32 i = 0; i < sizeof(digest) && spoilt; i++)
        digest[i] ^= 0xFF;
    tx_frame(digest, sizeof(digest));
    return ANSWERED;
}

u32 on_nand_read_spare(const struct request *r)
{
    enum status failed;
    u32 word;

    if (r->length != 4)
        return BAD_LENGTH;
    if (!attached())
        return FLASH_FAILED;
    failed = nand_read_mark(arg(r, 0), &word);
    if (failed)
        return failed;
    reply(r->opcode, OK, word, NULL, 0);
    return ANSWERED;
}

u32 on_nand_write_spare(const struct request *r)
{
    if (r->length != 5)
        return BAD_LENGTH;
    if (!attached() || nand_mark(arg(r, 0), r->data[4] != 0))
        return FLASH_FAILED;
    return OK;
}

u32 on_nand_page(const struct request *r)
{
    u8 preview[PREVIEW] __attribute__((aligned(4)));
    u32 page;

    if (r->length != 4)
        return BAD_LENGTH;
    page = arg(r, 0);
    if (!attached() || nand_load(page) || nand_take(0, preview, PREVIEW))
        return FLASH_FAILED;
    reply(r->opcode, OK, page, preview, PREVIEW);
    return ANSWERED;
}

/* --- writing and erasing ----------------------------------------------------------------------- */

static u32 sum_of(const u8 *data, u32 count)
{
    u32 sum = count;

    for (u32 i = 0; i < count; i++)
        sum = (sum << 1 | sum >> 31) + data[i];
    return sum;
}

u32 on_nand_begin(const struct request *r)
{
    if (r->length != 16)
        return BAD_LENGTH;
    if (!attached())
        return FLASH_FAILED;
    nand.writing = 0;
    if (arg(r, 0) & (nand.page - 1))
        return BAD_LENGTH;
    if (!holds(arg(r, 0), arg(r, 1)))
        return FLASH_FAILED;
    nand.at = arg(r, 0);
    nand.left = arg(r, 1);
    nand.filled = nand.seq = nand.result = 0;
    nand.writing = 1;
    return OK;
}

/* One page, its block being erased with the first. */
static enum status put_page(const u8 *data)
{
    u32 page = nand.at / nand.page;
    enum status failed = OK;

    if (!(page & (nand.pages - 1)))
        failed = nand_erase(page);
    if (!failed)
        failed = nand_program(page, data);
    nand.filled = 0;
    if (!failed)
        nand.at += nand.page;
    return failed;
}

static enum status put(const u8 *data, u32 count)
{
    enum status failed = OK;

    while (count && !failed) {
        u32 n = min32(count, nand.page - nand.filled);
        if (n == nand.page) {
            failed = put_page(data); /* a whole page goes as it came */
        } else {
            memcpy(page_buffer + nand.filled, data, n);
            nand.filled += n;
            if (nand.filled == nand.page)
                failed = put_page(page_buffer);
        }
        nand.left -= n;
        data += n;
        count -= n;
    }
    if (nand.filled)
        nand.sum = sum_of(page_buffer, nand.filled);
    return failed;
}

static bool disturbed(void)
{
    return nand.filled && sum_of(page_buffer, nand.filled) != nand.sum;
}

u32 on_nand_data(const struct request *r)
{
    u32 count, sum = CHECKSUM_START;

    if (r->length < BLOCK_HEADER)
        return TOO_LITTLE;
    if (!attached() || !nand.writing)
        return NOT_WRITING;
    count = r->length - BLOCK_HEADER;
    if (arg(r, 0) != count)
        return TOO_MUCH;
    for (u32 i = 0; i < count; i++)
        sum ^= r->data[BLOCK_HEADER + i];
    if (sum != r->checksum)
        return BAD_CHECKSUM;
    /* The answer to a block was lost: it is in flash, or has failed. */
    if (nand.seq && arg(r, 1) == nand.seq - 1)
        return nand.result;
    if (arg(r, 1) != nand.seq)
        return TOO_LITTLE;
    if (count > nand.left)
        return TOO_MUCH;
    if (disturbed())
        return NOT_WRITING;
    nand.result = put(r->data + BLOCK_HEADER, count);
    nand.seq++;
    return nand.result;
}

u32 on_nand_end(const struct request *r)
{
    enum status failed;

    if (r->length != 4)
        return BAD_LENGTH;
    if (!attached() || !nand.writing)
        return NOT_WRITING;
    if (nand.left)
        return BAD_LENGTH;
    if (disturbed())
        return NOT_WRITING;
    if (nand.filled) {
        memset(page_buffer + nand.filled, 0xFF, nand.page - nand.filled);
        failed = put_page(page_buffer);
        if (failed)
            return failed;
    }
    nand.writing = 0;
    return OK;
}

static enum status erase_blocks(u32 first, u32 count)
{
    enum status failed = OK;

    for (; count && !failed; count--, first++)
        failed = nand_erase(first * nand.pages);
    return failed;
}

u32 on_nand_erase_all(const struct request *r)
{
    (void)r;
    return attached() ? erase_blocks(0, nand.blocks) : FLASH_FAILED;
}

u32 on_nand_erase(const struct request *r)
{
    u32 block;

    if (r->length != 8)
        return BAD_LENGTH;
    if (!attached())
        return FLASH_FAILED;
    block = nand.page * nand.pages;
    if (arg(r, 0) & (block - 1) || arg(r, 1) & (block - 1))
        return BAD_LENGTH;
    if (!holds(arg(r, 0), arg(r, 1)))
        return FLASH_FAILED;
    return erase_blocks(arg(r, 0) / block, arg(r, 1) / block);
}

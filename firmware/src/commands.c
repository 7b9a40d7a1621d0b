/* SPDX-License-Identifier: Apache-2.0 */
/* The public stub protocol. */
#include "commands.h"

#include "answer.h"
#include "ext.h"
#include "flash.h"
#include "hal.h"
#include "late.h"
#include "link.h"
#include "md5.h"
#include "slip.h"
#include "spi.h"
#include "writer.h"

enum {
    FLASH_BEGIN = 0x02, FLASH_DATA, FLASH_END, MEM_BEGIN, MEM_END, MEM_DATA, SYNC, WRITE_REG,
    READ_REG, SPI_SET_PARAMS, SPI_ATTACH = 0x0D, CHANGE_BAUDRATE = 0x0F, DEFL_BEGIN, DEFL_DATA,
    DEFL_END, FLASH_MD5, SECURITY_INFO,
    ERASE_FLASH = 0xD0, ERASE_REGION, READ_FLASH, RUN_USER_CODE, ENCRYPT_DATA,
};

enum { BLOCK_HEADER = 16, LARGEST_BLOCK = 0x4000, SYNC_ANSWERS = 8 };

/* Frames begin on word boundaries, and so do their fields. */
INLINE u32 arg(const struct request *r, u32 index)
{
    return ((const u32 *)(const void *)r->data)[index];
}

/* --- memory and registers ------------------------------------------------------------------- */

static struct {
    u32 at, left;
} ram;

static u32 on_mem_begin(const struct request *r)
{
    ram.at = arg(r, 3);
    ram.left = arg(r, 0);
    return OK;
}

/* The payload behind the four words, checked. */
static enum status check_block(const struct request *r)
{
    u8 sum = 0xEF;

    if (r->length < BLOCK_HEADER || arg(r, 0) != r->length - BLOCK_HEADER)
        return BAD_LENGTH;
    for (u32 i = BLOCK_HEADER; i < r->length; i++)
        sum ^= r->data[i];
    return sum == (r->checksum & 0xFF) ? OK : BAD_CHECKSUM;
}

static u32 on_mem_data(const struct request *r)
{
    u32 length = r->length - BLOCK_HEADER;
    enum status status = check_block(r);

    if (status)
        return status;
    if (length > ram.left)
        return TOO_MUCH;
    store_words(ram.at, r->data + BLOCK_HEADER, length);
    ram.at += length;
    ram.left -= length;
    return OK;
}

static u32 on_mem_end(const struct request *r)
{
    u32 entry = arg(r, 1);
    enum status status = ram.left ? TOO_LITTLE : OK;

    reply(MEM_END, status, 0, NULL, 0);
    if (status || arg(r, 0) || !entry)
        return ANSWERED;
    delay_us(1000);
    clock_restore();
    rom_call(entry, 0, 0, 0, 0);
    return ANSWERED;
}

static u32 on_read_reg(const struct request *r)
{
    reply(READ_REG, OK, reg_read(arg(r, 0)), NULL, 0);
    return ANSWERED;
}

static u32 on_write_reg(const struct request *r)
{
    if (!r->length || r->length % 16)
        return BAD_LENGTH;
    for (u32 i = 0; i < r->length / 4; i += 4) {
        u32 address = arg(r, i), mask = arg(r, i + 2), value = arg(r, i + 1) & mask;
        if (arg(r, i + 3))
            delay_us(arg(r, i + 3));
        if (mask != 0xFFFFFFFF)
            value |= reg_read(address) & ~mask;
        reg_write(address, value);
    }
    /* Hosts run transactions of their own by the SPI controller's registers. */
    spi_forget();
    return OK;
}

/* --- flash ---------------------------------------------------------------------------------- */

/* The block that was acknowledged last: one that comes again after a lost answer is not written
 * twice. */
static struct {
    u32 expected;
    bool deflated;
} blocks;

static LATE u32 on_flash_begin(const struct request *r)
{
    struct write_order order = {
        .offset = arg(r, 3),
        .size = arg(r, 0),
        .deflated = r->opcode == DEFL_BEGIN,
        .encrypted = r->length >= 20 && arg(r, 4),
        .erase_size = arg(r, 0),
    };

    if (arg(r, 2) > LARGEST_BLOCK)
        return BAD_BLOCK_SIZE;
    blocks.expected = 0;
    blocks.deflated = order.deflated;
    return writer_open(&order);
}

/* Answered before it is written: the next block comes in meanwhile. A failure shows in the answer
 * to that one, or to END. */
static LATE u32 on_flash_data(const struct request *r)
{
    u32 length = r->length - BLOCK_HEADER;
    enum status status = check_block(r);
    bool again = false;

    if (!writer_is_open() || blocks.deflated != (r->opcode == DEFL_DATA))
        status = NOT_WRITING;
    if (!status) {
        u32 seq = arg(r, 1);
        again = seq + 1 == blocks.expected;
        blocks.expected = seq + 1;
        status = writer_status();
    }
    reply(r->opcode, status, 0, NULL, 0);
    if (status || again)
        return ANSWERED;
    /* The last block is padded to the full size: what reaches beyond the end is left out. */
    if (!blocks.deflated && writer_left())
        length = min32(length, writer_left());
    writer_feed(r->data + BLOCK_HEADER, length);
    return ANSWERED;
}

static LATE u32 on_flash_end(const struct request *r)
{
    enum status status = writer_is_open() ? writer_finish() : NOT_WRITING;

    writer_close();
    reply(r->opcode, status, 0, NULL, 0);
    if (!status && !arg(r, 0)) {
        uart_restore();
        chip_restart();
    }
    return ANSWERED;
}

static LATE u32 on_erase_region(const struct request *r)
{
    struct eraser e = {.at = arg(r, 0), .end = arg(r, 0) + arg(r, 1)};
    enum status status;

    if (arg(r, 0) % SECTOR || arg(r, 1) % SECTOR)
        return BAD_BLOCK_SIZE;
    if (!flash_holds(arg(r, 0), arg(r, 1)))
        return FLASH_FAILED;
    status = flash_unlock();
    while (!status && e.at < e.end)
        status = eraser_step(&e);
    flash_wait();
    return status;
}

static LATE u32 on_erase_flash(const struct request *r)
{
    enum status status = flash_unlock();

    (void)r;
    if (!status)
        status = flash_erase_start(0, 0);
    flash_wait();
    return status;
}

static u8 piece[256] __attribute__((aligned(4)));

static LATE u32 on_flash_md5(const struct request *r)
{
    struct md5 md5;
    u8 digest[16];

    if (!flash_holds(arg(r, 0), arg(r, 1)))
        return FLASH_FAILED;
    md5_start(&md5);
    flash_md5(&md5, arg(r, 0), arg(r, 1));
    md5_finish(&md5, digest);
    reply(FLASH_MD5, OK, 0, digest, sizeof(digest));
    return ANSWERED;
}

static LATE u32 on_read_flash(const struct request *r)
{
    u32 at = arg(r, 0), length = arg(r, 1), packet = arg(r, 2), window = arg(r, 3);
    u32 sent = 0, acknowledged = 0;
    struct md5 md5;
    u8 digest[16];

    if (!packet || packet % 64)
        return BAD_BLOCK_SIZE;
    if (!flash_holds(at, length))
        return FLASH_FAILED;
    reply(READ_FLASH, OK, 0, NULL, 0);
    rx_release();
    if (!window)
        window = 1;
    md5_start(&md5);
    while (acknowledged < length) {
        u32 n = min32(packet, length - sent);
        if (!n || sent - acknowledged >= packet * window) {
            if (!rx_count(&acknowledged))
                return ANSWERED;
            continue;
        }
        tx_begin();
        for (u32 done = 0; done < n; done += sizeof(piece)) {
            u32 m = min32(n - done, sizeof(piece));
            flash_read(at + sent + done, piece, m);
            md5_add(&md5, piece, m);
            tx_bytes(piece, m);
        }
        tx_end();
        sent += n;
    }
    md5_finish(&md5, digest);
    tx_frame(digest, sizeof(digest));
    return ANSWERED;
}

/* --- the rest ------------------------------------------------------------------------------- */

static u32 on_sync(const struct request *r)
{
    (void)r;
    for (u32 i = 0; i < SYNC_ANSWERS; i++)
        reply(SYNC, OK, 0, NULL, 0);
    return ANSWERED;
}

static u32 on_attach(const struct request *r)
{
    flash_attach(arg(r, 0));
    return OK;
}

static u32 on_set_params(const struct request *r)
{
    flash_set_params(r->data);
    return OK;
}

static u32 on_change_baud(const struct request *r)
{
    reply(CHANGE_BAUDRATE, OK, 0, NULL, 0);
    if (link_active != &link_uart)
        return ANSWERED;
    /* The answer must have left at the old rate. */
    delay_us(10000);
    uart_set_baud(arg(r, 1) ? arg(r, 1) : 115200, arg(r, 0));
    delay_us(1000);
    return ANSWERED;
}

static u32 on_run_user_code(const struct request *r)
{
    (void)r;
    return LEAVE_STUB;
}

#ifdef ROM_SECURITY_INFO
static u32 on_security_info(const struct request *r)
{
    static u8 info[32] __attribute__((aligned(4)));
    u32 function = ROM_SECURITY_INFO;

    (void)r;
    rom_call(function, 0, 0, (word)info, 0);
    reply(SECURITY_INFO, OK, 0, info, SECURITY_INFO_BYTES);
    return ANSWERED;
}
#endif

const struct command_row commands[] = {
    {FLASH_BEGIN, 4, 6, on_flash_begin},
    {FLASH_DATA, 4, ANY_LENGTH, on_flash_data},
    {FLASH_END, 1, 3, on_flash_end},
    {MEM_BEGIN, 4, 6, on_mem_begin},
    {MEM_END, 2, 4, on_mem_end},
    {MEM_DATA, 4, ANY_LENGTH, on_mem_data},
    {SYNC, 0, 16, on_sync},
    {WRITE_REG, 4, 32, on_write_reg},
    {READ_REG, 1, 3, on_read_reg},
    {SPI_SET_PARAMS, 6, 8, on_set_params},
    {SPI_ATTACH, 1, 3, on_attach},
    {CHANGE_BAUDRATE, 2, 4, on_change_baud},
    {DEFL_BEGIN, 4, 6, on_flash_begin},
    {DEFL_DATA, 4, ANY_LENGTH, on_flash_data},
    {DEFL_END, 1, 3, on_flash_end},
    {FLASH_MD5, 2, 4, on_flash_md5},
    {ERASE_FLASH, 0, 2, on_erase_flash},
    {ERASE_REGION, 2, 4, on_erase_region},
    {READ_FLASH, 4, 6, on_read_flash},
    {RUN_USER_CODE, 0, 2, on_run_user_code},
    {ENCRYPT_DATA, 4, ANY_LENGTH, on_flash_data},
    {EXT_INFO, 0, 2, on_info},
#ifdef ROM_SECURITY_INFO
    {SECURITY_INFO, 0, 2, on_security_info},
#endif
};
const u32 command_count = COUNT(commands);

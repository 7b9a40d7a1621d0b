/* SPDX-License-Identifier: Apache-2.0 */
/* The public stub protocol. */
#include "commands.h"

#include "flash.h"
#include "hal.h"
#include "link.h"
#include "md5.h"
#include "spi.h"
#include "writer.h"

enum {
    FLASH_BEGIN = 0x02, FLASH_DATA, FLASH_END, MEM_BEGIN, MEM_END, MEM_DATA, SYNC, WRITE_REG,
    READ_REG, SPI_SET_PARAMS, SPI_ATTACH = 0x0D, CHANGE_BAUDRATE = 0x0F, DEFL_BEGIN, DEFL_DATA,
    DEFL_END, FLASH_MD5, SECURITY_INFO,
    ERASE_FLASH = 0xD0, ERASE_REGION, READ_FLASH, RUN_USER_CODE, ENCRYPT_DATA,
};

enum { HEADER = 8, BLOCK_HEADER = 16, LARGEST_BLOCK = 0x4000, SYNC_ANSWERS = 8 };

void reply(u8 opcode, enum status status, u32 value, const void *data, u32 length)
{
    u8 header[8] = {1, opcode};

    put16(header + 2, length + 2);
    put32(header + 4, value);
    tx_begin();
    tx_bytes(header, sizeof(header));
    tx_bytes(data, length);
    tx_byte((u8)status);
    tx_byte(0);
    tx_end();
}

static u32 arg(const struct request *r, u32 index) { return get32(r->data + 4 * index); }

/* --- memory and registers ------------------------------------------------------------------- */

static struct {
    u32 at, left;
} ram;

static enum status mem_begin(const struct request *r)
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

static enum status mem_data(const struct request *r)
{
    u32 length = r->length - BLOCK_HEADER;
    enum status status = check_block(r);

    if (status)
        return status;
    if (length > ram.left)
        return TOO_MUCH;
    /* Instruction memory takes whole words only. */
    for (u32 i = 0; i < length; i += 4)
        reg_write(ram.at + i, get32(r->data + BLOCK_HEADER + i));
    ram.at += length;
    ram.left -= length;
    return OK;
}

static void mem_end(const struct request *r)
{
    u32 entry = arg(r, 1);
    enum status status = ram.left ? TOO_LITTLE : OK;

    reply(MEM_END, status, 0, NULL, 0);
    if (status || arg(r, 0) || !entry)
        return;
    delay_us(1000);
    clock_restore();
    rom_call(entry, 0, 0, 0, 0);
}

static enum status write_reg(const struct request *r)
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

static enum status flash_begin(const struct request *r, bool deflated)
{
    struct write_order order = {
        .offset = arg(r, 3),
        .size = arg(r, 0),
        .deflated = deflated,
        .encrypted = r->length >= 20 && arg(r, 4),
        .erase_size = arg(r, 0),
    };

    if (arg(r, 2) > LARGEST_BLOCK)
        return BAD_BLOCK_SIZE;
    if (!deflated) {
        /* Blocks are padded to their full size; what is padded is taken, but no room is made. */
        u32 padded = arg(r, 1) * arg(r, 2);
        if (padded > order.size)
            order.size = padded;
    }
    blocks.expected = 0;
    blocks.deflated = deflated;
    if (!arg(r, 0))
        order.size = 0;
    return writer_open(&order);
}

/* Answered before it is written: the next block comes in meanwhile. A failure shows in the answer
 * to that one, or to END. */
static void flash_data(const struct request *r)
{
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
    if (!status && !again)
        writer_feed(r->data + BLOCK_HEADER, r->length - BLOCK_HEADER);
}

static void flash_end(const struct request *r)
{
    enum status status = writer_is_open() ? writer_finish() : NOT_WRITING;

    writer_close();
    reply(r->opcode, status, 0, NULL, 0);
    if (!status && !arg(r, 0)) {
        uart_restore();
        chip_restart();
    }
}

static APART enum status erase_region(const struct request *r)
{
    struct eraser e = {.at = arg(r, 0), .end = arg(r, 0) + arg(r, 1)};
    enum status status = OK;

    if (e.at % SECTOR || e.end % SECTOR || e.end < e.at)
        return BAD_BLOCK_SIZE;
    status = flash_unlock();
    while (!status && e.at < e.end)
        status = eraser_step(&e);
    flash_wait();
    return status;
}

static enum status erase_flash(void)
{
    enum status status = flash_unlock();

    if (!status)
        status = flash_erase_start(0, 0);
    flash_wait();
    return status;
}

static u8 piece[256] __attribute__((aligned(4)));

static APART void hash_flash(const struct request *r)
{
    struct md5 md5;
    u8 digest[16];

    md5_start(&md5);
    flash_md5(&md5, arg(r, 0), arg(r, 1));
    md5_finish(&md5, digest);
    reply(FLASH_MD5, OK, 0, digest, sizeof(digest));
}

/* Wait for the host's count of received bytes; false when it asks for something else instead. */
static bool read_ack(u32 *acknowledged)
{
    struct frame f;

    while (!rx_next(&f))
        pump();
    if (f.length != 4) {
        rx_keep();
        return false;
    }
    *acknowledged = get32(f.data);
    rx_release();
    return true;
}

static APART void read_flash(const struct request *r)
{
    u32 at = arg(r, 0), length = arg(r, 1), packet = arg(r, 2), window = arg(r, 3);
    u32 sent = 0, acknowledged = 0;
    struct md5 md5;
    u8 digest[16];

    if (!packet || packet % 64) {
        reply(READ_FLASH, BAD_BLOCK_SIZE, 0, NULL, 0);
        return;
    }
    reply(READ_FLASH, OK, 0, NULL, 0);
    rx_release();
    if (!window)
        window = 1;
    md5_start(&md5);
    while (acknowledged < length) {
        u32 n = min32(packet, length - sent);
        if (!n || sent - acknowledged >= packet * window) {
            if (!read_ack(&acknowledged))
                return;
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
}

/* --- the rest ------------------------------------------------------------------------------- */

static void sync(void)
{
    for (u32 i = 0; i < SYNC_ANSWERS; i++)
        reply(SYNC, OK, 0, NULL, 0);
}

static void change_baud(const struct request *r)
{
    reply(CHANGE_BAUDRATE, OK, 0, NULL, 0);
    if (link_active != &link_uart)
        return;
    /* The answer must have left at the old rate. */
    delay_us(10000);
    uart_set_baud(arg(r, 1) ? arg(r, 1) : 115200, arg(r, 0));
    delay_us(1000);
}

#ifdef ROM_SECURITY_INFO
static void security_info(void)
{
    static u8 info[32] __attribute__((aligned(4)));
    u32 function = ROM_SECURITY_INFO;

    rom_call(function, 0, 0, (word)info, 0);
    reply(SECURITY_INFO, OK, 0, info, SECURITY_INFO_BYTES);
}
#endif

/* How many words a request must have, and whether its handler answers for itself. */
struct entry {
    u8 opcode;
    u8 words;
    bool answers;
};

static const struct entry table[] = {
    {FLASH_BEGIN, 4, false},  {FLASH_DATA, 4, true},    {FLASH_END, 1, true},
    {MEM_BEGIN, 4, false},    {MEM_END, 2, true},       {MEM_DATA, 4, false},
    {SYNC, 0, true},          {WRITE_REG, 4, false},    {READ_REG, 1, true},
    {SPI_SET_PARAMS, 6, false}, {SPI_ATTACH, 1, false}, {CHANGE_BAUDRATE, 2, true},
    {DEFL_BEGIN, 4, false},   {DEFL_DATA, 4, true},     {DEFL_END, 1, true},
    {FLASH_MD5, 2, true},     {ERASE_FLASH, 0, false},  {ERASE_REGION, 2, false},
    {READ_FLASH, 4, true},    {ENCRYPT_DATA, 4, true},  {RUN_USER_CODE, 0, true},
#ifdef ROM_SECURITY_INFO
    {SECURITY_INFO, 0, true},
#endif
};

static const struct entry *find(u8 opcode)
{
    for (u32 i = 0; i < COUNT(table); i++)
        if (table[i].opcode == opcode)
            return &table[i];
    return NULL;
}

static enum status dispatch(const struct request *r)
{
    switch (r->opcode) {
    case FLASH_BEGIN: return flash_begin(r, false);
    case DEFL_BEGIN: return flash_begin(r, true);
    case FLASH_DATA:
    case DEFL_DATA:
    case ENCRYPT_DATA: flash_data(r); break;
    case FLASH_END:
    case DEFL_END: flash_end(r); break;
    case MEM_BEGIN: return mem_begin(r);
    case MEM_DATA: return mem_data(r);
    case MEM_END: mem_end(r); break;
    case SYNC: sync(); break;
    case WRITE_REG: return write_reg(r);
    case READ_REG: reply(READ_REG, OK, reg_read(arg(r, 0)), NULL, 0); break;
    case SPI_SET_PARAMS: return (enum status)flash_set_params(r->data);
    case SPI_ATTACH: flash_attach(arg(r, 0)); break;
    case CHANGE_BAUDRATE: change_baud(r); break;
    case FLASH_MD5: hash_flash(r); break;
    case ERASE_FLASH: return erase_flash();
    case ERASE_REGION: return erase_region(r);
    case READ_FLASH: read_flash(r); break;
#ifdef ROM_SECURITY_INFO
    case SECURITY_INFO: security_info(); break;
#endif
    default: break;
    }
    return OK;
}

bool command(const struct frame *f)
{
    struct request r = {f->data[1], get32(f->data + 4), f->data + HEADER, f->length - HEADER,
                        f->sealed};
    const struct entry *e = find(r.opcode);
    enum status status;

    if (f->length < HEADER)
        return true;
    if (extension(&r))
        return true;
    if (!e || r.length < e->words * 4u) {
        reply(r.opcode, e ? BAD_LENGTH : BAD_COMMAND, 0, NULL, 0);
        return true;
    }
    if (r.opcode == RUN_USER_CODE)
        return false;
    status = dispatch(&r);
    if (!e->answers)
        reply(r.opcode, status, 0, NULL, 0);
    return true;
}

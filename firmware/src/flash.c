/* SPDX-License-Identifier: Apache-2.0 */
#include "flash.h"

#include "crc32.h"
#include "hal.h"
#include "slip.h"
#include "spi.h"

enum { WIP = 1, WEL = 2, PROTECT = 0x7C };
enum { READ_ID = 0x9F };
enum { WRITE_ENABLE = 0x06, READ_STATUS = 0x05, READ_STATUS2 = 0x35, WRITE_STATUS = 0x01 };

/* Bytes: told by the host, and told by the id; 0: not known. */
static u32 size_told, size_found;
static bool size_sought;
static bool busy;

/* Commands with a 24-bit address, and those with a 32-bit one. */
enum operation { READ, PROGRAM, ERASE_SECTOR, ERASE_32K, ERASE_64K };
static const u8 opcodes[2][5] = {{0x03, 0x02, 0x20, 0x52, 0xD8}, {0x13, 0x12, 0x21, 0x5C, 0xDC}};

static struct spi_shape shape(enum operation op, u32 address, u32 out, u32 in)
{
    bool large = address >> 24;
    struct spi_shape s = {
        .command = opcodes[large][op],
        .address_bits = large ? 32 : 24,
        .out = (u8)out,
        .in = (u8)in,
    };
    return s;
}

/* A read of this shape on two or four lines. */
static void widen(struct spi_shape *s, u32 lanes)
{
    bool large = s->address_bits == 32;

    s->command = lanes == 4 ? (large ? 0x6C : 0x6B) : (large ? 0x3C : 0x3B);
    s->dummy_bits = 8;
    s->lanes = (u8)lanes;
}

static EARLY void simple(u8 command)
{
    struct spi_shape s = {.command = command};
    spi_transfer(&s, 0, NULL, NULL);
}

static EARLY u8 status_byte(u8 command)
{
    static const struct spi_shape none;
    struct spi_shape s = none;
    u8 value[4] __attribute__((aligned(4)));

    s.command = command;
    s.in = 1;
    spi_transfer(&s, 0, NULL, value);
    return value[0];
}

EARLY bool flash_busy(void)
{
    if (busy && !(status_byte(READ_STATUS) & WIP))
        busy = false;
    return busy;
}

EARLY void flash_wait(void)
{
    while (flash_busy())
        pump();
}

static enum status write_enable(void)
{
    flash_wait();
    for (u32 i = 0; i < 10; i++) {
        simple(WRITE_ENABLE);
        if ((status_byte(READ_STATUS) & (WEL | WIP)) == WEL)
            return OK;
    }
    return FLASH_FAILED;
}

/* On how many lines the flash can be read: tried where the contents can tell, as a flash in a mode
 * of its own, or one of which not all lines are connected, cannot be told otherwise. 0: not yet. */
static u32 read_lanes;

#ifdef SPI_HOLD_REG
/* A page is programmed by one command where the controller can keep the flash selected from one
 * filling of its buffer to the next: the bytes of the id, read in two goes, tell. */
static enum { HOLD_UNKNOWN, HOLD_WORKS, HOLD_FAILS } hold;
/* Where four lines can be read, a page can be sent on four, to the makes that know the command. */
static enum { QUAD_UNKNOWN, QUAD_CHECKED, QUAD_WORKS, QUAD_FAILS } quad;
#endif

EARLY void flash_attach(u32 pins)
{
#ifdef ROM_SELECT_SPI_PINS
    rom_call(ROM_SELECT_SPI_PINS, 0, 0, 0, 0);
#endif
#ifdef ROM_SPICONFIG
    if (!pins)
        pins = (u32)rom_call(ROM_SPICONFIG, 0, 0, 0, 0); /* as eFuses say */
#endif
    rom_call(ROM_SPI_ATTACH, pins, 0, 0, 0);
    spi_forget();
    read_lanes = 0;
    size_sought = false;
#ifdef SPI_HOLD_REG
    hold = HOLD_UNKNOWN;
    if (quad != QUAD_FAILS)
        quad = QUAD_UNKNOWN;
#endif
}

EARLY void flash_set_params(const u8 *six_words) { size_told = get32(six_words + 4); }

/* The id's third byte is the power of two on most parts; some that ran out of it go on at 0x20, and
 * some low-voltage ones count from 0x32. Adesto tells it in five bits of the second byte. Anything
 * else says nothing. */
static u32 size_of_id(const u8 *id)
{
    u32 capacity = id[2], adesto = id[1] & 0x1F;

    if (id[0] == 0x1F)
        return adesto >= 4 && adesto <= 9 ? 1u << (adesto + 15) : 0;
    if (capacity >= 0x20 && capacity <= 0x22)
        return 1u << (capacity - 6);
    if (capacity >= 0x32 && capacity <= 0x3A)
        capacity -= 0x20;
    return capacity >= 0x12 && capacity <= 0x1C ? 1u << capacity : 0;
}

bool flash_holds(u32 address, u32 size)
{
    u32 limit = size_told;

    if (!size_sought) {
        struct spi_shape s = {.command = READ_ID, .in = 3};
        u8 id[4] __attribute__((aligned(4)));
        flash_wait();
        spi_transfer(&s, 0, NULL, id);
        size_found = size_of_id(id);
        size_sought = true;
    }
    if (size_found && (!limit || size_found < limit))
        limit = size_found;
    if (!limit)
        return size <= 0xFFFFFFFF - address;
    return address <= limit && size <= limit - address;
}

/* --- reading ------------------------------------------------------------------------------- */

#ifdef SPI_HOLD_REG
static bool can_hold(void)
{
    struct spi_shape whole = {.command = READ_ID, .in = 3};
    struct spi_shape head = {.command = READ_ID, .in = 1, .more = true};
    struct spi_shape rest = {.in = 2, .bare = true};
    u8 id[4] __attribute__((aligned(4))), parts[8] __attribute__((aligned(4)));

    if (hold != HOLD_UNKNOWN)
        return hold == HOLD_WORKS;
    hold = HOLD_FAILS;
    spi_transfer(&whole, 0, NULL, id);
    if (id[0] == id[1] && id[1] == id[2])
        return false;
    spi_spoil();
    spi_transfer(&head, 0, NULL, parts);
    spi_spoil();
    spi_transfer(&rest, 0, NULL, parts + 4);
    if (parts[0] == id[0] && parts[4] == id[1] && parts[5] == id[2])
        hold = HOLD_WORKS;
    return hold == HOLD_WORKS;
}
#else
static bool can_hold(void) { return false; }
#endif

static void read_start(struct flash_reader *r)
{
    u32 n = min32(r->left, SPI_BUFFER);

    if (r->shape.more) {
        /* The flash is still selected and goes on where it was. */
        r->shape.bare = true;
        r->shape.command = r->shape.address_bits = r->shape.dummy_bits = 0;
        r->shape.in = (u8)n;
    } else {
        /* A piece that reaches over the 16 MB border takes the long address throughout. */
        r->shape = shape(READ, r->address + r->left - 1, 0, n);
        if (read_lanes > 1)
            widen(&r->shape, read_lanes);
    }
    r->shape.more = r->held && r->left > n;
    spi_begin(&r->shape, r->address, NULL);
}

/* The piece has been taken: start the next. */
INLINE void read_on(struct flash_reader *r)
{
    r->address += SPI_BUFFER;
    r->left -= min32(r->left, SPI_BUFFER);
    if (r->shape.bare && r->left > SPI_BUFFER)
        spi_again();
    else if (r->left)
        read_start(r);
}

/* What is read in vain, or for comparison. */
static u8 scratch[SPI_BUFFER] __attribute__((aligned(4)));

static bool same_bytes(const u8 *a, const u8 *b, u32 n)
{
    for (u32 i = 0; i < n; i++)
        if (a[i] != b[i])
            return false;
    return true;
}

static APART void try_lanes(const struct flash_reader *r, const u8 *found)
{
    struct spi_shape s = r->shape;

    /* Of uniform bytes a wrong mode might make the same ones. */
    if (s.in < SPI_BUFFER || same_bytes(found, found + 1, s.in - 1u))
        return;
    for (read_lanes = 4; read_lanes > 1; read_lanes /= 2) {
        widen(&s, read_lanes);
        spi_spoil();
        spi_transfer(&s, r->address, NULL, scratch);
        if (same_bytes(found, scratch, s.in))
            return;
    }
}

void flash_try_reading(u32 address)
{
    static u8 piece[SPI_BUFFER] __attribute__((aligned(4)));

    if (!read_lanes)
        flash_read(address, piece, SPI_BUFFER);
}

void flash_learn(void)
{
    static const u16 places[] = {0, 0x1000, 0x2000, 0x8000};

    for (u32 i = 0; i < COUNT(places); i++)
        flash_try_reading(places[i]);
}

/* `steady`: no other commands come in between. */
static void reader_start(struct flash_reader *r, u32 address, u32 length, bool steady)
{
    flash_wait();
    r->address = address;
    r->left = length;
    r->shape.more = false;
    r->held = steady && length > SPI_BUFFER && can_hold();
    if (length)
        read_start(r);
}

void flash_reader_start(struct flash_reader *r, u32 address, u32 length)
{
    /* Finding out how to read takes commands. */
    reader_start(r, address, length, read_lanes != 0);
}

/* Eight pieces take less time than the receive FIFO lasts. */
INLINE void breathe_between(const struct flash_reader *r)
{
    if (r->left % (8 * SPI_BUFFER) <= SPI_BUFFER)
        pump();
}

HOT u32 flash_reader_next(struct flash_reader *r, u8 *to)
{
    u32 n = min32(r->left, SPI_BUFFER);

    breathe_between(r);
    spi_end(&r->shape, to);
    if (!read_lanes)
        try_lanes(r, to);
    read_on(r);
    return n;
}

void flash_reader_stop(struct flash_reader *r)
{
    if (!r->left)
        return;
    spi_end(&r->shape, scratch);
    if (r->shape.more) {
        r->left = 1;
        read_start(r);
        spi_end(&r->shape, scratch);
    }
    r->left = 0;
}

void flash_read(u32 address, u8 *to, u32 length)
{
    struct flash_reader r;

    flash_reader_start(&r, address, length);
    while (r.left)
        to += flash_reader_next(&r, to);
}

HOT bool all_ff(const u8 *data, u32 length)
{
    const u32 *words = (const u32 *)(const void *)data;

    for (u32 i = 0; i < length / 4; i++)
        if (words[i] != 0xFFFFFFFF)
            return false;
    for (u32 i = length & ~3u; i < length; i++)
        if (data[i] != 0xFF)
            return false;
    return true;
}

HOT bool flash_blank(u32 address, u32 length)
{
    struct flash_reader r;
    bool blank = true;

    reader_start(&r, address, length, true);
    while (r.left && blank) {
        breathe_between(&r);
        blank = spi_end_blank();
        read_on(&r);
    }
    flash_reader_stop(&r);
    if (!blank)
        flash_try_reading(r.address - SPI_BUFFER);
    return blank;
}

/* --- hashing -------------------------------------------------------------------------------- */

static u32 hashed[SPI_BUFFER / 4];

void flash_md5(struct md5 *md5, u32 address, u32 length)
{
    struct flash_reader r;

    flash_reader_start(&r, address, length);
    while (r.left) {
        u32 n = flash_reader_next(&r, (u8 *)hashed);
        md5_add(md5, (const u8 *)hashed, n);
    }
}

HOT u32 flash_crc32(u32 address, u32 length, const u32 *tables, u32 *sum)
{
    struct flash_reader r;
    u32 crc = CRC32_START, words = 0, sums = 0;
    CRC32_TABLES_AT(tables);

    flash_reader_start(&r, address, length);
    while (r.left) {
        if (!read_lanes) {
            flash_reader_next(&r, (u8 *)hashed);
        } else {
            breathe_between(&r);
            spi_end_whole(hashed);
            read_on(&r);
        }
        for (const u32 *at = hashed; at != hashed + COUNT(hashed); at += 2) {
            u32 one = at[0], two = at[1];
            sums += words += one;
            crc ^= one;
            crc = CRC32_STEP(crc) ^ two;
            sums += words += two;
            crc = CRC32_STEP(crc);
        }
    }
    *sum = sums;
    return ~crc;
}

/* --- programming --------------------------------------------------------------------------- */

#ifdef SPI_HOLD_REG
/* Makes whose command 0x32 takes the data, but not the address, on four lines: Winbond, GigaDevice,
 * XMC and Micron, Boya, Puya, XTX, Zbit, ISSI. */
static const u8 quad_makes[] = {0xEF, 0xC8, 0x20, 0x68, 0x85, 0x0B, 0x5E, 0x9D};

static bool can_send_on_four(void)
{
    struct spi_shape s = {.command = READ_ID, .in = 1};
    u8 make[4] __attribute__((aligned(4)));

    if (quad == QUAD_UNKNOWN && read_lanes) {
        quad = QUAD_FAILS;
        flash_wait();
        spi_transfer(&s, 0, NULL, make);
        for (u32 i = 0; i < sizeof(quad_makes) && read_lanes == 4; i++)
            if (make[0] == quad_makes[i])
                quad = QUAD_CHECKED;
    }
    return quad == QUAD_CHECKED || quad == QUAD_WORKS;
}

static bool stands(u32 address, const u8 *data, u32 length)
{
    u8 piece[SPI_BUFFER] __attribute__((aligned(4)));
    struct flash_reader r;
    bool same = true;

    flash_reader_start(&r, address, length);
    while (r.left && same) {
        u32 n = flash_reader_next(&r, piece);
        same = same_bytes(data, piece, n);
        data += n;
    }
    flash_reader_stop(&r);
    return same;
}

/* Behind the first page that was sent on four lines: it does not stand there if they do not work,
 * and its sector must be erased once more. */
static enum status judge_quad(u32 address, const u8 *data, u32 length)
{
    if (quad == QUAD_CHECKED)
        quad = stands(address, data, length) ? QUAD_WORKS : QUAD_FAILS;
    return quad == QUAD_WORKS ? OK : DO_AGAIN;
}
#else
static bool can_send_on_four(void) { return false; }
static enum status judge_quad(u32 address, const u8 *data, u32 length)
{
    (void)address, (void)data, (void)length;
    return OK;
}
#endif

/* One page program command; more than a buffer only where the flash can be kept selected. */
static enum status program(u32 address, const u8 *data, u32 length)
{
    bool four = length > SPI_BUFFER && can_send_on_four();
    enum status status = write_enable();
    struct spi_shape s = shape(PROGRAM, address, 0, 0);

    if (status)
        return status;
    if (four) {
        s.command = s.address_bits == 32 ? 0x34 : 0x32;
        s.lanes = 4;
    }
    for (u32 done = 0; done < length; done += s.out) {
        s.more = length - done > SPI_BUFFER;
        s.out = (u8)min32(length - done, SPI_BUFFER);
        spi_transfer(&s, address, data + done, NULL);
        s.command = s.address_bits = 0;
        s.bare = true;
    }
    busy = true;
    return four ? judge_quad(address, data, length) : OK;
}

enum status flash_program(u32 address, const u8 *data, u32 length)
{
    u32 largest = SPI_BUFFER;

    if (length > SPI_BUFFER && can_hold()) {
        /* Blank ends need not be sent, nor take the flash's time. */
        while (length && all_ff(data + length - 4, 4))
            length -= 4;
        largest = PAGE;
    }
    while (length) {
        u32 n = min32(length, largest);
        if (!all_ff(data, n)) {
            enum status status = program(address, data, n);
            if (status)
                return status;
        }
        address += n;
        data += n;
        length -= n;
    }
    return OK;
}

enum status flash_program_encrypted(u32 address, const u8 *data, u32 length)
{
#ifdef ROM_WRITE_ENCRYPTED
    u32 result;

    flash_wait();
    result = (u32)rom_call(ROM_WRITE_ENCRYPTED, address, (word)data, length, 0);
    spi_forget();
    return result ? FLASH_FAILED : OK;
#else
    (void)address, (void)data, (void)length;
    return NOT_IMPLEMENTED;
#endif
}

enum status flash_erase_start(u32 address, u32 size)
{
    enum operation op = size == SECTOR ? ERASE_SECTOR : size == BLOCK32 ? ERASE_32K : ERASE_64K;
    enum status status = write_enable();

    if (status)
        return status;
    if (size) {
        struct spi_shape s = shape(op, address, 0, 0);
        spi_transfer(&s, address, NULL, NULL);
    } else {
        simple(0xC7);
    }
    busy = true;
    return OK;
}

enum status flash_unlock(void)
{
    struct spi_shape s = {.command = WRITE_STATUS};
    u8 old, value[4] __attribute__((aligned(4))) = {0};

    flash_wait();
    old = status_byte(READ_STATUS);
    value[1] = status_byte(READ_STATUS2);
    if (old == 0xFF || !(old & PROTECT))
        return OK;
    /* Both registers at once keeps QE, which sits in the second on most parts; the parts that take
     * one byte only refuse two. */
    for (s.out = 2; s.out; s.out--) {
        enum status status = write_enable();
        if (status)
            return UNLOCK_FAILED;
        spi_transfer(&s, 0, value, NULL);
        busy = true;
        flash_wait();
        if (!(status_byte(READ_STATUS) & PROTECT))
            return OK;
    }
    return UNLOCK_FAILED;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Reading, ever as fast as the flash turns out to bear, and what is made of what is read: hashes. */
#include "flash.h"

#include "crc32.h"
#include "flash_bus.h"
#include "slip.h"

/* A read of this shape on two or four lines. */
static void widen(struct spi_shape *s, u32 lanes)
{
    bool large = s->address_bits == 32;

    s->command = lanes == 4 ? (large ? 0x6C : 0x6B) : (large ? 0x3C : 0x3B);
    s->dummy_bits = 8;
    s->lanes = (u8)lanes;
}

#ifdef SPI_HOLD_REG
/* The bytes of the id, read in two goes, tell. */
bool flash_can_hold(void)
{
    struct spi_shape whole = {.command = READ_ID, .in = 3};
    struct spi_shape head = {.command = READ_ID, .in = 1, .more = true};
    struct spi_shape rest = {.in = 2, .bare = true};
    u8 id[4] __attribute__((aligned(4))), parts[8] __attribute__((aligned(4)));

    if (known.hold != HOLD_UNKNOWN)
        return known.hold == HOLD_WORKS;
    known.hold = HOLD_FAILS;
    spi_transfer(&whole, 0, NULL, id);
    if (id[0] == id[1] && id[1] == id[2])
        return false;
    spi_spoil();
    spi_transfer(&head, 0, NULL, parts);
    spi_spoil();
    spi_transfer(&rest, 0, NULL, parts + 4);
    if (parts[0] == id[0] && parts[4] == id[1] && parts[5] == id[2])
        known.hold = HOLD_WORKS;
    return known.hold == HOLD_WORKS;
}
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
        r->shape = flash_shape(READ, r->address + r->left - 1, 0, n);
        if (known.read_lanes > 1)
            widen(&r->shape, known.read_lanes);
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

bool same_bytes(const u8 *a, const u8 *b, u32 n)
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
    for (known.read_lanes = 4; known.read_lanes > 1; known.read_lanes /= 2) {
        widen(&s, known.read_lanes);
        spi_spoil();
        spi_transfer(&s, r->address, NULL, scratch);
        if (same_bytes(found, scratch, s.in))
            return;
    }
}

void flash_try_reading(u32 address)
{
    static u8 piece[SPI_BUFFER] __attribute__((aligned(4)));

    if (!known.read_lanes)
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
    r->held = steady && length > SPI_BUFFER && flash_can_hold();
    if (length)
        read_start(r);
}

void flash_reader_start(struct flash_reader *r, u32 address, u32 length)
{
    /* Finding out how to read takes commands. */
    reader_start(r, address, length, known.read_lanes != 0);
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
    if (!known.read_lanes)
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
        if (!known.read_lanes) {
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

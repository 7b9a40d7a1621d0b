/* SPDX-License-Identifier: Apache-2.0 */
/* EXT_BATCH: several register accesses and flash transactions in one round trip. */
#include "ext.h"

#include "answer.h"
#include "flash.h"
#include "hal.h"
#include "spi.h"

enum operation { OP_READ = 1, OP_WRITE, OP_WAIT, OP_SPI, OP_POLL };

/* The answer to the last batch, should it have to be repeated. */
static struct {
    u32 id, done, length;
    enum status status;
    u8 bytes[EXT_BATCH_BYTES] __attribute__((aligned(4)));
} last;

struct reader {
    const u8 *at, *end;
};

static bool has(const struct reader *in, u32 n) { return (u32)(in->end - in->at) >= n; }

static bool answer(u32 value)
{
    if (last.length + 4 > EXT_BATCH_BYTES)
        return false;
    put32(last.bytes + last.length, value);
    last.length += 4;
    return true;
}

static enum status poll(const u8 *p)
{
    u32 address = get32(p), mask = get32(p + 4), wanted = get32(p + 8), left = get32(p + 12);
    u32 word;

    for (;;) {
        word = reg_read(address);
        if ((word & mask) == wanted || !left)
            break;
        delay_us(10);
        left = left > 10 ? left - 10 : 0;
        pump();
    }
    if (!answer(word))
        return TOO_MUCH;
    return (word & mask) == wanted ? OK : FLASH_FAILED;
}

static enum status spi(struct reader *in)
{
    u8 buffer[SPI_BUFFER] __attribute__((aligned(4)));
    const u8 *p = in->at;
    struct spi_shape s = {
        .command = p[0], .address_bits = p[1], .dummy_bits = p[2], .out = p[3], .in = p[4],
    };
    u32 address = get32(p + 5);

    if (s.out > SPI_BUFFER || s.in > SPI_BUFFER || !has(in, 9u + s.out)
        || (s.address_bits && s.address_bits != 24 && s.address_bits != 32))
        return BAD_LENGTH;
    if (last.length + s.in > EXT_BATCH_BYTES)
        return TOO_MUCH;
    flash_wait();
    memcpy(buffer, p + 9, s.out);
    spi_transfer(&s, address, buffer, buffer);
    memcpy(last.bytes + last.length, buffer, s.in);
    last.length += s.in;
    in->at += s.out;
    return OK;
}

static void write(const u8 *p)
{
    u32 address = get32(p), value = get32(p + 4), mask = get32(p + 8);

    if (mask != 0xFFFFFFFF)
        value = (value & mask) | (reg_read(address) & ~mask);
    reg_write(address, value);
}

static enum status one(struct reader *in)
{
    static const u8 sizes[] = {0, 4, 12, 4, 9, 16};
    u8 op = *in->at++;
    const u8 *p = in->at;
    enum status status = OK;

    if (op < OP_READ || op > OP_POLL)
        return NOT_IMPLEMENTED;
    if (!has(in, sizes[op]))
        return BAD_LENGTH;
    switch (op) {
    case OP_READ: status = answer(reg_read(get32(p))) ? OK : TOO_MUCH; break;
    case OP_WRITE: write(p); break;
    case OP_WAIT: delay_us(get32(p)); break;
    case OP_SPI: status = spi(in); break;
    default: status = poll(p); break;
    }
    in->at += sizes[op];
    return status;
}

u32 on_batch(const struct request *r)
{
    u32 id = get16(r->data), count = get16(r->data + 2);
    struct reader in = {r->data + 4, r->data + r->length};

    if (!id || id != last.id) {
        last.id = id;
        last.done = last.length = 0;
        last.status = OK;
        /* The host may set the controller's registers by itself here. */
        spi_forget();
        while (last.done < count && !last.status) {
            last.status = in.at < in.end ? one(&in) : BAD_LENGTH;
            if (!last.status)
                last.done++;
        }
        spi_forget();
    }
    sealed_reply(EXT_BATCH, last.status, last.done, last.bytes, last.length);
    return ANSWERED;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Programming, erasing, protection. */
#include "flash.h"

#include "flash_bus.h"
#include "slip.h"

static enum status write_enable(void)
{
    flash_wait();
    for (u32 i = 0; i < 10; i++) {
        flash_command(WRITE_ENABLE);
        if ((flash_status(READ_STATUS) & (WEL | WIP)) == WEL)
            return OK;
    }
    return FLASH_FAILED;
}

#ifdef SPI_HOLD_REG
/* Makes whose command 0x32 takes the data, but not the address, on four lines: Winbond, GigaDevice,
 * XMC and Micron, Boya, Puya, XTX, Zbit, ISSI. */
static const u8 quad_makes[] = {0xEF, 0xC8, 0x20, 0x68, 0x85, 0x0B, 0x5E, 0x9D};

static bool can_send_on_four(void)
{
    struct spi_shape s = {.command = READ_ID, .in = 1};
    u8 make[4] __attribute__((aligned(4)));

    if (known.quad == QUAD_UNKNOWN && known.read_lanes) {
        known.quad = QUAD_FAILS;
        flash_wait();
        spi_transfer(&s, 0, NULL, make);
        for (u32 i = 0; i < sizeof(quad_makes) && known.read_lanes == 4; i++)
            if (make[0] == quad_makes[i])
                known.quad = QUAD_CHECKED;
    }
    return known.quad == QUAD_CHECKED || known.quad == QUAD_WORKS;
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
    if (known.quad == QUAD_CHECKED)
        known.quad = stands(address, data, length) ? QUAD_WORKS : QUAD_FAILS;
    return known.quad == QUAD_WORKS ? OK : DO_AGAIN;
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
    struct spi_shape s = flash_shape(PROGRAM, address, 0, 0);

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
    flash_begun();
    return four ? judge_quad(address, data, length) : OK;
}

enum status flash_program(u32 address, const u8 *data, u32 length)
{
    u32 largest = SPI_BUFFER;

    if (length > SPI_BUFFER && flash_can_hold()) {
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
        struct spi_shape s = flash_shape(op, address, 0, 0);
        spi_transfer(&s, address, NULL, NULL);
    } else {
        flash_command(ERASE_CHIP);
    }
    flash_begun();
    return OK;
}

enum status flash_unlock(void)
{
    struct spi_shape s = {.command = WRITE_STATUS};
    u8 old, value[4] __attribute__((aligned(4))) = {0};

    flash_wait();
    old = flash_status(READ_STATUS);
    value[1] = flash_status(READ_STATUS2);
    if (old == 0xFF || !(old & PROTECT))
        return OK;
    /* Both registers at once keeps QE, which sits in the second on most parts; the parts that take
     * one byte only refuse two. */
    for (s.out = 2; s.out; s.out--) {
        enum status status = write_enable();
        if (status)
            return UNLOCK_FAILED;
        spi_transfer(&s, 0, value, NULL);
        flash_begun();
        flash_wait();
        if (!(flash_status(READ_STATUS) & PROTECT))
            return OK;
    }
    return UNLOCK_FAILED;
}

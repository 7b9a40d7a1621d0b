/* SPDX-License-Identifier: Apache-2.0 */
/* libFuzzer: any bytes on the line. The first byte says whether they are taken as they are, or as
 * requests that this target frames (and seals), which gets past the checks at the door. */
#include <setjmp.h>
#include <string.h>

#include "crc32.h"
#include "dispatch.h"
#include "ext.h"
#include "host.h"
#include "link.h"

extern const struct line_client line_client;
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static jmp_buf out;
static u8 line[1 << 17];

static void idle(void) { longjmp(out, 1); }

static size_t put(size_t at, u8 byte)
{
    if (byte == 0xC0 || byte == 0xDB) {
        line[at++] = 0xDB;
        byte = byte == 0xC0 ? 0xDC : 0xDD;
    }
    line[at++] = byte;
    return at;
}

/* Requests of the form: opcode, length (2 bytes), data. */
static size_t frames(const u8 *data, size_t size)
{
    size_t at = 0;

    while (size > 3 && at < sizeof(line) / 2) {
        u8 opcode = data[0], header[8] = {0, opcode}, sum = 0xEF, seal[4];
        size_t length = (data[1] | (size_t)data[2] << 8) % 4200;
        u32 crc = crc32_byte(CRC32_START, opcode);
        bool sealed = opcode >= EXT_INFO && opcode <= EXT_ERASE;

        data += 3;
        size -= 3;
        if (length > size)
            length = size;
        for (size_t i = 16; i < length; i++)
            sum ^= data[i];
        crc = crc32_update(crc, data, (u32)length);
        put32(seal, ~crc);
        put16(header + 2, (u32)length + (sealed ? 4 : 0));
        header[4] = sum;
        line[at++] = 0xC0;
        for (size_t i = 0; i < 8; i++)
            at = put(at, header[i]);
        for (size_t i = 0; i < length; i++)
            at = put(at, data[i]);
        for (size_t i = 0; sealed && i < 4; i++)
            at = put(at, seal[i]);
        line[at++] = 0xC0;
        data += length;
        size -= length;
    }
    return at;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool begun;
    struct frame f;

    if (!size || size > sizeof(line) / 4)
        return 0;
    if (!begun) {
        crc32_init();
        line_serve(&line_client);
        memset(host_flash(), 0xFF, 4 << 20);
        host_line.idle = host_line.restart = idle;
        link_active = &link_uart;
        begun = true;
    }
    ext_write_forget();
    tx_active = false;
    if (data[0] & 1) {
        memcpy(line, data + 1, size - 1);
        host_line.length = size - 1;
    } else {
        host_line.length = frames(data + 1, size - 1);
    }
    host_line.data = line;
    if (setjmp(out)) {
        /* Work off what is queued, then forget the rest. */
        while (rx_next(&f))
            rx_release();
        return 0;
    }
    for (;;) {
        pump();
        if (rx_next(&f)) {
            dispatch(&f);
            rx_release();
        }
    }
}

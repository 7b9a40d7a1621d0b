/* SPDX-License-Identifier: Apache-2.0 */
#include "answer.h"

#include "crc32.h"
#include "slip.h"

static u32 seal;

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

void sealed_begin(u8 opcode, u32 value, u32 length)
{
    u8 header[8] = {1, opcode};

    put16(header + 2, length + SEAL + 2);
    put32(header + 4, value);
    seal = crc32_update(crc32_byte(CRC32_START, opcode), header + 4, 4);
    tx_begin();
    tx_bytes(header, sizeof(header));
}

void sealed_add(const void *fields, u32 length)
{
    seal = crc32_update(seal, fields, length);
    tx_bytes(fields, length);
}

void sealed_end(enum status status)
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

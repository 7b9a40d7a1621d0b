/* SPDX-License-Identifier: Apache-2.0 */
/* First status byte of an answer, as docs/serial-protocol.md lists them. */
#ifndef STATUS_H
#define STATUS_H

enum status {
    OK = 0x00,
    BAD_LENGTH = 0xC0,
    BAD_CHECKSUM = 0xC1,
    BAD_BLOCK_SIZE = 0xC2,
    BAD_COMMAND = 0xC3,
    FLASH_FAILED = 0xC4,
    UNLOCK_FAILED = 0xC5,
    NOT_WRITING = 0xC6,
    BAD_STREAM = 0xC7,
    TOO_LITTLE = 0xC8,
    TOO_MUCH = 0xC9,
    DO_AGAIN = 0xCC,
    NOT_LOADED = 0xCD,
    NOT_IMPLEMENTED = 0xFF,
};

#endif

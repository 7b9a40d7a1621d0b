/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers of the extensions of docs/serial-protocol.md. */
#ifndef EXT_OPCODES_H
#define EXT_OPCODES_H

enum {
    EXT_INFO = 0xE0, EXT_BATCH, EXT_WRITE_BEGIN, EXT_WRITE_DATA, EXT_WRITE_STATUS, EXT_WRITE_END,
    EXT_HASHES, EXT_BLANK, EXT_READ_BEGIN, EXT_READ_FRAME, EXT_READ_ACK, EXT_ERASE,
    EXT_LOAD, EXT_CALL,
};

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* MD5 (RFC 1321). Only whole 64-byte blocks may be added before the last piece. */
#ifndef MD5_H
#define MD5_H

#include "types.h"

struct md5 {
    u32 state[4];
    u32 length;
};

void md5_start(struct md5 *m);
/* `data` must be on a word boundary; `length` is a multiple of 64 but for the last call. */
void md5_add(struct md5 *m, const u8 *data, u32 length);
void md5_finish(struct md5 *m, u8 digest[16]);

#endif

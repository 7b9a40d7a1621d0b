/* SPDX-License-Identifier: Apache-2.0 */
/* Streams for the first stage's unpacker: it writes exactly what was asked for, or refuses. The first
 * two bytes say how much. */
#include <stdlib.h>
#include <string.h>

#include "stage.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    u32 plain_size;
    u8 *packed, *plain;

    if (size < 2)
        return 0;
    plain_size = get16(data);
    packed = malloc(size);
    plain = malloc(plain_size + 1);
    memcpy(packed, data + 2, size - 2);
    unpack(packed, (u32)size - 2, plain, plain_size);
    free(packed);
    free(plain);
    return 0;
}

void copy(u32 to, const u32 *from, u32 bytes)
{
    (void)to, (void)from, (void)bytes;
}

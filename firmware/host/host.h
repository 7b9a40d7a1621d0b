/* SPDX-License-Identifier: Apache-2.0 */
/* Where the played chip's line ends. */
#ifndef HOST_H
#define HOST_H

#include "types.h"

struct host_line {
    int in, out;             /* descriptors, -1 for none */
    const u8 *data;          /* or bytes in memory */
    size_t length;
    void (*idle)(void);      /* all bytes in memory have been read */
    void (*restart)(void);
};

extern struct host_line host_line;
u8 *host_flash(void);

#endif

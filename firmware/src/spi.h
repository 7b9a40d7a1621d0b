/* SPDX-License-Identifier: Apache-2.0 */
/* One transaction on the SPI bus of the flash: command, address, dummy clocks, data. */
#ifndef SPI_H
#define SPI_H

#include "types.h"

enum { SPI_BUFFER = 64 };

struct spi_shape {
    u8 command;
    u8 address_bits; /* 0, 24 or 32 */
    u8 dummy_bits;
    u8 out;          /* bytes sent, then */
    u8 in;           /* bytes received; at most one of the two where the flash is concerned */
};

/* `out` and `in` are on word boundaries. Every controller field that matters is set. */
void spi_transfer(const struct spi_shape *shape, u32 address, const u8 *out, u8 *in);

/* The controller may have been used by somebody else: trust no field. */
void spi_forget(void);

#endif

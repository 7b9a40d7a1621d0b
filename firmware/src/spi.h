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
    u8 lanes;        /* lines on which they pass: 1 (also said by 0), 2 or 4 */
    bool more;       /* chip select stays low behind it: the next transfer goes on */
    bool bare;       /* goes on: neither command nor address, only data */
} __attribute__((aligned(4)));
_Static_assert(sizeof(struct spi_shape) == 8, "shapes are compared as two words");

/* `out` and `in` are on word boundaries. Every controller field that matters is set. */
void spi_transfer(const struct spi_shape *shape, u32 address, const u8 *out, u8 *in);
/* The same in halves: work may be done while the bytes pass. */
void spi_begin(const struct spi_shape *shape, u32 address, const u8 *out);
void spi_end(const struct spi_shape *shape, u8 *in);
/* Begin the same once more, nothing being sent and the address not changed. */
void spi_again(void);
/* The end of a transfer that fills the buffer: what came, or whether it is all 0xFF. */
void spi_end_whole(u32 *to);
bool spi_end_blank(void);
/* Fill the controller's buffer with what no flash sends, before a transfer that may not work. */
void spi_spoil(void);

/* The controller may have been used by somebody else: trust no field. */
void spi_forget(void);

#endif

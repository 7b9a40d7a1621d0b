/* SPDX-License-Identifier: Apache-2.0 */
/* The general-purpose SPI controller, on one line each way: the flash that the chip boots from is
 * on another one, and never hears of what passes here. */
#ifndef NAND_SPI_H
#define NAND_SPI_H

#include "types.h"

enum { GPSPI_BUFFER = 64 };

struct transfer {
    u32 command;
    u32 address_bits; /* 0, 8, 16 or 24 */
    u32 address;
    const u8 *out; /* bytes sent, or */
    u32 out_count;
    u8 *in; /* bytes received: at most GPSPI_BUFFER */
    u32 in_count;
};

/* Clock the controller and connect the pins: CLK, Q, D, CS and HD, six bits each from bit 0 up, or
 * the controller's own where all are 0. False: there are no such pins. */
bool gpspi_start(u32 pins);
/* False: the controller does not finish. */
bool gpspi_transfer(const struct transfer *t);

#endif

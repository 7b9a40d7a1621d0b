/* SPDX-License-Identifier: Apache-2.0 */
/* The chip that host.c plays: registers of the newer kind. */
#ifndef CHIP_H
#define CHIP_H

#define UART_BASE 0x60000000u
#define UART_READ_FIFO 0x60000000u
#define UART_WRITE_FIFO 0x60000000u
#define UART_HAS_FRACTION 1
#define SPI_BASE 0x60002000u
#define SPI_USER 0x18u
#define SPI_USER1 0x1Cu
#define SPI_USER2 0x20u
#define SPI_OUT_LENGTH 0x24u
#define SPI_IN_LENGTH 0x28u
#define SPI_W0 0x58u
#define ROM_DELAY_US 0x40000050u
#define ROM_RESTART 0x40000090u
#define ROM_SPI_ATTACH 0x40000164u
#define ROM_WRITE_ENCRYPTED 0x40000110u
#define ENCRYPTED_ALIGN 16

#endif

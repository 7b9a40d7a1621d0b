/* SPDX-License-Identifier: Apache-2.0 */
/* USB-OTG as a CDC device through the ROM's own driver, polled instead of interrupted.
 * No emulator models this controller: this file has been compiled, never run. */
#include "hal.h"
#include "link.h"

#ifdef ROM_CDC_FILL

enum { PACKET = 64 };

static u8 out[PACKET];
static u32 out_used;

/* The loader notes in RAM which link it was spoken to on. */
static bool in_use(void)
{
    return (reg_read(ROM_LINK_VARIABLE) & 0xFF) == ROM_LINK_USB_OTG;
}

static u32 device(void) { return reg_read(ROM_CDC_DEVICE); }

static u32 otg_available(void)
{
    if (!in_use())
        return 0;
    rom_call(ROM_USB_POLL, 0, 0, 0, 0);
    return rom_call(ROM_CDC_COUNT, device(), 0, 0, 0);
}

static u8 otg_read(void)
{
    u8 byte = 0;
    rom_call(ROM_CDC_READ, device(), (word)&byte, 1, 0);
    return byte;
}

static void send_packet(void)
{
    u32 sent = 0;

    while (sent < out_used) {
        sent += rom_call(ROM_CDC_FILL, device(), (word)out + sent, out_used - sent, 0);
        rom_call(ROM_USB_POLL, 0, 0, 0, 0);
    }
    out_used = 0;
}

static u32 otg_room(void) { return in_use() ? PACKET - out_used : 0; }

static void otg_write(u8 byte)
{
    out[out_used++] = byte;
    if (out_used == PACKET)
        send_packet();
}

static void otg_flush(void) { send_packet(); }

const struct link link_usb_otg = {
    .available = otg_available, .read = otg_read,
    .room = otg_room, .write = otg_write, .flush = otg_flush,
};

#endif

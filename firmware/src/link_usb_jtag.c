/* SPDX-License-Identifier: Apache-2.0 */
/* USB-Serial/JTAG: a 64-byte packet each way. A transfer that ends on a full packet needs an empty
 * one after it, or the host keeps waiting for more. */
#include "hal.h"
#include "link.h"

#ifdef USB_JTAG_BASE

enum { EP1 = 0x00, EP1_CONF = 0x04 };
enum { WRITE_DONE = 1, IN_FREE = 2, OUT_AVAILABLE = 4 };
enum { PACKET = 64, PATIENCE = 200000 };

static u32 in_packet;

static u32 usb_available(void)
{
    /* There is no count: at most a packet. */
    return reg_read(USB_JTAG_BASE + EP1_CONF) & OUT_AVAILABLE ? PACKET : 0;
}

static u32 usb_room(void)
{
    if (in_packet && in_packet < PACKET)
        return PACKET - in_packet;
    return reg_read(USB_JTAG_BASE + EP1_CONF) & IN_FREE ? PACKET : 0;
}

static void usb_write(u8 byte)
{
    if (in_packet == PACKET)
        in_packet = 0;
    reg_write(USB_JTAG_BASE + EP1, byte);
    in_packet++;
    if (in_packet == PACKET)
        reg_write(USB_JTAG_BASE + EP1_CONF, WRITE_DONE);
}

static void usb_flush(void)
{
    if (in_packet == PACKET) {
        for (u32 i = 0; i < PATIENCE; i++)
            if (reg_read(USB_JTAG_BASE + EP1_CONF) & IN_FREE)
                break;
    }
    /* Sends what is in the packet; an empty one where the last was full. */
    reg_write(USB_JTAG_BASE + EP1_CONF, WRITE_DONE);
    in_packet = 0;
}

const struct link link_usb_jtag = {
    .available = usb_available, .inbox = USB_JTAG_BASE + EP1,
    .gate = USB_JTAG_BASE + EP1_CONF, .open = OUT_AVAILABLE,
    .room = usb_room, .write = usb_write, .flush = usb_flush,
};

#endif

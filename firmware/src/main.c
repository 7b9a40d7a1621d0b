/* SPDX-License-Identifier: Apache-2.0 */
/* Start, greet, serve. Returns only for RUN_USER_CODE. */
#include "commands.h"
#include "crc32.h"
#include "ext.h"
#include "flash.h"
#include "hal.h"
#include "link.h"
#include "writer.h"

void pump(void)
{
    breathe();
    if (!tx_active)
        ext_report();
}

int main(void);
int main(void)
{
    struct frame f;
    bool stay = true;

    crc32_init();
    links_start();
#ifdef QUIET_WATCHDOGS
    QUIET_WATCHDOGS();
#endif
    flash_attach(0);
    tx_greeting();
    while (stay) {
        pump();
        if (!rx_next(&f)) {
            writer_idle();
            continue;
        }
#ifdef USB_JTAG_BASE
        if (link_active == &link_usb_jtag)
            clock_raise();
#endif
        stay = command(&f);
        rx_release();
    }
    flash_wait();
    uart_restore();
    clock_restore();
#ifndef RETURNS_TO_LOADER
    chip_restart();
#endif
    return 0;
}

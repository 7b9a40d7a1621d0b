/* SPDX-License-Identifier: Apache-2.0 */
/* Start, greet, serve. Returns only for RUN_USER_CODE. */
#include "crc32.h"
#include "dispatch.h"
#include "ext.h"
#include "flash.h"
#include "hal.h"
#include "late.h"
#include "link.h"
#include "slip.h"
#include "writer.h"

const struct line_client line_client = {ext_write_frame, ext_write_damage, ext_report};

/* Nothing is written yet. */
static bool any_frame(const struct frame *f)
{
    (void)f;
    return true;
}
static void nothing(void) {}
static const struct line_client early_client = {any_frame, nothing, nothing};

int main(void);
int main(void)
{
    struct frame f;
    bool stay = true;

    crc32_init();
    line_serve(&early_client);
    links_start();
#ifdef QUIET_WATCHDOGS
    QUIET_WATCHDOGS();
#endif
    flash_attach(0);
    tx_greeting();
    while (stay) {
        line_serve(late_missing ? &early_client : &line_client);
        pump();
        if (!rx_next(&f)) {
            if (!late_missing)
                writer_idle();
            link_wait();
            continue;
        }
#ifdef USB_JTAG_BASE
        if (link_active == &link_usb_jtag)
            clock_raise();
#endif
        stay = dispatch(&f);
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

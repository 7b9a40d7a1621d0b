/* SPDX-License-Identifier: Apache-2.0 */
/* Which links this chip has. */
#include "link.h"

#include "hal.h"

#ifdef MAILBOX
#include "mailbox.h"
#endif

const struct link *const links[] = {
#ifdef MAILBOX
    &link_mailbox,
#else
    &link_uart,
#ifdef USB_JTAG_BASE
    &link_usb_jtag,
#endif
#ifdef ROM_CDC_FILL
    &link_usb_otg,
#endif
#endif
};
const u32 link_count = COUNT(links);
const struct link *link_active;

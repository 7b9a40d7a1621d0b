/* SPDX-License-Identifier: Apache-2.0 */
/* Commands of a plug-in: code that the host loads beside the stub, linked against it. The host puts
 * the handlers' addresses into this table, in the stub's file or while the stub runs. */
#ifndef PLUGIN_H
#define PLUGIN_H

#include "request.h"

enum { PLUGIN_FIRST = 0xD5, PLUGIN_SLOTS = 11 };

struct plugin_table {
    u32 build; /* which stub this is: a plug-in fits one build only; set behind the linking */
    u32 (*handle[PLUGIN_SLOTS])(const struct request *r);
};
extern struct plugin_table plugin_table;

#endif

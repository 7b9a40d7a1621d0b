/* SPDX-License-Identifier: Apache-2.0 */
/* The public commands. */
#ifndef COMMANDS_H
#define COMMANDS_H

#include "request.h"

extern const struct command_row commands[];
extern const u32 command_count;

#endif

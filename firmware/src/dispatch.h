/* SPDX-License-Identifier: Apache-2.0 */
/* From a received frame to the handler of its request. */
#ifndef DISPATCH_H
#define DISPATCH_H

#include "slip.h"
#include "types.h"

/* False: leave the stub (RUN_USER_CODE). */
bool dispatch(const struct frame *f);

#endif

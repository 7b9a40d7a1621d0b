/* SPDX-License-Identifier: Apache-2.0 */
/* What happens to a frame at the moment it is complete. */
#include "ext.h"
#include "slip.h"

bool on_frame(const struct frame *f) { return f->length < 8 || ext_write_frame(f); }

void on_damage(void) { ext_write_damage(); }

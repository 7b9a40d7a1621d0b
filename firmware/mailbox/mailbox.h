/* SPDX-License-Identifier: Apache-2.0 */
/* The link of a stub that a debugger serves. */
#ifndef MAILBOX_H
#define MAILBOX_H

struct link;
extern const struct link link_mailbox;

/* Nothing is left to do: let the debugger bring more. */
void mailbox_wait(void);

#endif

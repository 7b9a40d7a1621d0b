/* SPDX-License-Identifier: Apache-2.0 */
/* Answers: those of the public protocol, and sealed ones. */
#ifndef ANSWER_H
#define ANSWER_H

#include "status.h"
#include "types.h"

enum { SEAL = 4 };

void reply(u8 opcode, enum status status, u32 value, const void *data, u32 length);

/* A sealed answer, in one piece or in several: its header, fields of that `length` in all, its end. */
void sealed_reply(u8 opcode, enum status status, u32 value, const void *fields, u32 length);
void sealed_begin(u8 opcode, u32 value, u32 length);
void sealed_add(const void *fields, u32 length);
void sealed_end(enum status status);

#endif

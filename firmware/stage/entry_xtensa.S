/* SPDX-License-Identifier: Apache-2.0 */
/* Entry of the first stage on the windowed Xtensa chips; see arch/xtensa.S. What it has loaded is
 * entered behind that shim of its own, in the same state. An emulator without register windows begins
 * at `plain`. */
#include "xtensa.inc"

    begin_at_start
    begin_windows 15
    .global plain
plain:
    movi a1, stack_top
    call0 stage
    isync
    jx a2

/* SPDX-License-Identifier: Apache-2.0 */
/* Frames on the line: sending (SLIP), and a queue of received ones. */
#ifndef SLIP_H
#define SLIP_H

#include "types.h"

/* A received frame; `data` is the whole of it and stays until `rx_release`. */
struct frame {
    u8 *data;
    u32 length;
    bool sealed; /* the CRC at its end is right */
};

enum {
    RX_ARENA = 2 * (0x4000 + 64) + 512, /* two of the largest blocks, or eight of 4 KiB */
    RX_LONGEST = 0x4000 + 64,
};

/* Take what has come in. Called from every loop that waits; sends nothing. */
void rx_drain(void);
/* The oldest frame, which then is worked on until it is released. */
bool rx_next(struct frame *f);
void rx_release(void);
/* Leave the frame that was got in the queue after all. */
void rx_keep(void);
/* Wait for the host's count of the bytes that it has received, by which it says how far it is with
 * what is read to it; false when it asks for something else instead. */
bool rx_count(u32 *received);

/* What the layer above has to say at the moments that it cannot choose. */
struct line_client {
    /* A frame is complete, its place in the queue still undecided. False: it was dealt with. */
    bool (*frame)(const struct frame *f);
    /* Something came that is no request: a damaged frame. */
    void (*damage)(void);
    /* The line is between two frames: send what is due. */
    void (*report)(void);
};
void line_serve(const struct line_client *client);
/* Serve the line, both ways: what every loop calls that waits or works for long. */
void pump(void);

void tx_begin(void);
void tx_byte(u8 byte);
void tx_bytes(const void *data, u32 length);
void tx_end(void);
extern bool tx_active;

/* Let frames go out from a buffer of this size (a power of two) while work goes on; NULL waits
 * until all has left and ends that. */
void tx_ahead(u8 *buffer, u32 size);
/* All of it has left. */
bool tx_is_idle(void);

void tx_frame(const void *data, u32 length);
void tx_greeting(void);

#endif

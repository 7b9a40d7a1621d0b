/* SPDX-License-Identifier: Apache-2.0 */
/* A state machine that can be left at any bit for want of input. */
#include "inflate.h"

#include "adler32.h"
#include "huffman.h"

enum { LITERALS = 288, DISTANCES = 30, LENGTH_CODES = 19 };
enum { LITERAL_BITS = 10, DISTANCE_BITS = 8 };
/* So often, in bytes of output, is it offered: whoever takes it serves the receive FIFO, which 128
 * bytes fill in 0.4 ms at 3 M baud. */
enum { LOOK = 0x80 };
/* Output may wait in the window while the flash is busy: the better they take turns. What is in the
 * window may be referred to all the same. */
enum { BACKLOG = 0x2000 };
/* Symbols of a table between two looks at the line. */
enum { BREATHE = 64 };

u8 inflate_window[INFLATE_WINDOW] __attribute__((aligned(4)));

enum state {
    ZLIB_HEADER, BLOCK_HEADER, STORED_LENGTH, STORED, TABLE_SIZES, CODE_LENGTHS, LENGTHS, REPEAT,
    SYMBOL, LENGTH_EXTRA, DISTANCE, DISTANCE_EXTRA, COPY, CHECKSUM, FINISHED
};

static u16 literal_fast[1 << LITERAL_BITS], distance_fast[1 << DISTANCE_BITS];
static u16 literal_sorted[LITERALS], distance_sorted[DISTANCES + 2];
static struct code literal_code, distance_code;
static u8 lengths[LITERALS + DISTANCES + 2];

static struct {
    enum state state;
    u32 bits, bit_count;         /* bits read from the input and not used, lowest first */
    u32 at, flushed;             /* positions in the window, both counted up without end */
    u32 look_at;                 /* the position at which output is offered again */
    u32 symbols, distances, codes; /* sizes of the tables that are being read */
    u32 index, value;            /* where a loop was left */
    u32 run, back;               /* a copy: how long, how far back */
    u32 checksum_at;
    bool last;
    inflate_sink sink;
} z;

static struct adler32 sum;

static const u8 code_order[LENGTH_CODES] = {
    16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
};
static const u16 length_base[29] = {
    3,  4,  5,  6,  7,  8,  9,  10, 11,  13,  15,  17,  19,  23, 27,
    31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258,
};
static const u8 length_extra[29] = {
    0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0,
};
static const u16 distance_base[DISTANCES] = {
    1,   2,   3,   4,   5,   7,    9,    13,   17,   25,   33,   49,   65,    97,    129,
    193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577,
};

static bool build_fixed(void)
{
    memset(lengths, 8, 144);
    memset(lengths + 144, 9, 112);
    memset(lengths + 256, 7, 24);
    memset(lengths + 280, 8, 8);
    memset(lengths + LITERALS, 5, 32);
    return code_build(&literal_code, lengths, LITERALS)
        && code_build(&distance_code, lengths + LITERALS, 32);
}

/* Not a part of its callers: the stack is reckoned by who calls through a pointer.
 * Hand output on: all of it, or what is taken without waiting and what is more than BACKLOG. */
static APART bool hand_on(bool all)
{
    while (z.flushed != z.at) {
        u32 left = z.at - z.flushed, from = z.flushed % INFLATE_WINDOW, taken;

        taken = z.sink(inflate_window + from, min32(left, INFLATE_WINDOW - from),
                       all || left > BACKLOG);
        if (taken == INFLATE_REFUSED)
            return false;
        if (!taken)
            break;
        adler32_add(&sum, inflate_window + from, taken);
        z.flushed += taken;
    }
    return true;
}

bool inflate_hand_on(void) { return hand_on(false); }

/* Offer output, if it is time; false stops the stream. */
static inline bool looked(void)
{
    if ((int)(z.at - z.look_at) < 0)
        return true;
    z.look_at = z.at + LOOK;
    return hand_on(false);
}

/* A copy that `fast_symbols` has left over: there are few. */
static void copy(u32 run)
{
    for (; run; run--, z.at++)
        inflate_window[z.at % INFLATE_WINDOW] = inflate_window[(z.at - z.back) % INFLATE_WINDOW];
}

void inflate_start(inflate_sink sink)
{
    memset(&z, 0, sizeof(z));
    z.sink = sink;
    adler32_start(&sum);
    literal_code.fast = literal_fast;
    literal_code.fast_bits = LITERAL_BITS;
    literal_code.sorted = literal_sorted;
    distance_code.fast = distance_fast;
    distance_code.fast_bits = DISTANCE_BITS;
    distance_code.sorted = distance_sorted;
}

static const u8 *input, *input_end;

/* At least `n` bits (up to 25) are there. */
static bool need(u32 n)
{
    while (z.bit_count < n) {
        if (input == input_end)
            return false;
        z.bits |= (u32)*input++ << z.bit_count;
        z.bit_count += 8;
    }
    return true;
}

static void fill(void)
{
    while (z.bit_count <= 24 && input != input_end) {
        z.bits |= (u32)*input++ << z.bit_count;
        z.bit_count += 8;
    }
}

static u32 take_bits(u32 n)
{
    u32 value = z.bits & ((1u << n) - 1);
    z.bits >>= n;
    z.bit_count -= n;
    return value;
}

static enum inflate_result block_header(void)
{
    if (!need(3))
        return INFLATE_MORE;
    z.last = take_bits(1);
    switch (take_bits(2)) {
    case 0:
        take_bits(z.bit_count % 8);
        z.state = STORED_LENGTH;
        return INFLATE_DONE;
    case 1:
        z.state = SYMBOL;
        return build_fixed() ? INFLATE_DONE : INFLATE_BAD;
    case 2:
        z.state = TABLE_SIZES;
        return INFLATE_DONE;
    default:
        return INFLATE_BAD;
    }
}

static enum inflate_result stored_length(void)
{
    u32 n;

    /* Two halves, as 32 bits would not fit beside a rest. */
    if (z.index == 0) {
        if (!need(16))
            return INFLATE_MORE;
        z.value = take_bits(16);
        z.index = 1;
    }
    if (!need(16))
        return INFLATE_MORE;
    n = take_bits(16);
    z.index = 0;
    if (n != (~z.value & 0xFFFF))
        return INFLATE_BAD;
    z.run = n ^ 0xFFFF;
    z.state = STORED;
    return INFLATE_DONE;
}

static void block_end(void) { z.state = z.last ? CHECKSUM : BLOCK_HEADER; }

static enum inflate_result stored(void)
{
    while (z.run) {
        u32 to = z.at % INFLATE_WINDOW, n = min32(z.run, (u32)(input_end - input));

        if (z.bit_count) {
            inflate_window[to] = (u8)take_bits(8);
            n = 1;
        } else if (n) {
            n = min32(n, min32(INFLATE_WINDOW - to, LOOK));
            memcpy(inflate_window + to, input, n);
            input += n;
        } else {
            return INFLATE_MORE;
        }
        z.at += n;
        z.run -= n;
        if (!looked())
            return INFLATE_STOP;
    }
    block_end();
    return INFLATE_DONE;
}

static enum inflate_result table_sizes(void)
{
    if (!need(14))
        return INFLATE_MORE;
    z.symbols = take_bits(5) + 257;
    z.distances = take_bits(5) + 1;
    z.codes = take_bits(4) + 4;
    if (z.symbols > 286 || z.distances > DISTANCES)
        return INFLATE_BAD;
    memset(lengths, 0, sizeof(lengths));
    z.index = 0;
    z.state = CODE_LENGTHS;
    return INFLATE_DONE;
}

static enum inflate_result code_lengths(void)
{
    for (; z.index < z.codes; z.index++) {
        if (!need(3))
            return INFLATE_MORE;
        lengths[code_order[z.index]] = (u8)take_bits(3);
    }
    if (!code_build(&literal_code, lengths, LENGTH_CODES))
        return INFLATE_BAD;
    memset(lengths, 0, sizeof(lengths));
    z.index = 0;
    z.state = LENGTHS;
    return INFLATE_DONE;
}

static enum inflate_result read_lengths(void)
{
    u32 all = z.symbols + z.distances, used;

    while (z.index < all) {
        if (z.index % BREATHE == 0)
            breathe();
        static const u8 extra[3] = {2, 3, 7}, base[3] = {3, 3, 11};
        u32 run, kind;
        u8 length = 0;

        if (z.state == LENGTHS) {
            int symbol;
            fill();
            symbol = code_symbol(&literal_code, z.bits, z.bit_count, &used);
            if (symbol < 0)
                return symbol == NEEDS_MORE ? INFLATE_MORE : INFLATE_BAD;
            take_bits(used);
            if (symbol < 16) {
                lengths[z.index++] = (u8)symbol;
                continue;
            }
            z.value = (u32)symbol - 16;
            z.state = REPEAT;
        }
        kind = z.value;
        if (!need(extra[kind]))
            return INFLATE_MORE;
        run = base[kind] + take_bits(extra[kind]);
        if (kind == 0) {
            if (!z.index)
                return INFLATE_BAD;
            length = lengths[z.index - 1];
        }
        if (z.index + run > all)
            return INFLATE_BAD;
        memset(lengths + z.index, length, run);
        z.index += run;
        z.state = LENGTHS;
    }
    z.index = 0;
    z.state = SYMBOL;
    if (!lengths[256] || !code_build(&distance_code, lengths + z.symbols, z.distances)
        || !code_build(&literal_code, lengths, z.symbols))
        return INFLATE_BAD;
    return INFLATE_DONE;
}

/* At least 16 bits, from input of which two bytes are left. */
#define REFILL()                                    \
    if (count < 16) {                               \
        bits |= (in[0] | (u32)in[1] << 8) << count; \
        in += 2;                                    \
        count += 16;                                \
    }
#define DROP(n) (bits >>= (n), count -= (n))
/* What one round of the loop below may use up. */
enum { INPUT_AHEAD = 8 };

/* The inner loop, for where plenty of input is left: stops before anything out of the ordinary (a
 * long code, the end of the block or of the window, an error), which the state machine then deals
 * with. */
static HOT void fast_symbols(void)
{
    const u8 *in = input, *const stop = input_end - INPUT_AHEAD;
    const u16 *const literals = literal_fast;
    u8 *const base = inflate_window + z.at % INFLATE_WINDOW, *out = base;
    u8 *const edge = inflate_window + INFLATE_WINDOW;
    u8 *const until = base + min32(z.look_at - z.at, (u32)(edge - base));
    const u32 known = min32(z.at, INFLATE_WINDOW);
    u32 bits = z.bits, count = z.bit_count;

    while (in <= stop && out < until) {
        const u8 *from, *in_before;
        u32 entry, symbol, extra, run, back, bits_before, count_before;

        REFILL();
        entry = literals[bits & ((1u << LITERAL_BITS) - 1)];
        if (entry < ENTRY(256)) {
            DROP(entry & 15);
            *out++ = (u8)(entry >> 4);
            continue;
        }
        if (entry - ENTRY(257) >= ENTRY(29))
            break;
        in_before = in;
        bits_before = bits;
        count_before = count;
        DROP(entry & 15);
        symbol = (entry >> 4) - 257;
        extra = length_extra[symbol];
        run = length_base[symbol] + (bits & ((1u << extra) - 1));
        DROP(extra);
        REFILL();
        entry = distance_fast[bits & ((1u << DISTANCE_BITS) - 1)];
        if (entry >= ENTRY(DISTANCES))
            goto odd;
        DROP(entry & 15);
        REFILL();
        symbol = entry >> 4;
        extra = (symbol >> 1) - (symbol > 1);
        back = distance_base[symbol] + (bits & ((1u << extra) - 1));
        DROP(extra);
        if (back > known || run > (u32)(edge - out))
            goto odd;
        from = out - back;
        if (back > (u32)(out - inflate_window)) {
            from += INFLATE_WINDOW;
            if (run > (u32)(edge - from))
                goto odd;
        }
        /* No run is shorter than three. */
        do {
            out[0] = from[0];
            out[1] = from[1];
            out[2] = from[2];
            out += 3;
            from += 3;
            run -= 3;
        } while (run >= 3);
        if (run) {
            out[0] = from[0];
            if (run > 1)
                out[1] = from[1];
            out += run;
        }
        continue;
    odd:
        in = in_before;
        bits = bits_before;
        count = count_before;
        break;
    }
    input = in;
    z.bits = bits;
    z.bit_count = count;
    z.at += (u32)(out - base);
}

/* Symbols until the block ends or the input runs out. */
static enum inflate_result symbols(void)
{
    for (;;) {
        u32 used;
        int symbol;

        if (!looked())
            return INFLATE_STOP;
        if (z.state == SYMBOL && input_end - input >= INPUT_AHEAD) {
            fast_symbols();
            if ((int)(z.at - z.look_at) >= 0)
                continue;
        }
        switch (z.state) {
        case SYMBOL:
            fill();
            symbol = code_symbol(&literal_code, z.bits, z.bit_count, &used);
            if (symbol < 0)
                return symbol == NEEDS_MORE ? INFLATE_MORE : INFLATE_BAD;
            take_bits(used);
            if (symbol < 256) {
                inflate_window[z.at++ % INFLATE_WINDOW] = (u8)symbol;
                continue;
            }
            if (symbol == 256) {
                block_end();
                return INFLATE_DONE;
            }
            if (symbol > 285)
                return INFLATE_BAD;
            z.value = (u32)symbol - 257;
            z.state = LENGTH_EXTRA;
            /* fall through */
        case LENGTH_EXTRA:
            if (!need(length_extra[z.value]))
                return INFLATE_MORE;
            z.run = length_base[z.value] + take_bits(length_extra[z.value]);
            z.state = DISTANCE;
            /* fall through */
        case DISTANCE:
            fill();
            symbol = code_symbol(&distance_code, z.bits, z.bit_count, &used);
            if (symbol < 0)
                return symbol == NEEDS_MORE ? INFLATE_MORE : INFLATE_BAD;
            take_bits(used);
            z.value = (u32)symbol;
            z.state = DISTANCE_EXTRA;
            /* fall through */
        default: {
            u32 extra = z.value < 2 ? 0 : (z.value >> 1) - 1;
            if (z.value >= DISTANCES)
                return INFLATE_BAD;
            if (!need(extra))
                return INFLATE_MORE;
            z.back = distance_base[z.value] + take_bits(extra);
            if (z.back > z.at || z.back > INFLATE_WINDOW)
                return INFLATE_BAD;
            copy(z.run);
            z.state = SYMBOL;
        }
        }
    }
}

static enum inflate_result zlib_header(void)
{
    u32 value;

    if (!need(16))
        return INFLATE_MORE;
    value = take_bits(16);
    z.state = BLOCK_HEADER;
    /* Deflate, a window of at most 32 KiB, no dictionary, and the check bits. */
    if ((value & 0x0F) != 8 || (value & 0xF0) > 0x70 || (value & 0x2000)
        || ((value & 0xFF) * 256 + (value >> 8)) % 31)
        return INFLATE_BAD;
    return INFLATE_DONE;
}

static enum inflate_result check(void)
{
    if (!z.index) {
        take_bits(z.bit_count % 8);
        z.checksum_at = 0;
        z.index = 1;
    }
    for (; z.index <= 4; z.index++) {
        if (!need(8))
            return INFLATE_MORE;
        z.checksum_at = z.checksum_at << 8 | take_bits(8);
    }
    if (!hand_on(true))
        return INFLATE_STOP;
    if (z.checksum_at != adler32_end(&sum))
        return INFLATE_BAD;
    z.state = FINISHED;
    return INFLATE_DONE;
}

enum inflate_result inflate_add(const u8 *data, u32 length, u32 *left)
{
    enum inflate_result result = INFLATE_DONE;

    input = data;
    input_end = data + length;
    while (result == INFLATE_DONE && z.state != FINISHED) {
        switch (z.state) {
        case ZLIB_HEADER: result = zlib_header(); break;
        case BLOCK_HEADER: result = block_header(); break;
        case STORED_LENGTH: result = stored_length(); break;
        case STORED: result = stored(); break;
        case TABLE_SIZES: result = table_sizes(); break;
        case CODE_LENGTHS: result = code_lengths(); break;
        case LENGTHS:
        case REPEAT: result = read_lengths(); break;
        case CHECKSUM: result = check(); break;
        default: result = symbols(); break;
        }
    }
    *left = (u32)(input_end - input) + z.bit_count / 8;
    if (result == INFLATE_MORE && !hand_on(false))
        return INFLATE_STOP;
    return result;
}

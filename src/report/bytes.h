/*
 * bytes.h - a piece of memory that is taken apart from its beginning, and never read beyond its end
 *
 * Little-endian, as all of a nettrace file. What is not there reads as 0 and sets `cut`: callers look at it once, when
 * they have taken what they want.
 */
#ifndef HOSTMEM_REPORT_BYTES_H
#define HOSTMEM_REPORT_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bytes {
    const uint8_t *at, *end;
    bool cut;
};

static inline size_t bytes_left(const struct bytes *bytes)
{
    return (size_t)(bytes->end - bytes->at);
}

static inline struct bytes bytes_of(const void *at, size_t count)
{
    const uint8_t *start = at; /* NULL, if there are none */
    return (struct bytes){start, count == 0 ? start : start + count, false};
}

/* The next `count` bytes as a piece of their own. */
static inline struct bytes take_bytes(struct bytes *bytes, uint64_t count)
{
    if (count > bytes_left(bytes)) {
        bytes->cut = true;
        bytes->at = bytes->end;
        return bytes_of(bytes->end, 0);
    }
    struct bytes piece = bytes_of(bytes->at, (size_t)count);
    bytes->at = piece.end;
    return piece;
}

/* An unsigned number of `size` bytes, 8 at most. */
static inline uint64_t take_uint(struct bytes *bytes, unsigned size)
{
    const struct bytes piece = take_bytes(bytes, size);
    uint64_t number = 0;

    for (const uint8_t *at = piece.end; at > piece.at;)
        number = number << 8 | *--at;
    return number;
}

/* Seven bits a byte, the lowest first; the eighth says that there are more. Above 64 bits is damage. */
static inline uint64_t take_varuint(struct bytes *bytes)
{
    uint64_t number = 0;

    for (unsigned shift = 0; shift < 64; shift += 7) {
        const uint64_t byte = take_uint(bytes, 1);
        if (shift == 63 && byte > 1)
            break;
        number |= (byte & 0x7F) << shift;
        if (byte < 0x80)
            return number;
    }
    bytes->cut = true;
    return 0;
}

/* A text with its length before it: UTF-8 if the file is what it should be. */
static inline struct bytes take_string(struct bytes *bytes)
{
    return take_bytes(bytes, take_varuint(bytes));
}

#endif

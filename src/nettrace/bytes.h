/*
 * bytes.h - a block of a trace file, put together in memory
 *
 * Little-endian, as in every file of the kind.  What does not fit is left out and remembered; who adds to a block looks
 * first whether there is room.
 */
#ifndef HOSTMEM_NETTRACE_BYTES_H
#define HOSTMEM_NETTRACE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bytes {
    uint8_t *at;
    size_t used, room;
    bool overrun;
};

static inline void put_byte(struct bytes *bytes, uint8_t byte)
{
    if (bytes->used < bytes->room)
        bytes->at[bytes->used++] = byte;
    else
        bytes->overrun = true;
}

static inline void put_bytes(struct bytes *bytes, const void *from, size_t count)
{
    for (size_t i = 0; i < count; i++)
        put_byte(bytes, ((const uint8_t *)from)[i]);
}

/* The lower `width` bytes of a number. */
static inline void put_number(struct bytes *bytes, uint64_t number, unsigned width)
{
    for (unsigned i = 0; i < width; i++)
        put_byte(bytes, (uint8_t)(number >> 8 * i));
}

/* Another number in the place of one that is there. */
static inline void patch_number(struct bytes *bytes, size_t where, uint64_t number, unsigned width)
{
    for (unsigned i = 0; i < width; i++)
        bytes->at[where + i] = (uint8_t)(number >> 8 * i);
}

/* Seven bits a byte, the lowest first; the eighth: there are more. */
static inline void put_varuint(struct bytes *bytes, uint64_t number)
{
    for (; number > 0x7F; number >>= 7)
        put_byte(bytes, (uint8_t)(number | 0x80));
    put_byte(bytes, (uint8_t)number);
}

static inline size_t text_length(const char *text)
{
    size_t length = 0;
    while (text[length] != 0)
        length++;
    return length;
}

/* Its length and it. */
static inline void put_text(struct bytes *bytes, const char *text)
{
    const size_t length = text_length(text);
    put_varuint(bytes, length);
    put_bytes(bytes, text, length);
}

#endif

/*
 * compiler.h - what C17 has no words for, in those of GCC and clang (as clang-cl too)
 */
#ifndef HOSTMEM_MAPS_COMPILER_H
#define HOSTMEM_MAPS_COMPILER_H

#include <stdint.h>

#if !defined(__GNUC__) && !defined(__clang__)
#    error "hostmem is compiled by GCC or clang; for Visual Studio: clang-cl"
#endif

#define NOT_INLINE __attribute__((noinline))

/* In a section of that name, and kept although nothing refers to it. */
#define IN_SECTION(name) __attribute__((section(name), used))

/* The number of the lowest bit that is set, and of the highest; there must be one. */
static inline unsigned lowest_bit(uint32_t bits)
{
    return (unsigned)__builtin_ctz(bits);
}

static inline unsigned highest_bit(uint32_t bits)
{
    return 31u - (unsigned)__builtin_clz(bits);
}

static inline unsigned count_bits(uint64_t bits)
{
    return (unsigned)__builtin_popcountll(bits);
}

#endif

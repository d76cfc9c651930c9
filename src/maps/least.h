/*
 * least.h - the lesser of two figures
 */
#ifndef HOSTMEM_MAPS_LEAST_H
#define HOSTMEM_MAPS_LEAST_H

#include <stdint.h>

static inline uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

#endif

/*
 * lane.h - what a thread changes with every call lies in a lane, more or less its own
 *
 * Threads are spread over the lanes.  Two that share one are as right as they would be apart, only slower.
 */
#ifndef HOSTMEM_MEMORY_LANE_H
#define HOSTMEM_MEMORY_LANE_H

#include <stdint.h>

#include <windows.h>

enum { LANE_BITS = 5, LANES = 1 << LANE_BITS };

/* This thread's lane, by the address of its environment block: its id would cost a call.  Blocks lie pages apart: the upper bits
 * of a product spread them. */
static inline unsigned lane_here(void)
{
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Warray-bounds" /* GCC 12 of the segment's address 0 */
    const uintptr_t block = (uintptr_t)NtCurrentTeb();
#pragma GCC diagnostic pop
    return (uint32_t)(block >> 12) * 2654435769u >> (32 - LANE_BITS);
}

#endif

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

/* The thread's environment block: an address that no other thread has, and a later one only when this one is gone.  (Its
 * id would cost a call.) */
static inline uintptr_t thread_here(void)
{
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Warray-bounds" /* GCC 12 of the segment's address 0 */
    return (uintptr_t)NtCurrentTeb();
#pragma GCC diagnostic pop
}

/* Blocks lie pages apart: the upper bits of a product spread them. */
static inline unsigned lane_of(uintptr_t thread)
{
    return (uint32_t)(thread >> 12) * 2654435769u >> (32 - LANE_BITS);
}

#endif

/*
 * thread.h - which thread is this?
 */
#ifndef HOSTMEM_MEMORY_THREAD_H
#define HOSTMEM_MEMORY_THREAD_H

#include <windows.h>

#include "memory/lane.h"

/* Its environment block: an address that no other thread has, and a later one only when this one is gone.  (An id would
 * cost a call.) */
static inline uintptr_t thread_here(void)
{
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Warray-bounds" /* GCC 12 of the segment's address 0 */
    return (uintptr_t)NtCurrentTeb();
#pragma GCC diagnostic pop
}

/* The lane of a thread.  Blocks lie pages apart: the upper bits of a product spread them. */
static inline unsigned lane_of(uintptr_t thread)
{
    return (uint32_t)(thread >> 12) * 2654435769u >> 27;
}

_Static_assert(LANES == 1 << (32 - 27), "as many as five bits tell apart");

#endif

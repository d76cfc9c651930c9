/*
 * thread.h - which thread is this?
 */
#ifndef HOSTMEM_MEMORY_THREAD_H
#define HOSTMEM_MEMORY_THREAD_H

#include <stdbool.h>

#include <windows.h>

#include "memory/lane.h"

/* Its environment block: an address that no other thread has, and a later one only when this one is gone.  (Its id
 * would cost a call.) */
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

/* Does the lane belong to this thread?  It does from now on, if it was nobody's. */
static inline bool lane_is_own(struct lane *lane, uintptr_t thread)
{
    uintptr_t owner = atomic_load_explicit(&lane->owner, memory_order_relaxed);
    return owner == thread || (owner == 0 && atomic_compare_exchange_strong(&lane->owner, &owner, thread));
}

_Static_assert(LANES == 1 << (32 - 27), "as many as five bits tell apart");

#endif

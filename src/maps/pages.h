/*
 * pages.h - where the maps get memory for themselves
 *
 * A contract, not an implementation: the library links the one over VirtualAlloc (memory/os_win32.c), a test
 * may link its own.  Fresh pages are zero.  None of these functions changes the last error when it succeeds.
 */
#ifndef HOSTMEM_MAPS_PAGES_H
#define HOSTMEM_MAPS_PAGES_H

#include <stdbool.h>
#include <stddef.h>

/* Address space of at least `bytes`, aligned to 64 KiB; NULL when there is none. */
void *hm_pages_reserve(size_t bytes);

/* Make [at, at + bytes) usable.  Pages that are usable already keep what they hold. */
bool hm_pages_commit(void *at, size_t bytes);

/* Give back everything that one hm_pages_reserve returned. */
void hm_pages_release(void *base, size_t bytes);

/* All of a block at once, zero; NULL when there is no memory.  Given back by hm_pages_release. */
static inline void *pages_take(size_t bytes)
{
    void *base = hm_pages_reserve(bytes);
    if (base == NULL || hm_pages_commit(base, bytes))
        return base;
    hm_pages_release(base, bytes);
    return NULL;
}

#endif

/*
 * released.h - where the last regions that were released had been: to know a second release from a foreign address
 *
 * A ring, written by whoever releases, read by whoever frees what nobody owns.  A reader that meets a writer may miss an
 * entry, or see one that has just gone; where two write at once, some may be lost: it is a hint, not worth a locked
 * instruction, and its reader asks Windows as well.
 */
#ifndef HOSTMEM_MEMORY_RELEASED_H
#define HOSTMEM_MEMORY_RELEASED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { RELEASED_KEPT = 64 };

struct released {
    _Atomic uint32_t next;
    _Atomic uint64_t base[RELEASED_KEPT];
};

static inline void released_note(struct released *released, uint64_t base)
{
    const uint32_t next = atomic_load_explicit(&released->next, memory_order_relaxed);
    atomic_store_explicit(&released->next, next + 1, memory_order_relaxed);
    atomic_store_explicit(&released->base[next % RELEASED_KEPT], base, memory_order_relaxed);
}

static inline bool released_has(const struct released *released, uint64_t base)
{
    for (unsigned i = 0; i < RELEASED_KEPT; i++)
        if (atomic_load_explicit(&released->base[i], memory_order_relaxed) == base)
            return base != 0;
    return false;
}

#endif

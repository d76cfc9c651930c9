/*
 * references.h - how many references there are to an object; it ends once
 *
 * What an object that ends calls may take a reference to it and give it back.  So its count is not 0 then but
 * REFERENCES_ENDING, from which no such pair leads to the end a second time.
 */
#ifndef HOSTMEM_COM_REFERENCES_H
#define HOSTMEM_COM_REFERENCES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define REFERENCES_ENDING 0x80000000u

static inline void references_init(_Atomic uint32_t *references)
{
    atomic_store_explicit(references, 1, memory_order_release);
}

/* For who has one.  Returns how many there are now, as AddRef does. */
static inline uint32_t references_add(_Atomic uint32_t *references)
{
    return (atomic_fetch_add_explicit(references, 1, memory_order_relaxed) + 1) & ~REFERENCES_ENDING;
}

/* For who has none, but knows the memory to be such an object's, or zero: only of one that lives. */
static inline bool references_try_add(_Atomic uint32_t *references)
{
    uint32_t count = atomic_load_explicit(references, memory_order_relaxed);
    do {
        if (count == 0 || count >= REFERENCES_ENDING)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(references, &count, count + 1, memory_order_acquire,
                                                    memory_order_relaxed));
    return true;
}

/* *left: as Release returns it.  True: that was the last one, and the caller is to end the object. */
static inline bool references_give(_Atomic uint32_t *references, uint32_t *left)
{
    uint32_t count = atomic_load_explicit(references, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(references, &count,
                                                  count == 1 ? REFERENCES_ENDING : count - 1,
                                                  memory_order_acq_rel, memory_order_relaxed))
        ;
    *left = (count - 1) & ~REFERENCES_ENDING;
    return count == 1;
}

#endif

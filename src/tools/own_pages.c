/*
 * own_pages.c - see own_pages.h
 *
 * A table of bases; a slot is taken by compare-and-swap. When it is full, the rest is not listed.
 */
#include "tools/own_pages.h"

#include <stdatomic.h>
#include <stddef.h>

#include "maps/pages.h"

enum { SLOTS = 4096 };

static void *_Atomic slots[SLOTS];

void *__real_hm_pages_reserve(size_t bytes);
void __real_hm_pages_release(void *base, size_t bytes);

void *__wrap_hm_pages_reserve(size_t bytes);
void __wrap_hm_pages_release(void *base, size_t bytes);

void *__wrap_hm_pages_reserve(size_t bytes)
{
    void *base = __real_hm_pages_reserve(bytes);

    for (unsigned i = 0; base && i < SLOTS; i++) {
        void *none = NULL;
        if (!atomic_load_explicit(&slots[i], memory_order_relaxed) &&
            atomic_compare_exchange_strong(&slots[i], &none, base))
            break;
    }
    return base;
}

void __wrap_hm_pages_release(void *base, size_t bytes)
{
    for (unsigned i = 0; i < SLOTS; i++)
        if (atomic_load_explicit(&slots[i], memory_order_relaxed) == base) {
            atomic_store(&slots[i], NULL);
            break;
        }
    __real_hm_pages_release(base, bytes);
}

void own_pages_walk(void (*visit)(const void *base))
{
    for (unsigned i = 0; i < SLOTS; i++) {
        const void *base = atomic_load(&slots[i]);
        if (base)
            visit(base);
    }
}

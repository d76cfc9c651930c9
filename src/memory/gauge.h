/*
 * gauge.h - how much there is of something, and the most there ever was
 */
#ifndef HOSTMEM_MEMORY_GAUGE_H
#define HOSTMEM_MEMORY_GAUGE_H

#include <stdatomic.h>
#include <stdint.h>

struct gauge {
    _Atomic uint64_t now;
    _Atomic uint64_t peak;
};

/* A peak that is to be at least `value`. */
static inline void raise_to(_Atomic uint64_t *peak, uint64_t value)
{
    uint64_t before = atomic_load_explicit(peak, memory_order_relaxed);
    while (value > before && !atomic_compare_exchange_weak_explicit(
                                 peak, &before, value, memory_order_relaxed, memory_order_relaxed))
        ;
}

/* What one thread adds another may have taken off already: a figure below 0 is none. */
static inline uint64_t not_negative(uint64_t figure)
{
    return (int64_t)figure < 0 ? 0 : figure;
}

static inline void gauge_add(struct gauge *gauge, uint64_t amount)
{
    uint64_t now = atomic_fetch_add_explicit(&gauge->now, amount, memory_order_relaxed) + amount;
    raise_to(&gauge->peak, not_negative(now));
}

static inline void gauge_sub(struct gauge *gauge, uint64_t amount)
{
    atomic_fetch_sub_explicit(&gauge->now, amount, memory_order_relaxed);
}

#endif

/*
 * credit_here.h - what this thread does with credit, at every call
 */
#ifndef HOSTMEM_MEMORY_CREDIT_HERE_H
#define HOSTMEM_MEMORY_CREDIT_HERE_H

#include "memory/credit.h"
#include "memory/thread.h"

/* Pay from this thread's lane; false: there is not enough. */
static inline bool credit_pay(struct credit *credit, struct credit_amount amount)
{
    _Atomic uint64_t *own = credit_held(credit, lane_of(thread_here()));
    uint64_t word = atomic_load_explicit(own, memory_order_relaxed);
    do {
        struct credit_amount held = credit_unpack(word);
        if (held.budget < amount.budget || held.gauge < amount.gauge)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(own, &word, word - credit_pack(amount),
                                                    memory_order_seq_cst, memory_order_relaxed));
    return true;
}

/* Put into this thread's lane; false: that would be too much for it. */
static inline bool credit_keep(struct credit *credit, struct credit_amount amount)
{
    const unsigned lane = lane_of(thread_here());
    _Atomic uint64_t *own = credit_held(credit, lane);
    uint64_t word = atomic_load_explicit(own, memory_order_relaxed);
    do {
        struct credit_amount held = credit_unpack(word);
        if (amount.budget > CREDIT_MOST - held.budget || amount.gauge > CREDIT_MOST - held.gauge)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(own, &word, word + credit_pack(amount),
                                                    memory_order_seq_cst, memory_order_relaxed));
    const uint32_t bit = (uint32_t)1 << lane;
    if (!(atomic_load_explicit(&credit->holders, memory_order_seq_cst) & bit))
        atomic_fetch_or_explicit(&credit->holders, bit, memory_order_seq_cst);
    return true;
}

#endif

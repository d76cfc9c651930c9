/*
 * credit.c - who holds credit, how much, and taking it away
 */
#include "memory/credit.h"

#include <stddef.h>

uint32_t hm_credit_holders(const struct credit *credit, bool all)
{
    return all ? UINT32_MAX : atomic_load_explicit(&credit->holders, memory_order_seq_cst);
}

struct credit_amount hm_credit_empty(struct credit *credit, unsigned lane)
{
    _Atomic uint64_t *word = credit_held(credit, lane);
    const uint32_t bit = (uint32_t)1 << lane;
    if (atomic_load_explicit(&credit->holders, memory_order_relaxed) & bit)
        atomic_fetch_and_explicit(&credit->holders, ~bit, memory_order_seq_cst);
    if (atomic_load_explicit(word, memory_order_seq_cst) == 0)
        return (struct credit_amount){0, 0};
    return credit_unpack(atomic_exchange_explicit(word, 0, memory_order_seq_cst));
}

static uint64_t held(const struct credit *credit, enum credit_sum which)
{
    uint64_t sum = 0;
    for (unsigned lane = 0; lane < LANES; lane++) {
        struct credit_amount amount =
            credit_unpack(atomic_load_explicit(credit_held(credit, lane), memory_order_seq_cst));
        sum += which == CREDIT_BUDGET ? amount.budget : amount.gauge;
    }
    return sum;
}

/* Credit is taken off the sum after its lane was emptied: read in between, it would be missing twice. */
uint64_t hm_credit_less(const _Atomic uint64_t *sum, struct credit *const *credit, unsigned most,
                        enum credit_sum which)
{
    enum { STABLE_READS = 8 };
    uint64_t now = atomic_load_explicit(sum, memory_order_seq_cst), less = 0;
    for (unsigned i = 0; i < STABLE_READS && credit[0] != NULL; i++) {
        const uint64_t before = now;
        less = 0;
        for (unsigned kind = 0; kind < most && credit[kind] != NULL; kind++)
            less += held(credit[kind], which);
        now = atomic_load_explicit(sum, memory_order_seq_cst);
        if (now == before)
            break;
    }
    return now - less;
}

/*
 * credit.h - bytes given back and not yet taken off the sums
 *
 * A sum that every thread changes is a cache line that travels with each change.  So a refund stays in the lane of
 * the thread that made it, as credit, and its next charge is paid from there; the sums count it as if it
 * were still charged:
 *
 *      what is in use  =  sum - credit held,   never more than the sum
 *
 * Who is about to act on a sum that credit makes too big takes all credit off it first.
 *
 * A charge moves two sums (account.h), not always at the same moment, so a lane holds credit for each, in one word:
 *
 *      | gauge 32 | budget 32 |
 *
 * `holders` has a bit for each lane that may hold some: set after the credit was put there, taken away before the lane
 * is emptied.
 */
#ifndef HOSTMEM_MEMORY_CREDIT_H
#define HOSTMEM_MEMORY_CREDIT_H

#include <stdbool.h>

#include "memory/lane.h"

/* For one sum in one lane; and in all of them. */
#define CREDIT_MOST     ((uint32_t)256 * 1024)
#define CREDIT_MOST_ALL ((uint64_t)LANES * CREDIT_MOST)

struct credit {
    struct lane *lanes;
    enum lane_credit kind;
    _Atomic uint32_t holders;
};

enum credit_sum { CREDIT_BUDGET, CREDIT_GAUGE };

/* Bytes for each. */
struct credit_amount {
    uint64_t budget, gauge;
};

/* What a lane holds. */
static inline _Atomic uint64_t *credit_held(const struct credit *credit, unsigned lane)
{
    return &credit->lanes[lane].credit[credit->kind];
}

static inline struct credit_amount credit_unpack(uint64_t word)
{
    return (struct credit_amount){.budget = (uint32_t)word, .gauge = word >> 32};
}

/* Neither is above CREDIT_MOST. */
static inline uint64_t credit_pack(struct credit_amount amount)
{
    return amount.gauge << 32 | amount.budget;
}

/* A bit for each lane worth emptying.  `all`: every lane, since the one that another thread is emptying has no bit. */
uint32_t hm_credit_holders(const struct credit *credit, bool all);

/* Empty a lane; what there was, which is for the caller to take off the sums.  (A thread killed before it has
 * done so leaves them too big by that: CREDIT_MOST at most.) */
struct credit_amount hm_credit_empty(struct credit *credit, unsigned lane);

/* A sum, less the credit that it counts, of up to `most` kinds (NULL: no more); others may be at both. */
uint64_t hm_credit_less(const _Atomic uint64_t *sum, struct credit *const *credit, unsigned most,
                        enum credit_sum which);

#endif

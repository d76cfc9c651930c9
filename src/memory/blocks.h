/*
 * blocks.h - what the blocks of IHostMalloc are charged
 *
 * To the commit budget, as pages are; small ones out of the lane's stock (stock.h), unless the budget is shared or a
 * charge is ordered to fail: then each is charged by itself.  In line is what a block needs that its lane can pay.
 */
#ifndef HOSTMEM_MEMORY_BLOCKS_H
#define HOSTMEM_MEMORY_BLOCKS_H

#include <stddef.h>

#include "memory/quota.h"

/* With a call to the budgets. */
bool hm_blocks_charge(struct quota *quota, struct charge *charge);
const struct budget *hm_blocks_settle(struct quota *quota, const struct charge *charge);
void hm_blocks_give(struct quota *quota, uint64_t bytes);

/* It came to nothing. */
void hm_blocks_cancel(struct quota *quota, const struct charge *charge);

static inline bool blocks_of_stock(const struct quota *quota, uint64_t bytes)
{
    return bytes <= STOCK_SMALL && quota->parent == NULL && !quota_orders_failure(quota);
}

/* Bytes of blocks. */
static inline uint64_t blocks_now(const struct quota *quota)
{
    return stock_less(&quota->stock->charged.now, quota->stock);
}

/* Give back. */
static inline void blocks_refund(struct quota *quota, uint64_t bytes)
{
    struct budget *commit = &quota->commit;
    uint64_t back = blocks_of_stock(quota, bytes) ? stock_put(quota->stock, bytes) : bytes;
    if (back != 0)
        hm_blocks_give(quota, back);
    else if (budget_near_below(commit, atomic_load_explicit(&commit->used, memory_order_relaxed)))
        hm_budget_look(commit);
}

/* As hm_quota_charge and hm_quota_settle; the charge is of kind CHARGE_COMMIT, and what is settled is all of it. */
static inline bool blocks_charge(struct quota *quota, struct charge *charge)
{
    charge->verdict = CHARGE_GRANTED;
    charge->overruns = 0;
    if (charge->level > BUDGET_PROCESS)
        charge->level = BUDGET_PROCESS;
    if (blocks_of_stock(quota, charge->bytes) && stock_pay(quota->stock, charge->bytes)) {
        /* Not where all that is charged, stock included, is more than the level may take: a more critical call may have
         * filled it, or the limit is lower now.  (Use may be less than nothing, and hide what the block is alone.) */
        if (charge->bytes <= budget_ceiling(&quota->commit, charge->level) &&
            budget_fits(&quota->commit, 0, charge->level, &charge->used))
            return true;
        blocks_refund(quota, charge->bytes);
    }
    return hm_blocks_charge(quota, charge);
}

/* May there be more than ever, of blocks or in all?  Not if enough of it is in stock, mostly of this lane; and nothing was charged or
 * given back meanwhile, for that may stand in one figure and not in the other. */
static inline bool blocks_rise(const struct quota *quota)
{
    const struct budget *commit = &quota->commit;
    const struct gauge *blocks = &quota->stock->charged;
    const uint64_t used = atomic_load_explicit(&commit->used, memory_order_seq_cst),
                   now = atomic_load_explicit(&blocks->now, memory_order_seq_cst);
    const int64_t of_all = (int64_t)(used - atomic_load_explicit(&commit->peak, memory_order_relaxed)),
                  of_blocks = (int64_t)(now - atomic_load_explicit(&blocks->peak, memory_order_relaxed)),
                  enough = of_all > of_blocks ? of_all : of_blocks;
    return ((int64_t)stock_here(quota->stock) < enough && (int64_t)stock_held(quota->stock) < enough) ||
           used != atomic_load_explicit(&commit->used, memory_order_seq_cst) ||
           now != atomic_load_explicit(&blocks->now, memory_order_seq_cst);
}

static inline const struct budget *blocks_settle(struct quota *quota, const struct charge *charge)
{
    const struct budget *commit = &quota->commit;
    if (charge->bytes == 0)
        return NULL;
    if (charge->verdict != CHARGE_GRANTED || quota->parent != NULL ||
        atomic_load_explicit(&commit->used, memory_order_relaxed) >=
            atomic_load_explicit(&commit->wake_above, memory_order_seq_cst) ||
        blocks_rise(quota))
        return hm_blocks_settle(quota, charge);
    return NULL;
}

#endif

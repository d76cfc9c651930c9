/*
 * blocks.h - what the blocks of IHostMalloc are charged
 *
 * To the commit budget, as pages are; small ones out of the lane's stock (stock.h), unless the budget is shared or a
 * charge is ordered to fail: then each is charged by itself.
 */
#ifndef HOSTMEM_MEMORY_BLOCKS_H
#define HOSTMEM_MEMORY_BLOCKS_H

#include "memory/quota.h"

/* As the functions of quota.h; the charge is of kind CHARGE_COMMIT, and what is settled is all of it. */
struct budget_answer hm_blocks_charge(struct quota *quota, struct charge *charge);
struct budget_answer hm_blocks_settle(struct quota *quota, const struct charge *charge);
void hm_blocks_cancel(struct quota *quota, const struct charge *charge);
void hm_blocks_refund(struct quota *quota, uint64_t bytes);

/* Bytes of blocks. */
static inline uint64_t blocks_now(const struct quota *quota)
{
    return stock_less(&quota->stock->charged.now, quota->stock);
}

#endif

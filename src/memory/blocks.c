/*
 * blocks.c - batches, and small blocks out of them
 */
#include "memory/blocks.h"

#include <stddef.h>

static bool from_stock(const struct quota *quota, uint64_t bytes)
{
    return bytes <= STOCK_SMALL && quota->parent == NULL &&
           atomic_load_explicit(&quota->charges_left, memory_order_relaxed) == BUDGET_UNLIMITED;
}

static void charged(struct quota *quota, uint64_t bytes)
{
    atomic_fetch_add_explicit(&quota->stock->charged.now, bytes, memory_order_seq_cst);
}

/* Back to the budget. */
static void give(struct quota *quota, uint64_t bytes)
{
    gauge_sub(&quota->stock->charged, bytes);
    hm_quota_refund(quota, CHARGE_COMMIT, bytes);
}

/* Into the stock, as far as it takes it. */
static void put(struct quota *quota, uint64_t bytes)
{
    uint64_t rest = stock_put(quota->stock, bytes);
    if (rest != 0)
        give(quota, rest);
}

/* From the stock; not where all that is charged, stock included, is more than the level may take: a more critical call may
 * have filled it, or the limit is lower now. */
static bool pay(struct quota *quota, struct charge *charge)
{
    if (!stock_pay(quota->stock, charge->bytes))
        return false;
    if (hm_budget_fits(&quota->commit, 0, charge->level, &charge->used))
        return true;
    put(quota, charge->bytes);
    return false;
}

/* Charge a batch besides; false: nothing is charged, for an overrun of the only budget there is holds nothing. */
static bool refill(struct quota *quota, const struct charge *charge)
{
    struct charge batch = {
        .bytes = charge->bytes + STOCK_BATCH, .level = charge->level, .kind = CHARGE_COMMIT};
    hm_quota_try(quota, &batch);
    if (batch.verdict != CHARGE_GRANTED)
        return false;
    charged(quota, batch.bytes);
    put(quota, STOCK_BATCH);
    return true;
}

bool hm_blocks_charge(struct quota *quota, struct charge *charge)
{
    charge->verdict = CHARGE_GRANTED;
    charge->overruns = 0;
    if (charge->level > BUDGET_PROCESS)
        charge->level = BUDGET_PROCESS;
    if (from_stock(quota, charge->bytes) && (pay(quota, charge) || refill(quota, charge)))
        return true;
    bool granted = hm_quota_charge(quota, charge);
    if (charge->verdict == CHARGE_GRANTED)
        charged(quota, charge->bytes);
    return granted;
}

const struct budget *hm_blocks_settle(struct quota *quota, const struct charge *charge)
{
    struct gauge *gauge = &quota->stock->charged;
    if (charge->verdict == CHARGE_OVERRUN)
        charged(quota, charge->bytes);
    uint64_t most = atomic_load_explicit(&gauge->now, memory_order_relaxed) - stock_here(quota->stock);
    if (counted(most) > atomic_load_explicit(&gauge->peak, memory_order_relaxed))
        raise_to(&gauge->peak, blocks_now(quota));
    return hm_quota_settle(quota, charge, charge->bytes);
}

void hm_blocks_cancel(struct quota *quota, const struct charge *charge)
{
    if (charge->verdict == CHARGE_GRANTED)
        gauge_sub(&quota->stock->charged, charge->bytes);
    hm_quota_cancel(quota, charge);
}

void hm_blocks_refund(struct quota *quota, uint64_t bytes)
{
    if (!from_stock(quota, bytes)) {
        give(quota, bytes);
        return;
    }
    put(quota, bytes);
    hm_budget_look(&quota->commit);
}

/*
 * blocks.c - batches, and blocks that are charged by themselves
 */
#include "memory/blocks.h"

static void charged(struct quota *quota, uint64_t bytes)
{
    atomic_fetch_add_explicit(&quota->stock->charged.now, bytes, memory_order_seq_cst);
}

void hm_blocks_give(struct quota *quota, uint64_t bytes)
{
    gauge_sub(&quota->stock->charged, bytes);
    hm_quota_refund(quota, CHARGE_COMMIT, bytes);
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
    const uint64_t back = stock_put(quota->stock, STOCK_BATCH);
    if (back != 0)
        hm_blocks_give(quota, back);
    return true;
}

bool hm_blocks_charge(struct quota *quota, struct charge *charge)
{
    if (blocks_of_stock(quota, charge->bytes) && refill(quota, charge))
        return true;
    bool granted = hm_quota_charge(quota, charge);
    if (charge->verdict == CHARGE_GRANTED)
        charged(quota, charge->bytes);
    return granted;
}

const struct budget *hm_blocks_settle(struct quota *quota, const struct charge *charge)
{
    if (charge->verdict == CHARGE_OVERRUN)
        charged(quota, charge->bytes);
    raise_to(&quota->stock->charged.peak, blocks_now(quota));
    return hm_quota_settle(quota, charge, charge->bytes);
}

void hm_blocks_cancel(struct quota *quota, const struct charge *charge)
{
    if (charge->verdict == CHARGE_GRANTED)
        gauge_sub(&quota->stock->charged, charge->bytes);
    hm_quota_cancel(quota, charge);
}

/*
 * stock.h - bytes that lanes keep charged for small blocks
 *
 * A small block costs 50 ns; a charge to a budget that other threads charge too costs more than that.  So a lane charges
 * in batches, and pays small blocks out of its stock (the scheme of Linux' memory cgroups); who needs the bytes elsewhere
 * takes it by exchange.  A stock counts as used for limits, and not for pressure, peaks and figures.
 */
#ifndef HOSTMEM_MEMORY_STOCK_H
#define HOSTMEM_MEMORY_STOCK_H

#include "maps/compiler.h"
#include "memory/gauge.h"
#include "memory/lane.h"

enum {
    STOCK_SMALL = 4 * 1024,  /* bigger blocks are charged each */
    STOCK_BATCH = 32 * 1024, /* charged at a time */
    STOCK_MOST = 64 * 1024   /* what a lane keeps; above that it gives back all but a batch */
};

struct stock {
    struct gauge charged;   /* for blocks and stock; its peak is of blocks alone */
    _Atomic uint32_t lanes; /* a bit for each that ever had some */
    struct {
        _Alignas(64) _Atomic uint64_t bytes;
    } lane[LANES];
};

/* Pay from this thread's lane; false: there is not enough. */
static inline bool stock_pay(struct stock *stock, uint64_t bytes)
{
    _Atomic uint64_t *own = &stock->lane[lane_here()].bytes;
    uint64_t held = atomic_load_explicit(own, memory_order_relaxed);
    do {
        if (held < bytes)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(own, &held, held - bytes, memory_order_seq_cst,
                                                    memory_order_relaxed));
    return true;
}

/* Take what a lane has. */
static inline uint64_t stock_empty(struct stock *stock, unsigned lane)
{
    return atomic_exchange_explicit(&stock->lane[lane].bytes, 0, memory_order_seq_cst);
}

/* Put into this thread's lane; what is too much for it is for the caller to give back. */
static inline uint64_t stock_put(struct stock *stock, uint64_t bytes)
{
    const unsigned lane = lane_here();
    const uint32_t bit = (uint32_t)1 << lane;
    if (!(atomic_load_explicit(&stock->lanes, memory_order_relaxed) & bit))
        atomic_fetch_or_explicit(&stock->lanes, bit, memory_order_seq_cst);
    if (atomic_fetch_add_explicit(&stock->lane[lane].bytes, bytes, memory_order_seq_cst) + bytes <=
        STOCK_MOST)
        return 0;
    uint64_t all = stock_empty(stock, lane);
    uint64_t keep = all < STOCK_BATCH ? all : STOCK_BATCH;
    atomic_fetch_add_explicit(&stock->lane[lane].bytes, keep, memory_order_seq_cst);
    return all - keep;
}

/* What this thread's lane has. */
static inline uint64_t stock_here(const struct stock *stock)
{
    return atomic_load_explicit(&stock->lane[lane_here()].bytes, memory_order_relaxed);
}

/* All that lanes have now. */
static inline uint64_t stock_held(const struct stock *stock)
{
    uint64_t sum = 0;
    uint32_t lanes = atomic_load_explicit(&stock->lanes, memory_order_seq_cst);
    for (; lanes != 0; lanes &= lanes - 1)
        sum += atomic_load_explicit(&stock->lane[lowest_bit(lanes)].bytes, memory_order_seq_cst);
    return sum;
}

/* A sum that counts the stock, without it; NULL: it counts none. */
static inline uint64_t stock_less(const _Atomic uint64_t *sum, const struct stock *stock)
{
    enum { STABLE_READS = 8 };
    uint64_t now = atomic_load_explicit(sum, memory_order_seq_cst), held = 0;
    /* Stock that is given back leaves its lane first: read in between, it would count as in use. */
    for (unsigned i = 0; i < STABLE_READS && stock != NULL; i++) {
        const uint64_t before = now;
        held = stock_held(stock);
        now = atomic_load_explicit(sum, memory_order_seq_cst);
        if (now == before)
            break;
    }
    return not_negative(now - held);
}

#endif

/*
 * budget.h - may this be taken: one number that is used, and how far each criticality may take it
 *
 *      used  0 ........ soft ........ task_limit ... limit ....... limit + margin ........
 *                        |            eTaskCritical   |             |
 *                        pressure                     eAppDomainCritical
 *                                                                   eProcessCritical: refused, or an overrun
 *
 * To check and to take is one atomic step, so what is refused never shows.  What was taken is noted - peak, watermarks,
 * overruns - when the memory is there.  Figures in bytes.
 */
#ifndef HOSTMEM_MEMORY_BUDGET_H
#define HOSTMEM_MEMORY_BUDGET_H

#include <stdbool.h>

#include "memory/gauge.h"
#include "memory/stock.h"

#define BUDGET_UNLIMITED UINT64_MAX

/* EMemoryCriticalLevel; a level above counts as BUDGET_PROCESS. */
enum budget_level { BUDGET_TASK, BUDGET_DOMAIN, BUDGET_PROCESS, BUDGET_LEVELS };

/* Availability of memory, as EMemoryAvailable. */
enum budget_pressure { BUDGET_LOW = 1, BUDGET_NEUTRAL = 2, BUDGET_HIGH = 3 };

struct budget_limits {
    uint64_t limit, task_limit, margin, soft;
    bool strict; /* refuse BUDGET_PROCESS beyond limit + margin instead of counting an overrun */
};

struct budget {
    _Atomic uint64_t used, peak;
    _Atomic uint64_t ceiling[BUDGET_LEVELS];
    _Atomic uint64_t soft, margin;
    /* Watermarks: once use is at wake_above, or below wake_below, `crossed` is called, and they are disarmed: UINT64_MAX, 0. */
    _Atomic uint64_t wake_above, wake_below;
    _Atomic bool strict;
    _Atomic uint32_t pressure; /* budget_pressure as last determined */
    _Atomic uint64_t overruns, overrun_bytes, overrun_peak;
    const struct stock *stock; /* part of `used` that nobody uses; NULL: none */
    /* A watermark was passed, or limits changed; NULL: nobody cares.  Must not block. */
    void (*crossed)(void);
};

/* The soft limit for whoever names none: seven eighths of what eTaskCritical may have. */
static inline uint64_t budget_default_soft(uint64_t task_limit)
{
    return task_limit == BUDGET_UNLIMITED ? BUDGET_UNLIMITED : task_limit - task_limit / 8;
}

/* No limits. */
void hm_budget_init(struct budget *budget);

/* Any time, any thread.  The limits must make sense: task_limit and soft not above limit. */
void hm_budget_set(struct budget *budget, const struct budget_limits *limits);
void hm_budget_get(const struct budget *budget, struct budget_limits *limits);

/* Bytes in use: without stock. */
uint64_t hm_budget_used(const struct budget *budget);

/* Take what is in use already, whatever the limits say, and note it.  True: beyond limit and margin, which is counted. */
bool hm_budget_force(struct budget *budget, uint64_t bytes);

/* If a watermark is passed, that is dealt with. */
void hm_budget_look(struct budget *budget);

static inline uint64_t budget_ceiling(const struct budget *budget, unsigned level)
{
    return atomic_load_explicit(&budget->ceiling[level], memory_order_relaxed);
}

static inline uint64_t budget_soft(const struct budget *budget)
{
    return atomic_load_explicit(&budget->soft, memory_order_relaxed);
}

/* Is there room for so many more than `now`?  *used: what was in use where there is none. */
static inline bool budget_has_room(const struct budget *budget, uint64_t now, uint64_t bytes, unsigned level,
                                   uint64_t *used)
{
    const uint64_t ceiling = budget_ceiling(budget, level);
    *used = not_negative(now);
    return bytes <= ceiling && *used <= ceiling - bytes;
}

/* Is there room?  Takes nothing. */
static inline bool budget_fits(const struct budget *budget, uint64_t bytes, unsigned level, uint64_t *used)
{
    return budget_has_room(budget, atomic_load_explicit(&budget->used, memory_order_relaxed), bytes, level,
                           used);
}

/* The same, and take if there is. */
static inline bool budget_take(struct budget *budget, uint64_t bytes, unsigned level, uint64_t *used)
{
    uint64_t now = atomic_load_explicit(&budget->used, memory_order_relaxed);
    do {
        if (!budget_has_room(budget, now, bytes, level, used))
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&budget->used, &now, now + bytes, memory_order_seq_cst,
                                                    memory_order_relaxed));
    return true;
}

/* What there is no room for: is it refused at this level, or an overrun? */
static inline bool budget_refuses(const struct budget *budget, unsigned level)
{
    return level < BUDGET_PROCESS || atomic_load_explicit(&budget->strict, memory_order_relaxed);
}

/* What was taken is in use now.  (Read relaxed: it is our own change of `used`, or a later one.) */
static inline void budget_note(struct budget *budget)
{
    uint64_t used = atomic_load_explicit(&budget->used, memory_order_relaxed);
    const uint64_t stock = budget->stock != NULL ? stock_here(budget->stock) : 0;
    if (not_negative(used - stock) > atomic_load_explicit(&budget->peak, memory_order_relaxed))
        raise_to(&budget->peak, hm_budget_used(budget));
    if (used >= atomic_load_explicit(&budget->wake_above, memory_order_seq_cst))
        hm_budget_look(budget);
}

/* Could the stock hide that use has fallen to the armed watermark below? */
static inline bool budget_near_below(const struct budget *budget, uint64_t used)
{
    const uint64_t most = budget->stock != NULL ? (uint64_t)LANES * STOCK_MOST : 0;
    uint64_t below = atomic_load_explicit(&budget->wake_below, memory_order_seq_cst);
    return below != 0 && (int64_t)used < (int64_t)(below + most);
}

/* Give back. */
static inline void budget_give(struct budget *budget, uint64_t bytes)
{
    uint64_t used = atomic_fetch_sub_explicit(&budget->used, bytes, memory_order_seq_cst) - bytes;
    if (budget_near_below(budget, used))
        hm_budget_look(budget);
}

/*
 * The pressure.  Low from `soft` on until use is an eighth below it; High up to half of `soft` until use is an eighth of
 * it above that.  Arms the watermarks at which it may be different.  For one thread at a time.
 */
enum budget_pressure hm_budget_pressure(struct budget *budget);

#endif

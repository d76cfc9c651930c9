/*
 * budget.h - may this be taken: one number that is used, and how far each criticality may take it
 *
 *      used  0 ........ soft ........ task_limit ... limit ....... limit + margin ........
 *                        |            eTaskCritical   |             |
 *                        pressure                     eAppDomainCritical
 *                                                                   eProcessCritical: refused, or an overrun
 *
 * To check and to take is one atomic step, so no two threads together get more than there is, and what is refused
 * never shows.  What was taken is noted - peak, watermarks, overruns - when the memory is there.  Lowering a
 * limit takes nothing away: use above it only means that nothing more is granted.
 *
 * Knows no Win32 and takes no lock.  Figures in bytes.
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
    _Atomic uint64_t wake_above, wake_below; /* armed: be there, or below, once, and `crossed` is called */
    _Atomic bool strict;
    _Atomic uint32_t pressure; /* budget_pressure as last determined */
    _Atomic uint64_t overruns, overrun_bytes, overrun_peak;
    const struct stock *stock; /* part of `used` that nobody uses; NULL: none */
    /* A watermark was passed, or limits changed; NULL: nobody cares.  Must not block. */
    void (*crossed)(void);
};

/* Could it be had at this level? */
enum budget_verdict {
    BUDGET_GRANTED,
    BUDGET_OVERRUN, /* above limit + margin, and granted all the same */
    BUDGET_OVER,    /* refused: beyond what the level may take */
    BUDGET_FAILED   /* refused: fail_after (quota.h) */
};

/* What a verdict was based on. */
struct budget_answer {
    enum budget_verdict verdict;
    const struct budget *by;
    uint64_t ceiling, used;
};

/* No limits. */
void hm_budget_init(struct budget *budget);

/* Any time, any thread.  The limits must make sense: task_limit and soft not above limit. */
void hm_budget_set(struct budget *budget, const struct budget_limits *limits);
void hm_budget_get(const struct budget *budget, struct budget_limits *limits);

/* What would be the answer to a charge?  Takes nothing. */
struct budget_answer hm_budget_ask(const struct budget *budget, uint64_t bytes, unsigned level);

/* Take; only BUDGET_GRANTED has taken anything. */
struct budget_answer hm_budget_take(struct budget *budget, uint64_t bytes, unsigned level);

/* What was taken is in use now. */
void hm_budget_note(struct budget *budget);

/* Take what is in use already, whatever the limits say, and note it. */
struct budget_answer hm_budget_force(struct budget *budget, uint64_t bytes);

/* Give back. */
void hm_budget_give(struct budget *budget, uint64_t bytes);

/* Bytes in use: without stock. */
uint64_t hm_budget_used(const struct budget *budget);

/* If a watermark is passed without `used` having changed, by what the stock pays or takes back. */
void hm_budget_look(struct budget *budget);

static inline uint64_t budget_ceiling(const struct budget *budget, unsigned level)
{
    return atomic_load_explicit(&budget->ceiling[level], memory_order_relaxed);
}

/*
 * The pressure.  Low from `soft` on until use is an eighth below it; High up to half of `soft` until use is an eighth of
 * it above that.  Arms the watermarks at which it may be different.  For one thread at a time.
 */
enum budget_pressure hm_budget_pressure(struct budget *budget);

#endif

/*
 * budget.h - may this be committed: one number that is used, and how far each criticality may take it
 *
 *      used  0 ........ soft ........ task_limit ... limit ....... limit + margin ........
 *                        |            eTaskCritical   |             |
 *                        pressure                     eAppDomainCritical
 *                                                                   eProcessCritical: refused, or an overrun
 *
 * A charge checks and takes in one atomic step (but for credit, account.h), so no two threads together get more than
 * there is.  A budget may have a parent, which several share: what is charged to the child is charged to the parent
 * too, and either may refuse.  (A charge that the parent refuses is taken back from the child; one of another thread
 * that came in between may have been refused by the child for its sake.)
 *
 * With the margin first, what eProcessCritical has of it is apart: the picture begins behind it.  Another thread's charge
 * may then be refused for the sake of one that is taken back because what is apart has just changed.
 *
 * Of what `used` counts, accounts may hold some as credit (account.h): not in use, but not refunded yet either.
 * Pressure is judged without it.
 *
 * Lowering a limit takes nothing away: use above it only means that nothing more is granted.
 *
 * Knows no Win32 and takes no lock.  Figures in bytes.
 */
#ifndef HOSTMEM_MEMORY_BUDGET_H
#define HOSTMEM_MEMORY_BUDGET_H

#include "memory/credit.h"

#define BUDGET_UNLIMITED UINT64_MAX

/* A peak that is to be at least `value`. */
static inline void raise_to(_Atomic uint64_t *peak, uint64_t value)
{
    uint64_t before = atomic_load_explicit(peak, memory_order_relaxed);
    while (value > before && !atomic_compare_exchange_weak_explicit(
                                 peak, &before, value, memory_order_relaxed, memory_order_relaxed))
        ;
}

/* No overrun is bigger: there are no more addresses, and a few of this size still make a sum. */
#define BUDGET_MOST ((uint64_t)1 << 48)

/* EMemoryCriticalLevel; a level above counts as BUDGET_PROCESS. */
enum budget_level { BUDGET_TASK, BUDGET_DOMAIN, BUDGET_PROCESS, BUDGET_LEVELS };

/* Availability of memory, as EMemoryAvailable. */
enum hm_budget_pressure { BUDGET_LOW = 1, BUDGET_NEUTRAL = 2, BUDGET_HIGH = 3 };

struct budget_limits {
    uint64_t limit, task_limit, margin, soft;
    uint64_t
        fail_after;    /* refusable charges that are granted before all are refused; BUDGET_UNLIMITED: off */
    bool strict;       /* refuse BUDGET_PROCESS beyond limit + margin instead of counting an overrun */
    bool margin_first; /* what BUDGET_PROCESS has of the margin counts against no lower ceiling */
};

enum { BUDGET_CREDITS = 2 };

struct budget {
    struct budget *parent;
    /* A watermark was passed, or limits changed; NULL: nobody cares.  Must not block. */
    void (*crossed)(void);
    struct credit *credit[BUDGET_CREDITS]; /* counted in `used`; NULL: no more of them */
    _Atomic uint64_t used, peak;
    _Atomic uint64_t
        critical; /* of `used`, BUDGET_PROCESS's as far as it is known; above 48 bits: changes of it */
    _Atomic uint64_t ceiling[BUDGET_LEVELS];
    _Atomic uint64_t soft, margin;
    _Atomic uint64_t wake_above, wake_below; /* armed: be there, or below, once, and `crossed` is called */
    _Atomic uint64_t fail_after, fail_left;  /* as set, and what is left of it */
    _Atomic bool strict, margin_first;
    _Atomic uint32_t pressure; /* hm_budget_pressure as last determined */
    _Atomic uint64_t overruns, overrun_bytes, overrun_peak;
};

enum budget_verdict {
    BUDGET_GRANTED,
    BUDGET_OVERRUN, /* granted beyond limit + margin */
    BUDGET_OVER,    /* refused: beyond what the level may take */
    BUDGET_FAILED   /* refused: fail_after */
};

/* What a verdict other than BUDGET_GRANTED was based on. */
struct budget_answer {
    enum budget_verdict verdict;
    const struct budget *by; /* the budget or its parent */
    uint64_t ceiling, used;
};

/* No limits, no parent. */
void hm_budget_init(struct budget *budget);

/* Any time, any thread.  The limits must make sense: task_limit and soft not above limit. */
void hm_budget_set(struct budget *budget, const struct budget_limits *limits);
void hm_budget_get(const struct budget *budget, struct budget_limits *limits);

/* Take `bytes` from the budget and its parent, or nothing from either.  0 bytes are always granted. */
struct budget_answer hm_budget_charge(struct budget *budget, uint64_t bytes, unsigned level);

/* Take what has been committed already, whatever the limits say; beyond limit + margin it is an overrun. */
struct budget_answer hm_budget_force(struct budget *budget, uint64_t bytes);

void hm_budget_refund(struct budget *budget, uint64_t bytes);

/*
 * Of what is in use, so much is BUDGET_PROCESS's, or is not any more: after it was charged, and before it is refunded,
 * so that there is never less of it in use.
 */
void hm_budget_note_critical(struct budget *budget, uint64_t bytes);
void hm_budget_drop_critical(struct budget *budget, uint64_t bytes);

static inline uint64_t budget_critical(const struct budget *budget)
{
    return atomic_load_explicit(&budget->critical, memory_order_seq_cst) & (BUDGET_MOST - 1);
}

/* A sum of figures of which one may be BUDGET_UNLIMITED. */
static inline uint64_t budget_sum(uint64_t a, uint64_t b)
{
    return a + b < a ? BUDGET_UNLIMITED : a + b;
}

/* What BUDGET_PROCESS has of a margin that it takes first. */
static inline uint64_t budget_apart(const struct budget *budget)
{
    if (!atomic_load_explicit(&budget->margin_first, memory_order_relaxed))
        return 0;
    uint64_t most = atomic_load_explicit(&budget->margin, memory_order_relaxed);
    uint64_t critical = budget_critical(budget);
    return critical < most ? critical : most;
}

/* What `used` may be after a charge at this level. */
static inline uint64_t budget_ceiling_at(const struct budget *budget, unsigned level)
{
    uint64_t ceiling = atomic_load_explicit(&budget->ceiling[level], memory_order_relaxed);
    return level < BUDGET_PROCESS ? budget_sum(ceiling, budget_apart(budget)) : ceiling;
}

/* Bytes in use that count against the lower ceilings. */
uint64_t hm_budget_used_of_limit(const struct budget *budget);

/* Bytes in use: without credit. */
uint64_t hm_budget_used(const struct budget *budget);

/* Could credit hide that use has fallen to the armed watermark below? */
static inline bool budget_near_below(const struct budget *budget)
{
    uint64_t below = atomic_load_explicit(&budget->wake_below, memory_order_seq_cst);
    uint64_t used = atomic_load_explicit(&budget->used, memory_order_relaxed);
    return below != 0 && (int64_t)used < (int64_t)(below + BUDGET_CREDITS * CREDIT_MOST_ALL);
}

/* If an armed watermark was passed, that is dealt with. */
void hm_budget_look_closely(struct budget *budget);

/* The same, after credit was paid or kept: nothing to do unless a watermark is near. */
static inline void budget_look(struct budget *budget)
{
    uint64_t used = atomic_load_explicit(&budget->used, memory_order_relaxed);
    if (used >= atomic_load_explicit(&budget->wake_above, memory_order_seq_cst) || budget_near_below(budget))
        hm_budget_look_closely(budget);
}

/* Bytes that eTaskCritical may hold in all: the tighter of the budget and its parent. */
uint64_t hm_budget_ceiling(const struct budget *budget);

/* The size of one budget as eTaskCritical sees it: up to its ceiling, and the margin, where that is apart. */
static inline uint64_t budget_size(const struct budget *budget)
{
    bool apart = atomic_load_explicit(&budget->margin_first, memory_order_relaxed);
    uint64_t ceiling = atomic_load_explicit(&budget->ceiling[BUDGET_TASK], memory_order_relaxed);
    return apart ? budget_sum(ceiling, atomic_load_explicit(&budget->margin, memory_order_relaxed)) : ceiling;
}

/* The tighter of the budget's and its parent's. */
uint64_t hm_budget_least_size(const struct budget *budget);

/*
 * The pressure in the budget alone, its parent's not counted.  Low from `soft` on until use is an eighth below
 * it; High up to half of `soft` until use is an eighth of it above that.  Use without what is apart (budget_apart).
 * Arms the watermarks at which it may be different.  For one thread at a time.
 */
enum hm_budget_pressure hm_budget_pressure(struct budget *budget);

#endif

/*
 * quota.h - the budgets of a manager, or those that managers share, and what one call is charged to them
 *
 *      commit     everything that is committed: limit, task_limit, margin, soft
 *      heap       of that, regions of the garbage collector's heap: heap_limit
 *      reserve    address space: reserve_limit
 *      process    nothing that is charged: the whole process, as the pressure thread samples it; process_soft
 *
 * What is charged to a quota is charged to its parent too; all are asked before any is taken from.  At eProcessCritical
 * what is beyond a ceiling is an overrun: granted, and taken of that budget only when the memory is there.
 */
#ifndef HOSTMEM_MEMORY_QUOTA_H
#define HOSTMEM_MEMORY_QUOTA_H

#include "memory/budget.h"

struct quota {
    struct quota *parent;
    struct budget commit, heap, reserve, process;
    struct budget
        charges;         /* how many refusable charges to commit, and how many are granted before all fail */
    struct stock *stock; /* of a manager's small blocks; NULL: a shared quota */
};

enum charge_kind { CHARGE_COMMIT, CHARGE_HEAP, CHARGE_RESERVE };

enum charge_verdict {
    CHARGE_GRANTED,
    CHARGE_OVERRUN, /* above somebody's limit + margin, and granted all the same */
    CHARGE_OVER,    /* refused: beyond what the level may take */
    CHARGE_FAILED   /* refused: fail_after */
};

/* What one call asks for and is granted, from the asking until the memory is there, or is not. */
struct charge {
    uint64_t bytes;
    unsigned level;
    enum charge_kind kind;
    enum charge_verdict verdict;
    const struct budget *by; /* whose verdict, unless it is granted */
    uint64_t used;           /* of a refusal: what was in use there */
    unsigned overruns; /* bit i: budget i of the row is overrun, and holds nothing before it is settled */
};

/* Does fail_after hold? */
static inline bool quota_orders_failure(const struct quota *quota)
{
    return budget_ceiling(&quota->charges, BUDGET_TASK) != BUDGET_UNLIMITED;
}

/* The memory must be zero.  No limits.  stock: may be NULL. */
void hm_quota_init(struct quota *quota, struct stock *stock);

/* Any time, any thread.  heap_limit and reserve_limit: BUDGET_UNLIMITED for none. */
void hm_quota_set(struct quota *quota, const struct budget_limits *commit, uint64_t heap_limit,
                  uint64_t reserve_limit, uint64_t fail_after);

/* Have `crossed` called when a watermark is passed or limits change. */
void hm_quota_watch(struct quota *quota, void (*crossed)(void));

/* Ask for all of it, once; false: refused. */
bool hm_quota_try(struct quota *quota, struct charge *charge);

/* The same.  If it is refused, or an overrun, once more: another thread's roll-back may have caused that; and where the manager's
 * own commit budget said so, after the stock of all lanes was given back. */
bool hm_quota_charge(struct quota *quota, struct charge *charge);

/* It came to nothing. */
void hm_quota_cancel(struct quota *quota, const struct charge *charge);

/*
 * The memory is there, `taken` bytes of it newly: another thread may have committed some of the pages meanwhile, or
 * decommitted some that were.  Returns whose limit and margin that is beyond; NULL: nobody's.
 */
const struct budget *hm_quota_settle(struct quota *quota, const struct charge *charge, uint64_t taken);

/* What was settled is gone. */
void hm_quota_refund(struct quota *quota, enum charge_kind kind, uint64_t bytes);

/* What is in use already, and charged, has come to be of another kind. */
void hm_quota_move(struct quota *quota, enum charge_kind from, enum charge_kind to, uint64_t bytes);

/* How much memory the runtime is to see: the least that eTaskCritical may have in all, or as heap. */
uint64_t hm_quota_shown(const struct quota *quota);

#endif

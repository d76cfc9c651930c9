/*
 * account.h - what is charged to a budget for one purpose, and how much of it there is
 *
 *      account          gauge (now, peak)       budget
 *      reserved         reserved                reserve
 *      committed        committed               commit
 *      heap             heap                    commit
 *
 * A charge goes to the budget; when the memory is there (settle), it goes to the gauge; a refund is for both.
 * Where no mark is within reach a charge is paid from the lane's credit instead (credit.h), which changes no
 * sum that other threads read; and a refund becomes credit:
 *
 *      charge by credit    only while the sums, which count all credit as used, are within every mark: peak, ceiling,
 *                          watermark; both before it is paid and after.  What is in use stays at or below the sums.
 *      refund to credit    only while the watermark below is out of reach for all credit together.
 *      any other charge    takes credit off the sums first if one of them would pass a mark.
 *
 * So ceilings and watermarks are as exact as if there were no credit, and so are peaks but for this: of bytes that
 * another thread is taking off the sums at that moment, a peak may count a lane's worth.  (They may also make a charge
 * at the ceiling fail, or an overrun be counted, as those of any refund that is under way.)  An account whose
 * budget has a parent keeps no credit.
 */
#ifndef HOSTMEM_MEMORY_ACCOUNT_H
#define HOSTMEM_MEMORY_ACCOUNT_H

#include "memory/budget.h"

/* A sum of what there is; an account's counts its credit as well. */
struct gauge {
    _Atomic uint64_t now;
    _Atomic uint64_t peak;
};

static inline void gauge_add(struct gauge *gauge, uint64_t bytes)
{
    raise_to(&gauge->peak, atomic_fetch_add_explicit(&gauge->now, bytes, memory_order_relaxed) + bytes);
}

static inline void gauge_sub(struct gauge *gauge, uint64_t bytes)
{
    if (bytes != 0)
        atomic_fetch_sub_explicit(&gauge->now, bytes, memory_order_relaxed);
}

struct account {
    struct gauge gauge;
    struct credit credit;
    struct budget *budget;
    /* The gauge counts from the charge on, which is a step less.  Not for pages: two calls that commit the same ones
     * are both charged, until one of them has turned out to be second. */
    bool early;
};

/* The memory must be zero.  Its credit is known to the budget from now on. */
void hm_account_init(struct account *account, struct budget *budget, struct lane *lanes,
                     enum lane_credit kind, bool early);

/* Charge by credit; false: nothing is charged. */
bool hm_account_pay(struct account *account, uint64_t bytes, unsigned level);

/* Charge by the sums, as hm_budget_charge. */
struct budget_answer hm_account_charge_sums(struct account *account, uint64_t bytes, unsigned level);

/* The one, or else the other. */
struct budget_answer hm_account_charge(struct account *account, uint64_t bytes, unsigned level);

/* Would the gauge stay at its peak or below, with so many bytes more? */
static inline bool gauge_below_peak(const struct gauge *gauge, uint64_t bytes)
{
    return atomic_load_explicit(&gauge->now, memory_order_relaxed) + bytes <=
           atomic_load_explicit(&gauge->peak, memory_order_relaxed);
}

/* As account_settle, when there is something to do. */
void hm_account_settle_gauge(struct account *account, uint64_t bytes);

/* What was charged is there. */
static inline void account_settle(struct account *account, uint64_t bytes)
{
    if (!account->early || !gauge_below_peak(&account->gauge, 0))
        hm_account_settle_gauge(account, bytes);
}

/* What was charged will not come. */
void hm_account_cancel(struct account *account, uint64_t bytes);

/* As hm_budget_force, and settled: what has been committed already. */
struct budget_answer hm_account_force(struct account *account, uint64_t bytes);

/* What was settled is gone. */
void hm_account_refund(struct account *account, uint64_t bytes);

uint64_t hm_account_now(const struct account *account);

/* Take all credit off the sums, so that a charge of so many bytes by other ways (hm_budget_force) sees what is in use. */
void hm_account_collect(struct budget *budget, uint64_t bytes);

#endif

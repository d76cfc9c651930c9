/*
 * quota.c - up to four budgets in a row
 */
#include "memory/quota.h"

#include <stddef.h>

#include "maps/compiler.h"

void hm_quota_init(struct quota *quota, struct stock *stock)
{
    quota->stock = stock;
    quota->commit.stock = stock;
    hm_budget_init(&quota->commit);
    hm_budget_init(&quota->heap);
    hm_budget_init(&quota->reserve);
    hm_budget_init(&quota->process);
    hm_budget_init(&quota->charges);
}

/* One figure for all levels. */
static struct budget_limits flat(uint64_t limit, uint64_t soft)
{
    return (struct budget_limits){.limit = limit, .task_limit = limit, .soft = soft};
}

void hm_quota_set(struct quota *quota, const struct budget_limits *commit, uint64_t heap_limit,
                  uint64_t reserve_limit, uint64_t fail_after)
{
    const struct budget_limits heap = flat(heap_limit, budget_default_soft(heap_limit)),
                               reserve = flat(reserve_limit, BUDGET_UNLIMITED),
                               charges = flat(fail_after, BUDGET_UNLIMITED);
    atomic_store_explicit(&quota->charges.used, 0, memory_order_relaxed);
    hm_budget_set(&quota->charges, &charges);
    hm_budget_set(&quota->reserve, &reserve);
    hm_budget_set(&quota->heap, &heap);
    hm_budget_set(&quota->commit, commit);
}

void hm_quota_watch(struct quota *quota, void (*crossed)(void))
{
    quota->commit.crossed = crossed;
    quota->heap.crossed = crossed;
    quota->process.crossed = crossed;
}

/* The budgets that a charge of this kind goes to: of the quota and of its parent one, and for heap another. */
enum { ROW_MOST = 4 };

static inline unsigned budgets_of(struct quota *quota, enum charge_kind kind, struct budget *row[ROW_MOST])
{
    unsigned count = 0;
    for (struct quota *q = quota; q != NULL; q = q->parent) {
        row[count++] = kind == CHARGE_RESERVE ? &q->reserve : &q->commit;
        if (kind == CHARGE_HEAP)
            row[count++] = &q->heap;
    }
    return count;
}

/* Does fail_after count this one? */
static bool may_fail(const struct charge *charge)
{
    return charge->level < BUDGET_PROCESS && charge->kind != CHARGE_RESERVE;
}

/* The charge counts no more in the quotas before `end`. */
static void count_up(struct quota *quota, const struct quota *end)
{
    for (struct quota *q = quota; q != end; q = q->parent)
        if (quota_orders_failure(q))
            budget_give(&q->charges, 1);
}

/* Count the charge; NULL, or by whose order it fails, and is not counted. */
static const struct quota *count_down(struct quota *quota)
{
    uint64_t used;
    for (struct quota *q = quota; q != NULL; q = q->parent)
        if (quota_orders_failure(q) && !budget_take(&q->charges, 1, BUDGET_TASK, &used)) {
            count_up(quota, q);
            return q;
        }
    return NULL;
}

/* Give back what a charge holds in the first so many of the row. */
static inline void let_go(struct budget *const row[ROW_MOST], unsigned count, const struct charge *charge)
{
    for (unsigned i = 0; i < count; i++)
        if (!(charge->overruns >> i & 1))
            budget_give(row[i], charge->bytes);
}

static bool refused(struct charge *charge, enum charge_verdict verdict, const struct budget *by)
{
    charge->verdict = verdict;
    charge->by = by;
    return false;
}

bool hm_quota_try(struct quota *quota, struct charge *charge)
{
    struct budget *row[ROW_MOST];
    const struct quota *failed;
    charge->verdict = CHARGE_GRANTED;
    charge->by = NULL;
    charge->overruns = 0;
    if (charge->bytes == 0)
        return true;
    const unsigned count = budgets_of(quota, charge->kind, row);
    if (charge->level > BUDGET_PROCESS)
        charge->level = BUDGET_PROCESS;
    for (unsigned i = 0; i < count; i++)
        if (!budget_fits(row[i], charge->bytes, charge->level, &charge->used) &&
            budget_refuses(row[i], charge->level))
            return refused(charge, CHARGE_OVER, row[i]);
    if (may_fail(charge) && (failed = count_down(quota)) != NULL) {
        charge->used = hm_budget_used(&failed->commit);
        return refused(charge, CHARGE_FAILED, &failed->commit);
    }
    /* Another thread may have taken it meanwhile.  Of those that are overrun nothing is taken, and the first is noted. */
    for (unsigned i = 0; i < count; i++) {
        if (budget_take(row[i], charge->bytes, charge->level, &charge->used))
            continue;
        if (budget_refuses(row[i], charge->level)) {
            let_go(row, i, charge);
            if (may_fail(charge))
                count_up(quota, NULL);
            return refused(charge, CHARGE_OVER, row[i]);
        }
        charge->verdict = CHARGE_OVERRUN;
        charge->overruns |= 1u << i;
        if (charge->by == NULL)
            charge->by = row[i];
    }
    return true;
}

/* Take the stock of all lanes off what is used. */
static void drain(struct quota *quota)
{
    uint32_t lanes =
        quota->stock == NULL ? 0 : atomic_load_explicit(&quota->stock->lanes, memory_order_seq_cst);
    for (; lanes != 0; lanes &= lanes - 1) {
        uint64_t bytes = stock_empty(quota->stock, lowest_bit(lanes));
        if (bytes == 0)
            continue;
        gauge_sub(&quota->stock->charged, bytes);
        hm_quota_refund(quota, CHARGE_COMMIT, bytes);
    }
}

bool hm_quota_charge(struct quota *quota, struct charge *charge)
{
    bool granted = hm_quota_try(quota, charge);
    if (charge->verdict == CHARGE_GRANTED || charge->verdict == CHARGE_FAILED)
        return granted;
    if (granted)
        hm_quota_cancel(quota, charge);
    if (charge->by == &quota->commit)
        drain(quota);
    return hm_quota_try(quota, charge);
}

void hm_quota_cancel(struct quota *quota, const struct charge *charge)
{
    struct budget *row[ROW_MOST];
    if (charge->bytes == 0)
        return;
    let_go(row, budgets_of(quota, charge->kind, row), charge);
    if (may_fail(charge))
        count_up(quota, NULL);
}

const struct budget *hm_quota_settle(struct quota *quota, const struct charge *charge, uint64_t taken)
{
    struct budget *row[ROW_MOST];
    const struct budget *overrun = NULL;
    if (charge->bytes == 0 && taken == 0)
        return NULL;
    const unsigned count = budgets_of(quota, charge->kind, row);
    for (unsigned i = 0; i < count; i++) {
        const uint64_t held = charge->overruns >> i & 1 ? 0 : charge->bytes;
        if (taken < held)
            budget_give(row[i], held - taken);
        if (taken <= held)
            budget_note(row[i]);
        else if (hm_budget_force(row[i], taken - held) && overrun == NULL)
            overrun = row[i];
    }
    return overrun;
}

void hm_quota_refund(struct quota *quota, enum charge_kind kind, uint64_t bytes)
{
    const struct charge all = {.bytes = bytes};
    struct budget *row[ROW_MOST];
    if (bytes != 0)
        let_go(row, budgets_of(quota, kind, row), &all);
}

void hm_quota_move(struct quota *quota, enum charge_kind from, enum charge_kind to, uint64_t bytes)
{
    if (from == to || bytes == 0)
        return;
    for (struct quota *q = quota; q != NULL; q = q->parent)
        if (to == CHARGE_HEAP && (int64_t)bytes > 0)
            hm_budget_force(&q->heap, bytes);
        else /* also less than nothing: bits were cleared before they were counted (region.c) */
            budget_give(&q->heap, to == CHARGE_HEAP ? 0 - bytes : bytes);
}

uint64_t hm_quota_shown(const struct quota *quota)
{
    uint64_t least = BUDGET_UNLIMITED;
    for (const struct quota *q = quota; q != NULL; q = q->parent) {
        uint64_t in_all = budget_ceiling(&q->commit, BUDGET_TASK);
        uint64_t as_heap = budget_ceiling(&q->heap, BUDGET_TASK);
        least = in_all < least ? in_all : least;
        least = as_heap < least ? as_heap : least;
    }
    return least;
}

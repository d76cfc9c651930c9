/*
 * quota.c - up to four budgets in a row
 */
#include "memory/quota.h"

#include <stddef.h>

static uint64_t load(const _Atomic uint64_t *number)
{
    return atomic_load_explicit(number, memory_order_relaxed);
}

void hm_quota_init(struct quota *quota, struct stock *stock)
{
    quota->stock = stock;
    quota->commit.stock = stock;
    hm_budget_init(&quota->commit);
    hm_budget_init(&quota->heap);
    hm_budget_init(&quota->reserve);
    atomic_store_explicit(&quota->fail_after, BUDGET_UNLIMITED, memory_order_relaxed);
    atomic_store_explicit(&quota->charges_left, BUDGET_UNLIMITED, memory_order_relaxed);
}

/* One figure for all levels. */
static struct budget_limits flat(uint64_t limit, uint64_t soft)
{
    return (struct budget_limits){.limit = limit, .task_limit = limit, .soft = soft};
}

void hm_quota_set(struct quota *quota, const struct budget_limits *commit, uint64_t heap_limit,
                  uint64_t reserve_limit, uint64_t fail_after)
{
    const uint64_t heap_soft =
        heap_limit == BUDGET_UNLIMITED ? BUDGET_UNLIMITED : heap_limit - heap_limit / 8;
    const struct budget_limits heap = flat(heap_limit, heap_soft),
                               reserve = flat(reserve_limit, BUDGET_UNLIMITED);
    atomic_store_explicit(&quota->fail_after, fail_after, memory_order_relaxed);
    atomic_store_explicit(&quota->charges_left, fail_after, memory_order_relaxed);
    hm_budget_set(&quota->reserve, &reserve);
    hm_budget_set(&quota->heap, &heap);
    hm_budget_set(&quota->commit, commit);
}

void hm_quota_watch(struct quota *quota, void (*crossed)(void))
{
    quota->commit.crossed = crossed;
    quota->heap.crossed = crossed;
}

/* The budgets of one quota that a charge of this kind goes to; returns how many. */
static unsigned budgets_of(struct quota *quota, enum charge_kind kind, struct budget *budgets[2])
{
    budgets[0] = kind == CHARGE_RESERVE ? &quota->reserve : &quota->commit;
    budgets[1] = &quota->heap;
    return kind == CHARGE_HEAP ? 2 : 1;
}

/* All budgets of a charge, the quota's own first. */
enum { ROW_MOST = 4 };
struct row {
    struct budget *budget[ROW_MOST];
    unsigned count;
};

static struct row row_of(struct quota *quota, enum charge_kind kind)
{
    struct row row = {.count = 0};
    for (struct quota *q = quota; q != NULL && row.count < ROW_MOST; q = q->parent)
        row.count += budgets_of(q, kind, &row.budget[row.count]);
    return row;
}

static bool refuses(const struct budget_answer *answer)
{
    return answer->verdict == BUDGET_OVER || answer->verdict == BUDGET_FAILED;
}

/* Does fail_after count this one? */
static bool may_fail(const struct charge *charge)
{
    return charge->level < BUDGET_PROCESS && charge->kind != CHARGE_RESERVE;
}

/* One of the charges that are granted before the ordered failure; false: they are used up. */
static bool before_failure(struct quota *quota)
{
    uint64_t left = load(&quota->charges_left);
    do {
        if (left == BUDGET_UNLIMITED)
            return true;
        if (left == 0)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&quota->charges_left, &left, left - 1,
                                                    memory_order_relaxed, memory_order_relaxed));
    return true;
}

/* The charge was none after all. */
static void not_yet(struct quota *quota)
{
    uint64_t left = load(&quota->charges_left);
    while (left != BUDGET_UNLIMITED &&
           !atomic_compare_exchange_weak_explicit(&quota->charges_left, &left, left + 1, memory_order_relaxed,
                                                  memory_order_relaxed))
        ;
}

/* What fail_after of this quota, and then of its parents, says; `failed` receives who refuses. */
static bool count_down(struct quota *quota, struct quota **failed)
{
    for (struct quota *q = quota; q != NULL; q = q->parent)
        if (!before_failure(q)) {
            for (struct quota *before = quota; before != q; before = before->parent)
                not_yet(before);
            *failed = q;
            return false;
        }
    return true;
}

static bool holds(const struct charge *charge, unsigned i)
{
    return !(charge->overruns >> i & 1);
}

/* Give back what the charge holds in the first `count` budgets. */
static void let_go(const struct row *row, unsigned count, const struct charge *charge)
{
    while (count-- > 0)
        if (holds(charge, count))
            hm_budget_give(row->budget[count], charge->bytes);
}

/* Ask everybody before anything is taken: a refusal, or not. */
static struct budget_answer ask(const struct row *row, const struct charge *charge)
{
    struct budget_answer answer = {.verdict = BUDGET_GRANTED};
    for (unsigned i = 0; i < row->count && !refuses(&answer); i++)
        answer = hm_budget_ask(row->budget[i], charge->bytes, charge->level);
    return answer;
}

/* Where it is an overrun nothing is taken; the answer is the first one. */
static struct budget_answer take(const struct row *row, struct charge *charge)
{
    struct budget_answer answer = {.verdict = BUDGET_GRANTED};
    charge->overruns = 0;
    for (unsigned i = 0; i < row->count; i++) {
        struct budget_answer one = hm_budget_take(row->budget[i], charge->bytes, charge->level);
        if (refuses(&one)) {
            let_go(row, i, charge);
            return one;
        }
        if (one.verdict != BUDGET_OVERRUN)
            continue;
        charge->overruns |= (uint32_t)1 << i;
        if (answer.verdict != BUDGET_OVERRUN)
            answer = one;
    }
    return answer;
}

struct budget_answer hm_quota_try(struct quota *quota, struct charge *charge)
{
    struct budget_answer answer = {.verdict = BUDGET_GRANTED};
    charge->overruns = 0;
    if (charge->bytes == 0)
        return answer;
    if (charge->level > BUDGET_PROCESS)
        charge->level = BUDGET_PROCESS;
    const struct row row = row_of(quota, charge->kind);
    struct quota *failed = NULL;
    answer = ask(&row, charge);
    if (refuses(&answer))
        return answer;
    if (may_fail(charge) && !count_down(quota, &failed))
        return (struct budget_answer){BUDGET_FAILED, &failed->commit,
                                      budget_ceiling(&failed->commit, charge->level),
                                      hm_budget_used(&failed->commit)};
    answer = take(&row, charge);
    if (refuses(&answer) && may_fail(charge))
        for (struct quota *q = quota; q != NULL; q = q->parent)
            not_yet(q);
    return answer;
}

/* Take the stock of all lanes off what is used. */
static void drain(struct quota *quota)
{
    for (unsigned lane = 0; quota->stock != NULL && lane < LANES; lane++) {
        uint64_t bytes = stock_empty(quota->stock, lane);
        if (bytes == 0)
            continue;
        gauge_sub(&quota->stock->charged, bytes);
        hm_quota_refund(quota, CHARGE_COMMIT, bytes);
    }
}

struct budget_answer hm_quota_charge(struct quota *quota, struct charge *charge)
{
    struct budget_answer answer = hm_quota_try(quota, charge);
    if (answer.verdict == BUDGET_GRANTED || answer.verdict == BUDGET_FAILED)
        return answer;
    if (answer.verdict == BUDGET_OVERRUN)
        hm_quota_cancel(quota, charge);
    drain(quota);
    return hm_quota_try(quota, charge);
}

void hm_quota_cancel(struct quota *quota, const struct charge *charge)
{
    if (charge->bytes == 0)
        return;
    const struct row row = row_of(quota, charge->kind);
    let_go(&row, row.count, charge);
    if (may_fail(charge))
        for (struct quota *q = quota; q != NULL; q = q->parent)
            not_yet(q);
}

/* One budget's part: what it holds less than was taken it must have, too; what it holds more it gives back. */
static struct budget_answer settle(struct budget *budget, uint64_t held, uint64_t taken)
{
    if (taken > held)
        return hm_budget_force(budget, taken - held);
    if (taken < held)
        hm_budget_give(budget, held - taken);
    if (taken != 0)
        hm_budget_note(budget);
    return (struct budget_answer){.verdict = BUDGET_GRANTED};
}

struct budget_answer hm_quota_settle(struct quota *quota, const struct charge *charge, uint64_t taken)
{
    const struct row row = row_of(quota, charge->kind);
    struct budget_answer answer = {.verdict = BUDGET_GRANTED};
    for (unsigned i = 0; i < row.count; i++) {
        struct budget_answer one = settle(row.budget[i], holds(charge, i) ? charge->bytes : 0, taken);
        if (answer.verdict != BUDGET_OVERRUN)
            answer = one;
    }
    return answer;
}

void hm_quota_refund(struct quota *quota, enum charge_kind kind, uint64_t bytes)
{
    if (bytes == 0)
        return;
    const struct row row = row_of(quota, kind);
    for (unsigned i = 0; i < row.count; i++)
        hm_budget_give(row.budget[i], bytes);
}

void hm_quota_becomes_heap(struct quota *quota, uint64_t bytes)
{
    for (struct quota *q = quota; q != NULL; q = q->parent)
        hm_budget_force(&q->heap, bytes);
}

void hm_quota_was_heap(struct quota *quota, uint64_t bytes)
{
    for (struct quota *q = quota; q != NULL; q = q->parent)
        hm_budget_give(&q->heap, bytes);
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

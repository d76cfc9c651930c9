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

/* The budgets that a charge of this kind goes to, in a row: of each quota one, and for heap another. */
struct place {
    struct quota *quota;
    struct budget *budget;
    unsigned bit;
};

static inline struct place first_place(struct quota *quota, enum charge_kind kind)
{
    return (struct place){quota, kind == CHARGE_RESERVE ? &quota->reserve : &quota->commit, 1};
}

static inline bool next_place(struct place *place, enum charge_kind kind)
{
    place->bit <<= 1;
    if (kind == CHARGE_HEAP && place->budget == &place->quota->commit) {
        place->budget = &place->quota->heap;
        return true;
    }
    place->quota = place->quota->parent;
    if (place->quota != NULL)
        place->budget = first_place(place->quota, kind).budget;
    return place->quota != NULL;
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

/* fail_after of this quota and of its parents; NULL, or whose are used up, and none is counted then. */
static struct quota *count_down(struct quota *quota)
{
    for (struct quota *q = quota; q != NULL; q = q->parent)
        if (!before_failure(q)) {
            for (struct quota *counted = quota; counted != q; counted = counted->parent)
                not_yet(counted);
            return q;
        }
    return NULL;
}

static void count_up(struct quota *quota)
{
    for (struct quota *q = quota; q != NULL; q = q->parent)
        not_yet(q);
}

/* Give back what a charge holds in the places before `end`. */
static void let_go(struct quota *quota, const struct charge *charge, const struct budget *end)
{
    struct place place = first_place(quota, charge->kind);
    do {
        if (place.budget == end)
            return;
        if (!(charge->overruns & place.bit))
            budget_give(place.budget, charge->bytes);
    } while (next_place(&place, charge->kind));
}

/* Who would refuse, before anything is taken; NULL: nobody. */
static const struct budget *refusing(struct quota *quota, struct charge *charge)
{
    struct place place = first_place(quota, charge->kind);
    do {
        if (!hm_budget_fits(place.budget, charge->bytes, charge->level, &charge->used) &&
            budget_refuses(place.budget, charge->level))
            return place.budget;
    } while (next_place(&place, charge->kind));
    return NULL;
}

/* Take from all but those that are overrun, of which the first is noted; or from none: who refuses. */
static const struct budget *take(struct quota *quota, struct charge *charge)
{
    struct place place = first_place(quota, charge->kind);
    do {
        if (hm_budget_take(place.budget, charge->bytes, charge->level, &charge->used))
            continue;
        if (budget_refuses(place.budget, charge->level)) {
            let_go(quota, charge, place.budget);
            return place.budget;
        }
        charge->overruns |= place.bit;
        if (charge->by == NULL)
            charge->by = place.budget;
    } while (next_place(&place, charge->kind));
    return NULL;
}

static bool refused(struct charge *charge, enum charge_verdict verdict, const struct budget *by)
{
    charge->verdict = verdict;
    charge->by = by;
    return false;
}

bool hm_quota_try(struct quota *quota, struct charge *charge)
{
    const struct budget *by;
    const struct quota *failed;
    charge->verdict = CHARGE_GRANTED;
    charge->by = NULL;
    charge->overruns = 0;
    if (charge->bytes == 0)
        return true;
    if (charge->level > BUDGET_PROCESS)
        charge->level = BUDGET_PROCESS;
    if ((by = refusing(quota, charge)) != NULL)
        return refused(charge, CHARGE_OVER, by);
    if (may_fail(charge) && (failed = count_down(quota)) != NULL) {
        charge->used = hm_budget_used(&failed->commit);
        return refused(charge, CHARGE_FAILED, &failed->commit);
    }
    if ((by = take(quota, charge)) != NULL) {
        if (may_fail(charge))
            count_up(quota);
        return refused(charge, CHARGE_OVER, by);
    }
    if (charge->overruns != 0)
        charge->verdict = CHARGE_OVERRUN;
    return true;
}

/* Take the stock of all lanes off what is used. */
static void drain(struct quota *quota)
{
    uint32_t lanes =
        quota->stock == NULL ? 0 : atomic_load_explicit(&quota->stock->lanes, memory_order_seq_cst);
    for (unsigned lane = 0; lanes != 0; lane++, lanes >>= 1) {
        uint64_t bytes = lanes & 1 ? stock_empty(quota->stock, lane) : 0;
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
    if (charge->bytes == 0)
        return;
    let_go(quota, charge, NULL);
    if (may_fail(charge))
        count_up(quota);
}

const struct budget *hm_quota_settle(struct quota *quota, const struct charge *charge, uint64_t taken)
{
    const struct budget *overrun = NULL;
    if (charge->bytes == 0 && taken == 0)
        return NULL;
    struct place place = first_place(quota, charge->kind);
    do {
        const uint64_t held = charge->overruns & place.bit ? 0 : charge->bytes;
        if (taken < held)
            budget_give(place.budget, held - taken);
        if (taken <= held)
            budget_note(place.budget);
        else if (hm_budget_force(place.budget, taken - held) && overrun == NULL)
            overrun = place.budget;
    } while (next_place(&place, charge->kind));
    return overrun;
}

void hm_quota_refund(struct quota *quota, enum charge_kind kind, uint64_t bytes)
{
    const struct charge all = {.bytes = bytes, .kind = kind};
    if (bytes != 0)
        let_go(quota, &all, NULL);
}

void hm_quota_becomes_heap(struct quota *quota, uint64_t bytes)
{
    if ((int64_t)bytes <= 0) { /* bits were cleared before they were counted: less than nothing (region.c) */
        hm_quota_was_heap(quota, 0 - bytes);
        return;
    }
    for (struct quota *q = quota; q != NULL; q = q->parent)
        hm_budget_force(&q->heap, bytes);
}

void hm_quota_was_heap(struct quota *quota, uint64_t bytes)
{
    for (struct quota *q = quota; q != NULL; q = q->parent)
        budget_give(&q->heap, bytes);
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

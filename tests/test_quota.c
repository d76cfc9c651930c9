/*
 * test_quota.c - up to four budgets in a row: all or nothing, what a charge holds until the memory is there, and races
 *
 * No manager and no memory: bytes are numbers here.  quota.c is built into this program with other names for budget_fits
 * and budget_take, so that another thread's steps can be made in between.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "memory/memory_load.h"
#include "memory/quota.h"
#include "support/answers.h"

static bool stepped_fits(const struct budget *budget, uint64_t bytes, unsigned level, uint64_t *used);
static bool stepped_take(struct budget *budget, uint64_t bytes, unsigned level, uint64_t *used);
#define budget_fits stepped_fits
#define budget_take stepped_take
#include "memory/quota.c"
#undef budget_fits
#undef budget_take

/* A manager's, and what it shares with others. */
static struct quotas {
    struct quota shared, own, other;
} all;

/* The row of a charge for the heap, in order. */
enum { ROW = 4 };
static struct budget *const row[ROW] = {&all.own.commit, &all.own.heap, &all.shared.commit, &all.shared.heap};

/* What another thread does, once: after `at` was asked, or before it is taken from. */
static void (*meanwhile)(void);
static const struct budget *at;
static bool after_asking;

static void step(bool asked, const struct budget *budget)
{
    void (*once)(void) = meanwhile;
    if (once == NULL || after_asking != asked || budget != at)
        return;
    meanwhile = NULL;
    once();
}

static bool stepped_fits(const struct budget *budget, uint64_t bytes, unsigned level, uint64_t *used)
{
    bool fits = budget_fits(budget, bytes, level, used);
    step(true, budget);
    return fits;
}

static bool stepped_take(struct budget *budget, uint64_t bytes, unsigned level, uint64_t *used)
{
    step(false, budget);
    return budget_take(budget, bytes, level, used);
}

static const struct budget_limits unlimited = {
    .limit = BUDGET_UNLIMITED, .task_limit = BUDGET_UNLIMITED, .soft = BUDGET_UNLIMITED};

static struct budget_limits all_of(uint64_t limit)
{
    struct budget_limits limits = unlimited;
    limits.limit = limits.task_limit = limit;
    return limits;
}

static void set(struct quota *quota, struct budget_limits commit, uint64_t heap_limit, uint64_t fail_after)
{
    hm_quota_set(quota, &commit, heap_limit, BUDGET_UNLIMITED, fail_after);
}

static int setup(void **state)
{
    (void)state;
    memset(&all, 0, sizeof all);
    hm_quota_init(&all.shared, NULL);
    hm_quota_init(&all.own, NULL);
    hm_quota_init(&all.other, NULL);
    all.own.parent = all.other.parent = &all.shared;
    meanwhile = NULL;
    return 0;
}

/* Limits so that this one of the row has `limit`, and the others none. */
static void limit_one(unsigned which, struct budget_limits commit, uint64_t heap_limit)
{
    set(&all.own, which == 0 ? commit : unlimited, which == 1 ? heap_limit : BUDGET_UNLIMITED,
        BUDGET_UNLIMITED);
    set(&all.shared, which == 2 ? commit : unlimited, which == 3 ? heap_limit : BUDGET_UNLIMITED,
        BUDGET_UNLIMITED);
}

static struct charge of(uint64_t bytes, unsigned level, enum charge_kind kind)
{
    return (struct charge){.bytes = bytes, .level = level, .kind = kind};
}

static void assert_answer(struct answer answer, enum charge_verdict verdict, const struct budget *by,
                          uint64_t ceiling, uint64_t used)
{
    assert_int_equal(answer.verdict, verdict);
    assert_ptr_equal(answer.by, by);
    assert_int_equal(answer.ceiling, ceiling);
    assert_int_equal(answer.used, used);
}

/* Charged and settled. */
static void grant(uint64_t bytes, unsigned level, enum charge_kind kind)
{
    struct charge charge = of(bytes, level, kind);
    assert_int_equal(quota_charged(&all.own, &charge).verdict, CHARGE_GRANTED);
    assert_int_equal(quota_settled(&all.own, &charge, bytes).verdict, CHARGE_GRANTED);
}

/* Refused; not a byte of any quota is another one then: no use, no peak, no overrun, no count of fail_after. */
static void refuse(uint64_t bytes, unsigned level, enum charge_kind kind, enum charge_verdict verdict,
                   const struct budget *by, uint64_t ceiling)
{
    static struct quotas before;
    struct charge charge = of(bytes, level, kind);
    before = all;
    assert_answer(quota_charged(&all.own, &charge), verdict, by, ceiling, by->used);
    assert_memory_equal(&all, &before, sizeof all);
}

static void assert_row(uint64_t own_commit, uint64_t own_heap, uint64_t shared_commit, uint64_t shared_heap)
{
    const uint64_t used[ROW] = {own_commit, own_heap, shared_commit, shared_heap};
    for (unsigned i = 0; i < ROW; i++)
        assert_int_equal(row[i]->used, used[i]);
}

static void assert_peaks(uint64_t own_commit, uint64_t own_heap, uint64_t shared_commit, uint64_t shared_heap)
{
    const uint64_t peak[ROW] = {own_commit, own_heap, shared_commit, shared_heap};
    for (unsigned i = 0; i < ROW; i++)
        assert_int_equal(row[i]->peak, peak[i]);
}

/* Any of the four refuses a charge for the heap; of another one only where it is asked. */
static void test_each_may_refuse(void **state)
{
    (void)state;
    for (unsigned which = 0; which < ROW; which++) {
        const bool is_heap = which % 2 != 0;
        setup(NULL);
        limit_one(which, all_of(1000), 1000);
        grant(400, BUDGET_TASK, CHARGE_HEAP);
        refuse(601, BUDGET_TASK, CHARGE_HEAP, CHARGE_OVER, row[which], 1000);
        grant(600, BUDGET_DOMAIN, CHARGE_HEAP);
        for (unsigned level = BUDGET_TASK; level <= BUDGET_DOMAIN; level++) {
            refuse(1, level, CHARGE_HEAP, CHARGE_OVER, row[which], 1000);
            if (!is_heap)
                refuse(1, level, CHARGE_COMMIT, CHARGE_OVER, row[which], 1000);
        }
        assert_row(1000, 1000, 1000, 1000);
        if (is_heap)
            grant(5000, BUDGET_TASK, CHARGE_COMMIT);
        grant(5000, BUDGET_TASK, CHARGE_RESERVE);
        assert_int_equal(all.own.reserve.used, 5000);
        assert_int_equal(all.shared.reserve.used, 5000);
        hm_quota_refund(&all.own, CHARGE_HEAP, 1000);
        hm_quota_refund(&all.own, CHARGE_COMMIT, is_heap ? 5000 : 0);
        hm_quota_refund(&all.own, CHARGE_RESERVE, 5000);
        assert_row(0, 0, 0, 0);
        assert_int_equal(all.own.reserve.used, 0);
        assert_int_equal(all.shared.reserve.used, 0);
    }
}

/* Address space has one figure for all levels, and nothing else refuses it. */
static void test_reserve(void **state)
{
    (void)state;
    for (unsigned which = 0; which < 2; which++) {
        struct quota *quota = which ? &all.shared : &all.own;
        setup(NULL);
        set(&all.own, all_of(1), 1, 1);
        set(&all.shared, all_of(1), 1, 1);
        hm_quota_set(quota, &(struct budget_limits){.limit = 1, .task_limit = 1}, 1, 500, 1);
        grant(500, BUDGET_TASK, CHARGE_RESERVE);
        refuse(1, BUDGET_TASK, CHARGE_RESERVE, CHARGE_OVER, &quota->reserve, 500);
        refuse(1, BUDGET_DOMAIN, CHARGE_RESERVE, CHARGE_OVER, &quota->reserve, 500);
        assert_int_equal(charges_left(&all.own), 1);
        assert_int_equal(charges_left(&all.shared), 1);
    }
}

/* The first of them speaks. */
static void test_who_refuses(void **state)
{
    (void)state;
    set(&all.own, all_of(100), 100, BUDGET_UNLIMITED);
    set(&all.shared, all_of(100), 100, BUDGET_UNLIMITED);
    for (unsigned which = 0; which < ROW; which++) {
        refuse(101, BUDGET_TASK, CHARGE_HEAP, CHARGE_OVER, row[which], 100);
        if (which == 0)
            set(&all.own, unlimited, 100, BUDGET_UNLIMITED);
        if (which == 1)
            set(&all.own, unlimited, BUDGET_UNLIMITED, BUDGET_UNLIMITED);
        if (which == 2)
            set(&all.shared, unlimited, 100, BUDGET_UNLIMITED);
    }
}

static void test_nothing_is_always_granted(void **state)
{
    (void)state;
    struct budget_limits strict = all_of(1);
    strict.strict = true;
    set(&all.own, strict, 1, 0);
    set(&all.shared, strict, 1, 0);
    struct charge none = of(0, BUDGET_PROCESS, CHARGE_HEAP);
    quota_settled(&all.own, &none, 100);
    struct quotas before = all;
    for (unsigned level = 0; level < 5; level++)
        for (enum charge_kind kind = CHARGE_COMMIT; kind <= CHARGE_RESERVE; kind++) {
            struct charge charge = of(0, level, kind);
            assert_int_equal(quota_charged(&all.own, &charge).verdict, CHARGE_GRANTED);
            if (level % 2)
                hm_quota_cancel(&all.own, &charge);
            else
                assert_int_equal(quota_settled(&all.own, &charge, 0).verdict, CHARGE_GRANTED);
            hm_quota_refund(&all.own, kind, 0);
        }
    assert_memory_equal(&all, &before, sizeof all);
}

static struct charge other_charge;

static void other_takes(void)
{
    assert_int_equal(quota_tried(&all.other, &other_charge).verdict, CHARGE_GRANTED);
}

static void other_cancels(void)
{
    hm_quota_cancel(&all.other, &other_charge);
}

/* Between the asking and the taking somebody else has taken it: what was taken before that is given back. */
static void test_roll_back(void **state)
{
    (void)state;
    for (unsigned which = 2; which < ROW; which++) {
        setup(NULL);
        limit_one(which, all_of(1000), 1000);
        set(&all.own, unlimited, BUDGET_UNLIMITED, 5);
        struct charge charge = of(600, BUDGET_TASK, CHARGE_HEAP);
        other_charge = charge;
        meanwhile = other_takes;
        at = row[which];
        after_asking = false;
        assert_answer(quota_tried(&all.own, &charge), CHARGE_OVER, row[which], 1000, 600);
        assert_null(meanwhile);
        assert_row(0, 0, 600, 600);
        assert_peaks(0, 0, 0, 0);
        assert_int_equal(charges_left(&all.own), 5);
        quota_settled(&all.other, &other_charge, 600);
        assert_peaks(0, 0, 600, 600);
    }
}

/* What somebody else only held, and gives back, refuses nobody: neither what is asked then is refused, nor does it become
 * an overrun. */
static void test_asked_once_more(void **state)
{
    (void)state;
    for (unsigned which = 2; which < ROW; which++)
        for (unsigned level = BUDGET_TASK; level < BUDGET_LEVELS; level++) {
            setup(NULL);
            limit_one(which, all_of(1000), 1000);
            set(&all.own, unlimited, BUDGET_UNLIMITED, 5);
            struct charge charge = of(600, level, CHARGE_HEAP);
            other_charge = of(600, BUDGET_TASK, CHARGE_HEAP);
            other_takes();
            meanwhile = other_cancels;
            at = row[which];
            after_asking = true;
            assert_int_equal(quota_charged(&all.own, &charge).verdict, CHARGE_GRANTED);
            assert_null(meanwhile);
            assert_int_equal(charge.overruns, 0);
            assert_row(600, 600, 600, 600);
            assert_int_equal(quota_settled(&all.own, &charge, 600).verdict, CHARGE_GRANTED);
            assert_row(600, 600, 600, 600);
            assert_peaks(600, 600, 600, 600);
            assert_int_equal(row[which]->overruns, 0);
            assert_int_equal(charges_left(&all.own), level == BUDGET_PROCESS ? 5 : 4);
        }
}

/* Counted: charges to commit that may be refused, and are granted. */
static void test_fail_after(void **state)
{
    (void)state;
    set(&all.own, all_of(1000), 800, 3);
    assert_int_equal(budget_ceiling(&all.own.charges, BUDGET_TASK), 3);
    grant(1, BUDGET_TASK, CHARGE_COMMIT);
    grant(1, BUDGET_PROCESS, CHARGE_COMMIT);
    grant(1, BUDGET_PROCESS, CHARGE_HEAP);
    grant(0, BUDGET_TASK, CHARGE_COMMIT);
    grant(1, BUDGET_TASK, CHARGE_RESERVE);
    grant(1, BUDGET_DOMAIN, CHARGE_HEAP);
    refuse(900, BUDGET_TASK, CHARGE_HEAP, CHARGE_OVER, &all.own.heap, 800);
    refuse(1000, BUDGET_TASK, CHARGE_COMMIT, CHARGE_OVER, &all.own.commit, 1000);
    assert_int_equal(budget_ceiling(&all.own.charges, BUDGET_TASK), 3); /* as it was set */
    assert_int_equal(charges_left(&all.own), 1);

    /* What came to nothing was none. */
    struct charge charge = of(1, BUDGET_TASK, CHARGE_HEAP);
    assert_int_equal(quota_charged(&all.own, &charge).verdict, CHARGE_GRANTED);
    assert_int_equal(charges_left(&all.own), 0);
    hm_quota_cancel(&all.own, &charge);
    assert_int_equal(charges_left(&all.own), 1);
    grant(1, BUDGET_TASK, CHARGE_HEAP);
    for (int i = 0; i < 3; i++) {
        refuse(1, BUDGET_TASK, CHARGE_COMMIT, CHARGE_FAILED, &all.own.commit, 1000);
        refuse(1, BUDGET_DOMAIN, CHARGE_HEAP, CHARGE_FAILED, &all.own.commit, 1000);
        grant(1, BUDGET_PROCESS, CHARGE_HEAP);
        grant(1, BUDGET_TASK, CHARGE_RESERVE);
    }
    set(&all.own, all_of(1000), 800, BUDGET_UNLIMITED);
    grant(1, BUDGET_TASK, CHARGE_COMMIT);
    set(&all.own, all_of(1000), 800, 0);
    refuse(1, BUDGET_TASK, CHARGE_COMMIT, CHARGE_FAILED, &all.own.commit, 1000);
}

/* Of what the one fails the other counts nothing; each of them counts what is granted. */
static void test_fail_after_of_two(void **state)
{
    (void)state;
    set(&all.own, all_of(1000), BUDGET_UNLIMITED, 2);
    set(&all.shared, all_of(500), BUDGET_UNLIMITED, 1);
    struct charge charge = of(1, BUDGET_TASK, CHARGE_COMMIT);
    assert_int_equal(quota_charged(&all.own, &charge).verdict, CHARGE_GRANTED);
    assert_int_equal(charges_left(&all.own), 1);
    assert_int_equal(charges_left(&all.shared), 0);
    refuse(1, BUDGET_TASK, CHARGE_COMMIT, CHARGE_FAILED, &all.shared.commit, 500);
    assert_int_equal(charges_left(&all.own), 1);
    hm_quota_cancel(&all.own, &charge);
    assert_int_equal(charges_left(&all.own), 2);
    assert_int_equal(charges_left(&all.shared), 1);
    refuse(501, BUDGET_TASK, CHARGE_COMMIT, CHARGE_OVER, &all.shared.commit, 500);
    set(&all.shared, all_of(500), BUDGET_UNLIMITED, 10);
    grant(1, BUDGET_TASK, CHARGE_COMMIT);
    grant(1, BUDGET_TASK, CHARGE_COMMIT);
    refuse(1, BUDGET_TASK, CHARGE_COMMIT, CHARGE_FAILED, &all.own.commit, 1000);
    assert_int_equal(charges_left(&all.shared), 8);
}

/* Every set of the four beyond its ceiling: these have nothing of it before the memory is there, the others hold it. */
static void test_overruns(void **state)
{
    (void)state;
    for (unsigned beyond = 0; beyond < 1 << ROW; beyond++)
        for (int comes = 0; comes < 2; comes++) {
            static struct quotas before;
            struct budget_limits own = all_of(beyond & 1 ? 900 : 5000),
                                 shared = all_of(beyond & 4 ? 900 : 5000);
            own.margin = shared.margin = 100;
            setup(NULL);
            set(&all.own, own, beyond & 2 ? 1000 : 5100, BUDGET_UNLIMITED);
            set(&all.shared, shared, beyond & 8 ? 1000 : 5100, BUDGET_UNLIMITED);
            grant(990, BUDGET_PROCESS, CHARGE_HEAP);
            before = all;
            struct charge charge = of(70, beyond % 3 ? BUDGET_PROCESS : 7, CHARGE_HEAP);
            struct answer answer = quota_charged(&all.own, &charge);
            const unsigned first = beyond != 0 ? (unsigned)__builtin_ctz(beyond) : 0;
            if (beyond == 0)
                assert_int_equal(answer.verdict, CHARGE_GRANTED);
            else
                assert_answer(answer, CHARGE_OVERRUN, row[first], 1000, 990);
            for (unsigned i = 0; i < ROW; i++) {
                assert_int_equal(row[i]->used, beyond >> i & 1 ? 990 : 1060);
                assert_int_equal(row[i]->peak, 990);
                assert_int_equal(row[i]->overruns, 0);
            }
            if (!comes) {
                hm_quota_cancel(&all.own, &charge);
                assert_memory_equal(&all, &before, sizeof all);
                continue;
            }
            answer = quota_settled(&all.own, &charge, 70);
            if (beyond == 0)
                assert_int_equal(answer.verdict, CHARGE_GRANTED);
            else
                assert_answer(answer, CHARGE_OVERRUN, row[first], 1000, 1060);
            assert_row(1060, 1060, 1060, 1060);
            assert_peaks(1060, 1060, 1060, 1060);
            for (unsigned i = 0; i < ROW; i++) {
                assert_int_equal(row[i]->overruns, beyond >> i & 1);
                assert_int_equal(row[i]->overrun_bytes, beyond >> i & 1 ? 70 : 0);
                assert_int_equal(row[i]->overrun_peak, beyond >> i & 1 ? 60 : 0);
            }
        }
}

/* An overrun of the heap is no way around a strict limit of all, however many are under way at once. */
static void test_strict(void **state)
{
    (void)state;
    struct budget_limits strict = all_of(1000);
    strict.margin = 100;
    strict.strict = true;
    for (int shared = 0; shared < 2; shared++) {
        setup(NULL);
        struct quota *quota = shared ? &all.shared : &all.own;
        set(quota, strict, 50, BUDGET_UNLIMITED);
        struct charge a = of(600, BUDGET_PROCESS, CHARGE_HEAP), b = of(500, BUDGET_PROCESS, CHARGE_HEAP);
        assert_answer(quota_charged(&all.own, &a), CHARGE_OVERRUN, &quota->heap, 50, 0);
        refuse(501, BUDGET_PROCESS, CHARGE_HEAP, CHARGE_OVER, &quota->commit, 1100);
        refuse(501, BUDGET_DOMAIN, CHARGE_COMMIT, CHARGE_OVER, &quota->commit, 1000);
        assert_answer(quota_charged(&all.own, &b), CHARGE_OVERRUN, &quota->heap, 50, 0);
        refuse(1, BUDGET_PROCESS, CHARGE_COMMIT, CHARGE_OVER, &quota->commit, 1100);
        assert_answer(quota_settled(&all.own, &a, 600), CHARGE_OVERRUN, &quota->heap, 50, 600);
        assert_answer(quota_settled(&all.own, &b, 500), CHARGE_OVERRUN, &quota->heap, 50, 1100);
        assert_int_equal(quota->commit.used, 1100);
        assert_int_equal(quota->commit.overruns, 0);
        assert_int_equal(quota->heap.overruns, 2);
    }
}

/* What came of it is less than was charged, or more; only what is more may be an overrun. */
static void test_settled_otherwise(void **state)
{
    (void)state;
    static const uint64_t taken[] = {0, 1, 99, 100, 101, 150, 1000};
    for (unsigned i = 0; i < sizeof taken / sizeof taken[0]; i++)
        for (uint64_t charged = 0; charged <= 100; charged += 100) {
            setup(NULL);
            limit_one(3, unlimited, 120);
            struct charge charge = of(charged, BUDGET_TASK, CHARGE_HEAP);
            assert_int_equal(quota_charged(&all.own, &charge).verdict, CHARGE_GRANTED);
            struct answer answer = quota_settled(&all.own, &charge, taken[i]);
            assert_row(taken[i], taken[i], taken[i], taken[i]);
            assert_peaks(taken[i], taken[i], taken[i], taken[i]);
            if (taken[i] <= 120) {
                assert_int_equal(answer.verdict, CHARGE_GRANTED);
                assert_int_equal(all.shared.heap.overruns, 0);
            } else {
                assert_answer(answer, CHARGE_OVERRUN, &all.shared.heap, 120, taken[i]);
                assert_int_equal(all.shared.heap.overruns, 1);
                assert_int_equal(all.shared.heap.overrun_bytes, taken[i] - charged);
                assert_int_equal(all.shared.heap.overrun_peak, taken[i] - 120);
            }
            hm_quota_refund(&all.own, CHARGE_HEAP, taken[i]);
            assert_row(0, 0, 0, 0);
        }
}

/* The heap's budgets alone, whatever they say. */
static void test_becomes_heap(void **state)
{
    (void)state;
    set(&all.own, all_of(1000), 1000, 1);
    set(&all.shared, all_of(1000), 50, 1);
    grant(100, BUDGET_PROCESS, CHARGE_COMMIT);
    assert_row(100, 0, 100, 0);
    hm_quota_move(&all.own, CHARGE_COMMIT, CHARGE_HEAP, 80);
    assert_row(100, 80, 100, 80);
    assert_peaks(100, 80, 100, 80);
    assert_int_equal(all.own.heap.overruns, 0);
    assert_int_equal(all.shared.heap.overruns, 1);
    assert_int_equal(all.shared.heap.overrun_peak, 30);
    hm_quota_move(&all.own, CHARGE_HEAP, CHARGE_COMMIT, 60);
    assert_row(100, 20, 100, 20);
    hm_quota_refund(&all.own, CHARGE_HEAP, 20);
    hm_quota_refund(&all.own, CHARGE_COMMIT, 80);
    assert_row(0, 0, 0, 0);
    assert_int_equal(charges_left(&all.own), 1);
}

/* The least that eTaskCritical may have; margin, soft mark, limit and address space have no part in it. */
static void test_shown(void **state)
{
    (void)state;
    const uint64_t none = BUDGET_UNLIMITED;
    static const struct {
        uint64_t own, own_heap, shared, shared_heap, shown;
    } rows[] = {
        {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX},
        {700, UINT64_MAX, UINT64_MAX, UINT64_MAX, 700},
        {UINT64_MAX, 700, UINT64_MAX, UINT64_MAX, 700},
        {UINT64_MAX, UINT64_MAX, 700, UINT64_MAX, 700},
        {UINT64_MAX, UINT64_MAX, UINT64_MAX, 700, 700},
        {100, 200, 300, 400, 100},
        {400, 100, 200, 300, 100},
        {300, 400, 100, 200, 100},
        {200, 300, 400, 100, 100},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct budget_limits own = {.limit = none, .task_limit = rows[i].own, .margin = 5, .soft = 7};
        struct budget_limits shared = {.limit = none, .task_limit = rows[i].shared, .margin = 9, .soft = 3};
        setup(NULL);
        hm_quota_set(&all.own, &own, rows[i].own_heap, 1, 1);
        hm_quota_set(&all.shared, &shared, rows[i].shared_heap, 1, 1);
        grant(50, BUDGET_PROCESS, CHARGE_HEAP); /* nor has what is used */
        assert_int_equal(hm_quota_shown(&all.own), rows[i].shown);
    }
}

static unsigned crossings;

static void count_crossing(void)
{
    crossings++;
}

/* Each budget wakes for its own watermarks; one that nobody looks at calls nobody. */
static void test_watched(void **state)
{
    (void)state;
    struct budget_limits soft = unlimited;
    soft.soft = 800;
    set(&all.shared, soft, 800, BUDGET_UNLIMITED);
    hm_quota_watch(&all.shared, count_crossing);
    struct charge a = of(850, BUDGET_TASK, CHARGE_COMMIT), b = of(10, BUDGET_TASK, CHARGE_COMMIT);
    crossings = 0;
    quota_charged(&all.own, &a);
    quota_settled(&all.own, &a, 850);
    assert_int_equal(crossings, 0);
    assert_int_equal(hm_budget_pressure(&all.shared.commit), BUDGET_LOW);
    assert_int_equal(hm_budget_pressure(&all.own.commit), BUDGET_HIGH);
    quota_charged(&all.other, &b);
    quota_settled(&all.other, &b, 10);
    hm_quota_refund(&all.own, CHARGE_COMMIT, 160);
    assert_int_equal(crossings, 0);
    hm_quota_refund(&all.other, CHARGE_COMMIT, 1);
    assert_int_equal(crossings, 1);
    assert_int_equal(hm_budget_pressure(&all.shared.commit), BUDGET_NEUTRAL);

    /* heap_limit's mark is at seven eighths of it. */
    assert_int_equal(hm_budget_pressure(&all.shared.heap), BUDGET_HIGH);
    crossings = 0;
    hm_quota_move(&all.own, CHARGE_COMMIT, CHARGE_HEAP, 690);
    assert_int_equal(crossings, 1);
    assert_int_equal(hm_budget_pressure(&all.shared.heap), BUDGET_NEUTRAL);
    hm_quota_move(&all.other, CHARGE_COMMIT, CHARGE_HEAP, 9);
    assert_int_equal(crossings, 1);
    grant(1, BUDGET_TASK, CHARGE_HEAP);
    assert_int_equal(crossings, 2);
    assert_int_equal(hm_budget_pressure(&all.shared.heap), BUDGET_LOW);
    crossings = 0;
    set(&all.shared, soft, 900, BUDGET_UNLIMITED);
    assert_true(crossings > 0);
    assert_int_equal(hm_budget_pressure(&all.shared.heap), BUDGET_LOW); /* an eighth below 788 is 690 */
    hm_quota_move(&all.other, CHARGE_HEAP, CHARGE_COMMIT, 11);
    assert_int_equal(hm_budget_pressure(&all.shared.heap), BUDGET_NEUTRAL);
}

/* No soft mark without a heap limit. */
static void test_no_heap_limit_no_pressure(void **state)
{
    (void)state;
    hm_quota_watch(&all.own, count_crossing);
    assert_int_equal(hm_budget_pressure(&all.own.heap), BUDGET_HIGH);
    crossings = 0;
    grant((uint64_t)1 << 60, BUDGET_TASK, CHARGE_HEAP);
    assert_int_equal(crossings, 0);
    assert_int_equal(hm_budget_pressure(&all.own.heap), BUDGET_HIGH);
}

/* The load that GetMemoryLoad answers: the tightest of machine, sum and heap, own and shared. */
static void test_load(void **state)
{
    (void)state;
    static const struct {
        uint64_t task_limit, used, heap_limit, heap, shared_limit, shared_used, shared_heap_limit,
            shared_heap;
        uint32_t percent;
        uint64_t available;
    } rows[] = {
        /* the machine's own */
        {UINT64_MAX, 900, UINT64_MAX, 500, UINT64_MAX, 900, UINT64_MAX, 500, 40, 600},
        /* the machine is tighter */
        {1000, 300, 1000, 300, UINT64_MAX, 300, UINT64_MAX, 300, 40, 600},
        /* the sum is */
        {1000, 450, UINT64_MAX, 450, UINT64_MAX, 450, UINT64_MAX, 450, 45, 550},
        /* the heap is */
        {1000, 450, 500, 400, UINT64_MAX, 450, UINT64_MAX, 400, 80, 100},
        /* the sum is tighter than the heap */
        {1000, 900, 500, 250, UINT64_MAX, 900, UINT64_MAX, 250, 90, 100},
        /* what is shared is, which others use too */
        {1000, 300, UINT64_MAX, 0, 500, 400, UINT64_MAX, 0, 80, 100},
        {1000, 300, 1000, 100, UINT64_MAX, 300, 400, 300, 75, 100},
        /* own is tighter than shared */
        {200, 150, UINT64_MAX, 0, 1000, 150, UINT64_MAX, 0, 75, 50},
        /* each figure by itself */
        {1000, 200, UINT64_MAX, 0, 10000, 9000, UINT64_MAX, 0, 90, 600},
        {10000, 9000, 700, 400, UINT64_MAX, 9000, UINT64_MAX, 400, 90, 300},
        /* at the limit, and above one that was lowered */
        {100, 100, UINT64_MAX, 0, UINT64_MAX, 100, UINT64_MAX, 0, 100, 0},
        {100, 250, UINT64_MAX, 0, UINT64_MAX, 250, UINT64_MAX, 0, 100, 0},
        {UINT64_MAX, 250, 100, 250, UINT64_MAX, 250, UINT64_MAX, 250, 100, 0},
        /* rounded down: 100 is full; no division by nothing */
        {1000, 999, UINT64_MAX, 0, UINT64_MAX, 999, UINT64_MAX, 0, 99, 1},
        {0, 0, UINT64_MAX, 0, UINT64_MAX, 0, UINT64_MAX, 0, 100, 0},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct budget_limits own = unlimited;
        own.task_limit = rows[i].task_limit;
        own.margin = 5000;
        setup(NULL);
        set(&all.own, own, rows[i].heap_limit, BUDGET_UNLIMITED);
        set(&all.shared, all_of(rows[i].shared_limit), rows[i].shared_heap_limit, BUDGET_UNLIMITED);
        budget_forced(&all.own.commit, rows[i].used);
        budget_forced(&all.own.heap, rows[i].heap);
        budget_forced(&all.shared.commit, rows[i].shared_used);
        budget_forced(&all.shared.heap, rows[i].shared_heap);
        struct memory_load load = {.percent = 40, .available = 600};
        hm_memory_load_tighten(&load, &all.own);
        assert_int_equal(load.percent, rows[i].percent);
        assert_int_equal(load.available, rows[i].available);
    }
}

#define quota_test(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        quota_test(test_each_may_refuse),
        quota_test(test_reserve),
        quota_test(test_who_refuses),
        quota_test(test_nothing_is_always_granted),
        quota_test(test_roll_back),
        quota_test(test_asked_once_more),
        quota_test(test_fail_after),
        quota_test(test_fail_after_of_two),
        quota_test(test_overruns),
        quota_test(test_strict),
        quota_test(test_settled_otherwise),
        quota_test(test_becomes_heap),
        quota_test(test_shown),
        quota_test(test_watched),
        quota_test(test_no_heap_limit_no_pressure),
        quota_test(test_load),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

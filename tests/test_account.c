/*
 * test_account.c - accounts by themselves: what credit in the lanes of several threads leaves of exactness
 *
 * No manager and no memory: bytes are numbers here.  Random operations go to one of several threads at a time, so that
 * their lanes hold credit, and after each everything that can be seen is as if there were none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include <windows.h>

#include "memory/account.h"
#include "support/crew.h"

enum { THREADS = 4, OPERATIONS = 20000, OUTSTANDING = 64 };

enum kind { CHARGE, FORCE, REFUND };

/* What the threads work on. */
static struct {
    struct lane lanes[LANES];
    struct budget budget;
    struct account committed, heap;
    unsigned crossings;
} books;

/* The same, by adding up. */
static struct {
    uint64_t used, peak, overruns;
    uint64_t now[2], gauge_peak[2];
    uint64_t above, below; /* armed watermarks */
    unsigned crossings;
} model;

/* An operation, for the thread whose turn it is. */
static struct {
    enum kind kind;
    struct account *account;
    uint64_t bytes;
    unsigned level;
    bool cancel;
    struct budget_answer answer;
} order;

static HANDLE turn[THREADS], done;
static volatile bool over;

static void count_crossing(void)
{
    books.crossings++;
}

static void obey(void)
{
    if (order.kind == FORCE) {
        order.answer = hm_account_force(order.account, order.bytes);
    } else if (order.kind == REFUND) {
        hm_account_refund(order.account, order.bytes);
    } else {
        order.answer = hm_account_charge(order.account, order.bytes, order.level);
        bool granted = order.answer.verdict == BUDGET_GRANTED || order.answer.verdict == BUDGET_OVERRUN;
        if (granted && order.cancel)
            hm_account_cancel(order.account, order.bytes);
        else if (granted)
            account_settle(order.account, order.bytes);
    }
}

static DWORD WINAPI thread(void *own_turn)
{
    while (WaitForSingleObject(own_turn, INFINITE) == WAIT_OBJECT_0 && !over) {
        obey();
        SetEvent(done);
    }
    return 0;
}

static uint32_t seed;

static uint32_t draw(uint32_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed % below;
}

static void start(uint64_t limit, uint64_t soft)
{
    const struct budget_limits limits = {
        .limit = limit, .task_limit = limit, .margin = 100000, .soft = soft, .fail_after = BUDGET_UNLIMITED};
    memset(&books, 0, sizeof books);
    memset(&model, 0, sizeof model);
    model.above = UINT64_MAX;
    hm_budget_init(&books.budget);
    hm_account_init(&books.committed, &books.budget, books.lanes, LANE_COMMITTED, false);
    hm_account_init(&books.heap, &books.budget, books.lanes, LANE_HEAP, true);
    hm_budget_set(&books.budget, &limits);
    books.budget.crossed = count_crossing;
}

static void arm(void)
{
    hm_budget_pressure(&books.budget);
    model.above = books.budget.wake_above;
    model.below = books.budget.wake_below;
}

static uint64_t most(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static void model_watermarks(void)
{
    if (model.used >= model.above) {
        model.above = UINT64_MAX;
        model.crossings++;
    }
    if (model.used < model.below) {
        model.below = 0;
        model.crossings++;
    }
}

/* What the order must have come to. */
static void model_order(void)
{
    unsigned which = order.account == &books.heap;
    if (order.kind == REFUND) {
        model.used -= order.bytes;
        model.now[which] -= order.bytes;
        model_watermarks();
        return;
    }
    const uint64_t ceiling = books.budget.ceiling[order.kind == FORCE ? BUDGET_PROCESS : order.level];
    const bool beyond = order.bytes != 0 && model.used + order.bytes > ceiling;
    if (beyond && order.kind == CHARGE && order.level != BUDGET_PROCESS) {
        assert_int_equal(order.answer.verdict, BUDGET_OVER);
        assert_int_equal(order.answer.used, model.used);
        return;
    }
    assert_int_equal(order.answer.verdict, beyond ? BUDGET_OVERRUN : BUDGET_GRANTED);
    model.overruns += beyond;
    model.used += order.bytes;
    model.peak = most(model.peak, model.used);
    model_watermarks();
    if (order.cancel) {
        model.used -= order.bytes;
        model_watermarks();
        return;
    }
    model.now[which] += order.bytes;
    model.gauge_peak[which] = most(model.gauge_peak[which], model.now[which]);
}

static void compare(void)
{
    assert_int_equal(hm_budget_used(&books.budget), model.used);
    assert_int_equal(books.budget.peak, model.peak);
    assert_int_equal(books.budget.overruns, model.overruns);
    assert_int_equal(hm_account_now(&books.committed), model.now[0]);
    assert_int_equal(hm_account_now(&books.heap), model.now[1]);
    assert_int_equal(books.committed.gauge.peak, model.gauge_peak[0]);
    assert_int_equal(books.heap.gauge.peak, model.gauge_peak[1]);
    assert_int_equal(books.crossings, model.crossings);
}

static void run_order(unsigned who)
{
    SetEvent(turn[who]);
    WaitForSingleObject(done, INFINITE);
    model_order();
    compare();
}

/* Mostly what fits into a lane, which credit is for. */
static uint64_t draw_bytes(void)
{
    switch (draw(8)) {
    case 0:
        return draw(5000000);
    case 1:
        return draw(3) * CREDIT_MOST;
    case 2:
        return draw(300);
    default:
        return (uint64_t)draw(64) * 4096;
    }
}

/* Orders at random, as long as nothing differs; returns how many of them changed no sum that others read. */
static unsigned run_orders(void)
{
    struct {
        struct account *account;
        uint64_t bytes;
    } held[OUTSTANDING];
    unsigned count = 0, quiet = 0;
    for (unsigned i = 0; i < OPERATIONS; i++) {
        uint64_t before = books.budget.used;
        if (draw(100) == 0)
            arm();
        if (count == OUTSTANDING || (count != 0 && draw(2) != 0)) {
            unsigned which = draw(count);
            order.kind = REFUND;
            order.account = held[which].account;
            order.bytes = held[which].bytes;
            held[which] = held[--count];
            run_order(draw(THREADS));
        } else {
            order.kind = draw(20) == 0 ? FORCE : CHARGE;
            order.account = draw(2) ? &books.heap : &books.committed;
            order.bytes = draw_bytes();
            order.level = draw(BUDGET_LEVELS);
            order.cancel = order.kind == CHARGE && draw(8) == 0;
            run_order(draw(THREADS));
            bool kept = order.answer.verdict == BUDGET_GRANTED || order.answer.verdict == BUDGET_OVERRUN;
            if (kept && !order.cancel) {
                held[count].account = order.account;
                held[count++].bytes = order.bytes;
            }
        }
        quiet += books.budget.used == before;
    }
    return quiet;
}

static void test_no_limit(void **state)
{
    (void)state;
    start(BUDGET_UNLIMITED, BUDGET_UNLIMITED);
    assert_true(run_orders() > OPERATIONS / 4);
}

/* At the limit, and with both watermarks in reach, credit is of little use. */
static void test_at_the_limit(void **state)
{
    (void)state;
    start(6000000, 5000000);
    run_orders();
    assert_true(model.crossings > 20);
    assert_true(model.overruns > 20);
}

static void test_far_from_the_limit(void **state)
{
    (void)state;
    start((uint64_t)1 << 40, (uint64_t)1 << 39);
    assert_true(run_orders() > OPERATIONS / 4);
}

/* Watermarks above all that credit can hide. */
static void test_big_figures(void **state)
{
    (void)state;
    start((uint64_t)1 << 30, 100000000);
    order.kind = FORCE;
    order.account = &books.heap;
    order.bytes = 86000000;
    order.cancel = false;
    run_order(0);
    arm();
    unsigned quiet = run_orders();
    assert_in_range(quiet, OPERATIONS / 50, OPERATIONS);
    assert_in_range(model.crossings, 6, OPERATIONS);
}

/* What one thread gave back is another one's to take, to the last byte. */
static void test_credit_is_nobodys_own(void **state)
{
    (void)state;
    start(256 * 1024, BUDGET_UNLIMITED);
    for (unsigned who = 0; who < THREADS; who++)
        for (order.kind = CHARGE, order.account = &books.heap, order.level = BUDGET_TASK;;
             order.kind = REFUND) {
            order.bytes = 64 * 1024;
            order.cancel = false;
            run_order(who);
            if (order.kind == REFUND)
                break;
        }
    assert_true(books.budget.used > 0);
    assert_int_equal(model.used, 0);
    order.kind = CHARGE;
    order.account = &books.committed;
    order.bytes = 256 * 1024;
    run_order(0);
    order.bytes = 1;
    run_order(1);
    assert_int_equal(order.answer.verdict, BUDGET_OVER);
}

/* A parent cannot see credit, and an order to fail counts every charge: none is kept then. */
static void test_no_credit(void **state)
{
    (void)state;
    static struct budget parent;
    memset(&parent, 0, sizeof parent);
    hm_budget_init(&parent);
    start(BUDGET_UNLIMITED, BUDGET_UNLIMITED);
    books.budget.parent = &parent;
    hm_account_charge(&books.heap, 4096, BUDGET_TASK);
    account_settle(&books.heap, 4096);
    hm_account_refund(&books.heap, 4096);
    assert_int_equal(parent.used, 0);
    assert_int_equal(books.budget.used, 0);

    const struct budget_limits limits = {
        .limit = BUDGET_UNLIMITED, .task_limit = BUDGET_UNLIMITED, .soft = BUDGET_UNLIMITED, .fail_after = 1};
    start(BUDGET_UNLIMITED, BUDGET_UNLIMITED);
    hm_account_charge(&books.heap, 4096, BUDGET_TASK);
    account_settle(&books.heap, 4096);
    hm_account_refund(&books.heap, 4096);
    assert_int_equal(books.budget.used, 4096); /* all of it credit */
    hm_budget_set(&books.budget, &limits);
    assert_int_equal(hm_account_charge(&books.heap, 4096, BUDGET_TASK).verdict, BUDGET_GRANTED);
    account_settle(&books.heap, 4096);
    hm_account_refund(&books.heap, 4096);
    assert_int_equal(hm_account_charge(&books.heap, 4096, BUDGET_TASK).verdict, BUDGET_FAILED);
    assert_int_equal(hm_budget_used(&books.budget), 0);
}

enum { MEMBERS = 24, ROUNDS = 30000, HOLD = 4, PIECE = 4096, MOST_HELD = 32 * PIECE };

/* No more than what is in use: later by a grant, sooner by a refund. */
static _Atomic uint64_t granted, granted_to_tasks;
static _Atomic uint64_t most_granted;
static atomic_uint refusals[BUDGET_LEVELS];

static bool is_task(const struct member *member)
{
    return member->number % 2 == 0;
}

static struct account *account_of(unsigned which)
{
    return which % 2 ? &books.heap : &books.committed;
}

static void give_up(const struct member *member, unsigned which, uint64_t *held)
{
    atomic_fetch_sub(&granted, *held);
    atomic_fetch_sub(&granted_to_tasks, is_task(member) ? *held : 0);
    hm_account_refund(account_of(which), *held);
    *held = 0;
}

static void try_to_hold(struct member *member, const struct budget_limits *limit, unsigned which,
                        uint64_t bytes, uint64_t *held)
{
    const bool task = is_task(member);
    const unsigned level = task ? BUDGET_TASK : BUDGET_DOMAIN;
    if (hm_account_charge(account_of(which), bytes, level).verdict != BUDGET_GRANTED) {
        atomic_fetch_add(&refusals[level], 1);
        return;
    }
    if (crew_random(member, 8) == 0) {
        hm_account_cancel(account_of(which), bytes);
        return;
    }
    account_settle(account_of(which), bytes);
    uint64_t of_tasks = atomic_fetch_add(&granted_to_tasks, task ? bytes : 0) + (task ? bytes : 0);
    uint64_t now = atomic_fetch_add(&granted, bytes) + bytes;
    crew_check(member, !task || of_tasks <= limit->task_limit, of_tasks);
    crew_check(member, now <= limit->limit, now);
    raise_to(&most_granted, now);
    *held = bytes;
}

/*
 * Everything is refunded in the end.  Tasks have a lower ceiling than the others.  Before anybody refunds anything all
 * have tried to hold more than there is: some are refused, however they are scheduled.
 */
static void charge_and_refund(struct member *member, void *limits)
{
    uint64_t held[HOLD] = {0};
    crew_meet(member);
    for (unsigned which = 0; which < HOLD; which++)
        try_to_hold(member, limits, which, MOST_HELD, &held[which]);
    crew_meet(member);
    for (unsigned i = 0; i < ROUNDS; i++) {
        unsigned which = crew_random(member, HOLD);
        if (held[which] != 0)
            give_up(member, which, &held[which]);
        else
            try_to_hold(member, limits, which, (1 + crew_random(member, MOST_HELD / PIECE)) * PIECE,
                        &held[which]);
    }
    for (unsigned which = 0; which < HOLD; which++)
        give_up(member, which, &held[which]);
}

/* Threads at once, more than have lanes to themselves: never above their ceilings, no byte lost, no peak missed. */
static void test_all_at_once(void **state)
{
    (void)state;
    static struct {
        uint64_t task, all;
    } ceilings[] = {{BUDGET_UNLIMITED, BUDGET_UNLIMITED}, {1000000, 1000000}, {700000, 1000000}};
    for (unsigned i = 0; i < 3; i++) {
        static struct crew crew;
        struct budget_limits limits = {.limit = ceilings[i].all,
                                       .task_limit = ceilings[i].task,
                                       .soft = BUDGET_UNLIMITED,
                                       .fail_after = BUDGET_UNLIMITED};
        start(BUDGET_UNLIMITED, BUDGET_UNLIMITED);
        hm_budget_set(&books.budget, &limits);
        granted = granted_to_tasks = most_granted = 0;
        refusals[BUDGET_TASK] = refusals[BUDGET_DOMAIN] = 0;
        crew_run(&crew, MEMBERS, charge_and_refund, &limits);
        assert_int_equal(hm_budget_used(&books.budget), 0);
        assert_int_equal(hm_account_now(&books.committed), 0);
        assert_int_equal(hm_account_now(&books.heap), 0);
        assert_in_range(books.budget.peak, most_granted, limits.limit);
        assert_true((refusals[BUDGET_TASK] > 0) == (limits.task_limit != BUDGET_UNLIMITED));
        assert_true((refusals[BUDGET_DOMAIN] > 0) == (limits.limit != BUDGET_UNLIMITED));
        assert_int_equal(books.budget.overruns, 0);
    }
}

static int start_threads(void **state)
{
    (void)state;
    seed = 20261126;
    done = CreateEventW(NULL, FALSE, FALSE, NULL);
    for (unsigned i = 0; i < THREADS; i++) {
        turn[i] = CreateEventW(NULL, FALSE, FALSE, NULL);
        if (CreateThread(NULL, 0, thread, turn[i], 0, NULL) == NULL)
            return 1;
    }
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_limit),
        cmocka_unit_test(test_at_the_limit),
        cmocka_unit_test(test_far_from_the_limit),
        cmocka_unit_test(test_big_figures),
        cmocka_unit_test(test_credit_is_nobodys_own),
        cmocka_unit_test(test_no_credit),
        cmocka_unit_test(test_all_at_once),
    };
    return cmocka_run_group_tests(tests, start_threads, NULL);
}

/*
 * test_stock.c - small blocks out of the stock of several threads' lanes: what it leaves of exactness
 *
 * No manager and no memory: bytes are numbers here.  Random orders go to one of several threads at a time, so that
 * their lanes have stock, and after each everything that can be seen is as if there were none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include <windows.h>

#include "memory/blocks.h"
#include "support/crew.h"
#include "support/answers.h"

enum { THREADS = 4, ORDERS = 20000, OUTSTANDING = 64 };

static struct quota quota, shared;
static struct stock stock;
static unsigned crossings;

static void count_crossing(void)
{
    crossings++;
}

static void start(uint64_t task_limit, uint64_t limit, uint64_t soft)
{
    const struct budget_limits limits = {
        .limit = limit, .task_limit = task_limit, .margin = 10000, .soft = soft};
    memset(&quota, 0, sizeof quota);
    memset(&shared, 0, sizeof shared);
    memset(&stock, 0, sizeof stock);
    hm_quota_init(&shared, NULL);
    hm_quota_init(&quota, &stock);
    hm_quota_set(&quota, &limits, BUDGET_UNLIMITED, BUDGET_UNLIMITED, BUDGET_UNLIMITED);
    hm_quota_watch(&quota, count_crossing);
    crossings = 0;
}

static struct charge of(uint64_t bytes, unsigned level)
{
    return (struct charge){.bytes = bytes, .level = level, .kind = CHARGE_COMMIT};
}

/* A block, charged and there. */
static enum charge_verdict take_block(uint64_t bytes, unsigned level)
{
    struct charge charge = of(bytes, level);
    struct answer answer = blocks_charged(&quota, &charge);
    if (answer.verdict == CHARGE_OVER || answer.verdict == CHARGE_FAILED)
        return answer.verdict;
    return blocks_settled(&quota, &charge).verdict;
}

static void assert_figures(uint64_t used, uint64_t blocks, uint64_t held)
{
    assert_int_equal(hm_budget_used(&quota.commit), used);
    assert_int_equal(blocks_now(&quota), blocks);
    assert_int_equal(stock_held(&stock), held);
    assert_int_equal(quota.commit.used, used + held);
    assert_int_equal(stock.charged.now, blocks + held);
}

/* ------------------------------------------------------------------------------------------------ step by step */

static void test_batches(void **state)
{
    (void)state;
    start(BUDGET_UNLIMITED, BUDGET_UNLIMITED, BUDGET_UNLIMITED);
    /* The first one brings a batch, which pays for those that follow. */
    assert_int_equal(take_block(100, BUDGET_TASK), CHARGE_GRANTED);
    assert_figures(100, 100, STOCK_BATCH);
    assert_int_equal(take_block(STOCK_SMALL, BUDGET_TASK), CHARGE_GRANTED);
    assert_figures(100 + STOCK_SMALL, 100 + STOCK_SMALL, STOCK_BATCH - STOCK_SMALL);
    /* What is bigger is charged by itself. */
    assert_int_equal(take_block(STOCK_SMALL + 1, BUDGET_TASK), CHARGE_GRANTED);
    assert_figures(101 + 2 * STOCK_SMALL, 101 + 2 * STOCK_SMALL, STOCK_BATCH - STOCK_SMALL);
    assert_int_equal(quota.commit.peak, 101 + 2 * STOCK_SMALL);
    assert_int_equal(stock.charged.peak, 101 + 2 * STOCK_SMALL);
    blocks_refund(&quota, STOCK_SMALL + 1);
    blocks_refund(&quota, STOCK_SMALL);
    assert_figures(100, 100, STOCK_BATCH);
    blocks_refund(&quota, 100);
    assert_figures(0, 0, STOCK_BATCH + 100);
    assert_int_equal(quota.commit.peak, 101 + 2 * STOCK_SMALL);
}

/* A lane keeps so much, and gives back all but a batch of what is more. */
static void test_mark(void **state)
{
    (void)state;
    enum { BLOCKS = (STOCK_MOST - STOCK_BATCH) / STOCK_SMALL + 2 };
    start(BUDGET_UNLIMITED, BUDGET_UNLIMITED, BUDGET_UNLIMITED);
    for (uint64_t i = 1; i <= BLOCKS; i++)
        take_block(STOCK_SMALL, BUDGET_TASK);
    uint64_t used = BLOCKS * STOCK_SMALL, held = stock_held(&stock);
    assert_in_range(held, 0, STOCK_MOST);
    unsigned given_back = 0;
    while (used != 0) {
        blocks_refund(&quota, STOCK_SMALL);
        used -= STOCK_SMALL;
        held += STOCK_SMALL;
        if (held > STOCK_MOST) {
            held = STOCK_BATCH;
            given_back++;
        }
        assert_figures(used, used, held);
    }
    assert_int_equal(given_back, 1);
}

/* What lanes keep refuses nobody, to the last byte; and no overrun is counted for its sake. */
static void test_taken_back(void **state)
{
    (void)state;
    enum { LIMIT = STOCK_BATCH + 1000, MARGIN = 10000 };
    for (unsigned level = BUDGET_TASK; level < BUDGET_LEVELS; level++) {
        const uint64_t most = level == BUDGET_PROCESS ? LIMIT + MARGIN : LIMIT;
        start(LIMIT, LIMIT, BUDGET_UNLIMITED);
        take_block(1000, BUDGET_TASK);
        assert_figures(1000, 1000, STOCK_BATCH);
        struct charge pages = of(most - 1000, level);
        assert_int_equal(quota_charged(&quota, &pages).verdict, CHARGE_GRANTED);
        assert_int_equal(quota_settled(&quota, &pages, pages.bytes).verdict, CHARGE_GRANTED);
        assert_figures(most, 1000, 0);
        assert_int_equal(quota.commit.peak, most);
        assert_int_equal(quota.commit.overruns, 0);
        blocks_refund(&quota, 1000);
        assert_figures(most - 1000, 0, 1000);
        assert_int_equal(take_block(1001, level), level == BUDGET_PROCESS ? CHARGE_OVERRUN : CHARGE_OVER);
    }
}

/* Nor is it there for those who may not have it: a critical call's batch above task_limit; a limit that was lowered. */
static void test_not_above_a_ceiling(void **state)
{
    (void)state;
    enum { TASK = 50000, LIMIT = 200000 };
    start(TASK, LIMIT, BUDGET_UNLIMITED);
    struct charge pages = of(TASK - 10, BUDGET_TASK);
    quota_charged(&quota, &pages);
    quota_settled(&quota, &pages, pages.bytes);
    assert_int_equal(take_block(1, BUDGET_DOMAIN), CHARGE_GRANTED);
    assert_figures(TASK - 9, 1, STOCK_BATCH);
    assert_int_equal(take_block(10, BUDGET_TASK), CHARGE_OVER);
    assert_int_equal(take_block(9, BUDGET_TASK), CHARGE_GRANTED);
    assert_int_equal(take_block(1, BUDGET_TASK), CHARGE_OVER);
    assert_int_equal(quota.commit.peak, TASK);

    start(TASK, LIMIT, BUDGET_UNLIMITED);
    take_block(100, BUDGET_PROCESS);
    const struct budget_limits lower = {.limit = 150, .task_limit = 150, .soft = BUDGET_UNLIMITED};
    hm_quota_set(&quota, &lower, BUDGET_UNLIMITED, BUDGET_UNLIMITED, BUDGET_UNLIMITED);
    assert_int_equal(take_block(51, BUDGET_TASK), CHARGE_OVER);
    assert_int_equal(take_block(50, BUDGET_TASK), CHARGE_GRANTED);
    assert_int_equal(take_block(1, BUDGET_DOMAIN), CHARGE_OVER);
    for (unsigned level = BUDGET_PROCESS; level != BUDGET_PROCESS + 2; level++)
        assert_int_equal(take_block(1, level), CHARGE_OVERRUN); /* counted, not hidden */
    assert_int_equal(quota.commit.overruns, 2);
}

/* An overrun is nothing before it is there; cancelled, and tried again, it may be paid in another way. */
static void test_cancelled(void **state)
{
    (void)state;
    start(1000, 1000, BUDGET_UNLIMITED);
    take_block(900, BUDGET_TASK);
    struct charge charge = of(10201, BUDGET_PROCESS), little = of(200, BUDGET_TASK);
    struct answer answer = blocks_charged(&quota, &charge);
    assert_int_equal(answer.verdict, CHARGE_OVERRUN);
    assert_int_equal(answer.ceiling, 11000);
    assert_figures(900, 900, 0);
    hm_blocks_cancel(&quota, &charge);
    assert_figures(900, 900, 0);
    assert_int_equal(stock.charged.peak, 900);
    assert_int_equal(quota.commit.peak, 900);
    assert_int_equal(blocks_charged(&quota, &charge).verdict, CHARGE_OVERRUN);
    assert_int_equal(blocks_settled(&quota, &charge).verdict, CHARGE_OVERRUN);
    assert_figures(11101, 11101, 0);
    assert_int_equal(stock.charged.peak, 11101);
    assert_int_equal(quota.commit.overruns, 1);
    assert_int_equal(quota.commit.overrun_peak, 101);

    /* An overrun first, and after a pause from the stock. */
    little.level = BUDGET_PROCESS;
    assert_int_equal(blocks_charged(&quota, &little).verdict, CHARGE_OVERRUN);
    hm_blocks_cancel(&quota, &little);
    blocks_refund(&quota, 10201);
    blocks_refund(&quota, 900);
    assert_figures(0, 0, 900);
    assert_int_equal(blocks_charged(&quota, &little).verdict, CHARGE_GRANTED);
    assert_int_equal(blocks_settled(&quota, &little).verdict, CHARGE_GRANTED);
    assert_figures(200, 200, 700);
    assert_int_equal(quota.commit.overruns, 1);

    /* From the stock, and then not there. */
    assert_int_equal(blocks_charged(&quota, &little).verdict, CHARGE_GRANTED);
    hm_blocks_cancel(&quota, &little);
    assert_int_equal(hm_budget_used(&quota.commit), 200);
    assert_int_equal(blocks_now(&quota), 200);
    assert_int_equal(stock.charged.peak, 11101);
}

/* Others could not take it back; and what is ordered to fail is counted one by one. */
static void test_no_stock(void **state)
{
    (void)state;
    start(BUDGET_UNLIMITED, BUDGET_UNLIMITED, BUDGET_UNLIMITED);
    quota.parent = &shared;
    take_block(100, BUDGET_TASK);
    assert_figures(100, 100, 0);
    assert_int_equal(shared.commit.used, 100);
    assert_int_equal(stock.charged.peak, 100);
    blocks_refund(&quota, 100);
    assert_figures(0, 0, 0);
    assert_int_equal(shared.commit.used, 0);

    const struct budget_limits limits = {
        .limit = BUDGET_UNLIMITED, .task_limit = BUDGET_UNLIMITED, .soft = BUDGET_UNLIMITED};
    start(BUDGET_UNLIMITED, BUDGET_UNLIMITED, BUDGET_UNLIMITED);
    take_block(100, BUDGET_TASK);
    hm_quota_set(&quota, &limits, BUDGET_UNLIMITED, BUDGET_UNLIMITED, 2);
    const uint64_t held = stock_held(&stock);
    assert_int_equal(take_block(100, BUDGET_TASK), CHARGE_GRANTED);
    assert_figures(200, 200, held);
    struct charge charge = of(100, BUDGET_TASK);
    assert_int_equal(blocks_charged(&quota, &charge).verdict, CHARGE_GRANTED);
    assert_int_equal(charges_left(&quota), 0);
    hm_blocks_cancel(&quota, &charge);
    assert_int_equal(charges_left(&quota), 1);
    assert_int_equal(take_block(1, BUDGET_PROCESS), CHARGE_GRANTED);
    assert_int_equal(take_block(100, BUDGET_DOMAIN), CHARGE_GRANTED);
    assert_int_equal(take_block(100, BUDGET_TASK), CHARGE_FAILED);
    assert_figures(301, 301, held);
    blocks_refund(&quota, 301);
    assert_figures(0, 0, held);
}

/* Stock is no pressure, and does not hide any. */
static void test_pressure(void **state)
{
    (void)state;
    enum { SOFT = 40000 };
    start(BUDGET_UNLIMITED, BUDGET_UNLIMITED, SOFT);
    hm_budget_pressure(&quota.commit);
    crossings = 0;
    struct charge pages = of(SOFT - 100, BUDGET_TASK);
    quota_charged(&quota, &pages);
    quota_settled(&quota, &pages, pages.bytes);
    assert_int_equal(crossings, 1); /* half of it */
    assert_int_equal(hm_budget_pressure(&quota.commit), BUDGET_NEUTRAL);
    take_block(10, BUDGET_TASK);
    assert_figures(SOFT - 90, 10, STOCK_BATCH);
    assert_int_equal(crossings, 1);
    assert_int_equal(hm_budget_pressure(&quota.commit), BUDGET_NEUTRAL);
    take_block(89, BUDGET_TASK);
    assert_int_equal(crossings, 1);
    take_block(1, BUDGET_TASK); /* paid from the stock: what is charged in all is the same */
    assert_int_equal(crossings, 2);
    assert_int_equal(hm_budget_pressure(&quota.commit), BUDGET_LOW);

    /* An eighth below it; the last bytes go to the stock. */
    hm_quota_refund(&quota, CHARGE_COMMIT, SOFT / 8);
    assert_int_equal(crossings, 2);
    blocks_refund(&quota, 1);
    assert_int_equal(crossings, 3);
    assert_int_equal(hm_budget_pressure(&quota.commit), BUDGET_NEUTRAL);
}

/* ------------------------------------------------------------------------------------- by one of several threads */

enum kind { BLOCK, PAGES, FORCE, REFUND };

/* The figures, by adding up. */
static struct {
    uint64_t used, peak, overruns;
    uint64_t blocks, blocks_peak;
    uint64_t above, below; /* armed watermarks */
    unsigned crossings;
} model;

/* For the thread whose turn it is. */
static struct {
    enum kind kind;
    bool block; /* of a refund: was it one? */
    struct charge charge;
    bool cancel;
    struct answer answer, settled;
} order;

static HANDLE turn[THREADS], done;

static bool not_refused(void)
{
    return order.answer.verdict == CHARGE_GRANTED || order.answer.verdict == CHARGE_OVERRUN;
}

static void obey(void)
{
    const uint64_t bytes = order.charge.bytes;
    order.settled.verdict = CHARGE_GRANTED;
    if (order.kind == FORCE) {
        const struct charge none = of(0, BUDGET_PROCESS);
        order.settled = quota_settled(&quota, &none, bytes);
    } else if (order.kind == REFUND && order.block) {
        blocks_refund(&quota, bytes);
    } else if (order.kind == REFUND) {
        hm_quota_refund(&quota, CHARGE_COMMIT, bytes);
    } else if (order.kind == BLOCK) {
        order.answer = blocks_charged(&quota, &order.charge);
        if (not_refused() && order.cancel)
            hm_blocks_cancel(&quota, &order.charge);
        else if (not_refused())
            order.settled = blocks_settled(&quota, &order.charge);
    } else {
        order.answer = quota_charged(&quota, &order.charge);
        if (not_refused() && order.cancel)
            hm_quota_cancel(&quota, &order.charge);
        else if (not_refused())
            order.settled = quota_settled(&quota, &order.charge, bytes);
    }
}

static DWORD WINAPI thread(void *own_turn)
{
    while (WaitForSingleObject(own_turn, INFINITE) == WAIT_OBJECT_0) {
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

static void arm(void)
{
    hm_budget_pressure(&quota.commit);
    model.above = quota.commit.wake_above;
    model.below = quota.commit.wake_below;
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

static uint64_t most(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* What the order must have come to. */
static void model_order(void)
{
    const bool block = order.kind == BLOCK || (order.kind == REFUND && order.block);
    const uint64_t bytes = order.charge.bytes;
    if (order.kind == REFUND) {
        model.used -= bytes;
        model.blocks -= block ? bytes : 0;
        model_watermarks();
        return;
    }
    const unsigned level = order.kind == FORCE ? BUDGET_PROCESS : order.charge.level;
    const uint64_t ceiling = quota.commit.ceiling[level];
    const bool beyond = bytes != 0 && model.used + bytes > ceiling;
    if (beyond && level != BUDGET_PROCESS) {
        assert_int_equal(order.answer.verdict, CHARGE_OVER);
        assert_int_equal(order.answer.used, model.used);
        return;
    }
    if (order.kind != FORCE)
        assert_int_equal(order.answer.verdict, beyond ? CHARGE_OVERRUN : CHARGE_GRANTED);
    if (order.kind != FORCE && order.cancel)
        return;
    assert_int_equal(order.settled.verdict, beyond ? CHARGE_OVERRUN : CHARGE_GRANTED);
    model.overruns += beyond;
    model.used += bytes;
    model.peak = most(model.peak, model.used);
    model.blocks += block ? bytes : 0;
    model.blocks_peak = most(model.blocks_peak, model.blocks);
    model_watermarks();
}

static void run_order(unsigned who)
{
    SetEvent(turn[who]);
    WaitForSingleObject(done, INFINITE);
    model_order();
    assert_int_equal(hm_budget_used(&quota.commit), model.used);
    assert_int_equal(quota.commit.peak, model.peak);
    assert_int_equal(quota.commit.overruns, model.overruns);
    assert_int_equal(blocks_now(&quota), model.blocks);
    assert_int_equal(stock.charged.peak, model.blocks_peak);
    assert_int_equal(crossings, model.crossings);
    assert_in_range(stock_held(&stock), 0, THREADS * STOCK_MOST);
}

/* Orders at random, as long as nothing differs; returns how many of them changed no sum that others read. */
static unsigned run_orders(uint64_t task_limit, uint64_t limit, uint64_t soft)
{
    struct {
        uint64_t bytes;
        bool block;
    } held[OUTSTANDING];
    unsigned count = 0, quiet = 0;
    memset(&model, 0, sizeof model);
    model.above = UINT64_MAX;
    start(task_limit, limit, soft);
    for (unsigned i = 0; i < ORDERS; i++) {
        const uint64_t before = quota.commit.used;
        if (draw(100) == 0)
            arm();
        if (count == OUTSTANDING || (count != 0 && draw(2) != 0)) {
            unsigned which = draw(count);
            order.kind = REFUND;
            order.block = held[which].block;
            order.charge = of(held[which].bytes, 0);
            held[which] = held[--count];
            run_order(draw(THREADS));
        } else {
            static const enum kind kinds[] = {BLOCK, BLOCK, BLOCK, BLOCK, BLOCK, BLOCK, PAGES, FORCE};
            order.kind = kinds[draw(8)];
            order.charge = of(order.kind != BLOCK ? (uint64_t)draw(16) * 4096
                              : draw(8) == 0      ? draw(20000)
                                                  : draw(STOCK_SMALL + 100),
                              draw(BUDGET_LEVELS));
            order.cancel = draw(8) == 0;
            run_order(draw(THREADS));
            if (order.kind == FORCE || (not_refused() && !order.cancel)) {
                held[count].bytes = order.charge.bytes;
                held[count++].block = order.kind == BLOCK;
            }
        }
        quiet += quota.commit.used == before;
    }
    return quiet;
}

static void test_no_limit(void **state)
{
    (void)state;
    assert_in_range(run_orders(BUDGET_UNLIMITED, BUDGET_UNLIMITED, BUDGET_UNLIMITED), ORDERS / 3, ORDERS);
}

/* At the limits, and with both watermarks in reach. */
static void test_at_the_limits(void **state)
{
    (void)state;
    run_orders(300000, 350000, 250000);
    assert_true(model.crossings > 20);
    assert_true(model.overruns > 20);
    run_orders(100000, 100000, 80000);
    assert_true(model.overruns > 20);
}

static void test_far_from_the_limit(void **state)
{
    (void)state;
    assert_in_range(run_orders((uint64_t)1 << 40, (uint64_t)1 << 40, (uint64_t)1 << 39), ORDERS / 3, ORDERS);
}

/* What one thread freed is another one's to take. */
static void test_nobodys_own(void **state)
{
    (void)state;
    enum { LIMIT = THREADS * STOCK_SMALL };
    memset(&model, 0, sizeof model);
    model.above = UINT64_MAX;
    start(LIMIT, LIMIT, BUDGET_UNLIMITED);
    order.cancel = false;
    for (unsigned who = 0; who < THREADS; who++) {
        order.kind = BLOCK;
        order.charge = of(STOCK_SMALL, BUDGET_TASK);
        run_order(who);
    }
    for (unsigned who = 0; who < THREADS; who++) {
        order.kind = REFUND;
        order.block = true;
        order.charge = of(STOCK_SMALL, 0);
        run_order(who);
    }
    assert_int_equal(stock_held(&stock), LIMIT);
    order.kind = PAGES;
    order.charge = of(LIMIT, BUDGET_TASK);
    run_order(0);
    assert_int_equal(order.answer.verdict, CHARGE_GRANTED);
    order.kind = BLOCK;
    order.charge = of(1, BUDGET_TASK);
    run_order(1);
    assert_int_equal(order.answer.verdict, CHARGE_OVER);
}

/* ---------------------------------------------------------------------------------------------------- all at once */

enum { MEMBERS = 24, ROUNDS = 30000, HOLD = 8, MOST_HELD = 16384 };

/* No more than what is in use: later by a grant, sooner by a refund. */
static _Atomic uint64_t granted, granted_to_tasks, most_granted;
static atomic_uint refusals[BUDGET_LEVELS];

static bool is_task(const struct member *member)
{
    return member->number % 2 == 0;
}

static void give_up(const struct member *member, uint64_t *held)
{
    atomic_fetch_sub(&granted, *held);
    atomic_fetch_sub(&granted_to_tasks, is_task(member) ? *held : 0);
    blocks_refund(&quota, *held);
    *held = 0;
}

static void try_to_hold(struct member *member, const struct budget_limits *limit, uint64_t bytes,
                        uint64_t *held)
{
    const bool task = is_task(member);
    struct charge charge = of(bytes, task ? BUDGET_TASK : BUDGET_DOMAIN);
    if (blocks_charged(&quota, &charge).verdict != CHARGE_GRANTED) {
        atomic_fetch_add(&refusals[charge.level], 1);
        return;
    }
    if (crew_random(member, 8) == 0) {
        hm_blocks_cancel(&quota, &charge);
        return;
    }
    blocks_settled(&quota, &charge);
    uint64_t of_tasks = atomic_fetch_add(&granted_to_tasks, task ? bytes : 0) + (task ? bytes : 0);
    uint64_t now = atomic_fetch_add(&granted, bytes) + bytes;
    crew_check(member, !task || of_tasks <= limit->task_limit, of_tasks);
    crew_check(member, now <= limit->limit, now);
    raise_to(&most_granted, now);
    *held = bytes;
}

/* Before anybody gives anything back all have tried to hold more than there is: some are refused, however they are
 * scheduled. */
static void charge_and_refund(struct member *member, void *limits)
{
    uint64_t held[HOLD] = {0};
    crew_meet(member);
    for (unsigned which = 0; which < HOLD; which++)
        try_to_hold(member, limits, MOST_HELD, &held[which]);
    crew_meet(member);
    for (unsigned i = 0; i < ROUNDS; i++) {
        unsigned which = crew_random(member, HOLD);
        if (held[which] != 0)
            give_up(member, &held[which]);
        else
            try_to_hold(member, limits, 1 + crew_random(member, i % 8 ? STOCK_SMALL : MOST_HELD),
                        &held[which]);
    }
    for (unsigned which = 0; which < HOLD; which++)
        give_up(member, &held[which]);
}

/* More threads than have lanes to themselves: never above their ceilings, no byte lost, within its bound. */
static void test_all_at_once(void **state)
{
    (void)state;
    static const struct budget_limits all[] = {
        {.limit = BUDGET_UNLIMITED, .task_limit = BUDGET_UNLIMITED, .soft = BUDGET_UNLIMITED},
        {.limit = 400000, .task_limit = 400000, .soft = BUDGET_UNLIMITED},
        {.limit = 400000, .task_limit = 300000, .soft = BUDGET_UNLIMITED}};
    for (unsigned i = 0; i < sizeof all / sizeof all[0]; i++) {
        static struct crew crew;
        struct budget_limits limits = all[i];
        start(BUDGET_UNLIMITED, BUDGET_UNLIMITED, BUDGET_UNLIMITED);
        hm_quota_set(&quota, &limits, BUDGET_UNLIMITED, BUDGET_UNLIMITED, BUDGET_UNLIMITED);
        granted = granted_to_tasks = most_granted = 0;
        refusals[BUDGET_TASK] = refusals[BUDGET_DOMAIN] = 0;
        crew_run(&crew, MEMBERS, charge_and_refund, &limits);
        assert_figures(0, 0, stock_held(&stock));
        assert_in_range(stock_held(&stock), 0, LANES * STOCK_MOST);
        assert_in_range(quota.commit.peak, most_granted, limits.limit);
        assert_in_range(quota.commit.used, 0, limits.limit);
        assert_true((refusals[BUDGET_TASK] > 0) == (limits.task_limit != BUDGET_UNLIMITED));
        assert_true((refusals[BUDGET_DOMAIN] > 0) == (limits.limit != BUDGET_UNLIMITED));
        assert_int_equal(quota.commit.overruns, 0);
    }
    assert_int_equal(LANES * STOCK_MOST, 2 << 20); /* what hostmem.h says */
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
        cmocka_unit_test(test_batches),       cmocka_unit_test(test_mark),
        cmocka_unit_test(test_taken_back),    cmocka_unit_test(test_not_above_a_ceiling),
        cmocka_unit_test(test_cancelled),     cmocka_unit_test(test_no_stock),
        cmocka_unit_test(test_pressure),      cmocka_unit_test(test_no_limit),
        cmocka_unit_test(test_at_the_limits), cmocka_unit_test(test_far_from_the_limit),
        cmocka_unit_test(test_nobodys_own),   cmocka_unit_test(test_all_at_once),
    };
    return cmocka_run_group_tests(tests, start_threads, NULL);
}

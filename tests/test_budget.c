/*
 * test_budget.c - the budget by itself: what each level may take, who refuses, and when somebody is woken
 *
 * No manager and no Win32 memory: bytes are numbers here.  test_budget_threads.c has several threads at it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "memory/budget.h"
#include "memory/memory_load.h"

static unsigned crossings;

static void count_crossing(void)
{
    crossings++;
}

static const struct budget_limits unlimited = {.limit = BUDGET_UNLIMITED,
                                               .task_limit = BUDGET_UNLIMITED,
                                               .soft = BUDGET_UNLIMITED,
                                               .fail_after = BUDGET_UNLIMITED};

static struct budget make(uint64_t limit, uint64_t task_limit, uint64_t margin)
{
    struct budget budget;
    struct budget_limits limits = unlimited;
    memset(&budget, 0, sizeof budget);
    hm_budget_init(&budget);
    limits.limit = limit;
    limits.task_limit = task_limit;
    limits.margin = margin;
    hm_budget_set(&budget, &limits);
    return budget;
}

/* Refusable charges fail after that many; and whether process-critical ones are refused, too. */
static void order_failures(struct budget *budget, uint64_t fail_after, bool strict)
{
    struct budget_limits limits;
    hm_budget_get(budget, &limits);
    limits.fail_after = fail_after;
    limits.strict = strict;
    hm_budget_set(budget, &limits);
}

static void assert_used(const struct budget *budget, uint64_t used, uint64_t peak)
{
    assert_int_equal(budget->used, used);
    assert_int_equal(budget->peak, peak);
}

static void assert_granted(struct budget *budget, uint64_t bytes, unsigned level)
{
    uint64_t before = budget->used;
    assert_int_equal(hm_budget_charge(budget, bytes, level).verdict, BUDGET_GRANTED);
    assert_int_equal(budget->used, before + bytes);
}

/* Refused, by whom and why; nobody has anything of it. */
static void assert_refused(struct budget *budget, uint64_t bytes, unsigned level, enum budget_verdict verdict,
                           const struct budget *by, uint64_t ceiling)
{
    uint64_t used_by = by->used, before = budget->used;
    struct budget_answer answer = hm_budget_charge(budget, bytes, level);
    assert_int_equal(answer.verdict, verdict);
    assert_ptr_equal(answer.by, by);
    assert_int_equal(answer.ceiling, ceiling);
    assert_int_equal(answer.used, used_by);
    assert_int_equal(by->used, used_by);
    assert_int_equal(budget->used, before);
}

static void test_ceilings_by_level(void **state)
{
    (void)state;
    struct budget b = make(1000, 600, 200);
    assert_granted(&b, 599, BUDGET_TASK);
    assert_refused(&b, 2, BUDGET_TASK, BUDGET_OVER, &b, 600);
    assert_granted(&b, 1, BUDGET_TASK);
    assert_refused(&b, 1, BUDGET_TASK, BUDGET_OVER, &b, 600);
    assert_granted(&b, 400, BUDGET_DOMAIN);
    assert_refused(&b, 1, BUDGET_DOMAIN, BUDGET_OVER, &b, 1000);
    assert_refused(&b, 1, BUDGET_TASK, BUDGET_OVER, &b, 600);
    assert_granted(&b, 200, BUDGET_PROCESS);
    assert_used(&b, 1200, 1200);
    assert_int_equal(b.overruns, 0);
    hm_budget_refund(&b, 601);
    assert_granted(&b, 1, BUDGET_TASK);
    assert_used(&b, 600, 1200);
}

static void test_beyond_the_margin(void **state)
{
    (void)state;
    for (unsigned level = BUDGET_PROCESS; level != 1; level = level == BUDGET_PROCESS ? 3
                                                              : level == 3            ? UINT32_MAX
                                                                                      : 1) {
        struct budget b = make(1000, 1000, 200);
        assert_granted(&b, 1200, level);
        struct budget_answer answer = hm_budget_charge(&b, 70, level);
        assert_int_equal(answer.verdict, BUDGET_OVERRUN);
        assert_ptr_equal(answer.by, &b);
        assert_int_equal(answer.ceiling, 1200);
        assert_int_equal(answer.used, 1270);
        assert_int_equal(hm_budget_charge(&b, 30, level).verdict, BUDGET_OVERRUN);
        assert_used(&b, 1300, 1300);
        hm_budget_refund(&b, 90);
        assert_int_equal(hm_budget_charge(&b, 1, level).verdict, BUDGET_OVERRUN);
        assert_int_equal(b.overruns, 3);
        assert_int_equal(b.overrun_bytes, 101);
        assert_int_equal(b.overrun_peak, 100);

        struct budget_limits limits = unlimited;
        limits.limit = limits.task_limit = 1000;
        limits.margin = 400;
        limits.strict = true;
        hm_budget_set(&b, &limits);
        assert_granted(&b, 189, level); /* 1400 */
        assert_refused(&b, 1, level, BUDGET_OVER, &b, 1400);
        assert_int_equal(b.overruns, 3);
    }
}

/* What is committed already is charged in any case; only what is over the margin is an overrun. */
static void test_force(void **state)
{
    (void)state;
    struct budget b = make(1000, 10, 100);
    order_failures(&b, 0, true);
    assert_int_equal(hm_budget_force(&b, 1100).verdict, BUDGET_GRANTED);
    struct budget_answer answer = hm_budget_force(&b, 5);
    assert_int_equal(answer.verdict, BUDGET_OVERRUN);
    assert_ptr_equal(answer.by, &b);
    assert_int_equal(answer.ceiling, 1100);
    assert_int_equal(answer.used, 1105);
    assert_int_equal(hm_budget_force(&b, 0).verdict, BUDGET_GRANTED);
    assert_used(&b, 1105, 1105);
    assert_int_equal(b.overruns, 1);
}

static void test_nothing_is_always_granted(void **state)
{
    (void)state;
    struct budget parent = make(1, 1, 0), b = make(10, 5, 0);
    order_failures(&parent, 0, true);
    b.parent = &parent;
    hm_budget_force(&b, 100);
    for (unsigned level = 0; level < 5; level++)
        assert_granted(&b, 0, level);
    hm_budget_refund(&b, 0);
    assert_used(&b, 100, 100);
    assert_used(&parent, 100, 100);
    assert_int_equal(parent.overruns, 1);
}

/* Sums that do not fit into 64 bits are not small sums. */
static void test_saturation(void **state)
{
    (void)state;
    struct budget b = make(1000, 1000, 0);
    assert_granted(&b, 100, BUDGET_TASK);
    for (unsigned level = BUDGET_TASK; level <= BUDGET_DOMAIN; level++) {
        assert_refused(&b, UINT64_MAX, level, BUDGET_OVER, &b, 1000);
        assert_refused(&b, UINT64_MAX - 99, level, BUDGET_OVER, &b, 1000);
        assert_refused(&b, 901, level, BUDGET_OVER, &b, 1000);
    }
    /* No overrun either: not even eProcessCritical can hold more than there are addresses. */
    assert_refused(&b, UINT64_MAX, BUDGET_PROCESS, BUDGET_OVER, &b, 1000);
    assert_refused(&b, UINT64_MAX - 99, BUDGET_PROCESS, BUDGET_OVER, &b, 1000);
    assert_refused(&b, ((uint64_t)1 << 48) + 1, BUDGET_PROCESS, BUDGET_OVER, &b, 1000);
    assert_int_equal(b.overruns, 0);
    assert_used(&b, 100, 100);

    struct budget_limits limits = unlimited;
    limits.limit = UINT64_MAX - 10;
    limits.margin = 100;
    hm_budget_set(&b, &limits);
    hm_budget_get(&b, &limits);
    assert_int_equal(limits.margin, 100);
    assert_int_equal(b.ceiling[BUDGET_PROCESS], UINT64_MAX);

    struct budget no_limits = make(BUDGET_UNLIMITED, BUDGET_UNLIMITED, 50);
    assert_granted(&no_limits, INT64_MAX - 5, BUDGET_TASK);
    assert_granted(&no_limits, 5, BUDGET_DOMAIN);
}

static void test_fail_after(void **state)
{
    (void)state;
    struct budget b = make(1000, 1000, 0);
    struct budget_limits limits;
    hm_budget_get(&b, &limits);
    assert_int_equal(limits.fail_after, BUDGET_UNLIMITED);
    limits.fail_after = 3;
    hm_budget_set(&b, &limits);
    assert_granted(&b, 1, BUDGET_TASK);
    assert_granted(&b, 1, BUDGET_PROCESS); /* none of those that are counted */
    assert_granted(&b, 0, BUDGET_TASK);    /* nor this */
    assert_granted(&b, 1, BUDGET_DOMAIN);
    hm_budget_get(&b, &limits);
    assert_int_equal(limits.fail_after, 3); /* as it was set */
    assert_int_equal(b.fail_left, 1);
    assert_granted(&b, 1, BUDGET_TASK);
    for (int i = 0; i < 3; i++) {
        assert_refused(&b, 1, BUDGET_TASK, BUDGET_FAILED, &b, 1000);
        assert_refused(&b, 1, BUDGET_DOMAIN, BUDGET_FAILED, &b, 1000);
        assert_granted(&b, 1, BUDGET_PROCESS);
    }
    hm_budget_get(&b, &limits);
    assert_int_equal(b.fail_left, 0);
    limits.fail_after = BUDGET_UNLIMITED;
    hm_budget_set(&b, &limits);
    assert_granted(&b, 1, BUDGET_TASK);
}

static void test_parent(void **state)
{
    (void)state;
    struct budget parent = make(1000, 800, 100), a = make(500, 500, 50), b = make(2000, 2000, 0);
    a.parent = b.parent = &parent;
    assert_granted(&a, 500, BUDGET_TASK);
    assert_refused(&a, 1, BUDGET_TASK, BUDGET_OVER, &a, 500);
    assert_used(&parent, 500, 500);
    assert_granted(&b, 300, BUDGET_TASK);

    /* The parent refuses: the child is refunded, and nothing is seen of it. */
    assert_refused(&b, 1, BUDGET_TASK, BUDGET_OVER, &parent, 800);
    assert_used(&b, 300, 300);
    assert_used(&parent, 800, 800);
    assert_granted(&b, 200, BUDGET_DOMAIN);
    assert_refused(&b, 1, BUDGET_DOMAIN, BUDGET_OVER, &parent, 1000);

    /* An overrun in one of them is the answer; in both, the child's own is. */
    struct budget_answer answer = hm_budget_charge(&a, 60, BUDGET_PROCESS);
    assert_int_equal(answer.verdict, BUDGET_OVERRUN);
    assert_ptr_equal(answer.by, &a);
    assert_int_equal(answer.ceiling, 550);
    assert_int_equal(answer.used, 560);
    assert_int_equal(parent.overruns, 0);
    answer = hm_budget_charge(&b, 50, BUDGET_PROCESS);
    assert_int_equal(answer.verdict, BUDGET_OVERRUN);
    assert_ptr_equal(answer.by, &parent);
    assert_int_equal(answer.ceiling, 1100);
    assert_int_equal(answer.used, 1110);
    assert_int_equal(b.overruns, 0);
    answer = hm_budget_charge(&a, 1, BUDGET_PROCESS);
    assert_ptr_equal(answer.by, &a);
    assert_int_equal(a.overruns, 2);
    assert_int_equal(parent.overruns, 2);

    hm_budget_refund(&a, 561);
    hm_budget_refund(&b, 550);
    assert_used(&a, 0, 561);
    assert_used(&b, 0, 550);
    assert_used(&parent, 0, 1111);
}

static void test_strict_and_fail_after_of_a_parent(void **state)
{
    (void)state;
    struct budget parent = make(1000, 1000, 0), b = make(BUDGET_UNLIMITED, BUDGET_UNLIMITED, 0);
    b.parent = &parent;
    order_failures(&parent, 1, true);
    assert_granted(&b, 100, BUDGET_TASK);
    assert_refused(&b, 100, BUDGET_TASK, BUDGET_FAILED, &parent, 1000);
    assert_refused(&b, 901, BUDGET_PROCESS, BUDGET_OVER, &parent, 1000);
    assert_granted(&b, 900, BUDGET_PROCESS);
    assert_used(&parent, 1000, 1000);

    /* The tighter of the two, which eTaskCritical runs into. */
    assert_int_equal(hm_budget_ceiling(&b), 1000);
    assert_int_equal(hm_budget_ceiling(&parent), 1000);
    b.ceiling[BUDGET_TASK] = 10;
    assert_int_equal(hm_budget_ceiling(&b), 10);
}

/* Of what fails by order the parent sees nothing; of what the parent refuses the order counts nothing. */
static void test_fail_after_below_a_parent(void **state)
{
    (void)state;
    struct budget parent = make(1000, 1000, 0), b = make(BUDGET_UNLIMITED, BUDGET_UNLIMITED, 0);
    b.parent = &parent;
    order_failures(&b, 1, false);
    assert_granted(&b, 100, BUDGET_TASK);
    assert_refused(&b, 800, BUDGET_TASK, BUDGET_FAILED, &b, BUDGET_UNLIMITED);
    assert_used(&b, 100, 100);
    assert_used(&parent, 100, 100);

    /* What the parent refuses was no charge that counts. */
    order_failures(&b, 2, false);
    assert_granted(&b, 100, BUDGET_TASK);
    assert_refused(&b, 900, BUDGET_TASK, BUDGET_OVER, &parent, 1000);
    assert_refused(&b, 900, BUDGET_TASK, BUDGET_OVER, &parent, 1000);
    assert_granted(&b, 100, BUDGET_TASK);
    assert_refused(&b, 100, BUDGET_TASK, BUDGET_FAILED, &b, BUDGET_UNLIMITED);
    assert_used(&parent, 300, 300);
}

/* A limit below use takes nothing away, and is no overrun. */
static void test_limits_changed(void **state)
{
    (void)state;
    struct budget b = make(1000, 1000, 0);
    struct budget_limits limits;
    b.crossed = count_crossing;
    assert_granted(&b, 900, BUDGET_TASK);
    hm_budget_get(&b, &limits);
    limits.limit = limits.task_limit = 500;
    limits.margin = 100;
    limits.strict = true;
    crossings = 0;
    hm_budget_set(&b, &limits);
    assert_int_equal(crossings, 1);
    assert_used(&b, 900, 900);
    for (unsigned level = 0; level < BUDGET_LEVELS; level++)
        assert_refused(&b, 1, level, BUDGET_OVER, &b, level == BUDGET_PROCESS ? 600 : 500);
    hm_budget_refund(&b, 399);
    assert_refused(&b, 1, BUDGET_DOMAIN, BUDGET_OVER, &b, 500);
    assert_granted(&b, 99, BUDGET_PROCESS);
    hm_budget_refund(&b, 101);
    assert_granted(&b, 1, BUDGET_TASK);
    assert_refused(&b, 1, BUDGET_TASK, BUDGET_OVER, &b, 500);
    limits.limit = limits.task_limit = 2000;
    hm_budget_set(&b, &limits);
    assert_granted(&b, 1500, BUDGET_TASK);
    assert_used(&b, 2000, 2000);
    assert_int_equal(b.overruns, 0);
    struct budget_limits read;
    hm_budget_get(&b, &read);
    assert_int_equal(read.limit, 2000);
    assert_int_equal(read.task_limit, 2000);
    assert_int_equal(read.margin, 100);
    assert_int_equal(read.soft, BUDGET_UNLIMITED);
    assert_true(read.strict);
}

static void set_soft(struct budget *budget, uint64_t soft)
{
    struct budget_limits limits = unlimited;
    limits.soft = soft;
    hm_budget_set(budget, &limits);
}

static void use(struct budget *budget, uint64_t bytes)
{
    uint64_t used = budget->used;
    if (bytes > used)
        hm_budget_force(budget, bytes - used);
    else
        hm_budget_refund(budget, used - bytes);
}

/* Up and down, byte by byte where it matters: 800 is an eighth of 100. */
static void test_watermarks(void **state)
{
    (void)state;
    static const struct {
        uint64_t used;
        unsigned crossings; /* on the way there */
        enum budget_pressure pressure;
    } rows[] = {
        {500, 0, BUDGET_HIGH},    {501, 1, BUDGET_NEUTRAL}, {401, 0, BUDGET_NEUTRAL},
        {799, 0, BUDGET_NEUTRAL}, {800, 1, BUDGET_LOW},     {5000, 0, BUDGET_LOW},
        {700, 0, BUDGET_LOW},     {699, 1, BUDGET_NEUTRAL}, {799, 0, BUDGET_NEUTRAL},
        {800, 1, BUDGET_LOW},     {699, 1, BUDGET_NEUTRAL}, {401, 0, BUDGET_NEUTRAL},
        {400, 1, BUDGET_HIGH},    {500, 0, BUDGET_HIGH},    {0, 0, BUDGET_HIGH},
        {800, 1, BUDGET_LOW},     {0, 1, BUDGET_HIGH},      {UINT64_MAX / 2, 1, BUDGET_LOW},
        {401, 1, BUDGET_NEUTRAL}, {400, 1, BUDGET_HIGH},
    };
    struct budget b = make(BUDGET_UNLIMITED, BUDGET_UNLIMITED, 0);
    b.crossed = count_crossing;
    set_soft(&b, 800);
    assert_int_equal(hm_budget_pressure(&b), BUDGET_HIGH);
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        crossings = 0;
        use(&b, rows[i].used);
        assert_int_equal(crossings, rows[i].crossings);
        assert_int_equal(hm_budget_pressure(&b), rows[i].pressure);
        assert_int_equal(hm_budget_pressure(&b), rows[i].pressure); /* looking twice changes nothing */
        assert_int_equal(crossings, rows[i].crossings);
    }
}

/* Each watermark calls once until somebody has looked; what comes before the look is seen by it. */
static void test_a_crossing_is_told_once(void **state)
{
    (void)state;
    struct budget b = make(BUDGET_UNLIMITED, BUDGET_UNLIMITED, 0);
    b.crossed = count_crossing;
    set_soft(&b, 800);
    hm_budget_pressure(&b);
    crossings = 0;
    for (uint64_t used = 1; used <= 900; used++)
        use(&b, used);
    assert_int_equal(crossings, 1); /* at 501; 800 was not armed */
    assert_int_equal(hm_budget_pressure(&b), BUDGET_LOW);
    for (uint64_t used = 899; used > 300; used--)
        use(&b, used);
    assert_int_equal(crossings, 2);
    use(&b, 900);
    assert_int_equal(hm_budget_pressure(&b), BUDGET_LOW);
    assert_int_equal(crossings, 2);
    use(&b, 699);
    assert_int_equal(crossings, 3);
}

/* The parent wakes for its own watermarks, the child for its own; and one that nobody looks at calls nobody. */
static void test_watermarks_of_a_parent(void **state)
{
    (void)state;
    struct budget parent = make(BUDGET_UNLIMITED, BUDGET_UNLIMITED, 0);
    struct budget a = make(BUDGET_UNLIMITED, BUDGET_UNLIMITED, 0), b = a;
    a.parent = b.parent = &parent;
    parent.crossed = count_crossing;
    set_soft(&parent, 800);
    crossings = 0;
    use(&a, 850);
    assert_int_equal(crossings, 0);
    assert_int_equal(hm_budget_pressure(&parent), BUDGET_LOW);
    assert_int_equal(hm_budget_pressure(&a), BUDGET_HIGH);
    use(&b, 10);
    use(&a, 690);
    assert_int_equal(crossings, 0);
    use(&b, 9);
    assert_int_equal(crossings, 1);
    assert_int_equal(hm_budget_pressure(&parent), BUDGET_NEUTRAL);
}

/* A page that is refunded a moment before it is charged is use of nothing, not of everything: it is no pressure. */
static void test_use_below_nothing(void **state)
{
    (void)state;
    for (uint64_t early = 1; early <= 2 * 4096; early += 4095) {
        struct budget b = make(BUDGET_UNLIMITED, BUDGET_UNLIMITED, 0);
        b.crossed = count_crossing;
        set_soft(&b, 80000);
        use(&b, 90000);
        assert_int_equal(hm_budget_pressure(&b), BUDGET_LOW);
        crossings = 0;
        hm_budget_refund(&b, 90000 + early);
        assert_int_equal(crossings, 1);
        assert_int_equal(hm_budget_pressure(&b), BUDGET_HIGH);
        hm_budget_force(&b, early);
        assert_used(&b, 0, 90000);
        assert_int_equal(hm_budget_pressure(&b), BUDGET_HIGH);
    }
}

/* Soft marks so small that the eighths and halves of them are nothing. */
static void test_small_soft_marks(void **state)
{
    (void)state;
    for (uint64_t soft = 1; soft < 40; soft++) {
        struct budget b = make(BUDGET_UNLIMITED, BUDGET_UNLIMITED, 0);
        b.crossed = count_crossing;
        set_soft(&b, soft);
        assert_int_equal(hm_budget_pressure(&b), BUDGET_HIGH);
        enum budget_pressure before = BUDGET_HIGH;
        for (unsigned step = 1; step <= 2 * soft; step++) {
            crossings = 0;
            use(&b, step <= soft ? step : 2 * soft - step);
            struct budget shadow = b;
            shadow.crossed = NULL;
            bool changed = hm_budget_pressure(&shadow) != before;
            assert_true(!changed || crossings == 1);
            before = hm_budget_pressure(&b);
            assert_true(b.used < soft || before == BUDGET_LOW);
            assert_true(b.used > soft / 2 || before == BUDGET_HIGH);
        }
    }
    struct budget b = make(1000, 1000, 0); /* no soft mark: no pressure from here */
    assert_granted(&b, 1000, BUDGET_TASK);
    assert_int_equal(hm_budget_pressure(&b), BUDGET_HIGH);
}

/* The load that GetMemoryLoad answers, tightened by a budget and its parent. */
static void test_load_of_budgets(void **state)
{
    (void)state;
    static const struct {
        uint64_t task_limit, used, parent_limit, parent_used;
        uint32_t percent;
        uint64_t available;
    } rows[] = {
        {UINT64_MAX, 900, UINT64_MAX, 900, 40, 600}, /* the machine's own */
        {1000, 300, UINT64_MAX, 300, 40, 600},       /* the machine is tighter */
        {1000, 450, UINT64_MAX, 450, 45, 550},       /* the budget is */
        {1000, 300, 500, 400, 80, 100},              /* the parent, which others use too */
        {200, 150, 1000, 150, 75, 50},               /* the child is tighter than the parent */
        {1000, 200, 10000, 9000, 90, 600},           /* each figure by itself */
        {100, 100, UINT64_MAX, 100, 100, 0},         /* at the limit */
        {100, 250, UINT64_MAX, 250, 100, 0},         /* a limit lowered below use */
        {1000, 999, UINT64_MAX, 999, 99, 1},         /* rounded down: 100 is full */
        {0, 0, UINT64_MAX, 0, 100, 0},               /* no division by it */
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct budget parent = make(rows[i].parent_limit, rows[i].parent_limit, 0);
        struct budget b = make(BUDGET_UNLIMITED, rows[i].task_limit, 5000);
        hm_budget_force(&b, rows[i].used);
        hm_budget_force(&parent, rows[i].parent_used);
        b.parent = &parent;
        struct memory_load load = {.percent = 40, .available = 600};
        hm_memory_load_tighten(&load, &b);
        assert_int_equal(load.percent, rows[i].percent);
        assert_int_equal(load.available, rows[i].available);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ceilings_by_level),
        cmocka_unit_test(test_beyond_the_margin),
        cmocka_unit_test(test_force),
        cmocka_unit_test(test_nothing_is_always_granted),
        cmocka_unit_test(test_saturation),
        cmocka_unit_test(test_fail_after),
        cmocka_unit_test(test_parent),
        cmocka_unit_test(test_strict_and_fail_after_of_a_parent),
        cmocka_unit_test(test_fail_after_below_a_parent),
        cmocka_unit_test(test_limits_changed),
        cmocka_unit_test(test_watermarks),
        cmocka_unit_test(test_a_crossing_is_told_once),
        cmocka_unit_test(test_watermarks_of_a_parent),
        cmocka_unit_test(test_use_below_nothing),
        cmocka_unit_test(test_small_soft_marks),
        cmocka_unit_test(test_load_of_budgets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

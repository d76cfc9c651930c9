/*
 * test_budget.c - one budget by itself: what each level may take, what shows of it, and when somebody is woken
 *
 * No manager and no Win32 memory: bytes are numbers here.  test_quota.c has several budgets in a row,
 * test_budget_threads.c several threads.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "memory/budget.h"
#include "support/answers.h"

static unsigned crossings;

static void count_crossing(void)
{
    crossings++;
}

static const struct budget_limits unlimited = {
    .limit = BUDGET_UNLIMITED, .task_limit = BUDGET_UNLIMITED, .soft = BUDGET_UNLIMITED};

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

static void assert_used(const struct budget *budget, uint64_t used, uint64_t peak)
{
    assert_int_equal(hm_budget_used(budget), used);
    assert_int_equal(budget->used, used); /* no stock here */
    assert_int_equal(budget->peak, peak);
}

static void assert_overruns(const struct budget *budget, uint64_t count, uint64_t bytes, uint64_t peak)
{
    assert_int_equal(budget->overruns, count);
    assert_int_equal(budget->overrun_bytes, bytes);
    assert_int_equal(budget->overrun_peak, peak);
}

static void assert_answer(struct answer answer, enum charge_verdict verdict, const struct budget *by,
                          uint64_t ceiling, uint64_t used)
{
    assert_int_equal(answer.verdict, verdict);
    assert_ptr_equal(answer.by, by);
    assert_int_equal(answer.ceiling, ceiling);
    assert_int_equal(answer.used, used);
}

/* Asked, taken, and in use from then on. */
static void assert_granted(struct budget *budget, uint64_t bytes, unsigned level)
{
    const uint64_t before = budget->used, peak = budget->peak;
    assert_int_equal(budget_asked(budget, bytes, level).verdict, CHARGE_GRANTED);
    assert_used(budget, before, peak);
    assert_int_equal(budget_taken(budget, bytes, level).verdict, CHARGE_GRANTED);
    assert_used(budget, before + bytes, peak); /* whether there is memory for it remains to be seen */
    budget_note(budget);
    assert_used(budget, before + bytes, before + bytes > peak ? before + bytes : peak);
}

/* Not granted, by asking as by taking; nothing shows of it. */
static void assert_not(struct budget *budget, uint64_t bytes, unsigned level, enum charge_verdict verdict,
                       uint64_t ceiling)
{
    const struct budget before = *budget;
    assert_answer(budget_asked(budget, bytes, level), verdict, budget, ceiling, before.used);
    assert_answer(budget_taken(budget, bytes, level), verdict, budget, ceiling, before.used);
    assert_memory_equal(budget, &before, sizeof before);
}

static void assert_refused(struct budget *budget, uint64_t bytes, unsigned level, uint64_t ceiling)
{
    assert_not(budget, bytes, level, CHARGE_OVER, ceiling);
}

static void test_ceilings_by_level(void **state)
{
    (void)state;
    struct budget b = make(1000, 600, 200);
    assert_granted(&b, 599, BUDGET_TASK);
    assert_refused(&b, 2, BUDGET_TASK, 600);
    assert_granted(&b, 1, BUDGET_TASK);
    assert_refused(&b, 1, BUDGET_TASK, 600);
    assert_granted(&b, 400, BUDGET_DOMAIN);
    assert_refused(&b, 1, BUDGET_DOMAIN, 1000);
    assert_refused(&b, 1, BUDGET_TASK, 600);
    assert_granted(&b, 200, BUDGET_PROCESS);
    assert_used(&b, 1200, 1200);
    assert_overruns(&b, 0, 0, 0);
    budget_give(&b, 601);
    assert_granted(&b, 1, BUDGET_TASK);
    assert_used(&b, 600, 1200);
}

/* Granted, but not taken before it is there; the strict refuse it. */
static void test_beyond_the_margin(void **state)
{
    (void)state;
    struct budget b = make(1000, 1000, 200);
    assert_granted(&b, 1200, BUDGET_PROCESS);
    assert_not(&b, 70, BUDGET_PROCESS, CHARGE_OVERRUN, 1200);
    assert_overruns(&b, 0, 0, 0);
    assert_answer(budget_forced(&b, 70), CHARGE_OVERRUN, &b, 1200, 1270);
    assert_int_equal(budget_forced(&b, 30).verdict, CHARGE_OVERRUN);
    assert_used(&b, 1300, 1300);
    budget_give(&b, 90);
    assert_int_equal(budget_forced(&b, 1).verdict, CHARGE_OVERRUN);
    assert_overruns(&b, 3, 101, 100);

    struct budget_limits limits = unlimited;
    limits.limit = limits.task_limit = 1000;
    limits.margin = 400;
    limits.strict = true;
    hm_budget_set(&b, &limits);
    assert_granted(&b, 189, BUDGET_PROCESS); /* 1400 */
    assert_refused(&b, 1, BUDGET_PROCESS, 1400);
    assert_overruns(&b, 3, 101, 100);
}

/* What is there already is taken in any case; only what is over the margin is an overrun. */
static void test_force(void **state)
{
    (void)state;
    struct budget b = make(1000, 10, 100);
    struct budget_limits limits;
    hm_budget_get(&b, &limits);
    limits.strict = true;
    hm_budget_set(&b, &limits);
    assert_int_equal(budget_forced(&b, 1100).verdict, CHARGE_GRANTED);
    assert_answer(budget_forced(&b, 5), CHARGE_OVERRUN, &b, 1100, 1105);
    assert_used(&b, 1105, 1105);
    assert_overruns(&b, 1, 5, 5);
}

/* Sums that do not fit into 64 bits are not small sums. */
static void test_saturation(void **state)
{
    (void)state;
    struct budget b = make(1000, 1000, 0);
    struct budget_limits limits;
    hm_budget_get(&b, &limits);
    limits.strict = true;
    hm_budget_set(&b, &limits);
    assert_granted(&b, 100, BUDGET_TASK);
    for (unsigned level = BUDGET_TASK; level <= BUDGET_PROCESS; level++) {
        assert_refused(&b, UINT64_MAX, level, 1000);
        assert_refused(&b, UINT64_MAX - 99, level, 1000);
        assert_refused(&b, 901, level, 1000);
    }
    limits.strict = false;
    hm_budget_set(&b, &limits);
    assert_not(&b, UINT64_MAX, BUDGET_PROCESS, CHARGE_OVERRUN, 1000);
    assert_not(&b, UINT64_MAX - 99, BUDGET_PROCESS, CHARGE_OVERRUN, 1000);
    assert_overruns(&b, 0, 0, 0);
    assert_used(&b, 100, 100);

    limits = unlimited;
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

/* What was taken and never noted, since it came to nothing, is in no peak. */
static void test_taken_and_given_back(void **state)
{
    (void)state;
    struct budget b = make(1000, 1000, 0);
    b.crossed = count_crossing;
    assert_granted(&b, 100, BUDGET_TASK);
    crossings = 0;
    assert_int_equal(budget_taken(&b, 900, BUDGET_TASK).verdict, CHARGE_GRANTED);
    assert_refused(&b, 1, BUDGET_TASK, 1000);
    budget_give(&b, 900);
    assert_used(&b, 100, 100);
    assert_int_equal(crossings, 0);
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
        assert_refused(&b, 1, level, level == BUDGET_PROCESS ? 600 : 500);
    budget_give(&b, 399);
    assert_refused(&b, 1, BUDGET_DOMAIN, 500);
    assert_granted(&b, 99, BUDGET_PROCESS);
    budget_give(&b, 101);
    assert_granted(&b, 1, BUDGET_TASK);
    assert_refused(&b, 1, BUDGET_TASK, 500);
    limits.limit = limits.task_limit = 2000;
    hm_budget_set(&b, &limits);
    assert_granted(&b, 1500, BUDGET_TASK);
    assert_used(&b, 2000, 2000);
    assert_overruns(&b, 0, 0, 0);
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
        budget_forced(budget, bytes - used);
    else
        budget_give(budget, used - bytes);
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
        budget_give(&b, 90000 + early);
        assert_int_equal(crossings, 1);
        assert_int_equal(hm_budget_pressure(&b), BUDGET_HIGH);
        budget_forced(&b, early);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ceilings_by_level),
        cmocka_unit_test(test_beyond_the_margin),
        cmocka_unit_test(test_force),
        cmocka_unit_test(test_saturation),
        cmocka_unit_test(test_taken_and_given_back),
        cmocka_unit_test(test_limits_changed),
        cmocka_unit_test(test_watermarks),
        cmocka_unit_test(test_a_crossing_is_told_once),
        cmocka_unit_test(test_use_below_nothing),
        cmocka_unit_test(test_small_soft_marks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

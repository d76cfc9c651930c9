/*
 * test_margin_first.c - HOSTMEM_LIMITS_MARGIN_FIRST: what is process-critical takes from the margin, and the rest has the
 * limits for itself
 */
#include "com/manager.h"
#include "memory/memory_load.h"
#include "support/crew.h"
#include "support/governed.h"

static uint64_t critical(struct governed *g)
{
    return budget_critical(&g->f.manager->vm.table.commit);
}

static void start(struct governed *g, uint32_t flags)
{
    hostmem_limits limits = limits_of(pages(10), pages(6), pages(4), flags), read = {.size = sizeof read};
    governed_limit(g, &limits);
    assert_hresult(hostmem_get_limits(g->f.manager, &read), S_OK);
    assert_int_equal(read.flags, flags);
}

static void test_each_has_its_own(void **state)
{
    struct governed *g = *state;
    start(g, HOSTMEM_LIMITS_MARGIN_FIRST);
    char *heap = grant(g, NULL, 64 * PAGE, MEM_RESERVE, eTaskCritical, 0);
    char *code = grant(g, NULL, 64 * PAGE, MEM_RESERVE, eProcessCritical, 0);
    grant(g, code, 3 * PAGE, MEM_COMMIT, eProcessCritical, pages(3));
    grant(g, heap, 6 * PAGE, MEM_COMMIT, eTaskCritical, pages(6));
    refuse(g, heap + 6 * PAGE, PAGE, MEM_COMMIT, eTaskCritical, task(PAGE, pages(6), pages(6)));
    grant(g, heap + 6 * PAGE, 4 * PAGE, MEM_COMMIT, eAppDomainCritical, pages(4));
    const struct refusal domain = {HOSTMEM_REASON_LIMIT, PAGE, pages(10), pages(10)};
    refuse(g, heap + 10 * PAGE, PAGE, MEM_COMMIT, eAppDomainCritical, domain);

    /* The margin's last page; what is beyond it was not there for anybody. */
    grant(g, code + 3 * PAGE, PAGE, MEM_COMMIT, 3, PAGE);
    const struct refusal beyond = {HOSTMEM_REASON_MARGIN, PAGE, pages(14), pages(15)};
    overrun(g, code + 4 * PAGE, PAGE, MEM_COMMIT, eProcessCritical, beyond);

    /* Of five such pages the margin has four: one counts against the limit. */
    release(g, heap);
    assert_int_equal(critical(g), pages(5));
    heap = grant(g, NULL, 64 * PAGE, MEM_RESERVE, eTaskCritical, 0);
    grant(g, heap, 5 * PAGE, MEM_COMMIT, eTaskCritical, pages(5));
    refuse(g, heap + 5 * PAGE, PAGE, MEM_COMMIT, eTaskCritical, task(PAGE, pages(6), pages(6)));
    decommit(g, code, PAGE);
    grant(g, heap + 5 * PAGE, PAGE, MEM_COMMIT, eTaskCritical, PAGE);

    /* What goes leaves the limit as it was. */
    decommit(g, code, 0);
    assert_int_equal(critical(g), 0);
    refuse(g, heap + 6 * PAGE, PAGE, MEM_COMMIT, eTaskCritical, task(PAGE, pages(6), pages(6)));
    release(g, code);
    release(g, heap);
    assert_int_equal(charged(g), 0);
}

/* Charged with the reservation; committed twice; of two kinds in one region. */
static void test_what_counts_as_critical(void **state)
{
    struct governed *g = *state;
    start(g, HOSTMEM_LIMITS_MARGIN_FIRST);
    char *code = grant(g, NULL, 2 * PAGE, MEM_COMMIT, eProcessCritical, pages(2));
    assert_int_equal(critical(g), pages(2));
    grant(g, code, 2 * PAGE, MEM_COMMIT, eProcessCritical, 0);
    assert_int_equal(critical(g), pages(2));
    release(g, code);
    assert_int_equal(critical(g), 0);

    char *mixed = grant(g, NULL, 64 * PAGE, MEM_RESERVE, eProcessCritical, 0);
    grant(g, mixed, 2 * PAGE, MEM_COMMIT, eTaskCritical, pages(2));
    grant(g, mixed, 4 * PAGE, MEM_COMMIT, eProcessCritical, pages(2));
    assert_int_equal(critical(g), pages(2));
    decommit(g, mixed, PAGE); /* nobody knows of which: of those that were asked for more urgently */
    assert_int_equal(critical(g), pages(1));
    decommit(g, mixed, 4 * PAGE);
    assert_int_equal(critical(g), 0);
    release(g, mixed);
}

/* The flag decides, not what was charged before it was set. */
static void test_set_and_taken_away(void **state)
{
    struct governed *g = *state;
    start(g, 0);
    char *code = grant(g, NULL, 3 * PAGE, MEM_COMMIT, eProcessCritical, pages(3));
    char *heap = grant(g, NULL, 64 * PAGE, MEM_RESERVE, eTaskCritical, 0);
    grant(g, heap, 3 * PAGE, MEM_COMMIT, eTaskCritical, pages(3));
    refuse(g, heap + 3 * PAGE, PAGE, MEM_COMMIT, eTaskCritical, task(PAGE, pages(6), pages(6)));
    start(g, HOSTMEM_LIMITS_MARGIN_FIRST | HOSTMEM_LIMITS_STRICT);
    grant(g, heap + 3 * PAGE, 3 * PAGE, MEM_COMMIT, eTaskCritical, pages(3));
    refuse(g, heap + 6 * PAGE, PAGE, MEM_COMMIT, eTaskCritical, task(PAGE, pages(6), pages(6)));
    start(g, 0);
    refuse(g, heap + 6 * PAGE, PAGE, MEM_COMMIT, eTaskCritical, task(PAGE, pages(6), pages(9)));
    release(g, code);
    release(g, heap);
}

/* A budget of several managers: the margin is theirs together. */
static void test_shared(void **state)
{
    (void)state;
    hostmem_budget *shared;
    hostmem_limits limits = limits_of(pages(6), 0, pages(4), HOSTMEM_LIMITS_MARGIN_FIRST);
    assert_hresult(hostmem_create_budget(&limits, &shared), S_OK);
    struct governed *a = governed_make(NULL, shared), *b = governed_make(NULL, shared);
    char *code = grant(a, NULL, 4 * PAGE, MEM_COMMIT, eProcessCritical, pages(4));
    char *heap = grant(b, NULL, 6 * PAGE, MEM_COMMIT, eTaskCritical, pages(6));
    const struct refusal full = {HOSTMEM_REASON_SHARED, PAGE, pages(6), pages(6)};
    refuse(b, NULL, PAGE, MEM_COMMIT, eTaskCritical, full);
    release(a, code);
    refuse(b, NULL, PAGE, MEM_COMMIT, eTaskCritical, full);
    release(b, heap);
    hostmem_budget_usage usage = {.size = sizeof usage};
    assert_hresult(hostmem_get_budget(shared, NULL, &usage), S_OK);
    assert_int_equal(usage.charged.now, 0);
    governed_end(a);
    governed_end(b);
    hostmem_release_budget(shared);
}

/* ----------------------------------------------------------------------------------- a budget, without a manager */

static unsigned crossings;

static void count_crossing(void)
{
    crossings++;
}

static struct budget make(uint64_t limit, uint64_t margin, uint64_t soft, bool strict)
{
    struct budget budget = {.parent = NULL};
    const struct budget_limits limits = {.limit = limit,
                                         .task_limit = limit,
                                         .margin = margin,
                                         .soft = soft,
                                         .fail_after = BUDGET_UNLIMITED,
                                         .strict = strict,
                                         .margin_first = true};
    hm_budget_init(&budget);
    hm_budget_set(&budget, &limits);
    return budget;
}

/* The soft mark is the heap's, too; the load is that of limit and margin together. */
static void test_soft_and_load(void **state)
{
    (void)state;
    struct budget b = make(1000, 600, 800, false);
    b.crossed = count_crossing;
    hm_budget_charge(&b, 500, BUDGET_PROCESS);
    hm_budget_note_critical(&b, 500);
    hm_budget_charge(&b, 700, BUDGET_TASK);
    assert_int_equal(hm_budget_pressure(&b), BUDGET_NEUTRAL);
    crossings = 0;
    hm_budget_charge(&b, 99, BUDGET_TASK);
    assert_int_equal(crossings, 0);
    hm_budget_charge(&b, 1, BUDGET_TASK);
    assert_int_equal(crossings, 1);
    assert_int_equal(hm_budget_pressure(&b), BUDGET_LOW);
    struct memory_load load = {.percent = 0, .available = 10000};
    hm_memory_load_tighten(&load, &b);
    assert_int_equal(load.percent, 81);
    assert_int_equal(load.available, 300);

    /* Marks were armed with 500 bytes apart: that these go is told. */
    crossings = 0;
    hm_budget_drop_critical(&b, 500);
    hm_budget_refund(&b, 500);
    assert_true(crossings > 0);
    assert_int_equal(hm_budget_pressure(&b), BUDGET_LOW);
    hm_budget_refund(&b, 101);
    assert_int_equal(hm_budget_pressure(&b), BUDGET_NEUTRAL);
}

enum { MEMBERS = 6, ROUNDS = 100000, HOLD = 3, MOST = 300, HEAP = 1000, MARGIN = 400 };

static struct contest {
    struct budget budget;
    _Atomic uint64_t heap; /* no more than what it has */
    atomic_uint refused[2];
} contest;

/* Bytes of the heap's, or critical ones; 0: refused. */
static uint64_t take(struct member *member, bool heap, uint64_t bytes)
{
    struct budget *budget = &contest.budget;
    if (hm_budget_charge(budget, bytes, heap ? BUDGET_TASK : BUDGET_PROCESS).verdict != BUDGET_GRANTED) {
        contest.refused[heap]++;
        return 0;
    }
    if (heap) {
        uint64_t now = atomic_fetch_add(&contest.heap, bytes) + bytes;
        crew_check(member, now <= HEAP, now);
    } else {
        hm_budget_note_critical(budget, bytes);
        crew_check(member, budget->used <= HEAP + MARGIN, budget->used);
    }
    return bytes;
}

static void give(bool heap, uint64_t bytes)
{
    if (heap)
        atomic_fetch_sub(&contest.heap, bytes);
    else
        hm_budget_drop_critical(&contest.budget, bytes);
    hm_budget_refund(&contest.budget, bytes);
}

static void compete(struct member *member, void *context)
{
    const bool heap = member->number % 2 == 0;
    uint64_t held[HOLD] = {0};
    (void)context;
    crew_meet(member);
    for (unsigned h = 0; h < HOLD; h++)
        held[h] = take(member, heap, MOST);
    crew_meet(member); /* all wanted more than there is: some were refused, however they were scheduled */
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t *slot = &held[crew_random(member, HOLD)];
        uint64_t before = *slot;
        *slot = before == 0 ? take(member, heap, 1 + crew_random(member, MOST)) : 0;
        give(heap, before);
    }
    for (unsigned h = 0; h < HOLD; h++)
        give(heap, held[h]);
}

/* However the margin's use changes meanwhile, the heap never has more than its limit. */
static void test_at_once(void **state)
{
    (void)state;
    static struct crew crew;
    contest.budget = make(HEAP, MARGIN, BUDGET_UNLIMITED, true);
    crew_run(&crew, MEMBERS, compete, NULL);
    assert_int_equal(contest.budget.used, 0);
    assert_int_equal(budget_critical(&contest.budget), 0);
    assert_true(contest.refused[true] > 0 && contest.refused[false] > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        governed_test(test_each_has_its_own),   governed_test(test_what_counts_as_critical),
        governed_test(test_set_and_taken_away), cmocka_unit_test(test_shared),
        cmocka_unit_test(test_soft_and_load),   cmocka_unit_test(test_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * test_shared_budgets.c - several managers under one budget
 */
#include "support/governed.h"
#include "support/verified.h"

static hostmem_budget *make_budget(const hostmem_limits *limits)
{
    hostmem_budget *budget = NULL;
    assert_hresult(hostmem_create_budget(limits, &budget), S_OK);
    assert_non_null(budget);
    return budget;
}

static hostmem_budget_usage usage_of(hostmem_budget *budget)
{
    hostmem_budget_usage usage = {.size = sizeof usage, .flags = 0xcd};
    assert_hresult(hostmem_get_budget(budget, NULL, &usage), S_OK);
    assert_int_equal(usage.size, sizeof usage);
    assert_int_equal(usage.flags, 0);
    return usage;
}

static void assert_charged(hostmem_budget *budget, uint64_t now, uint64_t peak)
{
    hostmem_budget_usage usage = usage_of(budget);
    assert_int_equal(usage.charged.now, now);
    assert_int_equal(usage.charged.peak, peak);
}

static struct refusal shared(uint64_t bytes, uint64_t limit, uint64_t used)
{
    return (struct refusal){HOSTMEM_REASON_SHARED, bytes, limit, used};
}

/* One is refused for what the other has; its own budget is as it was. */
static void test_two_managers(void **state)
{
    (void)state;
    hostmem_limits limits = limits_of(pages(10), pages(8), pages(2), 0);
    hostmem_limits own = limits_of(pages(7), 0, 0, 0);
    hostmem_budget *budget = make_budget(&limits);
    struct governed *a = governed_make(&own, budget), *b = governed_make(NULL, budget);
    char *in_a = grant(a, NULL, 64 * PAGE, MEM_RESERVE, eTaskCritical, 0);
    char *in_b = grant(b, NULL, 32 * PAGE, MEM_RESERVE, eTaskCritical, 0);
    assert_int_equal(usage_of(budget).reserved.now, 96 * PAGE);
    grant(a, in_a, 6 * PAGE, MEM_COMMIT, eTaskCritical, pages(6));
    assert_charged(budget, pages(6), pages(6));
    refuse(b, in_b, 3 * PAGE, MEM_COMMIT, eTaskCritical, shared(pages(3), pages(8), pages(6)));
    grant(b, in_b, 2 * PAGE, MEM_COMMIT, eTaskCritical, pages(2));
    refuse_block(b, 1, eTaskCritical, shared(1, pages(8), pages(8)));
    /* Its own limit speaks first. */
    const struct refusal of_its_own = {HOSTMEM_REASON_TASK_LIMIT, pages(2), pages(7), pages(6)};
    refuse(a, in_a + 6 * PAGE, 2 * PAGE, MEM_COMMIT, eTaskCritical, of_its_own);
    refuse(a, in_a + 6 * PAGE, PAGE, MEM_COMMIT, eTaskCritical, shared(PAGE, pages(8), pages(8)));
    grant(b, in_b + 2 * PAGE, 2 * PAGE, MEM_COMMIT, eAppDomainCritical, pages(2));
    refuse(b, in_b + 4 * PAGE, PAGE, MEM_COMMIT, eAppDomainCritical, shared(PAGE, pages(10), pages(10)));

    /* eProcessCritical: from the margin, then as an overrun of the shared budget. */
    grant(b, in_b + 4 * PAGE, 2 * PAGE, MEM_COMMIT, eProcessCritical, pages(2));
    const struct refusal beyond = {HOSTMEM_REASON_SHARED, PAGE, pages(12), pages(13)};
    overrun(b, in_b + 6 * PAGE, PAGE, MEM_COMMIT, eProcessCritical, beyond);
    assert_charged(budget, pages(13), pages(13));
    hostmem_budget_usage usage = usage_of(budget);
    assert_int_equal(usage.overrun.count, 1);
    assert_int_equal(usage.overrun.bytes, PAGE);
    assert_int_equal(usage.overrun.peak, PAGE);
    assert_int_equal(fixture_statistics(b->f.manager).overrun.count, 0); /* none of its own */

    /* What one gives back the other can have. */
    release(a, in_a);
    assert_charged(budget, pages(7), pages(13));
    grant(b, in_b + 7 * PAGE, PAGE, MEM_COMMIT, eTaskCritical, PAGE);
    release(b, in_b);
    assert_charged(budget, 0, pages(13));
    assert_int_equal(usage_of(budget).reserved.now, 0);
    assert_int_equal(usage_of(budget).reserved.peak, 96 * PAGE);
    governed_end(a);
    governed_end(b);
    hostmem_release_budget(budget);
}

static void test_three_managers_and_limits_that_change(void **state)
{
    (void)state;
    enum { THREE = 3 };
    hostmem_budget *budget = make_budget(NULL);
    struct governed *g[THREE];
    char *region[THREE];
    void *block[THREE];
    hostmem_limits limits = {.size = sizeof limits};
    assert_hresult(hostmem_get_budget(budget, &limits, NULL), S_OK);
    assert_true(limits.limit == HOSTMEM_UNLIMITED && limits.soft == HOSTMEM_UNLIMITED);
    for (int i = 0; i < THREE; i++) {
        g[i] = governed_make(NULL, budget);
        region[i] = grant(g[i], NULL, 10 * PAGE, MEM_COMMIT, eTaskCritical, pages(10));
        block[i] = grant_block(g[i], 100, eTaskCritical);
    }
    const uint64_t used = pages(30) + 300;
    assert_charged(budget, used, used);

    limits = limits_of(pages(5), 0, 0, HOSTMEM_LIMITS_STRICT);
    assert_hresult(hostmem_set_budget_limits(budget, &limits), S_OK);
    assert_charged(budget, used, used);
    for (int i = 0; i < THREE; i++)
        for (unsigned level = 0; level < 3; level++)
            refuse(g[i], NULL, 1, MEM_COMMIT, level, shared(PAGE, pages(5), used));
    limits.limit = pages(31);
    limits.reserve_limit = 3 * GRANULE;
    assert_hresult(hostmem_set_budget_limits(budget, &limits), S_OK);
    refuse(g[0], NULL, 3 * GRANULE, MEM_RESERVE, eProcessCritical,
           shared(3 * GRANULE, 3 * GRANULE, pages(30)));
    decommit(g[1], region[1], PAGE);
    assert_charged(budget, used - PAGE, used);
    grant(g[2], region[2], 10 * PAGE, MEM_COMMIT, eTaskCritical, 0);
    char *more = grant(g[0], NULL, 1, MEM_COMMIT, eTaskCritical, PAGE);
    refuse(g[2], NULL, PAGE, MEM_COMMIT, eTaskCritical, shared(PAGE, pages(31), used));
    assert_hresult(hostmem_get_budget(budget, &limits, NULL), S_OK);
    assert_int_equal(limits.limit, pages(31));
    assert_int_equal(limits.task_limit, pages(31));
    assert_int_equal(limits.reserve_limit, 3 * GRANULE);
    assert_int_equal(limits.flags, HOSTMEM_LIMITS_STRICT);

    limits = limits_of(pages(60), 0, 0, 0);
    limits.fail_after = 2; /* counted over all of them */
    assert_hresult(hostmem_set_budget_limits(budget, &limits), S_OK);
    void *a = grant_block(g[0], 1, eTaskCritical), *b = grant_block(g[1], 1, eTaskCritical);
    refuse_block(g[2], 1, eTaskCritical, (struct refusal){HOSTMEM_REASON_FAIL_AFTER, 1, pages(60), used + 2});
    IHostMalloc_Free(g[0]->heap, a);
    IHostMalloc_Free(g[1]->heap, b);
    release(g[0], more);
    for (int i = 0; i < THREE; i++) {
        release(g[i], region[i]);
        assert_hresult(IHostMalloc_Free(g[i]->heap, block[i]), S_OK);
        governed_end(g[i]);
    }
    assert_charged(budget, 0, used + 2);
    hostmem_release_budget(budget);
}

/* Commits in views are forced on the shared budget as well, and stay there as long as the manager does. */
static void test_views_under_a_shared_budget(void **state)
{
    (void)state;
    hostmem_limits limits = limits_of(pages(2), 0, 0, HOSTMEM_LIMITS_STRICT);
    hostmem_budget *budget = make_budget(&limits);
    struct governed *a = governed_make(NULL, budget), *b = governed_make(NULL, budget);
    HANDLE section =
        CreateFileMappingW(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE | SEC_RESERVE, 0, GRANULE, NULL);
    char *view = MapViewOfFile(section, FILE_MAP_WRITE, 0, 0, 0);
    assert_hresult(IHostMemoryManager_AcquiredVirtualAddressSpace(a->f.memory, view, 0), S_OK);
    const struct refusal expected = {HOSTMEM_REASON_SHARED, pages(3), pages(2), pages(3)};
    overrun(a, view, 3 * PAGE, MEM_COMMIT, eTaskCritical, expected);
    assert_int_equal(usage_of(budget).overrun.count, 1);
    refuse(b, NULL, 1, MEM_COMMIT, eProcessCritical, shared(PAGE, pages(2), pages(3)));
    UnmapViewOfFile(view);
    assert_hresult(IHostMemoryManager_ReleasedVirtualAddressSpace(a->f.memory, view), S_OK);
    CloseHandle(section);
    assert_charged(budget, pages(3), pages(3));
    governed_end(a);
    assert_charged(budget, 0, pages(3));
    governed_end(b);
    hostmem_release_budget(budget);
}

/* Whatever leaks stays in place, but is no longer held against the others. */
static void test_a_manager_that_leaks(void **state)
{
    (void)state;
    hostmem_budget *budget = make_budget(NULL);
    hostmem_options options = {.size = sizeof options, .shared = budget};
    hostmem_manager *manager;
    IHostMemoryManager *memory;
    IHostMalloc *heap;
    void *region, *block;
    assert_hresult(hostmem_create(&options, &manager), S_OK);
    assert_hresult(hostmem_get_memory_manager(manager, &memory), S_OK);
    assert_hresult(IHostMemoryManager_CreateMalloc(memory, MALLOC_THREADSAFE, &heap), S_OK);
    assert_hresult(IHostMemoryManager_VirtualAlloc(memory, NULL, 3 * PAGE, MEM_RESERVE | MEM_COMMIT,
                                                   PAGE_READWRITE, eTaskCritical, &region),
                   S_OK);
    assert_hresult(IHostMalloc_Alloc(heap, 50, eTaskCritical, &block), S_OK);
    assert_charged(budget, pages(3) + 50, pages(3) + 50);
    assert_int_equal(usage_of(budget).reserved.now, pages(3));
    assert_true(verified(manager));
    IHostMalloc_Release(heap);
    IHostMemoryManager_Release(memory);
    assert_charged(budget, pages(3) + 50, pages(3) + 50); /* the handle is still there */
    assert_true(verified(manager));
    hostmem_release(manager);
    assert_charged(budget, 0, pages(3) + 50);
    assert_int_equal(usage_of(budget).reserved.now, 0);
    fill_bytes(region, 3 * PAGE, 1);
    assert_true(VirtualFree(region, 0, MEM_RELEASE));
    hostmem_release_budget(budget);
}

/* The host's reference may go first: the managers hold their own. */
static void test_the_budget_is_released_first(void **state)
{
    (void)state;
    hostmem_limits limits = limits_of(pages(10), 0, 0, 0);
    hostmem_budget *budget = make_budget(&limits);
    struct governed *a = governed_make(NULL, budget), *b = governed_make(NULL, budget);
    hostmem_release_budget(budget);
    hostmem_release_budget(NULL);
    char *in_a = grant(a, NULL, 6 * PAGE, MEM_COMMIT, eTaskCritical, pages(6));
    refuse(b, NULL, 5 * PAGE, MEM_COMMIT, eTaskCritical, shared(pages(5), pages(10), pages(6)));
    release(a, in_a);
    governed_end(a);
    char *in_b = grant(b, NULL, 10 * PAGE, MEM_COMMIT, eTaskCritical, pages(10));
    refuse(b, NULL, PAGE, MEM_COMMIT, eTaskCritical, shared(PAGE, pages(10), pages(10)));
    release(b, in_b);
    governed_end(b);
}

/* GetMemoryLoad: of own and shared budget the tighter, and for everybody under it. */
static void test_load(void **state)
{
    (void)state;
    hostmem_limits limits = limits_of(pages(100), 0, 0, 0), own = limits_of(pages(50), pages(40), 0, 0);
    hostmem_budget *budget = make_budget(&limits);
    struct governed *a = governed_make(&own, budget), *b = governed_make(NULL, budget);
    const struct {
        unsigned a, b; /* pages committed */
        uint64_t available_to_a, available_to_b;
        unsigned full; /* 1: a is at 100 %, 2: both are */
    } rows[] = {
        {0, 0, 40, 100, 0}, {10, 0, 30, 90, 0}, {10, 80, 10, 10, 0}, {40, 20, 0, 40, 1}, {20, 80, 0, 0, 2}};
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        void *in_a =
            rows[i].a ? grant(a, NULL, rows[i].a * PAGE, MEM_COMMIT, eTaskCritical, rows[i].a * PAGE) : NULL;
        void *in_b =
            rows[i].b ? grant(b, NULL, rows[i].b * PAGE, MEM_COMMIT, eTaskCritical, rows[i].b * PAGE) : NULL;
        DWORD load_of_a, load_of_b;
        SIZE_T available_to_a, available_to_b;
        assert_hresult(IHostMemoryManager_GetMemoryLoad(a->f.memory, &load_of_a, &available_to_a), S_OK);
        assert_hresult(IHostMemoryManager_GetMemoryLoad(b->f.memory, &load_of_b, &available_to_b), S_OK);
        assert_int_equal(available_to_a, rows[i].available_to_a * PAGE);
        assert_int_equal(available_to_b, rows[i].available_to_b * PAGE);
        /* The machine's own load may be any; what is full is full. */
        const unsigned least_a = rows[i].a * 100 / 40, least_b = rows[i].a + rows[i].b;
        assert_in_range(load_of_a, least_a > least_b ? least_a : least_b, 100);
        assert_in_range(load_of_b, least_b, 100);
        assert_int_equal(load_of_a == 100, rows[i].full >= 1);
        assert_int_equal(load_of_b == 100, rows[i].full >= 2);
        if (in_a != NULL)
            release(a, in_a);
        if (in_b != NULL)
            release(b, in_b);
    }
    governed_end(a);
    governed_end(b);
    hostmem_release_budget(budget);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_managers),
        cmocka_unit_test(test_three_managers_and_limits_that_change),
        cmocka_unit_test(test_views_under_a_shared_budget),
        cmocka_unit_test(test_a_manager_that_leaks),
        cmocka_unit_test(test_the_budget_is_released_first),
        cmocka_unit_test(test_load),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

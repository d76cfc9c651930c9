/*
 * test_limits_misuse.c - wrong arguments, calls after the end, callbacks that come back, and the relief callback
 */
#include "support/governed.h"
#include "support/verified.h"

/* Limits that make sense, one figure spoilt at a time. */
static const hostmem_limits sensible = {.size = sizeof sensible,
                                        .flags = HOSTMEM_LIMITS_STRICT,
                                        .limit = 100 * PAGE,
                                        .task_limit = 80 * PAGE,
                                        .margin = 5 * PAGE,
                                        .soft = 60 * PAGE,
                                        .heap_limit = 50 * PAGE,
                                        .reserve_limit = 1 << 30,
                                        .fail_after = 1000};

enum { SPOILT = 10 };

static hostmem_limits spoil(unsigned how)
{
    hostmem_limits limits = sensible;
    switch (how) {
    case 0:
        limits.size = 0;
        break;
    case 1:
        limits.size = sizeof limits - 1;
        break;
    case 2:
        limits.size = sizeof limits + 8;
        break;
    case 3:
        limits.flags = 2;
        break;
    case 4:
        limits.flags = HOSTMEM_LIMITS_STRICT | 0x80000000u;
        break;
    case 5:
        limits.limit = 0;
        break;
    case 6:
        limits.task_limit = limits.limit + 1;
        break;
    case 7:
        limits.soft = limits.limit + 1;
        break;
    case 8:
        limits.soft = HOSTMEM_UNLIMITED; /* with a limit that is none */
        break;
    default:
        limits.task_limit = HOSTMEM_UNLIMITED;
    }
    return limits;
}

static void assert_limits(const hostmem_limits *limits, const hostmem_limits *expected)
{
    assert_int_equal(limits->size, expected->size);
    assert_int_equal(limits->flags, expected->flags);
    assert_int_equal(limits->limit, expected->limit);
    assert_int_equal(limits->task_limit, expected->task_limit);
    assert_int_equal(limits->margin, expected->margin);
    assert_int_equal(limits->soft, expected->soft);
    assert_int_equal(limits->heap_limit, expected->heap_limit);
    assert_int_equal(limits->reserve_limit, expected->reserve_limit);
    assert_int_equal(limits->fail_after, expected->fail_after);
}

static void test_set_and_get_limits(void **state)
{
    struct governed *g = *state;
    hostmem_limits limits = sensible;
    assert_hresult(hostmem_set_limits(NULL, &limits), E_POINTER);
    assert_hresult(hostmem_set_limits(g->f.manager, NULL), E_POINTER);
    assert_hresult(hostmem_get_limits(NULL, &limits), E_POINTER);
    assert_hresult(hostmem_get_limits(g->f.manager, NULL), E_POINTER);
    limits.size = sizeof limits - 8;
    assert_hresult(hostmem_get_limits(g->f.manager, &limits), E_INVALIDARG);

    const hostmem_limits none = {.size = sizeof none,
                                 .limit = HOSTMEM_UNLIMITED,
                                 .task_limit = HOSTMEM_UNLIMITED,
                                 .soft = HOSTMEM_UNLIMITED,
                                 .heap_limit = HOSTMEM_UNLIMITED,
                                 .reserve_limit = HOSTMEM_UNLIMITED,
                                 .fail_after = HOSTMEM_UNLIMITED};
    limits.size = sizeof limits;
    assert_hresult(hostmem_get_limits(g->f.manager, &limits), S_OK);
    assert_limits(&limits, &none);

    governed_limit(g, &sensible);
    for (unsigned how = 0; how < SPOILT; how++) {
        limits = spoil(how);
        assert_hresult(hostmem_set_limits(g->f.manager, &limits), E_INVALIDARG);
        limits.size = sizeof limits;
        assert_hresult(hostmem_get_limits(g->f.manager, &limits), S_OK);
        assert_limits(&limits, &sensible);
    }
}

static void test_defaults_of_limits(void **state)
{
    struct governed *g = *state;
    static const struct {
        uint64_t limit, task_limit, soft, task_limit_is, soft_is;
    } rows[] = {
        {8000, 0, 0, 8000, 7000},
        {8000, 800, 0, 800, 700},
        {8000, 8000, 8000, 8000, 8000},
        {8000, 1, 1, 1, 1},
        {8000, 800, 5000, 800, 5000}, /* a soft mark between the two */
        {1, 0, 0, 1, 1},
        {HOSTMEM_UNLIMITED, 0, 0, HOSTMEM_UNLIMITED, HOSTMEM_UNLIMITED},
        {HOSTMEM_UNLIMITED, 800, 0, 800, 700},
        {HOSTMEM_UNLIMITED, 0, 600, HOSTMEM_UNLIMITED, 600},
        {HOSTMEM_UNLIMITED, HOSTMEM_UNLIMITED, HOSTMEM_UNLIMITED, HOSTMEM_UNLIMITED, HOSTMEM_UNLIMITED},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        hostmem_limits limits = limits_of(rows[i].limit, rows[i].task_limit, 0, 0);
        limits.soft = rows[i].soft;
        governed_limit(g, &limits);
        assert_hresult(hostmem_get_limits(g->f.manager, &limits), S_OK);
        assert_int_equal(limits.limit, rows[i].limit);
        assert_int_equal(limits.task_limit, rows[i].task_limit_is);
        assert_int_equal(limits.soft, rows[i].soft_is);
        assert_int_equal(limits.heap_limit, HOSTMEM_UNLIMITED);
        assert_int_equal(limits.reserve_limit, HOSTMEM_UNLIMITED);
        assert_int_equal(limits.fail_after, HOSTMEM_UNLIMITED);
    }
}

static void test_create_with_limits(void **state)
{
    (void)state;
    for (unsigned how = 0; how < SPOILT; how++) {
        hostmem_limits limits = spoil(how);
        hostmem_options options = {.size = sizeof options, .limits = &limits};
        hostmem_manager *manager = (hostmem_manager *)1;
        assert_hresult(hostmem_create(&options, &manager), E_INVALIDARG);
        assert_null(manager);
        hostmem_budget *budget = (hostmem_budget *)1;
        assert_hresult(hostmem_create_budget(&limits, &budget), E_INVALIDARG);
        assert_null(budget);
    }
    /* Read during the call: what becomes of them later is nobody's business. */
    hostmem_limits limits = sensible;
    struct governed *g = governed_make(&limits, NULL);
    limits.limit = 1;
    assert_hresult(hostmem_get_limits(g->f.manager, &limits), S_OK);
    assert_limits(&limits, &sensible);
    governed_end(g);
}

static void test_budgets_wrong(void **state)
{
    (void)state;
    hostmem_budget *budget;
    hostmem_limits limits = sensible;
    hostmem_budget_usage usage = {.size = sizeof usage};
    assert_hresult(hostmem_create_budget(&limits, NULL), E_POINTER);
    assert_hresult(hostmem_create_budget(&sensible, &budget), S_OK);
    assert_hresult(hostmem_set_budget_limits(NULL, &limits), E_POINTER);
    assert_hresult(hostmem_set_budget_limits(budget, NULL), E_POINTER);
    assert_hresult(hostmem_get_budget(NULL, &limits, &usage), E_POINTER);
    assert_hresult(hostmem_get_budget(budget, NULL, NULL), S_OK);
    for (unsigned how = 0; how < SPOILT; how++) {
        limits = spoil(how);
        assert_hresult(hostmem_set_budget_limits(budget, &limits), E_INVALIDARG);
    }
    /* One wrong size, and neither is written. */
    limits = limits_of(7, 7, 7, 0);
    usage.size = sizeof usage + 8;
    assert_hresult(hostmem_get_budget(budget, &limits, &usage), E_INVALIDARG);
    assert_int_equal(limits.limit, 7);
    usage.size = sizeof usage;
    usage.overrun.count = 7;
    limits.size = 0;
    assert_hresult(hostmem_get_budget(budget, &limits, &usage), E_INVALIDARG);
    assert_int_equal(usage.overrun.count, 7);
    limits.size = sizeof limits;
    assert_hresult(hostmem_get_budget(budget, &limits, &usage), S_OK);
    assert_limits(&limits, &sensible);
    assert_int_equal(usage.overrun.count, 0);
    hostmem_release_budget(budget);
}

static void test_pressure_calls_and_after_the_end(void **state)
{
    struct governed *g = *state;
    assert_hresult(hostmem_force_pressure(NULL, 0), E_POINTER);
    assert_hresult(hostmem_clr_started(NULL), E_POINTER);
    assert_hresult(hostmem_force_pressure(g->f.manager, 4), E_INVALIDARG);
    assert_hresult(hostmem_force_pressure(g->f.manager, UINT32_MAX), E_INVALIDARG);
    assert_hresult(hostmem_clr_started(g->f.manager), S_OK);
    assert_hresult(hostmem_force_pressure(g->f.manager, 0), S_OK);

    hostmem_limits limits = sensible;
    limits.fail_after = 0;
    governed_limit(g, &limits);
    void *block = grant_block(g, 1000, eTaskCritical);
    assert_hresult(hostmem_shutdown(g->f.manager), S_OK);
    assert_hresult(hostmem_force_pressure(g->f.manager, eMemoryAvailableLow), HOST_E_CLRNOTAVAILABLE);
    assert_hresult(hostmem_force_pressure(g->f.manager, 4), E_INVALIDARG);
    assert_hresult(hostmem_clr_started(g->f.manager), HOST_E_CLRNOTAVAILABLE);

    /* Limits and their refusals go on for what is still served, untold. */
    limits.task_limit = limits.soft = 1500;
    governed_limit(g, &limits);
    unsigned told = g->log.count;
    void *refused = (void *)1;
    assert_hresult(IHostMalloc_Alloc(g->heap, 501, eTaskCritical, &refused), E_OUTOFMEMORY);
    assert_null(refused);
    hostmem_statistics statistics = fixture_statistics(g->f.manager);
    assert_int_equal(statistics.refused[HOSTMEM_REASON_TASK_LIMIT], 1);
    assert_int_equal(statistics.charged.now, 1000);
    assert_hresult(hostmem_get_limits(g->f.manager, &limits), S_OK);
    assert_int_equal(limits.task_limit, 1500);
    assert_hresult(IHostMalloc_Free(g->heap, block), S_OK);
    assert_int_equal(g->log.count, told);
}

/* The event callback may call everything: no lock is held. */
struct visit {
    struct governed *g;
    HRESULT results[8];
    void *region;
    uint64_t charged;
    atomic_bool over;
};

static void come_back(struct event_log *log, const hostmem_event *event)
{
    struct visit *visit = log->context;
    if (event->kind != HOSTMEM_EVENT_REFUSED || visit->over)
        return;
    hostmem_manager *manager = visit->g->f.manager;
    IHostMemoryManager *memory = visit->g->f.memory;
    hostmem_statistics statistics = {.size = sizeof statistics};
    hostmem_limits limits = {.size = sizeof limits};
    visit->results[0] = hostmem_get_statistics(manager, &statistics);
    visit->charged = statistics.charged.now;
    visit->results[1] = hostmem_get_limits(manager, &limits);
    limits.limit = limits.task_limit = 20 * PAGE;
    visit->results[2] = hostmem_set_limits(manager, &limits);
    visit->results[3] = IHostMemoryManager_VirtualAlloc(memory, NULL, 5 * PAGE, MEM_RESERVE | MEM_COMMIT,
                                                        PAGE_READWRITE, eTaskCritical, &visit->region);
    visit->results[4] = IHostMemoryManager_RegisterMemoryNotificationCallback(memory, NULL);
    visit->results[5] = hostmem_force_pressure(manager, eMemoryAvailableHigh);
    visit->results[6] = hostmem_clr_started(manager);
    visit->results[7] = hostmem_shutdown(manager);
    visit->over = true;
}

static void test_an_event_callback_that_comes_back(void **state)
{
    struct governed *g = *state;
    struct visit visit = {.g = g};
    hostmem_limits limits = limits_of(4 * PAGE, 0, 0, 0);
    governed_limit(g, &limits);
    g->log.context = &visit;
    g->log.action = come_back;
    void *memory;
    assert_hresult(IHostMemoryManager_VirtualAlloc(g->f.memory, NULL, 5 * PAGE, MEM_COMMIT, PAGE_READWRITE,
                                                   eTaskCritical, &memory),
                   E_OUTOFMEMORY);
    wait_for(visit.over);
    for (unsigned i = 0; i < sizeof visit.results / sizeof visit.results[0]; i++)
        assert_hresult(visit.results[i], S_OK);
    assert_int_equal(visit.charged, 0);
    hostmem_shutdown(g->f.manager); /* waits for the callback */
    unsigned told = g->log.count;
    assert_int_equal(g->log.event[told - 1].kind,
                     HOSTMEM_EVENT_REFUSED); /* the one that shut down was the last */
    release(g, visit.region);
}

/* A manager whose last reference goes in its own callback. */
struct farewell {
    hostmem_manager *manager;
    atomic_bool alone; /* nobody else has a reference any more */
    atomic_uint refusals;
};

static void HOSTMEM_CALL release_it(const hostmem_event *event, void *context)
{
    struct farewell *farewell = context;
    if (event->kind != HOSTMEM_EVENT_REFUSED)
        return;
    while (!farewell->alone)
        Sleep(1);
    hostmem_release(farewell->manager);
    farewell->refusals++;
}

static uint64_t reserved_under(hostmem_budget *budget)
{
    hostmem_budget_usage usage = {.size = sizeof usage};
    assert_hresult(hostmem_get_budget(budget, NULL, &usage), S_OK);
    return usage.reserved.now;
}

static void test_the_last_release_in_the_callback(void **state)
{
    struct governed *g = *state;
    hostmem_budget *budget;
    hostmem_limits limits = limits_of(PAGE, 0, 0, 0);
    for (int i = 0; i < 20; i++) {
        struct farewell farewell = {.alone = false};
        hostmem_options options = {
            .size = sizeof options, .limits = &limits, .event = release_it, .context = &farewell};
        assert_hresult(hostmem_create_budget(NULL, &budget), S_OK);
        options.shared = budget;
        assert_hresult(hostmem_create(&options, &farewell.manager), S_OK);
        IHostMemoryManager *memory;
        void *region, *none;
        assert_hresult(hostmem_get_memory_manager(farewell.manager, &memory), S_OK);
        assert_hresult(IHostMemoryManager_VirtualAlloc(memory, NULL, GRANULE, MEM_RESERVE, PAGE_READWRITE,
                                                       eTaskCritical, &region),
                       S_OK);
        for (int refused = 0; refused < 2; refused++) /* the second is never told */
            assert_hresult(IHostMemoryManager_VirtualAlloc(memory, NULL, 2 * PAGE, MEM_COMMIT, PAGE_READWRITE,
                                                           eTaskCritical, &none),
                           E_OUTOFMEMORY);
        assert_int_equal(IHostMemoryManager_Release(memory), 1);
        assert_int_equal(reserved_under(budget), GRANULE);
        farewell.alone = true;
        wait_for(reserved_under(budget) == 0); /* what it leaked leaves the budget when the manager is gone */
        assert_int_equal(farewell.refusals, 1);
        hostmem_release_budget(budget);
        VirtualFree(region, 0, MEM_RELEASE);
    }
    /* Others are still told. */
    governed_limit(g, &limits);
    refuse(g, NULL, 2 * PAGE, MEM_COMMIT, eTaskCritical,
           (struct refusal){HOSTMEM_REASON_TASK_LIMIT, 2 * PAGE, PAGE, 0});
}

/* What NeedsVirtualAddressSpace answers is what a second attempt would find (contract 3.6). */
struct relief {
    HRESULT answer;
    void *give; /* a reservation to release */
    unsigned calls;
    void *start;
    SIZE_T size;
    DWORD thread;
};

static HRESULT HOSTMEM_CALL relieve(void *start, SIZE_T size, void *context)
{
    struct relief *relief = context;
    relief->calls++;
    relief->start = start;
    relief->size = size;
    relief->thread = GetCurrentThreadId();
    if (relief->give != NULL)
        VirtualFree(relief->give, 0, MEM_RELEASE);
    relief->give = NULL;
    SetLastError(ERROR_BUSY); /* its own affair: the CLR may still want that of the map which failed */
    return relief->answer;
}

static void test_relief(void **state)
{
    (void)state;
    struct relief relief = {.answer = E_FAIL};
    hostmem_options options = {.size = sizeof options, .relief = relieve, .context = &relief};
    struct fixture f;
    assert_hresult(hostmem_create(&options, &f.manager), S_OK);
    assert_hresult(hostmem_get_memory_manager(f.manager, &f.memory), S_OK);
    char *taken = VirtualAlloc(NULL, 4 * GRANULE, MEM_RESERVE, PAGE_NOACCESS);
    assert_non_null(taken);
    const struct {
        void *start;
        SIZE_T size;
        HRESULT answer;
        bool give;
        HRESULT expected;
    } rows[] = {
        {NULL, 0, E_FAIL, false, E_OUTOFMEMORY},
        {NULL, 0, S_FALSE, false, E_OUTOFMEMORY}, /* success for the CLR, but nothing was given */
        {NULL, 5 * GRANULE, S_OK, false, S_OK},   /* anywhere: the host knows */
        {taken, 0, S_OK, false, E_OUTOFMEMORY},   /* still taken, whatever it says */
        {taken, GRANULE, S_OK, false, E_OUTOFMEMORY},
        {taken + PAGE, 0, S_OK, false, E_OUTOFMEMORY},
        {taken, 4 * GRANULE, E_FAIL, true, E_OUTOFMEMORY}, /* given, and denied */
        {taken, 4 * GRANULE, S_OK, true, S_OK},
        {taken, 0, S_OK, true, S_OK},
        {taken, SIZE_MAX / 2, S_OK, true, E_OUTOFMEMORY}, /* free, but not so much of it */
        {(void *)(UINTPTR_MAX - GRANULE + 1), 0, S_OK, false, E_OUTOFMEMORY}, /* no place for anybody */
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        relief.answer = rows[i].answer;
        relief.give = rows[i].give ? taken : NULL;
        SetLastError(NO_ERROR_SET);
        HRESULT result = IHostMemoryManager_NeedsVirtualAddressSpace(f.memory, rows[i].start, rows[i].size);
        assert_hresult(result, rows[i].expected);
        assert_int_equal(GetLastError(), NO_ERROR_SET);
        assert_int_equal(relief.calls, i + 1);
        assert_ptr_equal(relief.start, rows[i].start);
        assert_int_equal(relief.size, rows[i].size);
        assert_int_equal(relief.thread, GetCurrentThreadId()); /* the one synchronous callback (decision 7) */
        if (rows[i].give)
            assert_ptr_equal(VirtualAlloc(taken, 4 * GRANULE, MEM_RESERVE, PAGE_NOACCESS), taken);
    }
    hostmem_calls calls =
        fixture_statistics(f.manager).calls[HOSTMEM_NEEDS_ADDRESS_SPACE][HOSTMEM_LEVEL_NONE];
    assert_int_equal(calls.calls, sizeof rows / sizeof rows[0]);
    assert_int_equal(calls.failures, calls.calls - 3);
    VirtualFree(taken, 0, MEM_RELEASE);
    assert_true(verified(f.manager));
    IHostMemoryManager_Release(f.memory);
    hostmem_release(f.manager);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        governed_test(test_set_and_get_limits),
        governed_test(test_defaults_of_limits),
        cmocka_unit_test(test_create_with_limits),
        cmocka_unit_test(test_budgets_wrong),
        governed_test(test_pressure_calls_and_after_the_end),
        governed_test(test_an_event_callback_that_comes_back),
        governed_test(test_the_last_release_in_the_callback),
        cmocka_unit_test(test_relief),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

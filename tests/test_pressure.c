/*
 * test_pressure.c - when the CLR is told that memory is low, neutral or high
 *
 * Over a fake operating system: Wine cannot show low memory, nor the use of a job object.  The clock stands still
 * unless it is moved. Callbacks that take long or come back have test_pressure_callbacks.c.
 */
#include <stdlib.h>

#include "com/manager.h"
#include "support/beacon.h"
#include "support/fake_os.h"
#include "support/governed.h"

enum { LOW = eMemoryAvailableLow, NEUTRAL = eMemoryAvailableNeutral, HIGH = eMemoryAvailableHigh };

/* A manager and the CLR that it tells. */
struct tenancy {
    struct governed *g;
    struct listener clr;
    unsigned told; /* that were expected so far */
    char *region;
    unsigned pages; /* committed there */
};

static struct tenancy *tenancy_make(const hostmem_limits *limits, hostmem_budget *shared)
{
    struct tenancy *t = calloc(1, sizeof *t);
    assert_non_null(t);
    t->g = governed_make(limits, shared);
    listener_init(&t->clr, NULL, NULL);
    assert_hresult(IHostMemoryManager_RegisterMemoryNotificationCallback(t->g->f.memory, &t->clr.iface),
                   S_OK);
    t->region = grant(t->g, NULL, 256 * PAGE, MEM_RESERVE, eTaskCritical, 0);
    return t;
}

static void tenancy_end(struct tenancy *t)
{
    for (unsigned i = 0; i < t->told; i++)
        assert_int_not_equal(t->clr.thread[i], GetCurrentThreadId()); /* never inside a call of the CLR */
    assert_int_equal(t->clr.count, t->told);
    release(t->g, t->region);
    governed_end(t->g);
    assert_int_equal(t->clr.references, 1);
    free(t);
}

/* Have so many pages committed. */
static void use(struct tenancy *t, unsigned pages)
{
    if (pages > t->pages)
        fixture_alloc(&t->g->f, t->region + (SIZE_T)t->pages * PAGE, (SIZE_T)(pages - t->pages) * PAGE,
                      MEM_COMMIT, PAGE_READWRITE);
    else if (pages < t->pages)
        decommit(t->g, t->region + (SIZE_T)pages * PAGE, (SIZE_T)(t->pages - pages) * PAGE);
    t->pages = pages;
}

/* The CLR is told this next, by itself: nobody else wakes the thread. */
static void assert_told(struct tenancy *t, int level)
{
    /* That Low is over is always told, also if there is plenty at once. */
    if (level == HIGH && t->told != 0 && (int)t->clr.told[t->told - 1] == LOW)
        assert_int_equal(listener_wait(&t->clr, ++t->told), NEUTRAL);
    assert_int_equal(listener_wait(&t->clr, ++t->told), level);
}

/* And nothing else. */
static void assert_quiet(struct tenancy *t)
{
    beacon_settle();
    assert_int_equal(t->clr.count, t->told);
}

static hostmem_limits soft_at(uint64_t pages)
{
    hostmem_limits limits = limits_of(200 * PAGE, 100 * PAGE, 0, 0);
    limits.soft = pages * PAGE;
    return limits;
}

static int setup(void **state)
{
    (void)state;
    beacon_light();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    beacon_put_out();
    return 0;
}

/* Up and down through the watermarks; the machine has plenty, so that the budget decides. */
static void test_budget(void **state)
{
    (void)state;
    static const struct {
        unsigned pages;
        int told; /* 0: nothing */
    } rows[] = {{50, 0},    {51, NEUTRAL}, {41, 0}, {79, 0},   {80, LOW},     {100, 0},
                {70, 0},    {69, NEUTRAL}, {79, 0}, {80, LOW}, {69, NEUTRAL}, {41, 0},
                {40, HIGH}, {50, 0},       {0, 0},  {80, LOW}, {0, HIGH}};
    fake_os_set_resources((struct hm_os_resources){.high = true});
    hostmem_limits limits = soft_at(80);
    struct tenancy *t = tenancy_make(&limits, NULL);
    assert_told(t, HIGH);
    uint64_t count[HOSTMEM_PRESSURE_COUNT] = {0, 0, 0, 1};
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        use(t, rows[i].pages);
        if (rows[i].told != 0) {
            unsigned told = t->told;
            assert_told(t, rows[i].told);
            count[rows[i].told]++;
            count[NEUTRAL] += t->told - told - 1;
            hostmem_event event = event_log_wait(&t->g->log, HOSTMEM_EVENT_PRESSURE, t->told);
            assert_int_equal(event.pressure, rows[i].told);
            assert_int_equal(event.critical_level, HOSTMEM_LEVEL_NONE);
            assert_int_equal(event.limit, 100 * PAGE);
            assert_int_equal(event.used, rows[i].pages * PAGE);
            assert_int_equal(event.bytes, 0);
        }
        assert_quiet(t);
        hostmem_statistics statistics = fixture_statistics(t->g->f.manager);
        assert_memory_equal(statistics.notifications, count, sizeof count);
        assert_int_equal(statistics.pressure, t->clr.told[t->told - 1]);
        assert_int_equal(event_log_count(&t->g->log, HOSTMEM_EVENT_PRESSURE), t->told);
    }
    assert_int_equal(t->g->log.thread[0], t->clr.thread[0]); /* one thread for all */
    tenancy_end(t);
}

/* A soft mark moved while nothing else moves. */
static void test_limits_that_change(void **state)
{
    (void)state;
    struct tenancy *t = tenancy_make(NULL, NULL);
    use(t, 60);
    assert_quiet(t); /* no limits, and a machine that is neither low nor high */
    hostmem_limits limits = soft_at(60);
    governed_limit(t->g, &limits);
    assert_told(t, LOW);
    limits = soft_at(61); /* within the hysteresis */
    governed_limit(t->g, &limits);
    assert_quiet(t);
    limits = soft_at(80);
    governed_limit(t->g, &limits);
    assert_told(t, NEUTRAL);
    limits = limits_of(68 * PAGE, 0, 0, 0); /* default: seven eighths, 59.5 pages */
    governed_limit(t->g, &limits);
    assert_told(t, LOW);
    assert_int_equal(fixture_statistics(t->g->f.manager).refusals, 0);
    limits = limits_of(HOSTMEM_UNLIMITED, 0, 0, 0);
    governed_limit(t->g, &limits);
    assert_told(t, NEUTRAL);
    assert_quiet(t);
    tenancy_end(t);
}

/* Of a shared budget all are told, whoever uses it; and one may have a tighter one of its own. */
static void test_shared_budget(void **state)
{
    (void)state;
    hostmem_limits limits = soft_at(80), own = soft_at(16);
    hostmem_budget *budget;
    assert_hresult(hostmem_create_budget(&limits, &budget), S_OK);
    struct tenancy *a = tenancy_make(&own, budget), *b = tenancy_make(NULL, budget);
    use(a, 16);
    assert_told(a, LOW);
    use(b, 63);
    assert_quiet(b);
    use(b, 64);
    assert_told(b, LOW);
    use(a, 10); /* its own is well, the shared one is 74 of 80 */
    assert_quiet(a);
    use(b, 60);
    assert_quiet(b);
    use(b, 59);
    assert_told(a, NEUTRAL);
    assert_told(b, NEUTRAL);
    limits = soft_at(69);
    assert_hresult(hostmem_set_budget_limits(budget, &limits), S_OK);
    assert_told(a, LOW);
    assert_told(b, LOW);
    hostmem_event event = event_log_wait(&a->g->log, HOSTMEM_EVENT_PRESSURE, a->told);
    assert_int_equal(event.limit, 100 * PAGE);
    assert_int_equal(event.used, 69 * PAGE); /* of the shared one, which has less left */
    /* One goes, and what it used is free again for the other. */
    assert_quiet(b);
    tenancy_end(b);
    assert_told(a, NEUTRAL);
    assert_quiet(a);
    tenancy_end(a);
    hostmem_release_budget(budget);
}

/* Of heap_limit seven eighths are the mark, and only the heap counts; own or shared, whichever is tighter. */
static void test_heap_limit(void **state)
{
    (void)state;
    static const struct {
        unsigned pages;
        int told; /* 0: nothing */
    } rows[] = {{43, 0}, {44, NEUTRAL}, {69, 0},   {70, LOW}, {80, 0},
                {62, 0}, {61, NEUTRAL}, {70, LOW}, {0, HIGH}};
    for (int shared = 0; shared < 2; shared++) {
        fake_os_set_resources((struct hm_os_resources){.high = true});
        hostmem_limits limits = limits_of(HOSTMEM_UNLIMITED, 0, 0, 0);
        limits.heap_limit = 80 * PAGE;
        hostmem_budget *budget;
        assert_hresult(hostmem_create_budget(shared ? &limits : NULL, &budget), S_OK);
        struct tenancy *t = tenancy_make(shared ? NULL : &limits, budget);
        assert_told(t, HIGH);
        use(t, 200); /* not heap */
        assert_quiet(t);
        use(t, 0);
        assert_hresult(hm_vm_set_use(&t->g->f.manager->vm, t->region, HOSTMEM_USE_GC_HEAP), S_OK);
        for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
            use(t, rows[i].pages);
            if (rows[i].told != 0) {
                assert_told(t, rows[i].told);
                hostmem_event event = event_log_wait(&t->g->log, HOSTMEM_EVENT_PRESSURE, t->told);
                assert_int_equal(event.limit, 80 * PAGE);
                assert_int_equal(event.used, rows[i].pages * PAGE);
            }
            assert_quiet(t);
        }
        /* What moves into the heap, or out of it, is told as what is committed there. */
        assert_hresult(hm_vm_set_use(&t->g->f.manager->vm, t->region, HOSTMEM_USE_OTHER), S_OK);
        use(t, 75);
        assert_quiet(t);
        assert_hresult(hm_vm_set_use(&t->g->f.manager->vm, t->region, HOSTMEM_USE_GC_HEAP), S_OK);
        assert_told(t, LOW);
        assert_hresult(hm_vm_set_use(&t->g->f.manager->vm, t->region, HOSTMEM_USE_OTHER), S_OK);
        assert_told(t, HIGH);
        tenancy_end(t);
        hostmem_release_budget(budget);
    }
}

static atomic_uint shown_changes;

static void shown_changed(void)
{
    shown_changes++;
}

/* The thread has looked: was what the runtime is shown passed on? */
static void assert_passed_on(bool changed)
{
    beacon_settle();
    assert_int_equal(shown_changes, changed);
    shown_changes = 0;
}

/* Every figure of own and shared limits that has a part in how much the runtime is to see, and none that has not. */
static void test_what_is_shown(void **state)
{
    (void)state;
    hostmem_limits first = limits_of(100 * PAGE, 0, 0, 0);
    hostmem_budget *budget;
    assert_hresult(hostmem_create_budget(NULL, &budget), S_OK);
    for (int shared = 0; shared < 2; shared++) {
        static const struct {
            uint64_t limit, task_limit, heap_limit, margin, soft; /* pages */
            bool changed;
        } rows[] = {
            {100, 0, 0, 0, 0, true},    {100, 0, 0, 50, 0, false},  {100, 0, 0, 50, 30, false},
            {120, 0, 0, 50, 30, true},  {120, 60, 0, 50, 30, true}, {130, 60, 0, 50, 30, false},
            {130, 60, 70, 0, 0, false}, {130, 60, 40, 0, 0, true},  {130, 50, 40, 0, 0, false},
            {130, 30, 40, 0, 0, true},  {130, 30, 0, 0, 0, false},  {130, 0, 0, 0, 0, true},
            {130, 0, 130, 0, 0, false}, {130, 0, 129, 0, 0, true},  {0, 0, 129, 0, 0, false},
            {0, 0, 0, 0, 0, true},
        };
        struct tenancy *t = tenancy_make(shared ? NULL : &first, budget);
        if (shared)
            assert_hresult(hostmem_set_budget_limits(budget, &first), S_OK);
        beacon_settle();
        atomic_store(&t->g->f.manager->tenant.shown_changed, shown_changed);
        shown_changes = 0;
        hostmem_limits limits = limits_of(90 * PAGE, 0, 0, 0);
        for (unsigned i = 0; i <= sizeof rows / sizeof rows[0]; i++) {
            if (i != 0) {
                limits = limits_of(rows[i - 1].limit != 0 ? rows[i - 1].limit * PAGE : HOSTMEM_UNLIMITED,
                                   rows[i - 1].task_limit * PAGE, rows[i - 1].margin * PAGE, 0);
                limits.heap_limit = rows[i - 1].heap_limit * PAGE;
                limits.soft = rows[i - 1].soft * PAGE;
            }
            assert_hresult(shared ? hostmem_set_budget_limits(budget, &limits)
                                  : hostmem_set_limits(t->g->f.manager, &limits),
                           S_OK);
            assert_passed_on(i == 0 || rows[i - 1].changed);
        }
        t->told = t->clr.count; /* of pressure this is no test */
        tenancy_end(t);
    }
    hostmem_release_budget(budget);
}

static void set_machine(struct tenancy *t, bool low, bool high)
{
    fake_os_set_resources((struct hm_os_resources){.low = low, .high = high});
    assert_hresult(hostmem_force_pressure(t->g->f.manager, 0), S_OK); /* wakes the thread */
}

static void test_machine(void **state)
{
    (void)state;
    hostmem_limits limits = soft_at(80);
    struct tenancy *t = tenancy_make(&limits, NULL);
    assert_quiet(t);
    set_machine(t, true, false);
    assert_told(t, LOW);
    set_machine(t, false, true);
    assert_told(t, HIGH);
    use(t, 80); /* the tighter one decides */
    assert_told(t, LOW);
    set_machine(t, true, false);
    assert_quiet(t);
    use(t, 0);
    assert_quiet(t);
    set_machine(t, false, false);
    assert_told(t, NEUTRAL);
    set_machine(t, true, true); /* Windows would not say both; the worse counts */
    assert_told(t, LOW);
    /* That Windows is no longer low no event tells: the thread looks by itself. */
    fake_os_set_resources((struct hm_os_resources){.low = false});
    assert_told(t, NEUTRAL);
    assert_quiet(t);
    tenancy_end(t);
}

static void set_job(struct tenancy *t, uint64_t limit, uint64_t commit, uint64_t working_set_limit,
                    uint64_t working_set)
{
    const struct os_memory memory = {.physical_total = 1 << 20,
                                     .physical_available = 1 << 19,
                                     .job_limit = limit,
                                     .process_commit = commit,
                                     .working_set_limit = working_set_limit,
                                     .process_working_set = working_set};
    fake_os_set_memory(&memory);
    assert_hresult(hostmem_force_pressure(t->g->f.manager, 0), S_OK);
}

/* Low from nine tenths on until it is under eight. */
static void test_job_object(void **state)
{
    (void)state;
    const uint64_t none = UINT64_MAX;
    fake_os_set_resources((struct hm_os_resources){.high = true});
    struct tenancy *t = tenancy_make(NULL, NULL);
    assert_told(t, HIGH);
    set_job(t, 1000, 100, none, 0); /* a job is never a reason to use more */
    assert_told(t, NEUTRAL);
    set_job(t, 1000, 899, none, 5000);
    assert_quiet(t);
    set_job(t, 1000, 900, none, 0);
    assert_told(t, LOW);
    set_job(t, 1000, 800, none, 0);
    assert_quiet(t);
    set_job(t, 1000, 799, none, 0);
    assert_told(t, NEUTRAL);
    set_job(t, none, 5000, 1000, 900); /* its working set */
    assert_told(t, LOW);
    set_job(t, 1000, 799, 1000, 800); /* both: one is enough */
    assert_quiet(t);
    set_job(t, none, 5000, none, 5000);
    assert_told(t, HIGH);
    set_job(t, 1000, 5000, none, 0);
    assert_told(t, LOW);
    fake_os_fail_times(FAKE_OS_STATUS, 1, 1000000, ERROR_ACCESS_DENIED); /* not known: no reason for alarm */
    assert_hresult(hostmem_force_pressure(t->g->f.manager, 0), S_OK);
    assert_told(t, HIGH);
    assert_quiet(t);
    tenancy_end(t);
}

static void test_job_arithmetic(void **state)
{
    (void)state;
    static const struct {
        uint64_t limit, used;
        enum budget_pressure before, expected;
    } rows[] = {
        {UINT64_MAX, 5, BUDGET_LOW, BUDGET_HIGH}, {1000, 899, BUDGET_NEUTRAL, BUDGET_NEUTRAL},
        {1000, 900, BUDGET_HIGH, BUDGET_LOW},     {1000, 800, BUDGET_LOW, BUDGET_LOW},
        {1000, 799, BUDGET_LOW, BUDGET_NEUTRAL},  {1000, 800, BUDGET_NEUTRAL, BUDGET_NEUTRAL},
        {5, 4, BUDGET_LOW, BUDGET_NEUTRAL},       {5, 5, BUDGET_NEUTRAL, BUDGET_LOW},
        {0, 0, BUDGET_NEUTRAL, BUDGET_LOW},       {UINT64_MAX - 1, UINT64_MAX, BUDGET_NEUTRAL, BUDGET_LOW},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct os_memory memory = {
            .job_limit = rows[i].limit, .process_commit = rows[i].used, .working_set_limit = UINT64_MAX};
        assert_int_equal(hm_pressure_of_job(&memory, rows[i].before), rows[i].expected);
        memory = (struct os_memory){
            .job_limit = UINT64_MAX, .working_set_limit = rows[i].limit, .process_working_set = rows[i].used};
        assert_int_equal(hm_pressure_of_job(&memory, rows[i].before), rows[i].expected);
    }
    assert_int_equal(hm_pressure_tightest(BUDGET_HIGH, BUDGET_NEUTRAL), BUDGET_NEUTRAL);
    assert_int_equal(hm_pressure_tightest(BUDGET_LOW, BUDGET_NEUTRAL), BUDGET_LOW);
}

/* Low again every 8,192 ms and no sooner; the others once. */
static void test_low_is_repeated(void **state)
{
    (void)state;
    hostmem_limits limits = soft_at(80);
    struct tenancy *t = tenancy_make(&limits, NULL);
    use(t, 80);
    assert_told(t, LOW);
    beacon_let_pass(8191);
    assert_quiet(t);
    for (int i = 0; i < 3; i++) {
        beacon_let_pass(i == 0 ? 1 : 8192);
        assert_told(t, LOW);
        use(t, 90 + i); /* whatever else wakes the thread */
        beacon_let_pass(4000);
        assert_quiet(t);
        beacon_let_pass(4191);
        assert_quiet(t);
        beacon_let_pass(1);
        assert_told(t, LOW);
    }
    assert_int_equal(event_log_count(&t->g->log, HOSTMEM_EVENT_PRESSURE),
                     1); /* the host is told of changes */
    use(t, 60);
    assert_told(t, NEUTRAL);
    beacon_let_pass(8192);
    beacon_let_pass(100000);
    assert_quiet(t);
    fake_os_set_resources((struct hm_os_resources){.high = true});
    use(t, 10);
    assert_told(t, HIGH);
    beacon_let_pass(100000);
    assert_quiet(t);
    use(t, 80); /* the interval begins anew */
    assert_told(t, LOW);
    beacon_let_pass(8191);
    assert_quiet(t);
    tenancy_end(t);
}

/* The process, whoever has it: told like any other pressure, and repeated only where that helps. */
static void test_process_soft(void **state)
{
    (void)state;
    const uint64_t mark = 800 << 20, step = mark / 8 / 16;
    for (int shared = 0; shared < 2; shared++) {
        fake_os_set_resources((struct hm_os_resources){.high = true});
        fake_os_set_private(mark - 1);
        beacon_settle(); /* what the thread has seen before is of the past */
        hostmem_limits limits = limits_of(HOSTMEM_UNLIMITED, 0, 0, 0), none = limits;
        limits.process_soft = mark;
        hostmem_budget *budget;
        assert_hresult(hostmem_create_budget(shared ? &limits : NULL, &budget), S_OK);
        struct tenancy *t = tenancy_make(shared ? NULL : &limits, budget);
        uint64_t used = mark;
        assert_quiet(t); /* not below half of it: neutral, as was taken for granted */
        fake_os_set_private(used);
        beacon_let_pass(1000);
        assert_told(t, LOW);
        hostmem_event event = event_log_wait(&t->g->log, HOSTMEM_EVENT_PRESSURE, 1);
        assert_int_equal(event.limit, mark);
        assert_int_equal(event.used, mark);
        /* Nothing was freed, and little has come. */
        fake_os_set_private(used += step - 1);
        beacon_let_pass(8192);
        beacon_let_pass(100000);
        assert_quiet(t);
        fake_os_set_private(used += 1);
        beacon_let_pass(1);
        assert_told(t, LOW);
        /* That one has freed a sixteenth. */
        fake_os_set_private(used -= step);
        beacon_let_pass(8191);
        assert_quiet(t);
        beacon_let_pass(1);
        assert_told(t, LOW);
        /* Of far above the mark more is asked. */
        fake_os_set_private(used = 3 * mark);
        beacon_let_pass(8192);
        assert_told(t, LOW);
        fake_os_set_private(used -= 2 * mark / 16 - 1);
        beacon_let_pass(8192);
        assert_quiet(t);
        fake_os_set_private(used -= 1);
        beacon_let_pass(1);
        assert_told(t, LOW);
        /* A budget that is low, too, is a reason of its own. */
        limits.soft = 80 * PAGE;
        limits.limit = limits.task_limit = 200 * PAGE;
        assert_hresult(hostmem_set_limits(t->g->f.manager, &limits), S_OK);
        use(t, 80);
        beacon_let_pass(8192);
        assert_told(t, LOW);
        use(t, 0);
        beacon_let_pass(8192);
        assert_quiet(t);
        /* Over is it an eighth below. */
        fake_os_set_private(mark - mark / 8);
        beacon_let_pass(1000);
        assert_told(t, LOW); /* much was freed */
        fake_os_set_private(mark - mark / 8 - 1);
        beacon_let_pass(1000);
        assert_told(t, NEUTRAL);
        fake_os_set_private(mark);
        beacon_let_pass(1000);
        assert_told(t, LOW);
        hostmem_statistics statistics = fixture_statistics(t->g->f.manager);
        assert_int_equal(statistics.process.now, mark);
        assert_int_equal(statistics.process.peak, 3 * mark);
        if (shared)
            assert_hresult(hostmem_set_budget_limits(budget, &none), S_OK);
        assert_hresult(hostmem_set_limits(t->g->f.manager, &none), S_OK);
        assert_told(t, HIGH);
        tenancy_end(t);
        hostmem_release_budget(budget);
    }
    fake_os_set_private(0);
}

static void test_forced(void **state)
{
    (void)state;
    hostmem_limits limits = soft_at(80);
    struct tenancy *t = tenancy_make(&limits, NULL);
    hostmem_manager *manager = t->g->f.manager;
    assert_quiet(t);
    assert_int_equal(fixture_statistics(manager).pressure, NEUTRAL); /* which the CLR need not be told */
    assert_hresult(hostmem_force_pressure(manager, LOW), S_OK);
    assert_told(t, LOW);
    assert_hresult(hostmem_force_pressure(manager, LOW), S_OK);
    assert_quiet(t);
    beacon_let_pass(8192);
    assert_told(t, LOW);
    assert_hresult(hostmem_force_pressure(manager, HIGH), S_OK);
    assert_told(t, HIGH);
    use(t, 90); /* not even this */
    assert_quiet(t);
    assert_hresult(hostmem_force_pressure(manager, NEUTRAL), S_OK);
    assert_told(t, NEUTRAL);
    assert_hresult(hostmem_force_pressure(manager, 0), S_OK);
    assert_told(t, LOW);
    use(t, 0);
    assert_told(t, NEUTRAL);
    assert_quiet(t);
    tenancy_end(t);
}

/* A CLR that has just started knows nothing; of Neutral it need not. */
static void test_started(void **state)
{
    (void)state;
    hostmem_limits limits = soft_at(80);
    struct tenancy *t = tenancy_make(&limits, NULL);
    assert_hresult(hostmem_clr_started(t->g->f.manager), S_OK);
    assert_quiet(t);
    use(t, 80);
    assert_told(t, LOW);
    beacon_let_pass(5000);
    assert_hresult(hostmem_clr_started(t->g->f.manager), S_OK);
    assert_told(t, LOW);
    assert_quiet(t);
    beacon_let_pass(8191); /* the interval counts from there */
    assert_quiet(t);
    beacon_let_pass(1);
    assert_told(t, LOW);
    fake_os_set_resources((struct hm_os_resources){.high = true});
    use(t, 0);
    assert_told(t, HIGH);
    assert_hresult(hostmem_clr_started(t->g->f.manager), S_OK);
    assert_told(t, HIGH);
    assert_quiet(t);
    assert_int_equal(event_log_count(&t->g->log, HOSTMEM_EVENT_PRESSURE), 3);
    tenancy_end(t);
}

/* A callback that comes while memory is low is told of it, though the level was found before. */
static void test_registered_late(void **state)
{
    (void)state;
    hostmem_limits limits = soft_at(80);
    struct governed *g = governed_make(&limits, NULL);
    char *region = grant(g, NULL, 80 * PAGE, MEM_COMMIT, eTaskCritical, 80 * PAGE);
    struct listener first, second;
    listener_init(&first, NULL, NULL);
    listener_init(&second, NULL, NULL);
    event_log_wait(&g->log, HOSTMEM_EVENT_PRESSURE, 1);
    assert_int_equal(fixture_statistics(g->f.manager).pressure, LOW);
    assert_int_equal(fixture_statistics(g->f.manager).notifications[LOW], 0); /* nobody was there */
    IHostMemoryManager_RegisterMemoryNotificationCallback(g->f.memory, &first.iface);
    assert_int_equal(listener_wait(&first, 1), LOW);
    IHostMemoryManager_RegisterMemoryNotificationCallback(g->f.memory, &second.iface);
    assert_int_equal(listener_wait(&second, 1), LOW);
    beacon_settle();
    assert_int_equal(first.count, 1);
    assert_int_equal(second.count, 1);
    assert_int_equal(first.references, 1);
    assert_int_equal(fixture_statistics(g->f.manager).notifications[LOW], 2);
    release(g, region);
    governed_end(g);
    assert_int_equal(second.references, 1);
}

#define pressure_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        pressure_test(test_budget),          pressure_test(test_limits_that_change),
        pressure_test(test_shared_budget),   pressure_test(test_heap_limit),
        pressure_test(test_what_is_shown),   pressure_test(test_machine),
        pressure_test(test_job_object),      cmocka_unit_test(test_job_arithmetic),
        pressure_test(test_low_is_repeated), pressure_test(test_process_soft),
        pressure_test(test_forced),          pressure_test(test_started),
        pressure_test(test_registered_late),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

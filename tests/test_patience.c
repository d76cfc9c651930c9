/*
 * test_patience.c - what Windows refuses for a moment is tried again, the more often the more critical it is
 *
 * Pauses pass at once and are counted: the operating system is the fake one.
 */
#include <stdatomic.h>

#include "com/manager.h"
#include "support/answers.h"
#include "support/fake_os.h"
#include "support/fake_pages.h"
#include "support/manager_fixture.h"

static int setup(void **state)
{
    fake_os_reset();
    fake_pages_fail_from(0);
    fake_os_allow_pauses(true);
    return fixture_setup(state);
}

static int teardown(void **state)
{
    fake_os_reset();
    return fixture_teardown(state);
}

static const struct {
    unsigned level;
    long pauses;
} levels[] = {{eTaskCritical, 2}, {eAppDomainCritical, 8}, {eProcessCritical, 40}, {3, 40}, {UINT32_MAX, 40}};

enum { LEVELS = sizeof levels / sizeof levels[0] };

static HRESULT alloc(struct fixture *f, void *address, DWORD type, unsigned level, void **memory)
{
    *memory = (void *)1;
    SetLastError(NO_ERROR_SET);
    return IHostMemoryManager_VirtualAlloc(f->memory, address, 3 * PAGE, type, PAGE_READWRITE,
                                           (EMemoryCriticalLevel)level, memory);
}

/* Fails so many times, then works: tried until then, or until patience is at its end. */
static void test_commits(void **state)
{
    struct fixture *f = *state;
    static const DWORD transient[] = {ERROR_COMMITMENT_LIMIT, ERROR_NO_SYSTEM_RESOURCES,
                                      ERROR_NOT_ENOUGH_MEMORY};
    char *region = fixture_alloc(f, NULL, GRANULE, MEM_RESERVE, PAGE_READWRITE);
    char *raw = VirtualAlloc(NULL, GRANULE, MEM_RESERVE, PAGE_READWRITE);
    const struct {
        void *address;
        DWORD type;
    } ways[] = {
        {region, MEM_COMMIT}, {NULL, MEM_COMMIT}, {NULL, MEM_RESERVE | MEM_COMMIT}, {raw, MEM_COMMIT}};
    uint64_t retries = 0;
    for (unsigned w = 0; w < sizeof ways / sizeof ways[0]; w++)
        for (unsigned l = 0; l < LEVELS; l++)
            for (unsigned e = 0; e < sizeof transient / sizeof transient[0]; e++) {
                const long most = levels[l].pauses;
                const long failures[] = {0, 1, most, most + 1, 1000};
                for (unsigned n = 0; n < sizeof failures / sizeof failures[0]; n++) {
                    const bool granted = failures[n] <= most;
                    const long pauses = granted ? failures[n] : most;
                    uint64_t before = fixture_statistics(f->manager).charged.now;
                    long paused = fake_os_pauses();
                    void *memory;
                    fake_os_fail_times(FAKE_OS_ALLOC, 1, failures[n], transient[e]);
                    HRESULT result = alloc(f, ways[w].address, ways[w].type, levels[l].level, &memory);
                    DWORD error = GetLastError();
                    assert_hresult(result, granted ? S_OK : E_OUTOFMEMORY);
                    assert_int_equal(fake_os_pauses() - paused, pauses);
                    assert_int_equal(fake_os_count(FAKE_OS_ALLOC), pauses + 1);
                    retries += (uint64_t)pauses;
                    fake_os_fail(FAKE_OS_ALLOC, 0, 0);
                    hostmem_statistics statistics = fixture_statistics(f->manager);
                    assert_int_equal(statistics.os_retries, retries);
                    assert_int_equal(statistics.refusals, 0);
                    assert_int_equal(statistics.charged.now, statistics.committed.now);
                    if (!granted) {
                        assert_int_equal(error, transient[e]);
                        assert_null(memory);
                        assert_int_equal(statistics.charged.now, before);
                    } else if (ways[w].address == NULL) {
                        assert_int_equal(statistics.charged.now, before + 3 * PAGE);
                        fixture_free(f, memory, 0, MEM_RELEASE);
                    } else if (ways[w].address == region) {
                        assert_int_equal(statistics.charged.now, before + 3 * PAGE);
                        fixture_free(f, memory, 3 * PAGE, MEM_DECOMMIT);
                    }
                }
            }
    fixture_free(f, region, 0, MEM_RELEASE);
    VirtualFree(raw, 0, MEM_RELEASE);
}

/* What waiting does not help: other errors, address space, and everything that takes no memory. */
static void test_no_second_attempt(void **state)
{
    struct fixture *f = *state;
    static const DWORD errors[] = {5, 14, 87, 487, 998, 1453, 1454, 1816, 0};
    char *region = fixture_alloc(f, NULL, GRANULE, MEM_RESERVE, PAGE_READWRITE);
    void *memory;
    for (unsigned i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        fake_os_fail(FAKE_OS_ALLOC, 1, errors[i]);
        assert_true(FAILED(alloc(f, region, MEM_COMMIT, eProcessCritical, &memory)));
        assert_int_equal(GetLastError(), errors[i]);
        assert_int_equal(fake_os_count(FAKE_OS_ALLOC), 1);
    }
    const DWORD types[] = {MEM_RESERVE, MEM_RESERVE | MEM_WRITE_WATCH};
    for (unsigned i = 0; i < sizeof types / sizeof types[0]; i++) {
        fake_os_fail(FAKE_OS_ALLOC, 1, ERROR_COMMITMENT_LIMIT);
        assert_hresult(alloc(f, NULL, types[i], eProcessCritical, &memory), E_OUTOFMEMORY);
        assert_int_equal(fake_os_count(FAKE_OS_ALLOC), 1);
    }
    fake_os_fail(FAKE_OS_ALLOC, 1, ERROR_COMMITMENT_LIMIT);
    assert_hresult(alloc(f, region, MEM_RESET, eProcessCritical, &memory), E_OUTOFMEMORY);
    assert_int_equal(fake_os_count(FAKE_OS_ALLOC), 1);
    fake_os_fail(FAKE_OS_FREE, 1, ERROR_NOT_ENOUGH_MEMORY);
    assert_hresult(IHostMemoryManager_VirtualFree(f->memory, region, PAGE, MEM_DECOMMIT), E_OUTOFMEMORY);
    assert_int_equal(fake_os_count(FAKE_OS_FREE), 1);
    assert_int_equal(fake_os_pauses(), 0);
    assert_int_equal(fixture_statistics(f->manager).os_retries, 0);
    fake_os_fail(FAKE_OS_ALLOC, 0, 0);
    fixture_free(f, region, 0, MEM_RELEASE);
}

/* A budget's refusal is final at once: only its host can change that. */
static void test_refusals_do_not_wait(void **state)
{
    struct fixture *f = *state;
    hostmem_limits limits = {.size = sizeof limits, .flags = HOSTMEM_LIMITS_STRICT, .limit = PAGE};
    void *memory;
    assert_hresult(hostmem_set_limits(f->manager, &limits), S_OK);
    for (unsigned l = 0; l < LEVELS; l++) {
        fake_os_fail(FAKE_OS_ALLOC, 0, 0);
        assert_hresult(alloc(f, NULL, MEM_COMMIT, levels[l].level, &memory), E_OUTOFMEMORY);
        assert_int_equal(GetLastError(), ERROR_COMMITMENT_LIMIT);
        assert_int_equal(fake_os_count(FAKE_OS_ALLOC), 0);
    }
    assert_int_equal(fake_os_pauses(), 0);
}

static void test_heap(void **state)
{
    struct fixture *f = *state;
    IHostMalloc *heap;
    char file[] = "f";
    uint64_t retries = 0;
    assert_hresult(IHostMemoryManager_CreateMalloc(f->memory, MALLOC_THREADSAFE, &heap), S_OK);
    for (unsigned l = 0; l < LEVELS; l++)
        for (int debug = 0; debug < 2; debug++)
            for (long failures = 0; failures <= levels[l].pauses + 1; failures++) {
                const bool granted = failures <= levels[l].pauses;
                const EMemoryCriticalLevel level = (EMemoryCriticalLevel)levels[l].level;
                void *block = (void *)1;
                fake_os_fail_times(FAKE_OS_HEAP_ALLOC, 1, failures, 0); /* a heap leaves no error */
                SetLastError(NO_ERROR_SET);
                HRESULT result = debug ? IHostMalloc_DebugAlloc(heap, 100, level, file, 1, &block)
                                       : IHostMalloc_Alloc(heap, 100, level, &block);
                const DWORD error = GetLastError();
                assert_hresult(result, granted ? S_OK : E_OUTOFMEMORY);
                if (granted)
                    assert_int_equal(error, NO_ERROR_SET);
                assert_int_equal(fake_os_count(FAKE_OS_HEAP_ALLOC), granted ? failures + 1 : failures);
                retries += (uint64_t)(granted ? failures : levels[l].pauses);
                hostmem_statistics statistics = fixture_statistics(f->manager);
                assert_int_equal(statistics.os_retries, retries);
                assert_int_equal(statistics.charged.now, granted ? 100 : 0);
                assert_int_equal(statistics.heap.now, granted ? 100 : 0);
                assert_int_equal(statistics.blocks, granted);
                if (granted)
                    assert_hresult(IHostMalloc_Free(heap, block), S_OK);
                else
                    assert_null(block);
            }
    assert_int_equal(fake_os_pauses(), retries);
    fake_os_fail(FAKE_OS_HEAP_ALLOC, 0, 0);
    assert_int_equal(IHostMalloc_Release(heap), 0);
}

/* ------------------------------------------------------------------------------- what comes to nothing, and pauses */

static atomic_uint events; /* but of pressure */
static hostmem_event last_event;

static void HOSTMEM_CALL count_event(const hostmem_event *event, void *context)
{
    (void)context;
    if (event->kind == HOSTMEM_EVENT_PRESSURE)
        return;
    last_event = *event;
    events++;
}

/* A manager with limits, and one of its own for the others. */
struct limited {
    struct fixture f;
    hostmem_budget *shared;
    IHostMalloc *heap;
    struct fixture other;
};

static struct limited limited_make(const hostmem_limits *limits, const hostmem_limits *shared)
{
    struct limited l;
    assert_hresult(hostmem_create_budget(shared, &l.shared), S_OK);
    hostmem_options options = {
        .size = sizeof options, .limits = limits, .shared = l.shared, .event = count_event};
    hostmem_options others = {.size = sizeof others, .shared = l.shared};
    events = 0;
    assert_hresult(hostmem_create(&options, &l.f.manager), S_OK);
    assert_hresult(hostmem_get_memory_manager(l.f.manager, &l.f.memory), S_OK);
    assert_hresult(IHostMemoryManager_CreateMalloc(l.f.memory, MALLOC_THREADSAFE, &l.heap), S_OK);
    assert_hresult(hostmem_create(&others, &l.other.manager), S_OK);
    assert_hresult(hostmem_get_memory_manager(l.other.manager, &l.other.memory), S_OK);
    return l;
}

static void limited_end(struct limited *l)
{
    assert_int_equal(IHostMalloc_Release(l->heap), 0);
    IHostMemoryManager_Release(l->f.memory);
    hostmem_release(l->f.manager); /* no event comes any more */
    IHostMemoryManager_Release(l->other.memory);
    hostmem_release(l->other.manager);
    hostmem_release_budget(l->shared);
}

static hostmem_budget_usage usage_of(hostmem_budget *budget)
{
    hostmem_budget_usage usage = {.size = sizeof usage};
    assert_hresult(hostmem_get_budget(budget, NULL, &usage), S_OK);
    return usage;
}

/* Of a call that failed only the failure, and the attempts, are there. */
static void assert_no_trace(struct limited *l, const hostmem_statistics *before,
                            const hostmem_budget_usage *usage_before)
{
    hostmem_statistics now = fixture_statistics(l->f.manager);
    hostmem_budget_usage usage = usage_of(l->shared);
    for (unsigned m = 0; m < HOSTMEM_METHOD_COUNT; m++)
        for (unsigned level = 0; level < HOSTMEM_LEVEL_COUNT; level++)
            now.calls[m][level] = before->calls[m][level];
    now.os_retries = before->os_retries;
    now.pressure = before->pressure;
    for (unsigned p = 0; p < HOSTMEM_PRESSURE_COUNT; p++)
        now.notifications[p] = before->notifications[p];
    now.metadata = before->metadata; /* bits of a region that was asked for */
    assert_memory_equal(&now, before, sizeof now);
    assert_memory_equal(&usage, usage_before, sizeof usage);
}

#if UINTPTR_MAX > UINT32_MAX
/* A region that is too long for a record will be so after any pause. */
static void test_too_long_for_a_record(void **state)
{
    struct fixture *f = *state;
    const SIZE_T size = (SIZE_T)32 << 40;
    fake_os_cut_reserves(GRANULE);
    for (unsigned level = 0; level < LEVELS; level++) {
        void *memory = (void *)1;
        fake_os_fail(FAKE_OS_ALLOC, 0, 0);
        SetLastError(NO_ERROR_SET);
        HRESULT result = IHostMemoryManager_VirtualAlloc(f->memory, NULL, size, MEM_RESERVE, PAGE_NOACCESS,
                                                         (EMemoryCriticalLevel)levels[level].level, &memory);
        assert_hresult(result, E_OUTOFMEMORY);
        assert_int_equal(GetLastError(), ERROR_NOT_ENOUGH_MEMORY);
        assert_null(memory);
        assert_int_equal(fake_os_count(FAKE_OS_ALLOC), 1);
        assert_int_equal(fake_os_outstanding(), 0);
    }
    assert_int_equal(fake_os_pauses(), 0);
    hostmem_statistics statistics = fixture_statistics(f->manager);
    assert_int_equal(statistics.os_retries, 0);
    assert_int_equal(statistics.refusals, LEVELS);
    assert_int_equal(statistics.refused[HOSTMEM_REASON_METADATA], LEVELS);
    assert_int_equal(statistics.reserved.peak, 0);
}

/* More than any machine could commit: no call waits for that, and nothing is left of it. */
static void test_hopeless(void **state)
{
    (void)state;
    const SIZE_T region_bytes = (SIZE_T)3 << 39;
    hostmem_limits limits = {.size = sizeof limits, .limit = 64 << 20, .margin = 16 << 20, .fail_after = 7};
    hostmem_limits none = {.size = sizeof none, .limit = HOSTMEM_UNLIMITED};
    fake_os_set_memory(&(struct os_memory){.physical_total = (uint64_t)64 << 30,
                                           .physical_available = (uint64_t)8 << 30,
                                           .job_limit = UINT64_MAX,
                                           .working_set_limit = UINT64_MAX});
    static const struct {
        SIZE_T size;
        DWORD type;
        bool inside; /* of a region */
    } rows[] = {{(SIZE_T)64 << 40, MEM_RESERVE | MEM_COMMIT, false},
                {(SIZE_T)64 << 40, MEM_COMMIT, false},
                {(SIZE_T)31 << 40, MEM_RESERVE | MEM_COMMIT, false},
                {(SIZE_T)3 << 39, MEM_COMMIT, true}};
    for (int limited = 0; limited < 2; limited++) {
        struct limited l = limited_make(limited ? &limits : &none, limited ? &none : &limits);
        void *region = NULL;
        assert_hresult(IHostMemoryManager_VirtualAlloc(l.f.memory, NULL, region_bytes, MEM_RESERVE,
                                                       PAGE_READWRITE, eTaskCritical, &region),
                       S_OK);
        for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++)
            for (unsigned level = 0; level < LEVELS; level++) {
                hostmem_statistics before = fixture_statistics(l.f.manager);
                hostmem_budget_usage usage = usage_of(l.shared);
                void *memory = (void *)1;
                if (levels[level].level < eProcessCritical)
                    continue; /* refused by the limit */
                fake_os_fail_times(FAKE_OS_ALLOC, 1, 1000, ERROR_COMMITMENT_LIMIT);
                SetLastError(NO_ERROR_SET);
                HRESULT result = IHostMemoryManager_VirtualAlloc(
                    l.f.memory, rows[i].inside ? region : NULL, rows[i].size, rows[i].type, PAGE_READWRITE,
                    (EMemoryCriticalLevel)levels[level].level, &memory);
                assert_hresult(result, E_OUTOFMEMORY);
                assert_int_equal(GetLastError(), ERROR_COMMITMENT_LIMIT);
                assert_null(memory);
                assert_int_equal(fake_os_count(FAKE_OS_ALLOC), 1);
                assert_int_equal(fake_os_pauses(), 0);
                assert_no_trace(&l, &before, &usage);
                assert_int_equal(fixture_statistics(l.f.manager).os_retries, 0);

                fake_os_fail_times(FAKE_OS_HEAP_ALLOC, 1, 1000, 0);
                memory = (void *)1;
                assert_hresult(IHostMalloc_Alloc(l.heap, rows[i].size,
                                                 (EMemoryCriticalLevel)levels[level].level, &memory),
                               E_OUTOFMEMORY);
                assert_null(memory);
                assert_int_equal(fake_os_count(FAKE_OS_HEAP_ALLOC), 1);
                assert_int_equal(fake_os_pauses(), 0);
                assert_no_trace(&l, &before, &usage);
            }
        fake_os_count_again();
        fixture_free(&l.f, region, 0, MEM_RELEASE);
        assert_int_equal(fixture_statistics(l.f.manager).charged.peak, 0);
        limited_end(&l);
        assert_int_equal(events, 0);
    }
}
#endif

/* What a pause is to show. */
static struct {
    struct limited *l;
    hostmem_statistics before;
    hostmem_budget_usage usage;
    uint64_t charges_left;
    unsigned shown, others; /* pauses that were looked at; commits of another manager's meanwhile */
    bool spoil;             /* take all that there is, so that the call is refused when it tries again */
    void *taken;
} pause;

static uint64_t limit_of_all;

/* Nothing is held: the figures are as before the call, and somebody else has the whole limit. */
static void look_in_pause(void)
{
    DWORD error = GetLastError();
    struct fixture *other = &pause.l->other;
    assert_no_trace(pause.l, &pause.before, &pause.usage);
    assert_int_equal(charges_left(&pause.l->f.manager->vm.quota), pause.charges_left);
    fake_os_fail(FAKE_OS_ALLOC, 0, 0);
    fake_os_fail(FAKE_OS_HEAP_ALLOC, 0, 0);
    void *memory = fixture_alloc(other, NULL, limit_of_all, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    pause.shown++;
    if (pause.spoil) {
        pause.taken = memory;
    } else {
        fixture_free(other, memory, 0, MEM_RELEASE);
        pause.usage = usage_of(pause.l->shared);
        /* Windows has something after three pauses. */
        if (pause.shown < 3) {
            fake_os_fail(FAKE_OS_ALLOC, 1, ERROR_COMMITMENT_LIMIT);
            fake_os_fail(FAKE_OS_HEAP_ALLOC, 1, 0);
        }
    }
    SetLastError(error);
}

enum way { COMMIT, RESERVE_AND_COMMIT, ALLOC, SMALL_ALLOC, WAYS };

static HRESULT take_memory(struct limited *l, enum way way, void *region, void **memory)
{
    const EMemoryCriticalLevel level = eAppDomainCritical;
    *memory = (void *)1;
    SetLastError(NO_ERROR_SET);
    if (way >= ALLOC)
        return IHostMalloc_Alloc(l->heap, way == ALLOC ? 3 * PAGE : 100, level, memory);
    return IHostMemoryManager_VirtualAlloc(l->f.memory, way == COMMIT ? region : NULL, 3 * PAGE,
                                           way == COMMIT ? MEM_COMMIT : MEM_RESERVE | MEM_COMMIT,
                                           PAGE_READWRITE, level, memory);
}

/* While a call pauses nothing of it is charged, and what is there is another's to take. */
static void test_nothing_is_held_in_a_pause(void **state)
{
    (void)state;
    limit_of_all = 16 * PAGE;
    hostmem_limits shared = {.size = sizeof shared, .limit = limit_of_all};
    hostmem_limits own = {.size = sizeof own, .limit = HOSTMEM_UNLIMITED, .fail_after = 100};
    for (enum way way = 0; way < WAYS; way++)
        for (int spoil = 0; spoil < 2; spoil++) {
            struct limited l = limited_make(&own, &shared);
            void *region = fixture_alloc(&l.f, NULL, GRANULE, MEM_RESERVE, PAGE_READWRITE), *memory;
            pause.l = &l;
            pause.before = fixture_statistics(l.f.manager);
            pause.usage = usage_of(l.shared);
            pause.charges_left = 100;
            pause.shown = 0;
            pause.spoil = spoil;
            fake_os_in_pause(look_in_pause);
            fake_os_fail(FAKE_OS_ALLOC, 1, ERROR_COMMITMENT_LIMIT);
            fake_os_fail(FAKE_OS_HEAP_ALLOC, 1, 0);
            HRESULT result = take_memory(&l, way, region, &memory);
            DWORD error = GetLastError();
            fake_os_in_pause(NULL);
            hostmem_statistics now = fixture_statistics(l.f.manager);
            if (spoil) {
                /* Tried again, and refused by the budget then. */
                assert_hresult(result, E_OUTOFMEMORY);
                assert_int_equal(error, ERROR_COMMITMENT_LIMIT);
                assert_null(memory);
                assert_int_equal(pause.shown, 1);
                assert_int_equal(now.os_retries, 1);
                assert_int_equal(now.refused[HOSTMEM_REASON_SHARED], 1);
                assert_int_equal(now.charged.now, 0);
                assert_int_equal(now.charged.peak, 0);
                assert_int_equal(now.heap.peak, 0);
                assert_int_equal(charges_left(&l.f.manager->vm.quota), 100);
                fixture_free(&l.other, pause.taken, 0, MEM_RELEASE);
            } else {
                const uint64_t bytes = way == SMALL_ALLOC ? 100 : 3 * PAGE;
                assert_hresult(result, S_OK);
                assert_int_equal(pause.shown, 3);
                assert_int_equal(now.os_retries, 3);
                assert_int_equal(now.refusals, 0);
                assert_int_equal(now.charged.now, bytes);
                assert_int_equal(now.charged.peak, bytes);
                assert_int_equal(charges_left(&l.f.manager->vm.quota), 99);
                if (way >= ALLOC)
                    assert_hresult(IHostMalloc_Free(l.heap, memory), S_OK);
                else
                    fixture_free(&l.f, memory, 3 * PAGE * (way == COMMIT),
                                 way == COMMIT ? MEM_DECOMMIT : MEM_RELEASE);
            }
            fixture_free(&l.f, region, 0, MEM_RELEASE);
            assert_int_equal(usage_of(l.shared).charged.now, 0);
            assert_int_equal(usage_of(l.shared).reserved.now, 0);
            limited_end(&l);
        }
}

/* An overrun is none until the memory is there: not while it pauses, and not if it never comes. */
static void test_overruns_pause(void **state)
{
    (void)state;
    hostmem_limits own = {.size = sizeof own, .limit = PAGE, .heap_limit = PAGE};
    hostmem_limits none = {.size = sizeof none, .limit = HOSTMEM_UNLIMITED};
    limit_of_all = 64 * PAGE; /* the other's own */
    for (int comes = 0; comes < 2; comes++)
        for (int block = 0; block < 2; block++) {
            struct limited l = limited_make(&own, &none);
            void *region = fixture_alloc(&l.f, NULL, GRANULE, MEM_RESERVE, PAGE_READWRITE), *memory;
            pause.l = &l;
            pause.before = fixture_statistics(l.f.manager);
            pause.usage = usage_of(l.shared);
            pause.charges_left = BUDGET_UNLIMITED;
            pause.shown = 0;
            pause.spoil = false;
            fake_os_in_pause(comes ? look_in_pause : NULL);
            fake_os_fail_times(FAKE_OS_ALLOC, 1, comes ? 1 : 1000, ERROR_COMMITMENT_LIMIT);
            fake_os_fail_times(FAKE_OS_HEAP_ALLOC, 1, comes ? 1 : 1000, 0);
            HRESULT result = block
                                 ? IHostMalloc_Alloc(l.heap, 3 * PAGE, eProcessCritical, &memory)
                                 : IHostMemoryManager_VirtualAlloc(l.f.memory, region, 3 * PAGE, MEM_COMMIT,
                                                                   PAGE_READWRITE, eProcessCritical, &memory);
            fake_os_in_pause(NULL);
            fake_os_count_again();
            hostmem_statistics now = fixture_statistics(l.f.manager);
            assert_hresult(result, comes ? S_OK : E_OUTOFMEMORY);
            assert_int_equal(now.os_retries, comes ? 3 : 40);
            if (comes) {
                assert_int_equal(now.overrun.count, 1);
                assert_int_equal(now.overrun.bytes, 3 * PAGE);
                assert_int_equal(now.charged.now, 3 * PAGE);
                if (block)
                    assert_hresult(IHostMalloc_Free(l.heap, memory), S_OK);
            } else {
                assert_no_trace(&l, &pause.before, &pause.usage);
            }
            fixture_free(&l.f, region, 0, MEM_RELEASE);
            limited_end(&l);
        }
}

/* Where others are at work in the region meanwhile. */
static struct {
    struct fixture *f;
    char *region;
    void *taken;
} race;

/* Two of its pages go, and two come elsewhere. */
static void decommit_and_commit_elsewhere(void)
{
    DWORD error = GetLastError();
    fixture_free(race.f, race.region, 2 * PAGE, MEM_DECOMMIT);
    race.taken = fixture_alloc(race.f, NULL, 2 * PAGE, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    assert_hresult(hm_vm_set_use(&race.f->manager->vm, race.taken, HOSTMEM_USE_GC_HEAP), S_OK);
    SetLastError(error);
}

/* More than was charged comes to be committed: an overrun at any level, told with what the call has newly committed. */
static void test_an_overrun_after_a_race(void **state)
{
    (void)state;
    static const hostmem_limits none = {.size = sizeof none, .limit = HOSTMEM_UNLIMITED};
    for (int heap = 0; heap < 2; heap++)
        for (unsigned level = eTaskCritical; level <= eAppDomainCritical; level++) {
            hostmem_limits limits = {.size = sizeof limits, .limit = heap ? HOSTMEM_UNLIMITED : 6 * PAGE};
            limits.heap_limit = heap ? 6 * PAGE : 0;
            struct limited l = limited_make(&limits, &none);
            race.f = &l.f;
            race.region = fixture_alloc(&l.f, NULL, GRANULE, MEM_RESERVE, PAGE_READWRITE);
            assert_hresult(hm_vm_set_use(&l.f.manager->vm, race.region, HOSTMEM_USE_GC_HEAP), S_OK);
            fixture_alloc(&l.f, race.region, 4 * PAGE, MEM_COMMIT, PAGE_READWRITE);
            void *memory;
            fake_os_before_alloc(decommit_and_commit_elsewhere);
            /* Two pages are charged, and four come. */
            assert_hresult(IHostMemoryManager_VirtualAlloc(l.f.memory, race.region, 6 * PAGE, MEM_COMMIT,
                                                           PAGE_READWRITE, (EMemoryCriticalLevel)level,
                                                           &memory),
                           S_OK);
            for (unsigned i = 0; i < 10000 && events == 0; i++)
                Sleep(1);
            hostmem_statistics now = fixture_statistics(l.f.manager);
            assert_int_equal(now.charged.now, 8 * PAGE);
            assert_int_equal(now.committed_by_use[HOSTMEM_USE_GC_HEAP].now, 8 * PAGE);
            assert_int_equal(now.refusals, 0);
            assert_int_equal(events, 1);
            assert_int_equal((heap ? now.heap_overrun : now.overrun).count, 1);
            assert_int_equal((heap ? now.overrun : now.heap_overrun).count, 0);
            assert_int_equal(last_event.kind, HOSTMEM_EVENT_OVERRUN);
            assert_int_equal(last_event.reason, heap ? HOSTMEM_REASON_HEAP_LIMIT : HOSTMEM_REASON_MARGIN);
            assert_int_equal(last_event.critical_level, level);
            assert_int_equal(last_event.bytes, 4 * PAGE);
            assert_int_equal(last_event.limit, 6 * PAGE);
            assert_int_equal(last_event.used, 8 * PAGE);
            fixture_free(&l.f, race.region, 0, MEM_RELEASE);
            fixture_free(&l.f, race.taken, 0, MEM_RELEASE);
            limited_end(&l);
        }
}

/* The same race in a pause: what is asked for after it is what is needed then, and there is no room for that. */
static void test_asked_anew_after_a_pause(void **state)
{
    (void)state;
    static const hostmem_limits none = {.size = sizeof none, .limit = HOSTMEM_UNLIMITED};
    const hostmem_limits limits = {.size = sizeof limits, .limit = 6 * PAGE};
    for (unsigned level = eTaskCritical; level <= eAppDomainCritical; level++) {
        struct limited l = limited_make(&limits, &none);
        race.f = &l.f;
        race.region = fixture_alloc(&l.f, NULL, GRANULE, MEM_RESERVE, PAGE_READWRITE);
        fixture_alloc(&l.f, race.region, 4 * PAGE, MEM_COMMIT, PAGE_READWRITE);
        void *memory = (void *)1;
        fake_os_in_pause(decommit_and_commit_elsewhere);
        fake_os_fail(FAKE_OS_ALLOC, 1, ERROR_COMMITMENT_LIMIT);
        assert_hresult(IHostMemoryManager_VirtualAlloc(l.f.memory, race.region, 6 * PAGE, MEM_COMMIT,
                                                       PAGE_READWRITE, (EMemoryCriticalLevel)level, &memory),
                       E_OUTOFMEMORY);
        fake_os_in_pause(NULL);
        assert_null(memory);
        hostmem_statistics now = fixture_statistics(l.f.manager);
        assert_int_equal(now.os_retries, 1);
        assert_int_equal(now.refusals, 1);
        assert_int_equal(now.charged.now, 4 * PAGE);
        assert_int_equal(now.charged.peak, 4 * PAGE);
        assert_int_equal(now.overrun.count, 0);
        fixture_free(&l.f, race.region, 0, MEM_RELEASE);
        fixture_free(&l.f, race.taken, 0, MEM_RELEASE);
        limited_end(&l);
    }
}

static hostmem_manager *shut_in_pause;

static void shut_down(void)
{
    assert_hresult(hostmem_shutdown(shut_in_pause), S_OK);
}

/* The library's own refusal then, which leaves no last error: neither does the failure before. */
static void test_shutdown_in_a_pause(void **state)
{
    struct fixture *f = *state;
    void *memory;
    shut_in_pause = f->manager;
    fake_os_in_pause(shut_down);
    fake_os_fail(FAKE_OS_ALLOC, 1, ERROR_COMMITMENT_LIMIT);
    assert_hresult(alloc(f, NULL, MEM_RESERVE | MEM_COMMIT, eTaskCritical, &memory), HOST_E_CLRNOTAVAILABLE);
    assert_int_equal(GetLastError(), NO_ERROR_SET);
    assert_null(memory);
    assert_int_equal(fake_os_count(FAKE_OS_ALLOC), 1);
}

#define patience_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        patience_test(test_commits),
        patience_test(test_no_second_attempt),
        patience_test(test_refusals_do_not_wait),
        patience_test(test_heap),
#if UINTPTR_MAX > UINT32_MAX
        patience_test(test_too_long_for_a_record),
        patience_test(test_hopeless),
#endif
        patience_test(test_nothing_is_held_in_a_pause),
        patience_test(test_overruns_pause),
        patience_test(test_an_overrun_after_a_race),
        patience_test(test_asked_anew_after_a_pause),
        patience_test(test_shutdown_in_a_pause),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * test_threads.c - many threads on the same addresses and the same pages
 *
 * The linker puts slow_ (below) between the library and its OS calls (--wrap): now and then a call is held up
 * before or after Windows has done it, so that the order of Windows' work and of the entries differs.
 * The test counts the calls that overlapped and the times the accounting asked Windows again, so that it cannot
 * pass by being too quick.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "memory/os.h"
#include "support/crew.h"
#include "support/free_space.h"
#include "support/verified.h"
#include <hostmem/hostmem.h>

enum { PAGE = 4096, GRANULE = 65536, THREADS = 6 };

#define HR_ADDRESS   HRESULT_FROM_WIN32(ERROR_INVALID_ADDRESS)
#define HR_PARAMETER HRESULT_FROM_WIN32(ERROR_INVALID_PARAMETER)

static hostmem_manager *manager;
static IHostMemoryManager *memory;
static struct crew crew;

/* Between the library and Windows */

static atomic_bool slow;
static atomic_uint committing, changing; /* calls at work */
static atomic_uint overlaps, queries;

void *__real_hm_os_virtual_alloc(void *address, SIZE_T size, DWORD type, DWORD protect);
bool __real_hm_os_virtual_free(void *address, SIZE_T size, DWORD type);
SIZE_T __real_hm_os_virtual_query(const void *address, MEMORY_BASIC_INFORMATION *buffer, SIZE_T length);

/* One call in eight gives way, one in `rarely` for a millisecond. */
static void dawdle(unsigned rarely)
{
    static atomic_uint turn;
    if (!atomic_load(&slow))
        return;
    unsigned hash = (atomic_fetch_add(&turn, 1) * 2654435761u + GetCurrentThreadId() * 40503u) >> 16;
    if (hash % rarely == 0)
        Sleep(1);
    else if (hash % 8 == 1)
        SwitchToThread();
}

void *__wrap_hm_os_virtual_alloc(void *address, SIZE_T size, DWORD type, DWORD protect)
{
    atomic_fetch_add(&committing, 1);
    dawdle(32);
    void *memory_got = __real_hm_os_virtual_alloc(address, size, type, protect);
    dawdle(32);
    if (atomic_load(&changing) != 0)
        atomic_fetch_add(&overlaps, 1);
    atomic_fetch_sub(&committing, 1);
    return memory_got;
}

bool __wrap_hm_os_virtual_free(void *address, SIZE_T size, DWORD type)
{
    atomic_fetch_add(&changing, 1);
    dawdle(32);
    bool done = __real_hm_os_virtual_free(address, size, type);
    DWORD error = GetLastError();
    dawdle(32);
    SetLastError(error);
    if (atomic_load(&committing) != 0)
        atomic_fetch_add(&overlaps, 1);
    atomic_fetch_sub(&changing, 1);
    return done;
}

SIZE_T __wrap_hm_os_virtual_query(const void *address, MEMORY_BASIC_INFORMATION *buffer, SIZE_T length)
{
    atomic_fetch_add(&queries, 1);
    SIZE_T written = __real_hm_os_virtual_query(address, buffer, length);
    dawdle(8); /* what was read grows old */
    return written;
}

/* What the manager does for us */

static HRESULT alloc(void *address, SIZE_T size, DWORD type, void **result)
{
    return IHostMemoryManager_VirtualAlloc(memory, address, size, type, PAGE_READWRITE, eTaskCritical,
                                           result);
}

static HRESULT give(void *address, SIZE_T size, DWORD type)
{
    return IHostMemoryManager_VirtualFree(memory, address, size, type);
}

/* Windows' count of an allocation; 0: there is none at `base`. */
static uint64_t windows_count(const char *base, uint64_t *committed)
{
    uint64_t bytes = 0;
    *committed = 0;
    for (;;) {
        MEMORY_BASIC_INFORMATION info;
        if (VirtualQuery(base + bytes, &info, sizeof info) == 0 || info.State == MEM_FREE ||
            info.AllocationBase != base)
            return bytes;
        *committed += info.State == MEM_COMMIT ? info.RegionSize : 0;
        bytes += info.RegionSize;
    }
}

static hostmem_statistics statistics(void)
{
    hostmem_statistics statistics = {.size = sizeof statistics};
    assert_int_equal(hostmem_get_statistics(manager, &statistics), S_OK);
    return statistics;
}

static HRESULT HOSTMEM_CALL region_equals_windows(const hostmem_region *region, void *context)
{
    uint64_t committed;
    assert_int_equal(region->reserved, windows_count(region->base, &committed));
    assert_int_equal(region->committed, committed);
    *(uint64_t *)context += committed;
    return S_OK;
}

static void check_statistics_equal_windows(void)
{
    uint64_t committed = 0;
    assert_int_equal(hostmem_walk_regions(manager, region_equals_windows, &committed), S_OK);
    assert_int_equal(statistics().committed.now, committed);
}

static int begin(void **state)
{
    (void)state;
    assert_int_equal(hostmem_create(NULL, &manager), S_OK);
    assert_int_equal(hostmem_get_memory_manager(manager, &memory), S_OK);
    atomic_store(&overlaps, 0);
    atomic_store(&queries, 0);
    return 0;
}

static int begin_slow(void **state)
{
    atomic_store(&slow, true);
    return begin(state);
}

/* Every test has released everything: all gauges are zero. */
static int end(void **state)
{
    (void)state;
    atomic_store(&slow, false);
    hostmem_statistics left = statistics();
    assert_int_equal(left.regions, 0);
    assert_int_equal(left.reserved.now, 0);
    assert_int_equal(left.committed.now, 0);
    assert_int_equal(left.blocks, 0);
    assert_int_equal(left.heap.now, 0);
    assert_int_equal(left.stale_regions, 0);
    assert_true(verified(manager));
    assert_int_equal(IHostMemoryManager_Release(memory), 1);
    hostmem_release(manager);
    return 0;
}

/* Commits and decommits of the same pages */

struct shared_pages {
    char *base;
    unsigned pages;
    unsigned longest;
    atomic_bool stop;
};

static void commit_and_decommit(struct member *member, void *context)
{
    struct shared_pages *shared = context;
    for (int i = 0; i < 24; i++) {
        unsigned count = 1 + crew_random(member, shared->longest);
        unsigned first = crew_random(member, shared->pages - count + 1);
        char *at = shared->base + (SIZE_T)first * PAGE;
        HRESULT result;
        if (crew_random(member, 2)) {
            void *got;
            result = alloc(at, (SIZE_T)count * PAGE, MEM_COMMIT, &got);
            crew_check(member, got == at, result);
        } else {
            result = give(at, (SIZE_T)count * PAGE, MEM_DECOMMIT);
        }
        crew_check(member, result == S_OK, result);
    }
}

/* Short rounds, each checked: a wrong page must not be put right by a later call. */
static void check_shared_pages(SIZE_T bytes, unsigned pages, unsigned longest, int rounds)
{
    void *base;
    assert_int_equal(alloc(NULL, bytes, MEM_RESERVE, &base), S_OK);
    struct shared_pages shared = {.base = base, .pages = pages, .longest = longest};
    for (int round = 0; round < rounds; round++) {
        crew_run(&crew, THREADS, commit_and_decommit, &shared);
        check_statistics_equal_windows();
    }
    assert_int_equal(give(base, 0, MEM_RELEASE), S_OK);
}

static void test_same_pages(void **state)
{
    (void)state;
    check_shared_pages(8 * PAGE, 8, 8, 40);
    check_shared_pages(1 << 20, 100, 80, 20);
    check_shared_pages(80 << 20, 20000, 18000, 3); /* across stripes */
    if (atomic_load(&slow)) {
        print_message("%u overlaps, %u queries\n", atomic_load(&overlaps), atomic_load(&queries));
        assert_true(atomic_load(&overlaps) > 500);
        assert_true(atomic_load(&queries) > 200);
    }
}

/* Walks, statistics and queries meanwhile */

static HRESULT HOSTMEM_CALL region_is_sane(const hostmem_region *region, void *context)
{
    crew_check((struct member *)context, region->committed <= region->reserved, region->committed);
    crew_check((struct member *)context, region->kind == HOSTMEM_REGION_PRIVATE, region->kind);
    return S_OK;
}

static void look_on(struct member *member, struct shared_pages *shared)
{
    while (!atomic_load(&shared->stop)) {
        hostmem_statistics now = {.size = sizeof now};
        crew_check(member, hostmem_get_statistics(manager, &now) == S_OK, 0);
        crew_check(member, now.committed.now <= (uint64_t)shared->pages * PAGE, now.committed.now);
        crew_check(member, now.reserved.now <= now.reserved.peak, now.reserved.now);
        HRESULT result = hostmem_walk_regions(manager, region_is_sane, member);
        crew_check(member, result == S_OK, result);
        MEMORY_BASIC_INFORMATION info;
        SIZE_T written = 0;
        result = IHostMemoryManager_VirtualQuery(memory, shared->base, &info, sizeof info, &written);
        crew_check(member, result == S_OK && written == sizeof info, result);
        crew_check(member, info.AllocationBase == shared->base, 0);
        crew_check(member, hostmem_owns(manager, shared->base + PAGE) == S_OK, 0);
        Sleep(0);
    }
}

static void work_or_look_on(struct member *member, void *context)
{
    struct shared_pages *shared = context;
    if (member->number < 2) {
        look_on(member, shared);
        return;
    }
    for (int i = 0; i < 10; i++)
        commit_and_decommit(member, shared);
    if (member->number == 2)
        atomic_store(&shared->stop, true);
}

static void test_onlookers(void **state)
{
    (void)state;
    void *base;
    assert_int_equal(alloc(NULL, 64 * PAGE, MEM_RESERVE, &base), S_OK);
    struct shared_pages shared = {.base = base, .pages = 64, .longest = 32};
    crew_run(&crew, THREADS, work_or_look_on, &shared);
    check_statistics_equal_windows();
    assert_int_equal(give(base, 0, MEM_RELEASE), S_OK);
}

/* Reserve, commit, decommit and release of the same addresses, nobody knowing of the others */

enum { ADDRESSES = 3 };

static char *window;
static atomic_uint reserved[ADDRESSES], released[ADDRESSES];

static void use_addresses(struct member *member, void *context)
{
    (void)context;
    for (int i = 0; i < 400; i++) {
        unsigned which = crew_random(member, ADDRESSES);
        char *at = window + (SIZE_T)which * 4 * GRANULE;
        unsigned page = crew_random(member, 32);
        void *got;
        HRESULT result;
        switch (crew_random(member, 5)) {
        case 0:
            result = alloc(at, 2 * GRANULE, MEM_RESERVE | (page < 8 ? MEM_COMMIT : 0), &got);
            crew_check(member, result == S_OK ? got == at : got == NULL && result == HR_ADDRESS, result);
            if (result == S_OK)
                atomic_fetch_add(&reserved[which], 1);
            break;
        case 1:
        case 2:
            result = alloc(at + page * PAGE, (1 + page % 4) * PAGE, MEM_COMMIT, &got);
            crew_check(member, result == S_OK ? got == at + page * PAGE : got == NULL, result);
            break;
        case 3:
            result = give(at + page * PAGE, PAGE, MEM_DECOMMIT);
            crew_check(member,
                       result == S_OK || result == HOST_E_INVALIDOPERATION || result == HR_ADDRESS ||
                           result == HR_PARAMETER,
                       result);
            break;
        default:
            result = give(at, 0, MEM_RELEASE);
            crew_check(member, result == S_OK || result == HOST_E_INVALIDOPERATION, result);
            if (result == S_OK)
                atomic_fetch_add(&released[which], 1);
        }
    }
}

static void test_same_addresses(void **state)
{
    (void)state;
    window = free_space_find(4 * GRANULE * ADDRESSES);
    assert_non_null(window);
    for (int round = 0; round < 4; round++) {
        crew_run(&crew, THREADS, use_addresses, NULL);
        unsigned live = 0;
        for (unsigned i = 0; i < ADDRESSES; i++) {
            uint64_t committed;
            char *at = window + (SIZE_T)i * 4 * GRANULE;
            unsigned here = windows_count(at, &committed) != 0;
            /* Every release that said S_OK was one region's, and every region had one. */
            assert_int_equal(reserved[i], released[i] + here);
            assert_true(released[i] > 5);
            assert_int_equal(hostmem_owns(manager, at), here ? S_OK : S_FALSE);
            live += here;
        }
        assert_int_equal(statistics().regions, live);
        assert_int_equal(statistics().reserved.now, (uint64_t)live * 2 * GRANULE);
        for (unsigned i = 0; i < ADDRESSES; i++)
            if (give(window + (SIZE_T)i * 4 * GRANULE, 0, MEM_RELEASE) == S_OK)
                released[i]++;
        assert_int_equal(statistics().committed.now, 0);
    }
}

/* All threads free the same at once */

struct prize {
    void *address;
    IHostMalloc *heap;
    atomic_uint won;
};

static void free_prize(struct member *member, void *context)
{
    struct prize *prize = context;
    for (int round = 0; round < 150; round++) {
        if (member->number == 0) {
            HRESULT made = prize->heap != NULL
                               ? IHostMalloc_Alloc(prize->heap, 100, eTaskCritical, &prize->address)
                               : alloc(NULL, GRANULE, MEM_RESERVE | MEM_COMMIT, &prize->address);
            crew_check(member, made == S_OK, made);
            atomic_store(&prize->won, 0);
        }
        crew_meet(member);
        HRESULT result = prize->heap != NULL ? IHostMalloc_Free(prize->heap, prize->address)
                                             : give(prize->address, 0, MEM_RELEASE);
        crew_check(member, result == S_OK || result == HOST_E_INVALIDOPERATION, result);
        if (result == S_OK)
            atomic_fetch_add(&prize->won, 1);
        crew_meet(member);
        crew_check(member, atomic_load(&prize->won) == 1, atomic_load(&prize->won));
        crew_meet(member);
    }
}

static void test_freed_once(void **state)
{
    (void)state;
    struct prize region = {.heap = NULL}, block = {.heap = NULL};
    crew_run(&crew, THREADS, free_prize, &region);
    assert_int_equal(IHostMemoryManager_CreateMalloc(memory, MALLOC_THREADSAFE, &block.heap), S_OK);
    crew_run(&crew, THREADS, free_prize, &block);
    assert_int_equal(statistics().foreign_frees, 2 * 150 * (THREADS - 1));
    /* Of the region's: not those who came between its end in the accounting and its end in Windows. */
    assert_in_range(statistics().double_frees, 1, 150 * (THREADS - 1));
    assert_int_equal(IHostMalloc_Release(block.heap), 0);
}

/* The compiler's arenas: many short-lived blocks, on all threads (contract 4) */

enum { MANY = 20, CHURNS = 500 };

static void churn(struct member *member, void *context)
{
    void *held[16] = {NULL};
    (void)context;
    for (int i = 0; i < CHURNS; i++) {
        unsigned slot = crew_random(member, 16);
        if (held[slot] != NULL) {
            crew_check(member, *(unsigned *)held[slot] == member->number, *(unsigned *)held[slot]);
            HRESULT result = give(held[slot], 0, MEM_RELEASE);
            crew_check(member, result == S_OK, result);
        }
        HRESULT result = alloc(NULL, (1 + slot % 3) * GRANULE, MEM_COMMIT, &held[slot]);
        crew_check(member, result == S_OK && *(unsigned *)held[slot] == 0, result);
        *(unsigned *)held[slot] = member->number;
    }
    for (unsigned slot = 0; slot < 16; slot++)
        if (held[slot] != NULL)
            give(held[slot], 0, MEM_RELEASE);
}

/* More threads than there are counters of their own: no call goes uncounted. */
static void test_churn(void **state)
{
    (void)state;
    crew_run(&crew, MANY, churn, NULL);
    assert_int_equal(statistics().calls[HOSTMEM_VIRTUAL_ALLOC][eTaskCritical].calls, MANY * CHURNS);
    assert_int_equal(statistics().calls[HOSTMEM_VIRTUAL_ALLOC][eTaskCritical].failures, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_same_pages, begin, end),
        cmocka_unit_test_setup_teardown(test_same_pages, begin_slow, end),
        cmocka_unit_test_setup_teardown(test_onlookers, begin_slow, end),
        cmocka_unit_test_setup_teardown(test_same_addresses, begin, end),
        cmocka_unit_test_setup_teardown(test_same_addresses, begin_slow, end),
        cmocka_unit_test_setup_teardown(test_freed_once, begin, end),
        cmocka_unit_test_setup_teardown(test_freed_once, begin_slow, end),
        cmocka_unit_test_setup_teardown(test_churn, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

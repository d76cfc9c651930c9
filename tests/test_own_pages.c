/*
 * test_own_pages.c - a moment without memory for the library's own pages is waited for as one for the caller's
 *
 * Each call for a page that an operation needs fails in turn, once or from then on.  Pauses pass at once and are counted.
 */
#include "com/manager.h"
#include "support/fake_os.h"
#include "support/fake_pages.h"
#include "support/manager_fixture.h"
#include "support/verified.h"

static const struct {
    unsigned level;
    long pauses;
} levels[] = {{eTaskCritical, 2}, {eAppDomainCritical, 8}, {eProcessCritical, 40}, {3, 40}, {UINT32_MAX, 40}};

enum { LEVELS = sizeof levels / sizeof levels[0] };

enum own_way { OWN_RESERVE, OWN_RESERVE_AND_COMMIT, OWN_COMMIT, OWN_ALLOC, OWN_DEBUG_ALLOC, OWN_WAYS };

/* A manager that has nothing yet but, for a commit, a region of which no page was ever committed; and a heap without a block. */
struct own {
    struct fixture f;
    IHostMalloc *heap;
    char *region;
    uint64_t reserved;
    void *memory;
};

static const SIZE_T own_region = (SIZE_T)80 << 20, own_place = (SIZE_T)70 << 20; /* in its second stripe */

static struct own own_make(enum own_way way)
{
    struct own own = {.memory = (void *)1, .reserved = way == OWN_COMMIT ? own_region : 0};
    fake_os_count_again();
    fake_pages_fail_from(0);
    assert_hresult(hostmem_create(NULL, &own.f.manager), S_OK);
    assert_hresult(hostmem_get_memory_manager(own.f.manager, &own.f.memory), S_OK);
    if (own.reserved != 0)
        own.region = fixture_alloc(&own.f, NULL, own.reserved, MEM_RESERVE, PAGE_READWRITE);
    assert_hresult(IHostMemoryManager_CreateMalloc(own.f.memory, MALLOC_THREADSAFE, &own.heap), S_OK);
    return own;
}

static HRESULT own_take(struct own *own, enum own_way way, EMemoryCriticalLevel level)
{
    char file[] = "f";
    SetLastError(NO_ERROR_SET);
    if (way == OWN_ALLOC)
        return IHostMalloc_Alloc(own->heap, 100, level, &own->memory);
    if (way == OWN_DEBUG_ALLOC)
        return IHostMalloc_DebugAlloc(own->heap, 100, level, file, 1, &own->memory);
    const DWORD type = way == OWN_RESERVE  ? MEM_RESERVE
                       : way == OWN_COMMIT ? MEM_COMMIT
                                           : MEM_RESERVE | MEM_COMMIT;
    return IHostMemoryManager_VirtualAlloc(own->f.memory, way == OWN_COMMIT ? own->region + own_place : NULL,
                                           way == OWN_COMMIT ? 3 * PAGE : own_region, type, PAGE_READWRITE,
                                           level, &own->memory);
}

static void own_end(struct own *own, enum own_way way)
{
    fake_pages_fail_from(0);
    if (own->memory != NULL && way >= OWN_ALLOC)
        assert_hresult(IHostMalloc_Free(own->heap, own->memory), S_OK);
    else if (own->memory != NULL && way != OWN_COMMIT)
        fixture_free(&own->f, own->memory, 0, MEM_RELEASE);
    if (own->region != NULL)
        fixture_free(&own->f, own->region, 0, MEM_RELEASE);
    const hostmem_statistics statistics = fixture_statistics(own->f.manager);
    assert_int_equal(statistics.charged.now, 0);
    assert_int_equal(statistics.reserved.now, 0);
    assert_int_equal(IHostMalloc_Release(own->heap), 0);
    IHostMemoryManager_Release(own->f.memory);
    hostmem_release(own->f.manager);
}

static struct own *own_paused;

/* It has given back everything, its own places in the accounting included. */
static void nothing_is_held(void)
{
    const DWORD error = GetLastError();
    const hostmem_statistics statistics = fixture_statistics(own_paused->f.manager);
    assert_int_equal(statistics.charged.now, 0);
    assert_int_equal(statistics.heap.now, 0);
    assert_int_equal(statistics.reserved.now, own_paused->reserved);
    assert_true(verified(own_paused->f.manager));
    SetLastError(error);
}

/* The n-th call for a page of its own fails, once or from then on: waited for as for what was asked for. */
static void test_pages_of_its_own(void **state)
{
    (void)state;
    for (enum own_way way = 0; way < OWN_WAYS; way++)
        for (unsigned l = 0; l < LEVELS; l++)
            for (int for_good = 0; for_good < 2; for_good++) {
                const EMemoryCriticalLevel level = (EMemoryCriticalLevel)levels[l].level;
                long n = 0;
                for (bool reached = true; reached; own_paused = NULL) {
                    struct own own = own_make(way);
                    const long paused = fake_os_pauses();
                    own_paused = &own;
                    fake_os_in_pause(nothing_is_held);
                    if (for_good)
                        fake_pages_fail_from(++n);
                    else
                        fake_pages_fail_once(++n);
                    const HRESULT result = own_take(&own, way, level);
                    const DWORD error = GetLastError();
                    fake_os_in_pause(NULL);
                    reached = fake_pages_calls() >= n;
                    const bool refused = reached && for_good;
                    const long pauses = !reached ? 0 : refused ? levels[l].pauses : 1;
                    hostmem_statistics statistics = fixture_statistics(own.f.manager);
                    assert_hresult(result, refused ? E_OUTOFMEMORY : S_OK);
                    assert_int_equal(error, refused ? ERROR_NOT_ENOUGH_MEMORY : NO_ERROR_SET);
                    assert_int_equal(fake_os_pauses() - paused, pauses);
                    assert_int_equal(statistics.os_retries, pauses);
                    assert_int_equal(statistics.refusals, refused); /* not each attempt */
                    assert_int_equal(statistics.refused[HOSTMEM_REASON_METADATA], refused);
                    assert_true((own.memory == NULL) == refused);
                    if (refused)
                        assert_int_equal(statistics.charged.now, 0);
                    assert_true(verified(own.f.manager));
                    own_end(&own, way);
                }
                assert_true(n > 1); /* it does need some */
            }
}

static int setup(void **state)
{
    (void)state;
    fake_os_reset();
    fake_os_allow_pauses(true);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fake_os_reset();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_pages_of_its_own, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

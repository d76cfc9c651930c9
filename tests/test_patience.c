/*
 * test_patience.c - what Windows refuses for a moment is tried again, the more often the more critical it is
 *
 * Pauses pass at once and are counted: the operating system is the fake one.
 */
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
                    uint64_t before = fixture_books(f->manager).charged.now;
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
                    hostmem_statistics books = fixture_books(f->manager);
                    assert_int_equal(books.os_retries, retries);
                    assert_int_equal(books.refusals, 0);
                    assert_int_equal(books.charged.now, books.committed.now);
                    if (!granted) {
                        assert_int_equal(error, transient[e]);
                        assert_null(memory);
                        assert_int_equal(books.charged.now, before);
                    } else if (ways[w].address == NULL) {
                        assert_int_equal(books.charged.now, before + 3 * PAGE);
                        fixture_free(f, memory, 0, MEM_RELEASE);
                    } else if (ways[w].address == region) {
                        assert_int_equal(books.charged.now, before + 3 * PAGE);
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
    assert_int_equal(fixture_books(f->manager).os_retries, 0);
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
                HRESULT result = debug ? IHostMalloc_DebugAlloc(heap, 100, level, file, 1, &block)
                                       : IHostMalloc_Alloc(heap, 100, level, &block);
                assert_hresult(result, granted ? S_OK : E_OUTOFMEMORY);
                assert_int_equal(fake_os_count(FAKE_OS_HEAP_ALLOC), granted ? failures + 1 : failures);
                retries += (uint64_t)(granted ? failures : levels[l].pauses);
                hostmem_statistics books = fixture_books(f->manager);
                assert_int_equal(books.os_retries, retries);
                assert_int_equal(books.charged.now, granted ? 100 : 0);
                assert_int_equal(books.heap.now, granted ? 100 : 0);
                assert_int_equal(books.blocks, granted);
                if (granted)
                    assert_hresult(IHostMalloc_Free(heap, block), S_OK);
                else
                    assert_null(block);
            }
    assert_int_equal(fake_os_pauses(), retries);
    fake_os_fail(FAKE_OS_HEAP_ALLOC, 0, 0);
    assert_int_equal(IHostMalloc_Release(heap), 0);
}

#define patience_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        patience_test(test_commits),
        patience_test(test_no_second_attempt),
        patience_test(test_refusals_do_not_wait),
        patience_test(test_heap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * test_faults.c - Windows, or the memory for the accounting, fails in the middle of a call
 *
 * The operating system behind os.h and pages.h is replaced. Whatever fails, out-parameters are written,
 * nothing is kept that should not be, and the accounting equals VirtualQuery (the real one) afterwards.
 */
#include "support/manager_fixture.h"

#include "memory/region.h"
#include "support/fake_os.h"
#include "support/fake_pages.h"

static int setup(void **state)
{
    fake_os_reset();
    fake_pages_fail_from(0);
    return fixture_setup(state);
}

static int teardown(void **state)
{
    fake_os_reset();
    fake_pages_fail_from(0);
    int result = fixture_teardown(state);
    assert_int_equal(fake_pages_outstanding(), 0);
    assert_int_equal(fake_os_outstanding(), 0);
    return result;
}

static HRESULT try_alloc(struct fixture *f, void *address, SIZE_T size, DWORD type, void **memory)
{
    *memory = (void *)1;
    return IHostMemoryManager_VirtualAlloc(f->memory, address, size, type, PAGE_READWRITE, eTaskCritical,
                                           memory);
}

/* The seven errors that are want of memory, some that are not, and a failure that names none. */
static void test_errors_as_hresults(void **state)
{
    struct fixture *f = *state;
    static const struct {
        DWORD error;
        uint32_t result;
    } rows[] = {{8, E_OUTOFMEMORY},    {14, E_OUTOFMEMORY},
                {1450, E_OUTOFMEMORY}, {1453, E_OUTOFMEMORY},
                {1454, E_OUTOFMEMORY}, {1455, E_OUTOFMEMORY},
                {1816, E_OUTOFMEMORY}, {5, 0x80070005},
                {87, 0x80070057},      {487, 0x800701e7},
                {998, 0x800703e6},     {1451, 0x800705ab},
                {0xffff, 0x8007ffff},  {0, E_FAIL}};
    char *region = fixture_alloc(f, NULL, GRANULE, MEM_RESERVE, PAGE_READWRITE);
    char *raw = VirtualAlloc(NULL, GRANULE, MEM_RESERVE, PAGE_READWRITE);
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const DWORD error = rows[i].error;
        const struct {
            void *address;
            DWORD type;
        } requests[] = {{NULL, MEM_RESERVE}, {region, MEM_COMMIT}, {raw, MEM_COMMIT}, {region, MEM_RESET}};
        for (unsigned r = 0; r < sizeof requests / sizeof requests[0]; r++) {
            void *memory;
            fake_os_fail(FAKE_OS_ALLOC, 1, error);
            assert_hresult(try_alloc(f, requests[r].address, PAGE, requests[r].type, &memory),
                           rows[i].result);
            assert_int_equal(GetLastError(), error);
            assert_null(memory);
        }
        fake_os_fail(FAKE_OS_FREE, 1, error);
        assert_hresult(IHostMemoryManager_VirtualFree(f->memory, region, PAGE, MEM_DECOMMIT), rows[i].result);
        assert_int_equal(GetLastError(), error);
        fake_os_fail(FAKE_OS_FREE, 1, error);
        assert_hresult(IHostMemoryManager_VirtualFree(f->memory, region, 0, MEM_RELEASE), rows[i].result);
        assert_int_equal(GetLastError(), error);
        DWORD old, load = 9;
        SIZE_T written = 9, available = 9;
        MEMORY_BASIC_INFORMATION info;
        fake_os_fail(FAKE_OS_PROTECT, 1, error);
        assert_hresult(IHostMemoryManager_VirtualProtect(f->memory, region, PAGE, PAGE_READONLY, &old),
                       rows[i].result);
        assert_int_equal(GetLastError(), error);
        fake_os_fail(FAKE_OS_QUERY, 1, error);
        assert_hresult(IHostMemoryManager_VirtualQuery(f->memory, region, &info, sizeof info, &written),
                       rows[i].result);
        assert_int_equal(GetLastError(), error);
        assert_int_equal(written, 0);
        fake_os_fail(FAKE_OS_STATUS, 1, error);
        assert_hresult(IHostMemoryManager_GetMemoryLoad(f->memory, &load, &available), rows[i].result);
        assert_int_equal(load, 0);
        assert_int_equal(available, 0);
    }
    assert_int_equal(fixture_statistics(f->manager).stale_regions, 0);
    fixture_free(f, region, 0, MEM_RELEASE);
    VirtualFree(raw, 0, MEM_RELEASE);
}

/* VirtualFree fails after the entry was taken out: it is back, and works. */
static void test_a_release_that_windows_refuses(void **state)
{
    struct fixture *f = *state;
    char *region = fixture_alloc(f, NULL, 40 * GRANULE, MEM_RESERVE, PAGE_READWRITE);
    fixture_alloc(f, region, 5 * PAGE, MEM_COMMIT, PAGE_READWRITE);
    for (int i = 0; i < 3; i++) {
        fake_os_fail(FAKE_OS_FREE, 1, ERROR_INVALID_PARAMETER);
        assert_win32(IHostMemoryManager_VirtualFree(f->memory, region, 0, MEM_RELEASE),
                     ERROR_INVALID_PARAMETER);
        assert_hresult(hostmem_owns(f->manager, region), S_OK);
        assert_hresult(hostmem_owns(f->manager, region + 40 * GRANULE - 1), S_OK);
        assert_statistics_equal_windows(f->manager);
        fixture_alloc(f, region + 100 * PAGE, (i + 1) * PAGE, MEM_COMMIT, PAGE_READWRITE);
        assert_int_equal(fixture_statistics(f->manager).committed.now, (6 + i) * PAGE);
    }
    fixture_free(f, region, 0, MEM_RELEASE);
    assert_int_equal(fixture_statistics(f->manager).stale_regions, 0);
}

static char *victim;
static struct fixture *victims_manager;

/* While Windows is asked, the address must be nobody's already: it could be handed out the moment it is
 * free. */
static void look_during_release(void *address)
{
    assert_ptr_equal(address, victim);
    assert_hresult(hostmem_owns(victims_manager->manager, address), S_FALSE);
    fake_os_before_free(NULL);
    assert_hresult(IHostMemoryManager_VirtualFree(victims_manager->memory, address, 0, MEM_RELEASE),
                   HOST_E_INVALIDOPERATION);
}

/* What Windows is going to refuse stays ours all the while. */
static void look_during_refusal(void *address)
{
    assert_hresult(hostmem_owns(victims_manager->manager, address), S_OK);
}

static void test_wrong_requests_unpublish_nothing(void **state)
{
    struct fixture *f = *state;
    victims_manager = f;
    char *region = fixture_alloc(f, NULL, GRANULE, MEM_RESERVE, PAGE_READWRITE);
    fake_os_before_free(look_during_refusal);
    assert_win32(IHostMemoryManager_VirtualFree(f->memory, region + PAGE, 0, MEM_RELEASE),
                 ERROR_INVALID_ADDRESS);
    assert_win32(IHostMemoryManager_VirtualFree(f->memory, region, PAGE, MEM_RELEASE),
                 ERROR_INVALID_PARAMETER);
    assert_win32(IHostMemoryManager_VirtualFree(f->memory, region, 0, 0), ERROR_INVALID_PARAMETER);
    fixture_free(f, region, PAGE, MEM_DECOMMIT);
    fake_os_before_free(NULL);
    fixture_free(f, region, 0, MEM_RELEASE);
}

static void test_unpublished_before_it_is_freed(void **state)
{
    struct fixture *f = *state;
    victims_manager = f;
    victim = fixture_alloc(f, NULL, GRANULE, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    fake_os_before_free(look_during_release);
    fixture_free(f, victim, 0, MEM_RELEASE);
    assert_int_equal(fixture_statistics(f->manager).foreign_frees, 1);
}

/* Each call for pages is a place to fail; tried from the first one until the request succeeds. */
static void test_no_memory_for_the_table(void **state)
{
    struct fixture *f = *state;
    static const struct {
        SIZE_T size;
        DWORD type;
    } requests[] = {{PAGE, MEM_RESERVE},
                    {100 * PAGE, MEM_RESERVE},
                    {100 * PAGE, MEM_RESERVE | MEM_COMMIT},
                    {17000 * PAGE, MEM_RESERVE},
                    {17000 * PAGE, MEM_COMMIT}};
    unsigned refused = 0;
    for (unsigned i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        void *memory;
        for (long n = 1;; n++) {
            fake_pages_fail_once(n);
            HRESULT result = try_alloc(f, NULL, requests[i].size, requests[i].type, &memory);
            if (result == S_OK)
                break;
            assert_hresult(result, E_OUTOFMEMORY);
            assert_int_equal(GetLastError(), ERROR_NOT_ENOUGH_MEMORY);
            assert_null(memory);
            assert_int_equal(fixture_statistics(f->manager).refusals, ++refused);
            assert_int_equal(fixture_statistics(f->manager).reserved.now, 0);
            assert_int_equal(fixture_statistics(f->manager).committed.now, 0);
        }
        assert_statistics_equal_windows(f->manager);
        fixture_free(f, memory, 0, MEM_RELEASE);
    }
    assert_true(refused >= 4);

    /* A commit in a region whose bits have no memory yet: refused before Windows is asked. */
    enum { REGIONS = 5 };
    const SIZE_T stripe = (SIZE_T)64 << 20; /* of bits: each region has two, and eight come with the first */
    char *regions[REGIONS];
    fake_pages_fail_from(0);
    for (int i = 0; i < REGIONS; i++)
        regions[i] = fixture_alloc(f, NULL, stripe + PAGE, MEM_RESERVE, PAGE_READWRITE);
    fake_os_fail(FAKE_OS_ALLOC, 0, 0);
    fake_pages_fail_from(1);
    int committed = 0;
    void *memory;
    while (committed < 2 * REGIONS &&
           try_alloc(f, regions[committed / 2] + committed % 2 * stripe, PAGE, MEM_COMMIT, &memory) == S_OK)
        committed++;
    assert_in_range(committed, 1, 2 * REGIONS - 1);
    assert_null(memory);
    assert_int_equal(GetLastError(), ERROR_NOT_ENOUGH_MEMORY);
    assert_int_equal(fake_os_count(FAKE_OS_ALLOC), committed);
    assert_statistics_equal_windows(f->manager);
    for (int i = 0; i < REGIONS; i++)
        fixture_free(f, regions[i], 0, MEM_RELEASE);
}

static void test_heaps_and_views_without_memory(void **state)
{
    struct fixture *f = *state;
    IHostMalloc *heap = NULL;
    unsigned failures = 0;
    for (long n = 1;; n++) {
        heap = (IHostMalloc *)1;
        fake_pages_fail_once(n);
        HRESULT result = IHostMemoryManager_CreateMalloc(f->memory, MALLOC_THREADSAFE, &heap);
        if (result == S_OK)
            break;
        assert_hresult(result, E_OUTOFMEMORY);
        assert_null(heap);
        failures++;
    }
    assert_true(failures >= 3);
    IHostMalloc *second = (IHostMalloc *)1;
    fake_os_fail(FAKE_OS_HEAP_CREATE, 1, ERROR_NOT_ENOUGH_MEMORY);
    assert_hresult(IHostMemoryManager_CreateMalloc(f->memory, 0, &second), E_OUTOFMEMORY);
    assert_null(second);

    failures = 0;
    void *block;
    for (long n = 1;; n++) {
        block = (void *)1;
        fake_pages_fail_once(n);
        HRESULT result = IHostMalloc_Alloc(heap, 100, eTaskCritical, &block);
        if (result == S_OK)
            break;
        assert_hresult(result, E_OUTOFMEMORY);
        assert_null(block);
        assert_int_equal(fixture_statistics(f->manager).blocks, 0);
        assert_int_equal(fixture_statistics(f->manager).heap.peak, 0);
        failures++;
    }
    assert_true(failures >= 2);
    fake_pages_fail_from(0);
    void *another = (void *)1;
    fake_os_fail(FAKE_OS_HEAP_ALLOC, 1, 0);
    assert_hresult(IHostMalloc_Alloc(heap, 100, eTaskCritical, &another), E_OUTOFMEMORY);
    assert_null(another);
    fake_os_fail(FAKE_OS_HEAP_ALLOC, 1, 0);
    assert_hresult(IHostMalloc_DebugAlloc(heap, 100, eTaskCritical, "f", 1, &another), E_OUTOFMEMORY);
    assert_null(another);
    assert_int_equal(fixture_statistics(f->manager).blocks, 1);
    assert_hresult(IHostMalloc_Free(heap, block), S_OK);
    assert_int_equal(IHostMalloc_Release(heap), 0);

    /* A view without memory for its entry is left out, and can be reported again. */
    HANDLE section = CreateFileMappingW(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE, 0, GRANULE, NULL);
    void *view = MapViewOfFile(section, FILE_MAP_WRITE, 0, 0, 0);
    for (long n = 1; fixture_statistics(f->manager).views == 0; n++) {
        fake_pages_fail_once(n);
        assert_hresult(IHostMemoryManager_AcquiredVirtualAddressSpace(f->memory, view, 0), S_OK);
    }
    assert_int_equal(fixture_statistics(f->manager).mapped.now, GRANULE);
    UnmapViewOfFile(view);
    assert_hresult(IHostMemoryManager_ReleasedVirtualAddressSpace(f->memory, view), S_OK);
    CloseHandle(section);
}

static void test_create_without_memory(void **state)
{
    (void)state;
    for (long n = 1;; n++) {
        hostmem_manager *manager = (hostmem_manager *)1;
        IHostControl *control = (IHostControl *)1;
        fake_pages_fail_once(n);
        HRESULT result = hostmem_create(NULL, &manager);
        if (result != S_OK) {
            assert_hresult(result, E_OUTOFMEMORY);
            assert_null(manager);
        } else {
            result = hostmem_create_host_control(manager, NULL, &control);
            if (result != S_OK) {
                assert_hresult(result, E_OUTOFMEMORY);
                assert_null(control);
            } else {
                IHostControl_Release(control);
            }
            hostmem_release(manager);
        }
        assert_int_equal(fake_pages_outstanding(), 0);
        if (result == S_OK) {
            assert_int_equal(n, 5); /* two for each object */
            break;
        }
    }
    fake_pages_fail_from(0);
}

/* 33 bits of pages hold less than 32 TiB. Synthetic addresses: nothing is allocated there. */
static void test_a_region_of_32_tib_has_no_record(void **state)
{
    (void)state;
    static struct region_table table;
    static struct stats stats;
    static struct quota quota;
    hm_quota_init(&quota, NULL);
    hm_region_table_init(&table, &stats, &quota);
    struct region_origin origin = {
        .base = 0x10000, .pages = (uint64_t)1 << 33, .kind = HOSTMEM_REGION_PRIVATE, .type = MEM_RESERVE};
    assert_int_equal(hm_region_publish(&table, &origin), 0);
    origin.pages = 0;
    assert_int_equal(hm_region_publish(&table, &origin), 0);
    static hostmem_statistics statistics;
    hm_stats_read(&stats, &statistics);
    assert_int_equal(statistics.regions, 0);
#ifdef _WIN64
    origin.pages = ((uint64_t)1 << 33) - 1;
    const uint32_t number = hm_region_publish(&table, &origin);
    assert_int_not_equal(number, 0);
    uint64_t geometry;
    unsigned kind;
    assert_int_equal(hm_region_find(&table, 0x10000 + (origin.pages << 12) - 1, &geometry, &kind), number);
    assert_int_equal(hm_region_find(&table, 0x10000 + (origin.pages << 12), &geometry, &kind), 0);
    assert_int_equal(hm_region_find(&table, 0xffff, &geometry, &kind), 0);
#endif
    hm_region_table_destroy(&table);
    assert_int_equal(stats.metadata, 0);
    assert_int_equal(fake_pages_outstanding(), 0);
}

static void test_the_load_is_what_os_says(void **state)
{
    struct fixture *f = *state;
    struct os_memory memory = {.physical_available = 3000,
                               .physical_load = 12,
                               .job_limit = 1000,
                               .process_commit = 700,
                               .working_set_limit = UINT64_MAX};
    fake_os_set_memory(&memory);
    DWORD load;
    SIZE_T available;
    assert_hresult(IHostMemoryManager_GetMemoryLoad(f->memory, &load, &available), S_OK);
    assert_int_equal(load, 70);
    assert_int_equal(available, 300);
    assert_int_equal(fake_os_count(FAKE_OS_PROCESS), 1);

    /* Each collection asks: without a limit on it the process' use, which takes long, is nothing to ask for. */
    memory.job_limit = UINT64_MAX;
    fake_os_set_memory(&memory);
    assert_hresult(IHostMemoryManager_GetMemoryLoad(f->memory, &load, &available), S_OK);
    assert_int_equal(load, 12);
    assert_int_equal(available, 3000);
    assert_int_equal(fake_os_count(FAKE_OS_PROCESS), 1);
    memory.working_set_limit = 2000;
    memory.process_working_set = 500;
    fake_os_set_memory(&memory);
    assert_hresult(IHostMemoryManager_GetMemoryLoad(f->memory, &load, &available), S_OK);
    assert_int_equal(load, 25);
    assert_int_equal(available, 1500);
}

#define fault_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        fault_test(test_errors_as_hresults),
        fault_test(test_a_release_that_windows_refuses),
        fault_test(test_wrong_requests_unpublish_nothing),
        fault_test(test_unpublished_before_it_is_freed),
        fault_test(test_no_memory_for_the_table),
        fault_test(test_heaps_and_views_without_memory),
        cmocka_unit_test(test_create_without_memory),
        cmocka_unit_test(test_a_region_of_32_tib_has_no_record),
        fault_test(test_the_load_is_what_os_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

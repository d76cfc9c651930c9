/*
 * test_virtual_alloc.c - reserving and committing through the manager
 *
 * Every result stands beside raw Win32's for the same request, and the accounting beside VirtualQuery.
 */
#include "support/manager_fixture.h"

/* A manager's answer to a request is raw Win32's: same success, same last error, and *memory NULL on
 * failure. */
static void assert_as_win32(struct fixture *f, void *address, SIZE_T size, DWORD type, DWORD protect)
{
    SetLastError(NO_ERROR_SET);
    void *raw = VirtualAlloc(address, size, type, protect);
    DWORD expected = GetLastError();
    assert_null(raw); /* for requests that Windows refuses */
    void *memory = (void *)1;
    SetLastError(NO_ERROR_SET);
    HRESULT result =
        IHostMemoryManager_VirtualAlloc(f->memory, address, size, type, protect, eTaskCritical, &memory);
    DWORD error = GetLastError();
    assert_null(memory);
    assert_int_equal(error, expected);
    if (error == ERROR_NOT_ENOUGH_MEMORY || error == ERROR_COMMITMENT_LIMIT)
        assert_hresult(result, E_OUTOFMEMORY);
    else
        assert_win32(result, error);
}

static void test_refusals_are_those_of_windows(void **state)
{
    struct fixture *f = *state;
    char *region = fixture_alloc(f, NULL, 4 * PAGE, MEM_RESERVE, PAGE_READWRITE);
    assert_as_win32(f, NULL, 0, MEM_RESERVE, PAGE_READWRITE);
    assert_as_win32(f, NULL, 0, MEM_COMMIT, PAGE_READWRITE);
    assert_as_win32(f, NULL, PAGE, 0, PAGE_READWRITE);
    assert_as_win32(f, NULL, PAGE, MEM_RESERVE, 0);
    assert_as_win32(f, NULL, PAGE, MEM_RESERVE, 0x3);
    assert_as_win32(f, NULL, PAGE, 0x40, PAGE_READWRITE);
    assert_as_win32(f, NULL, SIZE_MAX, MEM_RESERVE, PAGE_READWRITE);
    assert_as_win32(f, NULL, SIZE_MAX / 2, MEM_RESERVE, PAGE_READWRITE);
    assert_as_win32(f, region, PAGE, MEM_RESERVE, PAGE_READWRITE);    /* taken */
    assert_as_win32(f, region, 0, MEM_COMMIT, PAGE_READWRITE);        /* nothing */
    assert_as_win32(f, region + 1, 0, MEM_COMMIT, PAGE_READWRITE);    /* nothing, unaligned */
    assert_as_win32(f, region, 5 * PAGE, MEM_COMMIT, PAGE_READWRITE); /* past the end */
    assert_as_win32(f, region, PAGE, MEM_COMMIT, 0x3);                /* no such protection */
    assert_as_win32(f, region, SIZE_MAX, MEM_COMMIT, PAGE_READWRITE); /* wraps */
    assert_as_win32(f, (void *)~(uintptr_t)0, PAGE, MEM_RESERVE, PAGE_READWRITE);
    assert_as_win32(f, (void *)~(uintptr_t)0, PAGE, MEM_COMMIT, PAGE_READWRITE);
#ifdef _WIN64
    assert_as_win32(f, (void *)0xffff800000000000, PAGE, MEM_COMMIT, PAGE_READWRITE);
    assert_as_win32(f, (void *)0xffff800000000000, PAGE, MEM_RESERVE, PAGE_READWRITE);
#endif
    assert_statistics_equal_windows(f->manager);
    assert_int_equal(fixture_statistics(f->manager).regions, 1);
    assert_int_equal(fixture_statistics(f->manager).committed.peak, 0);
    fixture_free(f, region, 0, MEM_RELEASE);
}

static void test_commit_at_a_free_address_fails_as_raw(void **state)
{
    struct fixture *f = *state;
    void *hole = VirtualAlloc(NULL, GRANULE, MEM_RESERVE, PAGE_NOACCESS);
    assert_true(VirtualFree(hole, 0, MEM_RELEASE));
    assert_as_win32(f, hole, PAGE, MEM_COMMIT, PAGE_READWRITE);
    assert_int_equal(fixture_statistics(f->manager).foreign_committed, 0);
}

static void test_null_out_pointer(void **state)
{
    struct fixture *f = *state;
    SetLastError(NO_ERROR_SET);
    HRESULT result = IHostMemoryManager_VirtualAlloc(f->memory, NULL, PAGE, MEM_RESERVE | MEM_COMMIT,
                                                     PAGE_READWRITE, eTaskCritical, NULL);
    assert_hresult(result, E_POINTER);
    assert_int_equal(GetLastError(), NO_ERROR_SET);
    assert_int_equal(fixture_statistics(f->manager).reserved.peak, 0);
}

static void test_success_leaves_the_last_error(void **state)
{
    struct fixture *f = *state;
    SetLastError(NO_ERROR_SET);
    char *region = fixture_alloc(f, NULL, 100 * GRANULE, MEM_RESERVE, PAGE_READWRITE);
    fixture_alloc(f, region + PAGE, 3 * PAGE, MEM_COMMIT, PAGE_READWRITE);
    fixture_free(f, region + PAGE, PAGE, MEM_DECOMMIT);
    fixture_free(f, region, 0, MEM_RELEASE);
    assert_int_equal(GetLastError(), NO_ERROR_SET);
}

static void test_commit_with_null_reserves(void **state)
{
    struct fixture *f = *state;
    unsigned char *block = fixture_alloc(f, NULL, GRANULE + 1, MEM_COMMIT, PAGE_READWRITE);
    assert_int_equal((uintptr_t)block % GRANULE, 0);
    for (unsigned i = 0; i < GRANULE + PAGE; i++)
        assert_int_equal(block[i], 0);
    hostmem_statistics statistics = fixture_statistics(f->manager);
    assert_int_equal(statistics.reserved.now, GRANULE + PAGE);
    assert_int_equal(statistics.committed.now, GRANULE + PAGE);
    assert_statistics_equal_windows(f->manager);
    fixture_free(f, block, 0, MEM_RELEASE);
}

static void test_commit_counts_new_pages_only(void **state)
{
    struct fixture *f = *state;
    char *region = fixture_alloc(f, NULL, 32 * PAGE, MEM_RESERVE, PAGE_NOACCESS);
    assert_int_equal(fixture_statistics(f->manager).committed.now, 0);
    assert_ptr_equal(fixture_alloc(f, region + 4 * PAGE, 4 * PAGE, MEM_COMMIT, PAGE_READWRITE),
                     region + 4 * PAGE);
    assert_int_equal(fixture_statistics(f->manager).committed.now, 4 * PAGE);
    fill_bytes(region + 4 * PAGE, 4 * PAGE, 5);

    /* The same again; overlapping on both sides; an odd size from an odd address: two pages. */
    fixture_alloc(f, region + 4 * PAGE, 4 * PAGE, MEM_COMMIT, PAGE_READWRITE);
    assert_int_equal(fixture_statistics(f->manager).committed.now, 4 * PAGE);
    fixture_alloc(f, region + 2 * PAGE, 8 * PAGE, MEM_COMMIT, PAGE_READWRITE);
    assert_int_equal(fixture_statistics(f->manager).committed.now, 8 * PAGE);
    assert_ptr_equal(fixture_alloc(f, region + 21 * PAGE - 1, 2, MEM_COMMIT, PAGE_READWRITE),
                     region + 20 * PAGE);
    assert_int_equal(fixture_statistics(f->manager).committed.now, 10 * PAGE);
    assert_bytes(region + 4 * PAGE, 4 * PAGE, 5);
    assert_statistics_equal_windows(f->manager);
    assert_int_equal(fixture_statistics(f->manager).committed.peak, 10 * PAGE);
    fixture_free(f, region, 0, MEM_RELEASE);
}

static void test_commit_again_changes_protection(void **state)
{
    struct fixture *f = *state;
    char *region = fixture_alloc(f, NULL, GRANULE, MEM_RESERVE, PAGE_NOACCESS);
    fixture_alloc(f, region, 2 * PAGE, MEM_COMMIT, PAGE_READWRITE);
    region[0] = 7;
    fixture_alloc(f, region, PAGE, MEM_COMMIT, PAGE_READONLY);
    struct picture picture = picture_take(region, 2 * PAGE);
    assert_int_equal(picture.run[0].Protect, PAGE_READONLY);
    assert_int_equal(picture.run[0].RegionSize, PAGE);
    assert_int_equal(region[0], 7);
    assert_int_equal(fixture_statistics(f->manager).committed.now, 2 * PAGE);
    fixture_free(f, region, 0, MEM_RELEASE);
}

static void test_reserve_at_an_odd_address(void **state)
{
    struct fixture *f = *state;
    char *hole = VirtualAlloc(NULL, 8 * GRANULE, MEM_RESERVE, PAGE_NOACCESS);
    assert_true(VirtualFree(hole, 0, MEM_RELEASE));

    /* 64 KiB below, a page above: from the granule's start to the end of the last page touched. */
    char *odd = hole + GRANULE + 5 * PAGE + 123;
    char *region = fixture_alloc(f, odd, 2 * GRANULE, MEM_RESERVE, PAGE_READWRITE);
    assert_ptr_equal(region, hole + GRANULE);
    assert_int_equal(fixture_statistics(f->manager).reserved.now, 2 * GRANULE + 6 * PAGE);
    assert_statistics_equal_windows(f->manager);
    assert_hresult(hostmem_owns(f->manager, region + 2 * GRANULE + 6 * PAGE - 1), S_OK);
    assert_hresult(hostmem_owns(f->manager, region + 2 * GRANULE + 6 * PAGE), S_FALSE);
    assert_hresult(hostmem_owns(f->manager, region - 1), S_FALSE);
    fixture_free(f, region, 0, MEM_RELEASE);

    region = fixture_alloc(f, odd, 1, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    assert_statistics_equal_windows(f->manager);
    fixture_free(f, region, 0, MEM_RELEASE);
}

static void test_reset_is_no_commit(void **state)
{
    struct fixture *f = *state;
    char *region = fixture_alloc(f, NULL, 16 * PAGE, MEM_RESERVE, PAGE_READWRITE);
    fixture_alloc(f, region, 4 * PAGE, MEM_COMMIT, PAGE_READWRITE);
    assert_ptr_equal(fixture_alloc(f, region, 4 * PAGE, MEM_RESET, PAGE_READWRITE), region);
    assert_int_equal(fixture_statistics(f->manager).committed.now, 4 * PAGE);
    assert_statistics_equal_windows(f->manager);
    fixture_free(f, region, 0, MEM_RELEASE);
}

static void test_write_watch_reaches_windows(void **state)
{
    struct fixture *f = *state;
    char *region = fixture_alloc(f, NULL, 16 * PAGE, MEM_RESERVE | MEM_WRITE_WATCH, PAGE_READWRITE);
    fixture_alloc(f, region, 8 * PAGE, MEM_COMMIT, PAGE_READWRITE);
    region[3 * PAGE + 17] = 1;
    void *written[16];
    ULONG_PTR count = 16;
    DWORD granularity;
    assert_int_equal(GetWriteWatch(0, region, 16 * PAGE, written, &count, &granularity), 0);
    assert_int_equal(count, 1);
    assert_ptr_equal(written[0], region + 3 * PAGE);
    assert_statistics_equal_windows(f->manager);
    fixture_free(f, region, 0, MEM_RELEASE);
}

static void test_top_down_reaches_windows(void **state)
{
    struct fixture *f = *state;
    char *low = fixture_alloc(f, NULL, GRANULE, MEM_RESERVE, PAGE_NOACCESS);
    char *high = fixture_alloc(f, NULL, GRANULE, MEM_RESERVE | MEM_TOP_DOWN, PAGE_EXECUTE_READWRITE);
    assert_true(high > low);
    fixture_free(f, low, 0, MEM_RELEASE);
    fixture_free(f, high, 0, MEM_RELEASE);
}

/* Commit maps have three forms, by size; the last one only where there is room for it. */
static void test_regions_of_every_size(void **state)
{
    struct fixture *f = *state;
    static const SIZE_T pages[] = {1, 15, 16, 17, 63, 64, 65, 16383, 16384, 16385, 3 * 16384 + 7};
    for (unsigned i = 0; i < sizeof pages / sizeof pages[0]; i++) {
        SIZE_T size = pages[i] * PAGE;
        char *region = fixture_alloc(f, NULL, size, MEM_RESERVE, PAGE_READWRITE);
        fixture_alloc(f, region + size - 1, 1, MEM_COMMIT, PAGE_READWRITE);
        fixture_alloc(f, region + size / 2, 1, MEM_COMMIT, PAGE_READWRITE);
        assert_statistics_equal_windows(f->manager);
        fixture_free(f, region, size - (pages[i] > 1 ? PAGE : 0), MEM_DECOMMIT);
        assert_int_equal(fixture_statistics(f->manager).committed.now, pages[i] > 1 ? PAGE : 0);
        assert_hresult(hostmem_owns(f->manager, region + size - 1), S_OK);
        assert_hresult(hostmem_owns(f->manager, region + size), S_FALSE);
        fixture_free(f, region, 0, MEM_RELEASE);
        assert_hresult(hostmem_owns(f->manager, region), S_FALSE);
    }
}

#ifdef _WIN64
static void test_a_heap_of_200_gib(void **state)
{
    struct fixture *f = *state;
    SIZE_T size = ((SIZE_T)200 << 30) + GRANULE;
    char *region = fixture_alloc(f, NULL, size, MEM_RESERVE, PAGE_READWRITE);
    uint64_t before = fixture_statistics(f->manager).metadata;
    for (SIZE_T at = 0; at < size; at += (SIZE_T)7 << 30)
        fixture_alloc(f, region + at, 3 * PAGE, MEM_COMMIT, PAGE_READWRITE);
    assert_hresult(hostmem_owns(f->manager, region + size - 1), S_OK);
    assert_hresult(hostmem_owns(f->manager, region + size), S_FALSE);
    assert_int_equal(fixture_statistics(f->manager).committed.now, (200 / 7 + 1) * 3 * PAGE);
    assert_true(fixture_statistics(f->manager).metadata - before < 1 << 20);
    assert_statistics_equal_windows(f->manager);
    fixture_free(f, region, 0, MEM_DECOMMIT);
    assert_int_equal(fixture_statistics(f->manager).committed.now, 0);
    fixture_free(f, region, 0, MEM_RELEASE);
}
#endif

static HRESULT HOSTMEM_CALL copy_region(const hostmem_region *region, void *context)
{
    *(hostmem_region *)context = *region;
    return S_FALSE;
}

static void test_the_walk_tells_how_a_region_was_made(void **state)
{
    struct fixture *f = *state;
    void *memory;
    assert_hresult(IHostMemoryManager_VirtualAlloc(f->memory, NULL, 3 * PAGE, MEM_RESERVE | MEM_TOP_DOWN,
                                                   PAGE_EXECUTE_READWRITE, eProcessCritical, &memory),
                   S_OK);
    hostmem_region region;
    assert_hresult(hostmem_walk_regions(f->manager, copy_region, &region), S_FALSE);
    assert_int_equal(region.kind, HOSTMEM_REGION_PRIVATE);
    assert_ptr_equal(region.base, memory);
    assert_int_equal(region.reserved, 3 * PAGE);
    assert_int_equal(region.committed, 0);
    assert_int_equal(region.allocation_type, MEM_RESERVE | MEM_TOP_DOWN);
    assert_int_equal(region.allocation_protect, PAGE_EXECUTE_READWRITE);
    assert_int_equal(region.critical_level, eProcessCritical);
    assert_int_equal(region.use, HOSTMEM_USE_CODE);
    fixture_free(f, memory, 0, MEM_RELEASE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_refusals_are_those_of_windows),
        fixture_test(test_commit_at_a_free_address_fails_as_raw),
        fixture_test(test_null_out_pointer),
        fixture_test(test_success_leaves_the_last_error),
        fixture_test(test_commit_with_null_reserves),
        fixture_test(test_commit_counts_new_pages_only),
        fixture_test(test_commit_again_changes_protection),
        fixture_test(test_reserve_at_an_odd_address),
        fixture_test(test_reset_is_no_commit),
        fixture_test(test_write_watch_reaches_windows),
        fixture_test(test_top_down_reaches_windows),
        fixture_test(test_regions_of_every_size),
#ifdef _WIN64
        fixture_test(test_a_heap_of_200_gib),
#endif
        fixture_test(test_the_walk_tells_how_a_region_was_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * test_stale.c - regions that were freed behind the manager's back, by raw VirtualFree
 */
#include "support/manager_fixture.h"

static char *make_region(struct fixture *f, SIZE_T size)
{
    return fixture_alloc(f, NULL, size, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
}

static void assert_nothing_left(struct fixture *f, uint64_t stale)
{
    hostmem_statistics statistics = fixture_statistics(f->manager);
    assert_int_equal(statistics.stale_regions, stale);
    assert_int_equal(statistics.regions, 0);
    assert_int_equal(statistics.reserved.now, 0);
    assert_int_equal(statistics.committed.now, 0);
}

/* Freed through us then: Windows' error, and the entry is dropped. */
static void test_free_after_a_raw_free(void **state)
{
    struct fixture *f = *state;
    static const struct {
        SIZE_T size;
        DWORD type;
    } requests[] = {{0, MEM_RELEASE}, {PAGE, MEM_DECOMMIT}, {0, MEM_DECOMMIT}};
    for (unsigned i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        char *region = make_region(f, 4 * GRANULE);
        assert_true(VirtualFree(region, 0, MEM_RELEASE));
        SetLastError(NO_ERROR_SET);
        assert_false(VirtualFree(region, requests[i].size, requests[i].type));
        DWORD expected = GetLastError();
        SetLastError(NO_ERROR_SET);
        HRESULT result =
            IHostMemoryManager_VirtualFree(f->memory, region, requests[i].size, requests[i].type);
        assert_int_equal(GetLastError(), expected);
        assert_win32(result, expected);
        assert_nothing_left(f, i + 1);
        assert_hresult(hostmem_owns(f->manager, region), S_FALSE);
        assert_hresult(IHostMemoryManager_VirtualFree(f->memory, region, 0, MEM_RELEASE),
                       HOST_E_INVALIDOPERATION);
    }
}

/* Its address allocated again through us: the new region replaces the old entry, which is counted. */
static void test_reserve_after_a_raw_free(void **state)
{
    struct fixture *f = *state;
    char *region = make_region(f, 4 * GRANULE);
    assert_true(VirtualFree(region, 0, MEM_RELEASE));
    assert_ptr_equal(fixture_alloc(f, region, 4 * GRANULE, MEM_RESERVE, PAGE_READWRITE), region);
    hostmem_statistics statistics = fixture_statistics(f->manager);
    assert_int_equal(statistics.stale_regions, 1);
    assert_int_equal(statistics.regions, 1);
    assert_int_equal(statistics.reserved.now, 4 * GRANULE);
    assert_int_equal(statistics.reserved.peak, 4 * GRANULE); /* never both at once */
    assert_int_equal(statistics.committed.now, 0);
    assert_statistics_equal_windows(f->manager);
    fixture_free(f, region, 0, MEM_RELEASE);
    assert_nothing_left(f, 1);
}

/* Two small regions in place of a big stale one; then a big one in place of small stale ones. */
static void test_stale_regions_of_other_sizes(void **state)
{
    struct fixture *f = *state;
    char *big = make_region(f, 8 * GRANULE);
    assert_true(VirtualFree(big, 0, MEM_RELEASE));
    fixture_alloc(f, big + 2 * GRANULE, GRANULE, MEM_RESERVE, PAGE_READWRITE);
    assert_int_equal(fixture_statistics(f->manager).stale_regions, 1);
    assert_hresult(hostmem_owns(f->manager, big), S_FALSE);
    assert_hresult(hostmem_owns(f->manager, big + 7 * GRANULE), S_FALSE);
    fixture_alloc(f, big + 5 * GRANULE, 2 * GRANULE, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    assert_int_equal(fixture_statistics(f->manager).regions, 2);
    assert_statistics_equal_windows(f->manager);

    assert_true(VirtualFree(big + 2 * GRANULE, 0, MEM_RELEASE));
    assert_true(VirtualFree(big + 5 * GRANULE, 0, MEM_RELEASE));
    fixture_alloc(f, big, 8 * GRANULE, MEM_RESERVE, PAGE_READWRITE);
    assert_int_equal(fixture_statistics(f->manager).stale_regions, 3);
    assert_int_equal(fixture_statistics(f->manager).regions, 1);
    assert_statistics_equal_windows(f->manager);
    fixture_free(f, big, 0, MEM_RELEASE);
    assert_nothing_left(f, 3);
}

#ifdef _WIN64
/* A stale region that filled whole nodes of the table, its middle taken again. */
static void test_a_huge_stale_region(void **state)
{
    struct fixture *f = *state;
    const SIZE_T size = (SIZE_T)130 << 30;
    char *huge = fixture_alloc(f, NULL, size, MEM_RESERVE, PAGE_NOACCESS);
    assert_true(VirtualFree(huge, 0, MEM_RELEASE));
    char *middle = huge + (size / 2 & ~(SIZE_T)(GRANULE - 1));
    assert_ptr_equal(fixture_alloc(f, middle, GRANULE, MEM_RESERVE, PAGE_NOACCESS), middle);
    assert_int_equal(fixture_statistics(f->manager).stale_regions, 1);
    assert_int_equal(fixture_statistics(f->manager).reserved.now, GRANULE);
    assert_hresult(hostmem_owns(f->manager, middle), S_OK);
    assert_hresult(hostmem_owns(f->manager, middle - 1), S_FALSE);
    assert_hresult(hostmem_owns(f->manager, middle + GRANULE), S_FALSE);
    assert_hresult(hostmem_owns(f->manager, huge), S_FALSE);
    fixture_free(f, middle, 0, MEM_RELEASE);
}
#endif

/* A view reported where a region of ours was. */
static void test_a_view_after_a_raw_free(void **state)
{
    struct fixture *f = *state;
    char *region = make_region(f, 2 * GRANULE);
    HANDLE section = CreateFileMappingW(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE, 0, GRANULE, NULL);
    assert_true(VirtualFree(region, 0, MEM_RELEASE));
    assert_ptr_equal(MapViewOfFileEx(section, FILE_MAP_WRITE, 0, 0, 0, region), region);
    assert_hresult(IHostMemoryManager_AcquiredVirtualAddressSpace(f->memory, region, 0), S_OK);
    hostmem_statistics statistics = fixture_statistics(f->manager);
    assert_int_equal(statistics.stale_regions, 1);
    assert_int_equal(statistics.regions, 0);
    assert_int_equal(statistics.mapped.now, GRANULE);
    assert_hresult(IHostMemoryManager_VirtualFree(f->memory, region, 0, MEM_RELEASE),
                   HOST_E_INVALIDOPERATION);
    UnmapViewOfFile(region);
    assert_hresult(IHostMemoryManager_ReleasedVirtualAddressSpace(f->memory, region), S_OK);
    CloseHandle(section);
    assert_nothing_left(f, 1);
}

/* Decommitted or committed raw: not seen when it happens, put right by the release at the latest. */
static void test_raw_commits_are_forgotten_with_the_region(void **state)
{
    struct fixture *f = *state;
    char *region = make_region(f, GRANULE);
    assert_true(VirtualFree(region, 4 * PAGE, MEM_DECOMMIT));
    fixture_free(f, region, 0, MEM_RELEASE);
    region = fixture_alloc(f, NULL, GRANULE, MEM_RESERVE, PAGE_READWRITE);
    assert_non_null(VirtualAlloc(region, 4 * PAGE, MEM_COMMIT, PAGE_READWRITE));
    fixture_free(f, region, 0, MEM_RELEASE);
    assert_nothing_left(f, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_free_after_a_raw_free),
        fixture_test(test_reserve_after_a_raw_free),
        fixture_test(test_stale_regions_of_other_sizes),
#ifdef _WIN64
        fixture_test(test_a_huge_stale_region),
#endif
        fixture_test(test_a_view_after_a_raw_free),
        fixture_test(test_raw_commits_are_forgotten_with_the_region),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

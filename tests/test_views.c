/*
 * test_views.c - file mappings as the CLR reports them
 *
 * The CLR maps and unmaps by itself; what it reports may be late, of the wrong size or about nothing we know
 * (contract 3.6). Decision 5: commits inside a view have an account of their own, which an unmap does not
 * refund.
 */
#include "support/manager_fixture.h"

static HANDLE make_section(SIZE_T size, DWORD flags)
{
    HANDLE section =
        CreateFileMappingW(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE | flags, 0, (DWORD)size, NULL);
    assert_non_null(section);
    return section;
}

static char *map(HANDLE section)
{
    char *view = MapViewOfFile(section, FILE_MAP_WRITE, 0, 0, 0);
    assert_non_null(view);
    return view;
}

static void acquired(struct fixture *f, void *view, SIZE_T size)
{
    SetLastError(NO_ERROR_SET);
    assert_hresult(IHostMemoryManager_AcquiredVirtualAddressSpace(f->memory, view, size), S_OK);
    assert_int_equal(GetLastError(), NO_ERROR_SET);
}

static void released(struct fixture *f, void *view)
{
    SetLastError(NO_ERROR_SET);
    assert_hresult(IHostMemoryManager_ReleasedVirtualAddressSpace(f->memory, view), S_OK);
    assert_int_equal(GetLastError(), NO_ERROR_SET);
}

static void assert_mapped(struct fixture *f, uint64_t views, uint64_t bytes)
{
    hostmem_statistics statistics = fixture_statistics(f->manager);
    assert_int_equal(statistics.views, views);
    assert_int_equal(statistics.mapped.now, bytes);
    assert_statistics_equal_windows(f->manager);
}

/* The size reported is 0 for a whole file, or wrong: Windows is asked. */
static void test_sizes_are_those_of_windows(void **state)
{
    struct fixture *f = *state;
    static const SIZE_T reported[] = {0, 1, PAGE, 2 * GRANULE, SIZE_MAX};
    HANDLE section = make_section(GRANULE + 3 * PAGE, 0);
    for (unsigned i = 0; i < sizeof reported / sizeof reported[0]; i++) {
        char *view = map(section);
        acquired(f, view, reported[i]);
        assert_mapped(f, 1, GRANULE + 3 * PAGE);
        assert_hresult(hostmem_owns(f->manager, view), S_FALSE);
        UnmapViewOfFile(view);
        released(f, view);
        assert_mapped(f, 0, 0);
    }
    assert_int_equal(fixture_statistics(f->manager).mapped.peak, GRANULE + 3 * PAGE);
    CloseHandle(section);
}

static void test_a_view_of_a_file(void **state)
{
    struct fixture *f = *state;
    wchar_t path[MAX_PATH];
    assert_true(GetModuleFileNameW(NULL, path, MAX_PATH) > 0);
    HANDLE file = CreateFileW(path, GENERIC_READ, FILE_SHARE_READ, NULL, OPEN_EXISTING, 0, NULL);
    assert_true(file != INVALID_HANDLE_VALUE);
    HANDLE section = CreateFileMappingW(file, NULL, PAGE_READONLY, 0, 0, NULL);
    char *view = MapViewOfFile(section, FILE_MAP_READ, 0, 0, 0);
    assert_non_null(view);
    acquired(f, view, 0);
    DWORD size = GetFileSize(file, NULL);
    assert_mapped(f, 1, (size + PAGE - 1) & ~(DWORD)(PAGE - 1));
    UnmapViewOfFile(view);
    released(f, view);

    /* As an image: pieces of many protections, one view. */
    HANDLE image_section = CreateFileMappingW(file, NULL, PAGE_READONLY | SEC_IMAGE, 0, 0, NULL);
    assert_non_null(image_section);
    char *image = MapViewOfFile(image_section, FILE_MAP_READ, 0, 0, 0);
    assert_non_null(image);
    const IMAGE_NT_HEADERS *headers =
        (const IMAGE_NT_HEADERS *)(image + ((const IMAGE_DOS_HEADER *)image)->e_lfanew);
    SIZE_T image_size = headers->OptionalHeader.SizeOfImage;
    acquired(f, image, 0);
    assert_mapped(f, 1, (image_size + PAGE - 1) & ~(SIZE_T)(PAGE - 1));
    UnmapViewOfFile(image);
    released(f, image);
    assert_mapped(f, 0, 0);
    CloseHandle(image_section);
    CloseHandle(section);
    CloseHandle(file);
}

static void test_what_is_no_view_is_ignored(void **state)
{
    struct fixture *f = *state;
    static char in_image[16];
    char *raw = VirtualAlloc(NULL, GRANULE, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    char *ours = fixture_alloc(f, NULL, GRANULE, MEM_RESERVE, PAGE_READWRITE);
    HANDLE section = make_section(2 * GRANULE, 0);
    char *view = map(section);
    void *nothing[] = {NULL,     in_image,           &f, raw, ours, ours + PAGE, view + PAGE, view + GRANULE,
                       view + 1, (void *)UINTPTR_MAX};
    for (unsigned i = 0; i < sizeof nothing / sizeof nothing[0]; i++) {
        acquired(f, nothing[i], PAGE);
        assert_mapped(f, 0, 0);
        released(f, nothing[i]);
    }
    assert_mapped(f, 0, 0);
    assert_int_equal(fixture_statistics(f->manager).regions, 1);
    assert_int_equal(fixture_statistics(f->manager).stale_regions, 0);

    /* A known view is not forgotten by what points into it. */
    acquired(f, view, 0);
    released(f, view + PAGE);
    released(f, view + 1);
    released(f, view + GRANULE);
    assert_mapped(f, 1, 2 * GRANULE);
    UnmapViewOfFile(view);
    released(f, view);
    released(f, view); /* once more: unknown by now */
    assert_mapped(f, 0, 0);
    CloseHandle(section);
    fixture_free(f, ours, 0, MEM_RELEASE);
    VirtualFree(raw, 0, MEM_RELEASE);
}

static void test_acquired_again(void **state)
{
    struct fixture *f = *state;
    HANDLE little = make_section(GRANULE, 0), large = make_section(4 * GRANULE, 0);
    char *view = map(large);
    acquired(f, view, 0);
    acquired(f, view, 0);
    assert_mapped(f, 1, 4 * GRANULE);
    assert_int_equal(fixture_statistics(f->manager).mapped.peak, 4 * GRANULE);

    /* Unmapped, another view there and reported, and only then the release of the first: the second one
     * stays. */
    UnmapViewOfFile(view);
    assert_ptr_equal(MapViewOfFileEx(little, FILE_MAP_WRITE, 0, 0, 0, view), view);
    acquired(f, view, 0);
    assert_mapped(f, 1, GRANULE);
    released(f, view);
    assert_mapped(f, 1, GRANULE);
    assert_int_equal(fixture_statistics(f->manager).stale_regions, 0);
    UnmapViewOfFile(view);
    released(f, view);
    assert_mapped(f, 0, 0);
    CloseHandle(little);
    CloseHandle(large);
}

/* The address went to VirtualAlloc before the release of the view was reported. */
static void test_released_late(void **state)
{
    struct fixture *f = *state;
    HANDLE section = make_section(2 * GRANULE, 0);
    char *view = map(section);
    acquired(f, view, 0);
    UnmapViewOfFile(view);
    assert_ptr_equal(fixture_alloc(f, view, GRANULE, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE), view);
    assert_mapped(f, 0, 0);
    released(f, view);
    hostmem_statistics statistics = fixture_statistics(f->manager);
    assert_int_equal(statistics.regions, 1);
    assert_int_equal(statistics.committed.now, GRANULE);
    assert_int_equal(statistics.stale_regions, 0);
    assert_hresult(hostmem_owns(f->manager, view), S_OK);
    fixture_free(f, view, 0, MEM_RELEASE);
    CloseHandle(section);
}

/* A view that is still there has not been released, whatever is said of an older one. */
static void test_a_release_without_an_unmap(void **state)
{
    struct fixture *f = *state;
    HANDLE section = make_section(GRANULE, 0);
    char *view = map(section);
    acquired(f, view, 0);
    view[0] = 1;
    released(f, view);
    assert_mapped(f, 1, GRANULE);
    assert_int_equal(view[0], 1); /* unmapping is the CLR's */
    UnmapViewOfFile(view);
    released(f, view);
    assert_mapped(f, 0, 0);
    CloseHandle(section);
}

static void test_commits_inside_a_view(void **state)
{
    struct fixture *f = *state;
    HANDLE section = make_section(16 * GRANULE, SEC_RESERVE);
    char *view = map(section);
    acquired(f, view, 0);
    assert_mapped(f, 1, 16 * GRANULE);
    assert_ptr_equal(fixture_alloc(f, view + GRANULE, 3 * PAGE, MEM_COMMIT, PAGE_READWRITE), view + GRANULE);
    fill_bytes(view + GRANULE, 3 * PAGE, 1);
    fixture_alloc(f, view + GRANULE - PAGE, 3 * PAGE, MEM_COMMIT, PAGE_READWRITE);
    hostmem_statistics statistics = fixture_statistics(f->manager);
    assert_int_equal(statistics.view_committed.now, 4 * PAGE);
    assert_int_equal(statistics.foreign_committed, 0);
    assert_int_equal(statistics.committed.now, 0);
    assert_bytes(view + GRANULE, 3 * PAGE, 1);
    assert_hresult(IHostMemoryManager_VirtualFree(f->memory, view + GRANULE, PAGE, MEM_DECOMMIT),
                   HOST_E_INVALIDOPERATION);
    assert_bytes(view + GRANULE, 3 * PAGE, 1);

    /* The section keeps the pages when the view goes: they stay charged, and a new view shows them. */
    UnmapViewOfFile(view);
    released(f, view);
    assert_mapped(f, 0, 0);
    assert_int_equal(fixture_statistics(f->manager).view_committed.now, 4 * PAGE);
    view = map(section);
    acquired(f, view, 0);
    assert_bytes(view + GRANULE, 3 * PAGE, 1);
    fixture_alloc(f, view + GRANULE, PAGE, MEM_COMMIT, PAGE_READWRITE);
    assert_int_equal(fixture_statistics(f->manager).view_committed.now, 4 * PAGE);
    UnmapViewOfFile(view);
    released(f, view);
    CloseHandle(section);
}

static void test_needs_is_refused(void **state)
{
    struct fixture *f = *state;
    SetLastError(NO_ERROR_SET);
    assert_hresult(IHostMemoryManager_NeedsVirtualAddressSpace(f->memory, NULL, 0), E_OUTOFMEMORY);
    assert_hresult(IHostMemoryManager_NeedsVirtualAddressSpace(f->memory, (void *)0x10000000, 0),
                   E_OUTOFMEMORY);
    assert_hresult(IHostMemoryManager_NeedsVirtualAddressSpace(f->memory, NULL, SIZE_MAX), E_OUTOFMEMORY);
    assert_int_equal(GetLastError(), NO_ERROR_SET);
    hostmem_calls calls =
        fixture_statistics(f->manager).calls[HOSTMEM_NEEDS_ADDRESS_SPACE][HOSTMEM_LEVEL_NONE];
    assert_int_equal(calls.calls, 3);
    assert_int_equal(calls.failures, 3);
}

static HRESULT HOSTMEM_CALL check_view(const hostmem_region *region, void *context)
{
    assert_int_equal(region->kind, HOSTMEM_REGION_VIEW);
    assert_ptr_equal(region->base, context);
    assert_int_equal(region->reserved, GRANULE);
    assert_int_equal(region->committed, 0);
    assert_int_equal(region->allocation_type, 0);
    assert_int_equal(region->allocation_protect, 0);
    return 5;
}

static void test_the_walk_shows_views(void **state)
{
    struct fixture *f = *state;
    HANDLE section = make_section(GRANULE, 0);
    char *view = map(section);
    acquired(f, view, 0);
    assert_hresult(hostmem_walk_regions(f->manager, check_view, view), 5);
    UnmapViewOfFile(view);
    released(f, view);
    CloseHandle(section);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_sizes_are_those_of_windows),
        fixture_test(test_a_view_of_a_file),
        fixture_test(test_what_is_no_view_is_ignored),
        fixture_test(test_acquired_again),
        fixture_test(test_released_late),
        fixture_test(test_a_release_without_an_unmap),
        fixture_test(test_commits_inside_a_view),
        fixture_test(test_needs_is_refused),
        fixture_test(test_the_walk_shows_views),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

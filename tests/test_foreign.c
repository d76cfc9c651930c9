/*
 * test_foreign.c - memory that did not come through the manager
 *
 * Freeing it is HOST_E_INVALIDOPERATION, whatever the request, and leaves it byte for byte and page for page
 * as it was; querying and protecting it is Windows' business; committing in it is granted and has an account
 * of its own.
 */
#include "support/manager_fixture.h"
#include "support/verified.h"

static const struct {
    SIZE_T size;
    DWORD type;
} requests[] = {
    {0, MEM_RELEASE}, {PAGE, MEM_RELEASE}, {0, MEM_DECOMMIT}, {PAGE, MEM_DECOMMIT}, {1, MEM_DECOMMIT},
    {0, 0},           {PAGE, 0xffffffff},
};

static unsigned frees_refused(struct fixture *f, void *address)
{
    unsigned count = 0;
    for (; count < sizeof requests / sizeof requests[0]; count++) {
        SetLastError(NO_ERROR_SET);
        HRESULT result =
            IHostMemoryManager_VirtualFree(f->memory, address, requests[count].size, requests[count].type);
        DWORD error = GetLastError();
        assert_hresult(result, HOST_E_INVALIDOPERATION);
        assert_int_equal(error, NO_ERROR_SET);
    }
    return count;
}

/* Every request at `address`, with the picture of [base, base + size) the same before and after. */
static void assert_free_is_refused(struct fixture *f, void *address, const void *base, SIZE_T size)
{
    struct picture before = picture_take(base, size);
    uint64_t counted = fixture_statistics(f->manager).foreign_frees;
    unsigned refused = frees_refused(f, address);
    assert_picture(&before, base, size);
    assert_int_equal(fixture_statistics(f->manager).foreign_frees, counted + refused);
    hostmem_calls calls = fixture_statistics(f->manager).calls[HOSTMEM_VIRTUAL_FREE][HOSTMEM_LEVEL_NONE];
    assert_int_equal(calls.failures, counted + refused);
}

static void test_stack_and_image(void **state)
{
    struct fixture *f = *state;
    char local[64];
    static char in_image[PAGE] = {1};
    fill_bytes(local, sizeof local, 1);
    fill_bytes(in_image, sizeof in_image, 2);
    MEMORY_BASIC_INFORMATION stack;
    assert_int_equal(VirtualQuery(local, &stack, sizeof stack), sizeof stack);
    assert_free_is_refused(f, local, stack.BaseAddress, stack.RegionSize);
    assert_free_is_refused(f, stack.AllocationBase, stack.BaseAddress, stack.RegionSize);
    assert_free_is_refused(f, in_image, in_image, sizeof in_image);
    HMODULE image = GetModuleHandleW(NULL);
    assert_free_is_refused(f, image, image, PAGE);
    assert_free_is_refused(f, GetModuleHandleW(L"kernel32.dll"), GetModuleHandleW(L"kernel32.dll"), PAGE);
    assert_bytes(local, sizeof local, 1);
    assert_bytes(in_image, sizeof in_image, 2);
}

static void test_mapped_view(void **state)
{
    struct fixture *f = *state;
    HANDLE section = CreateFileMappingW(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE, 0, GRANULE, NULL);
    char *view = MapViewOfFile(section, FILE_MAP_WRITE, 0, 0, 0);
    assert_non_null(view);
    fill_bytes(view, GRANULE, 3);
    assert_free_is_refused(f, view, view, GRANULE);
    /* The same once it has been reported: in the accounting, but not to be freed. */
    assert_hresult(IHostMemoryManager_AcquiredVirtualAddressSpace(f->memory, view, GRANULE), S_OK);
    assert_free_is_refused(f, view, view, GRANULE);
    assert_free_is_refused(f, view + PAGE, view, GRANULE);
    assert_int_equal(fixture_statistics(f->manager).mapped.now, GRANULE);
    assert_bytes(view, GRANULE, 3);
    UnmapViewOfFile(view);
    assert_hresult(IHostMemoryManager_ReleasedVirtualAddressSpace(f->memory, view), S_OK);
    CloseHandle(section);
}

static void test_raw_allocations(void **state)
{
    struct fixture *f = *state;
    char *raw = VirtualAlloc(NULL, GRANULE, MEM_RESERVE, PAGE_READWRITE);
    assert_non_null(VirtualAlloc(raw, 4 * PAGE, MEM_COMMIT, PAGE_READWRITE));
    char *block = HeapAlloc(GetProcessHeap(), 0, 3 * PAGE);
    fill_bytes(raw, 4 * PAGE, 4);
    fill_bytes(block, 3 * PAGE, 5);
    assert_free_is_refused(f, raw, raw, GRANULE);
    assert_free_is_refused(f, raw + PAGE + 9, raw, GRANULE);
    assert_free_is_refused(f, raw + 8 * PAGE, raw, GRANULE);
    assert_free_is_refused(f, block, block, 3 * PAGE);
    assert_bytes(raw, 4 * PAGE, 4);
    assert_bytes(block, 3 * PAGE, 5);
    HeapFree(GetProcessHeap(), 0, block);
    assert_true(VirtualFree(raw, 0, MEM_RELEASE));
    assert_free_is_refused(f, raw, raw, PAGE); /* free now */
}

static void test_no_memory_at_all(void **state)
{
    struct fixture *f = *state;
    static const uintptr_t addresses[] = {
        0,
        1,
        PAGE,
        GRANULE - 1,
        UINTPTR_MAX,
        UINTPTR_MAX - PAGE + 1,
        UINTPTR_MAX / 2,
        UINTPTR_MAX / 2 + 1,
#ifdef _WIN64
        0xffff800000000000,
        0x00007fffffffffff,
        0x0000800000000000,
        0x0001000000000000,
        0x00007ffffffeffff,
        0x0000000100000000,
#else
        0x80000000,
        0xc0000000,
        0xfffeffff,
        0xffff0000,
#endif
    };
    for (unsigned i = 0; i < sizeof addresses / sizeof addresses[0]; i++) {
        frees_refused(f, (void *)addresses[i]);
        assert_hresult(hostmem_owns(f->manager, (void *)addresses[i]), S_FALSE);
        assert_hresult(IHostMemoryManager_ReleasedVirtualAddressSpace(f->memory, (void *)addresses[i]), S_OK);
        assert_hresult(IHostMemoryManager_AcquiredVirtualAddressSpace(f->memory, (void *)addresses[i], PAGE),
                       S_OK);
    }
}

static void test_another_managers_region(void **state)
{
    struct fixture *f = *state;
    hostmem_manager *other;
    IHostMemoryManager *memory;
    assert_hresult(hostmem_create(NULL, &other), S_OK);
    assert_hresult(hostmem_get_memory_manager(other, &memory), S_OK);
    void *region;
    assert_hresult(IHostMemoryManager_VirtualAlloc(memory, NULL, 2 * GRANULE, MEM_RESERVE | MEM_COMMIT,
                                                   PAGE_READWRITE, eTaskCritical, &region),
                   S_OK);
    fill_bytes(region, 2 * GRANULE, 6);
    assert_free_is_refused(f, region, region, 2 * GRANULE);
    assert_free_is_refused(f, (char *)region + GRANULE, region, 2 * GRANULE);
    assert_bytes(region, 2 * GRANULE, 6);
    assert_int_equal(fixture_statistics(other).committed.now, 2 * GRANULE);
    assert_hresult(IHostMemoryManager_VirtualFree(memory, region, 0, MEM_RELEASE), S_OK);
    assert_true(verified(other));
    IHostMemoryManager_Release(memory);
    hostmem_release(other);
}

/* Decision 10: granted, in an account of its own, not owned. */
static void test_commit_in_a_foreign_reservation(void **state)
{
    struct fixture *f = *state;
    char *raw = VirtualAlloc(NULL, GRANULE, MEM_RESERVE, PAGE_READWRITE);
    assert_non_null(VirtualAlloc(raw, PAGE, MEM_COMMIT, PAGE_READWRITE));
    SetLastError(NO_ERROR_SET);
    assert_ptr_equal(fixture_alloc(f, raw + 5, 3 * PAGE, MEM_COMMIT, PAGE_READWRITE), raw);
    assert_int_equal(GetLastError(), NO_ERROR_SET);
    hostmem_statistics statistics = fixture_statistics(f->manager);
    assert_int_equal(statistics.foreign_committed, 3 * PAGE); /* four pages, one of them committed before */
    assert_int_equal(statistics.committed.now, 0);
    assert_int_equal(statistics.regions, 0);
    assert_hresult(hostmem_owns(f->manager, raw), S_FALSE);
    fixture_alloc(f, raw, 4 * PAGE, MEM_COMMIT, PAGE_READWRITE);
    assert_int_equal(fixture_statistics(f->manager).foreign_committed, 3 * PAGE);

    void *memory = (void *)1;
    HRESULT result = IHostMemoryManager_VirtualAlloc(f->memory, raw, 2 * GRANULE, MEM_COMMIT, PAGE_READWRITE,
                                                     eTaskCritical, &memory);
    assert_win32(result, GetLastError());
    assert_null(memory);
    assert_int_equal(fixture_statistics(f->manager).foreign_committed, 3 * PAGE);
    fill_bytes(raw, 4 * PAGE, 7);
    assert_free_is_refused(f, raw, raw, GRANULE);
    assert_bytes(raw, 4 * PAGE, 7);
    assert_true(VirtualFree(raw, 0, MEM_RELEASE));
}

/* VirtualQuery through the manager and raw: same result, same record, same last error. */
static void assert_query_as_win32(struct fixture *f, const void *address, SIZE_T length, SIZE_T sentinel)
{
    MEMORY_BASIC_INFORMATION ours, raw;
    memset(&ours, 0x5a, sizeof ours);
    memset(&raw, 0x5a, sizeof raw);
    SetLastError(NO_ERROR_SET);
    SIZE_T expected = VirtualQuery(address, &raw, length);
    DWORD error = GetLastError();
    SIZE_T written = sentinel;
    SetLastError(NO_ERROR_SET);
    HRESULT result = IHostMemoryManager_VirtualQuery(f->memory, (void *)address, &ours, length, &written);
    assert_int_equal(GetLastError(), error);
    assert_int_equal(written, expected);
    assert_memory_equal(&ours, &raw, sizeof ours);
    if (expected != 0)
        assert_hresult(result, S_OK);
    else
        assert_win32(result, error);
}

static void test_query_serves_any_address(void **state)
{
    struct fixture *f = *state;
    static char in_image[16];
    void *raw = VirtualAlloc(NULL, GRANULE, MEM_RESERVE, PAGE_NOACCESS);
    char *ours = fixture_alloc(f, NULL, GRANULE, MEM_RESERVE, PAGE_READWRITE);
    fixture_alloc(f, ours + PAGE, PAGE, MEM_COMMIT, PAGE_READONLY);
    const SIZE_T size = sizeof(MEMORY_BASIC_INFORMATION);
    const void *addresses[] = {in_image,
                               &f,
                               raw,
                               ours,
                               ours + PAGE,
                               ours + GRANULE - 1,
                               NULL,
                               (void *)GRANULE,
                               (void *)UINTPTR_MAX,
                               (void *)(UINTPTR_MAX / 2 + 1),
                               (void *)(UINTPTR_MAX / 2)};
    for (unsigned i = 0; i < sizeof addresses / sizeof addresses[0]; i++) {
        assert_query_as_win32(f, addresses[i], size, 12345);
        assert_query_as_win32(f, addresses[i], size - 1, 12345);
        assert_query_as_win32(f, addresses[i], 0, 12345);
    }
    MEMORY_BASIC_INFORMATION info;
    SetLastError(NO_ERROR_SET);
    assert_hresult(IHostMemoryManager_VirtualQuery(f->memory, ours, &info, size, NULL), E_POINTER);
    assert_int_equal(GetLastError(), NO_ERROR_SET);
    fixture_free(f, ours, 0, MEM_RELEASE);
    VirtualFree(raw, 0, MEM_RELEASE);
}

/*
 * VirtualProtect through the manager and raw, from the same state: same result, same last error, same old protection.
 * What Windows calls the old protection of an image's page is not what VirtualQuery said, and not what the first
 * change of that page was told; so the raw call is made twice, and the second is compared.
 */
static void assert_protect_as_win32(struct fixture *f, void *address, SIZE_T size, DWORD protect)
{
    MEMORY_BASIC_INFORMATION info = {0};
    VirtualQuery(address, &info, sizeof info);
    BOOL raw = FALSE;
    DWORD error = 0, old = 0, new = 0, ours = 0, ours_new = 0;
    for (int i = 0; i < 2; i++) {
        SetLastError(NO_ERROR_SET);
        raw = VirtualProtect(address, size, protect, &old);
        error = GetLastError();
        if (raw)
            assert_true(VirtualProtect(address, size, info.Protect, &new)); /* as it was */
    }
    SetLastError(NO_ERROR_SET);
    HRESULT result = IHostMemoryManager_VirtualProtect(f->memory, address, size, protect, &ours);
    assert_int_equal(GetLastError(), error);
    if (!raw) {
        assert_win32(result, error);
        return;
    }
    assert_hresult(result, S_OK);
    assert_int_equal(ours, old);
    assert_true(VirtualProtect(address, size, info.Protect, &ours_new));
    assert_int_equal(ours_new, new);
}

/* The CLR restores guard pages, patches its image and protects its own heaps through its host. */
static void test_protect_serves_any_address(void **state)
{
    struct fixture *f = *state;
    static char in_image[3 * PAGE];
    char *page_in_image = (char *)(((uintptr_t)in_image + PAGE) & ~(uintptr_t)(PAGE - 1));
    char *raw = VirtualAlloc(NULL, GRANULE, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    char *ours = fixture_alloc(f, NULL, GRANULE, MEM_RESERVE, PAGE_READWRITE);
    fixture_alloc(f, ours, PAGE, MEM_COMMIT, PAGE_READWRITE);
    assert_protect_as_win32(f, page_in_image, PAGE, PAGE_READONLY);
    assert_protect_as_win32(f, raw, 1, PAGE_READWRITE | PAGE_GUARD);
    assert_protect_as_win32(f, raw, PAGE, PAGE_EXECUTE_READ);
    assert_protect_as_win32(f, ours, PAGE, PAGE_NOACCESS);
    assert_protect_as_win32(f, ours, 2 * PAGE, PAGE_READONLY); /* second page is only reserved */
    assert_protect_as_win32(f, ours, PAGE, 0x3);
    assert_protect_as_win32(f, NULL, PAGE, PAGE_READONLY);
    assert_protect_as_win32(f, (void *)UINTPTR_MAX, PAGE, PAGE_READONLY);
    SetLastError(NO_ERROR_SET);
    HRESULT result = IHostMemoryManager_VirtualProtect(f->memory, ours, PAGE, PAGE_READONLY, NULL);
    assert_int_equal(GetLastError(), ERROR_NOACCESS);
    assert_win32(result, ERROR_NOACCESS);
    fixture_free(f, ours, 0, MEM_RELEASE);
    VirtualFree(raw, 0, MEM_RELEASE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_stack_and_image),          fixture_test(test_mapped_view),
        fixture_test(test_raw_allocations),          fixture_test(test_no_memory_at_all),
        fixture_test(test_another_managers_region),  fixture_test(test_commit_in_a_foreign_reservation),
        fixture_test(test_query_serves_any_address), fixture_test(test_protect_serves_any_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

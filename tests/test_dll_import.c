/*
 * test_dll_import.c - a program linked with the DLL's import library, and with nothing else of ours
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <hostmem/bridge.h>
#include <hostmem/hostmem.h>
#include <hostmem/verify.h>

static HRESULT HOSTMEM_CALL count_region(const hostmem_region *region, void *context)
{
    (void)region;
    ++*(unsigned *)context;
    return S_OK;
}

static void test_calls_through_import_library(void **state)
{
    (void)state;
    hostmem_manager *manager;
    IHostMemoryManager *memory;
    void *page;
    unsigned regions = 0;
    hostmem_statistics statistics = {.size = sizeof statistics};
    assert_non_null(GetModuleHandleW(L"hostmem.dll"));
    assert_int_equal(hostmem_version(), HOSTMEM_VERSION);
    assert_int_equal(hostmem_create(NULL, &manager), S_OK);
    assert_int_equal(hostmem_get_memory_manager(manager, &memory), S_OK);
    assert_int_equal(
        IHostMemoryManager_VirtualAlloc(memory, NULL, 4096, MEM_COMMIT, PAGE_READWRITE, eTaskCritical, &page),
        S_OK);
    assert_int_equal(hostmem_owns(manager, page), S_OK);
    assert_int_equal(hostmem_get_statistics(manager, &statistics), S_OK);
    assert_int_equal(statistics.committed.now, 4096);
    assert_int_equal(hostmem_walk_regions(manager, count_region, &regions), S_OK);
    assert_int_equal(regions, 1);
    assert_int_equal(IHostMemoryManager_VirtualFree(memory, page, 0, MEM_RELEASE), S_OK);
    assert_int_equal(hostmem_verify(manager, NULL), S_OK);
    assert_int_equal(IHostMemoryManager_Release(memory), 1);
    hostmem_release(manager);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_calls_through_import_library)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

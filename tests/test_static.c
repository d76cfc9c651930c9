/*
 * A host with names of its own that the library uses inside: it links libhostmem.a all the same, and neither
 * calls the other's functions.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <hostmem/bridge.h>
#include <hostmem/hostmem.h>
#include <hostmem/verify.h>

static int calls;

/* External on purpose; the library has all of these. */
void hm_pool_init(void);
void hm_vm_alloc(void);
void hm_region_find(void);
void hm_stats_call(void);
void hm_os_virtual_alloc(void);
void hm_pages_reserve(void);
void hm_imports_find(void);
extern int hm_manager_vtbl;

void hm_pool_init(void)
{
    calls++;
}

void hm_vm_alloc(void)
{
    calls++;
}

void hm_region_find(void)
{
    calls++;
}

void hm_stats_call(void)
{
    calls++;
}

void hm_os_virtual_alloc(void)
{
    calls++;
}

void hm_pages_reserve(void)
{
    calls++;
}

void hm_imports_find(void)
{
    calls++;
}

int hm_manager_vtbl = 7;

static void test_names_do_not_meet(void **state)
{
    (void)state;
    hostmem_manager *manager;
    IHostMemoryManager *memory;
    void *base;
    assert_int_equal(hostmem_create(NULL, &manager), S_OK);
    assert_int_equal(hostmem_get_memory_manager(manager, &memory), S_OK);
    assert_int_equal(IHostMemoryManager_VirtualAlloc(memory, NULL, 1, MEM_RESERVE | MEM_COMMIT,
                                                     PAGE_READWRITE, eTaskCritical, &base),
                     S_OK);
    assert_int_equal(hostmem_owns(manager, base), S_OK);
    assert_int_equal(IHostMemoryManager_VirtualFree(memory, base, 0, MEM_RELEASE), S_OK);
    hostmem_bridge_statistics bridge = {.size = sizeof bridge};
    assert_int_equal(hostmem_bridge_get_statistics(&bridge), S_OK);
    assert_int_equal(calls, 0);
    assert_int_equal(hm_manager_vtbl, 7);
    assert_int_equal(hostmem_verify(manager, NULL), S_OK);
    IHostMemoryManager_Release(memory);
    hostmem_release(manager);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_names_do_not_meet)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

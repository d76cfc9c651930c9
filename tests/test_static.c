/*
 * A host whose names are those that the library uses inside, but for the prefix: it links libhostmem.a all the
 * same, and neither calls the other's functions.
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

/* External on purpose; with hm_ before it the library has each of these. */
void pool_init(void);
void vm_alloc(void);
void region_find(void);
void stats_call(void);
void os_virtual_alloc(void);
void pages_reserve(void);
void imports_find(void);
extern int manager_vtbl;

void pool_init(void)
{
    calls++;
}

void vm_alloc(void)
{
    calls++;
}

void region_find(void)
{
    calls++;
}

void stats_call(void)
{
    calls++;
}

void os_virtual_alloc(void)
{
    calls++;
}

void pages_reserve(void)
{
    calls++;
}

void imports_find(void)
{
    calls++;
}

int manager_vtbl = 7;

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
    assert_int_equal(manager_vtbl, 7);
    assert_int_equal(hostmem_verify(manager, NULL), S_OK);
    IHostMemoryManager_Release(memory);
    hostmem_release(manager);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_names_do_not_meet)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

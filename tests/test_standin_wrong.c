/*
 * test_standin_wrong.c - the stand-in CLR notices a host's mistakes
 *
 * The same little run against a host for each mistake, and against our manager, which makes none.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "support/standin_clr.h"
#include "support/verified.h"
#include "support/wrong_host.h"
#include <hostmem/hostmem.h>

enum { PAGE = 4096, GRANULE = 65536 };

static ULONG STDMETHODCALLTYPE refer(IUnknown *iface)
{
    (void)iface;
    return 1;
}

static const IUnknownVtbl domain_vtbl = {NULL, refer, refer};

/* A bit of everything that a host can get wrong. */
static HRESULT run(struct standin_clr *clr, IHostControl *control)
{
    HRESULT result = standin_set_host_control(clr, control);
    if (result != S_OK)
        return result;
    IUnknown domain = {.lpVtbl = (void *)&domain_vtbl};
    standin_make_domain(clr, 1, &domain);
    standin_start(clr);
    if (clr->memory == NULL)
        return S_OK;

    char *base = standin_virtual_alloc(clr, OUTSIDE_LOCKS, NULL, GRANULE, MEM_RESERVE, PAGE_READWRITE);
    if (base != NULL) {
        standin_virtual_alloc(clr, OUTSIDE_LOCKS, base + 100, 8, MEM_COMMIT, PAGE_READWRITE);
        standin_virtual_alloc(clr, OUTSIDE_LOCKS, base, GRANULE, MEM_RESERVE, PAGE_READWRITE); /* taken */
        MEMORY_BASIC_INFORMATION info;
        DWORD old;
        standin_virtual_query(clr, base, &info, sizeof info);
        standin_virtual_protect(clr, base, PAGE, PAGE_READONLY, &old);
        standin_virtual_free(clr, base, 0, MEM_RELEASE);
    }
    DWORD load;
    SIZE_T available;
    standin_memory_load(clr, &load, &available);
    if (clr->heap != NULL) {
        void *block = standin_heap_alloc(clr, OUTSIDE_LOCKS, 40);
        if (block != NULL)
            standin_heap_free(clr, block);
        standin_heap_free(clr, NULL);
    }
    HANDLE mapping = CreateFileMappingW(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE, 0, PAGE, NULL);
    void *view = standin_map_file(clr, mapping, NULL, 0);
    assert_null(standin_map_file(clr, mapping, view, 0)); /* taken */
    standin_unmap_file(clr, view);
    CloseHandle(mapping);
    return S_OK;
}

static void test_mistakes(void **state)
{
    static const struct {
        enum wrong wrong;
        unsigned faults;
        HRESULT result;
        bool hosted;
        unsigned references; /* of the manager, the host's own among them */
    } cases[] = {
        {WRONG_NOTHING, 0, S_OK, true, 2},
        {WRONG_MANAGER_S_FALSE, FAULT_OTHER_SUCCESS | FAULT_OUT_ON_FAILURE, S_OK, false, 2},
        {WRONG_MANAGER_NULL, 0, S_OK, false, 2}, /* allowed: not hosted */
        {WRONG_MANAGER_OUT, FAULT_OUT_UNWRITTEN, S_OK, true, 2},
        {WRONG_NO_REFERENCE, FAULT_REFERENCE, S_OK, true, 1},
        {WRONG_MALLOC_FAILS, 0, E_UNEXPECTED, false, 1}, /* given back */
        {WRONG_MALLOC_S_FALSE, FAULT_OTHER_SUCCESS | FAULT_OUT_ON_FAILURE, E_UNEXPECTED, false, 1},
        {WRONG_MALLOC_NULL, FAULT_NULL_ON_SUCCESS, S_OK, true, 2},
        {WRONG_ALLOC_S_FALSE, FAULT_OTHER_SUCCESS | FAULT_OUT_ON_FAILURE, S_OK, true, 2},
        {WRONG_ALLOC_NULL, FAULT_NULL_ON_SUCCESS, S_OK, true, 2},
        {WRONG_ALLOC_OUT, FAULT_OUT_UNWRITTEN, S_OK, true, 2},
        {WRONG_ALLOC_OUT_FAILURE, FAULT_OUT_UNWRITTEN, S_OK, true, 2},
        {WRONG_ALLOC_BOTH, FAULT_OUT_ON_FAILURE, S_OK, true, 2},
        {WRONG_ALLOC_BASE, FAULT_MISPLACED, S_OK, true, 2},
        {WRONG_ALLOC_ALIGN, FAULT_MISPLACED, S_OK, true, 2},
        {WRONG_ALLOC_DIRTY, FAULT_NOT_ZERO, S_OK, true, 2},
        {WRONG_ALLOC_CALLS_BACK, FAULT_CALLED_BACK, S_OK, true, 2},
        {WRONG_QUERY_OUT, FAULT_OUT_UNWRITTEN, S_OK, true, 2},
        {WRONG_PROTECT_OUT, FAULT_OUT_UNWRITTEN, S_OK, true, 2},
        {WRONG_LOAD_OUT, FAULT_OUT_UNWRITTEN, S_OK, true, 2},
        {WRONG_HEAP_S_FALSE, FAULT_OTHER_SUCCESS | FAULT_OUT_ON_FAILURE, S_OK, true, 2},
        {WRONG_HEAP_ALIGN, FAULT_MISPLACED, S_OK, true, 2},
        {WRONG_FREE_NULL, FAULT_FREE_NULL, S_OK, true, 2},
        {WRONG_DOMAIN, FAULT_DOMAIN_REFUSED, S_OK, true, 2},
        {WRONG_NEEDS_S_FALSE, FAULT_OTHER_SUCCESS, S_OK, true, 2}, /* a success here: one retry */
    };
    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct wrong_host host;
        struct standin_clr clr;
        wrong_host_init(&host, cases[i].wrong);
        standin_init(&clr);
        HRESULT result = run(&clr, &host.control);
        if (atomic_load(&clr.faults) != cases[i].faults || result != cases[i].result)
            fail_msg("mistake %d: faults %#x, expected %#x; result %#lx", cases[i].wrong,
                     atomic_load(&clr.faults), cases[i].faults, (unsigned long)result);
        assert_int_equal(clr.memory != NULL, cases[i].hosted);
        assert_int_equal(host.references, cases[i].references);
        if (cases[i].hosted)
            assert_int_equal(clr.maps, cases[i].wrong == WRONG_NEEDS_S_FALSE ? 3 : 2);
    }
}

/* The refusals that are the CLR's own. */
static void test_refusals(void **state)
{
    (void)state;
    struct wrong_host host;
    struct standin_clr clr;
    wrong_host_init(&host, WRONG_NOTHING);
    standin_init(&clr);
    assert_int_equal(standin_set_host_control(&clr, NULL), E_INVALIDARG);
    standin_start(&clr);
    assert_int_equal(standin_set_host_control(&clr, &host.control), E_ACCESSDENIED);
    assert_int_equal(host.references, 1);
}

/* What a host says before the start is ignored; afterwards it is heard. */
static void test_notifications(void **state)
{
    (void)state;
    struct wrong_host host;
    struct standin_clr clr;
    wrong_host_init(&host, WRONG_NOTHING);
    standin_init(&clr);
    assert_int_equal(standin_set_host_control(&clr, &host.control), S_OK);
    assert_int_equal(host.mallocs, 1);
    ICLRMemoryNotificationCallback_OnMemoryNotification(host.callback, eMemoryAvailableLow);
    assert_int_equal(atomic_load(&clr.notifications), 0);
    standin_start(&clr);
    ICLRMemoryNotificationCallback_OnMemoryNotification(host.callback, eMemoryAvailableLow);
    assert_int_equal(atomic_load(&clr.notifications), 1);
    assert_int_equal(ICLRMemoryNotificationCallback_AddRef(host.callback), 1);
    assert_int_equal(ICLRMemoryNotificationCallback_Release(host.callback), 1);
    assert_int_equal(atomic_load(&clr.faults), 0);
}

static void test_our_manager(void **state)
{
    (void)state;
    hostmem_manager *manager;
    IHostControl *control;
    struct standin_clr clr;
    standin_init(&clr);
    assert_int_equal(hostmem_create(NULL, &manager), S_OK);
    assert_int_equal(hostmem_create_host_control(manager, NULL, &control), S_OK);
    assert_int_equal(run(&clr, control), S_OK);
    assert_int_equal(atomic_load(&clr.faults), 0);
    assert_int_equal(clr.maps, 2);
    assert_true(verified(manager));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_notifications),
        cmocka_unit_test(test_our_manager),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

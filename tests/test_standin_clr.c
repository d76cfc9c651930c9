/*
 * test_standin_clr.c - the CLR's part, sentence by sentence of contract 3.1 to 3.3
 *
 * The stand-in (support/standin_clr.c) does to the manager what the CLR does and notes what would hurt it;
 * every test ends without such a fault.  test_standin_wrong.c shows that it would have noted them.
 */
#include "support/free_space.h"
#include "support/standin_fixture.h"
#include "support/verified.h"

#include <string.h>

/* The host's own IHostControl: notes who was asked for. */

static struct asked {
    IHostControl iface;
    LONG references;
    unsigned count;
    IID iid[32];
    DWORD domain;
    IUnknown *domain_manager;
} asked;

static HRESULT STDMETHODCALLTYPE asked_query(IHostControl *iface, REFIID riid, void **out)
{
    (void)iface, (void)riid;
    *out = NULL;
    return E_NOINTERFACE;
}

static ULONG STDMETHODCALLTYPE asked_add(IHostControl *iface)
{
    (void)iface;
    return (ULONG)++asked.references;
}

static ULONG STDMETHODCALLTYPE asked_release(IHostControl *iface)
{
    (void)iface;
    return (ULONG)--asked.references;
}

static HRESULT STDMETHODCALLTYPE asked_get(IHostControl *iface, REFIID riid, void **out)
{
    (void)iface;
    asked.iid[asked.count++] = *riid;
    *out = NULL;
    return E_NOINTERFACE;
}

static HRESULT STDMETHODCALLTYPE asked_domain(IHostControl *iface, DWORD domain, IUnknown *domain_manager)
{
    (void)iface;
    asked.domain = domain;
    asked.domain_manager = domain_manager;
    return S_OK;
}

static const IHostControlVtbl asked_vtbl = {asked_query, asked_add, asked_release, asked_get, asked_domain};

/* An AppDomainManager, as far as a host sees it. */
static LONG domain_manager_references;

static ULONG STDMETHODCALLTYPE domain_add(IUnknown *iface)
{
    (void)iface;
    return (ULONG)++domain_manager_references;
}

static ULONG STDMETHODCALLTYPE domain_release(IUnknown *iface)
{
    (void)iface;
    return (ULONG)--domain_manager_references;
}

static HRESULT STDMETHODCALLTYPE domain_query(IUnknown *iface, REFIID riid, void **out)
{
    (void)iface, (void)riid;
    *out = NULL;
    return E_NOINTERFACE;
}

static const IUnknownVtbl domain_vtbl = {domain_query, domain_add, domain_release};

/* 3.1 */

static void test_set_host_control(void **state)
{
    (void)state;
    asked = (struct asked){.iface.lpVtbl = (void *)&asked_vtbl, .references = 1};
    IHostControl *control;
    IHostMemoryManager *memory;
    standin_init(&clr);
    assert_int_equal(hostmem_create(NULL, &manager), S_OK);
    assert_int_equal(hostmem_create_host_control(manager, &asked.iface, &control), S_OK);
    assert_int_equal(asked.references, 2);

    /* One pass, memory first: never passed on; the other eight are, and the task manager again, out of
     * order. */
    assert_int_equal(standin_set_host_control(&clr, control), S_OK);
    assert_int_equal(asked.count, 9);
    for (unsigned i = 0; i < asked.count; i++)
        assert_false(IsEqualIID(&asked.iid[i], &IID_IHostMemoryManager));
    assert_true(IsEqualIID(&asked.iid[0], &asked.iid[8]));
    assert_true(IsEqualIID(&asked.iid[5], &IID_IHostGCManager));

    /* Used as returned: it is the manager's one face.  One reference is the CLR's. */
    assert_int_equal(hostmem_get_memory_manager(manager, &memory), S_OK);
    assert_ptr_equal(memory, clr.memory);
    IHostMemoryManager_Release(memory);

    /* CreateMalloc at once, once, thread-safe; then the callback, once. */
    assert_non_null(clr.heap);
    assert_int_equal(statistics().calls[HOSTMEM_CREATE_MALLOC][HOSTMEM_LEVEL_NONE].calls, 1);
    assert_int_equal(statistics().calls[HOSTMEM_REGISTER_CALLBACK][HOSTMEM_LEVEL_NONE].calls, 1);
    assert_int_equal(statistics().calls[HOSTMEM_REGISTER_CALLBACK][HOSTMEM_LEVEL_NONE].failures, 0);

    /* The first manager wins: a second SetHostControl does not ask again. */
    assert_int_equal(standin_set_host_control(&clr, control), S_OK);
    assert_int_equal(statistics().calls[HOSTMEM_CREATE_MALLOC][HOSTMEM_LEVEL_NONE].calls, 1);

    /* A domain begins: S_OK, and the host's own control is told.  The CLR releases what it passed. */
    IUnknown domain_manager = {.lpVtbl = (void *)&domain_vtbl};
    domain_manager_references = 1;
    assert_int_equal(standin_make_domain(&clr, 7, &domain_manager), S_OK);
    assert_int_equal(asked.domain, 7);
    assert_ptr_equal(asked.domain_manager, &domain_manager);
    assert_int_equal(domain_manager_references, 0);

    /* Stop releases the host control, and with it everything it held. */
    assert_int_equal(IHostControl_Release(control), 1);
    standin_stop(&clr);
    assert_true(verified(manager));
    assert_int_equal(asked.references, 1);
}

/* Without a control of the host's own: S_OK too, since a failure would break the domain. */
static void test_domain_without_next(void **state)
{
    (void)state;
    IUnknown domain_manager = {.lpVtbl = (void *)&domain_vtbl};
    domain_manager_references = 1;
    assert_int_equal(standin_make_domain(&clr, 1, &domain_manager), S_OK);
    assert_int_equal(domain_manager_references, 0);
}

/* The CLR never releases: when the host has let go of everything, the objects go on. */
static void test_objects_outlive_host(void **state)
{
    (void)state;
    void *block = standin_heap_alloc(&clr, OUTSIDE_LOCKS, 100);
    char *memory = alloc(NULL, GRANULE, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    assert_int_equal(hostmem_shutdown(manager),
                     S_OK); /* gives back the callback: harmless, its count is constant */
    standin_stop(&clr);
    hostmem_release(manager);
    assert_true(verified(manager)); /* the CLR's references keep it */
    MEMORY_BASIC_INFORMATION info;
    DWORD old;
    assert_int_equal(standin_virtual_query(&clr, memory, &info, sizeof info), sizeof info);
    assert_true(standin_virtual_protect(&clr, memory, PAGE, PAGE_READONLY, &old));
    assert_null(alloc(NULL, GRANULE, MEM_RESERVE, PAGE_READWRITE));
    assert_int_equal(clr.last_result, HOST_E_CLRNOTAVAILABLE);
    release(memory);
    assert_true(standin_heap_free(&clr, block));
    assert_int_equal(hostmem_create(NULL, &manager), S_OK); /* for `end` */
}

/* CreateMalloc that is not S_OK: the CLR gives the manager back, and nothing of it stays behind. */
static void test_create_malloc_refused(void **state)
{
    (void)state;
    IHostControl *control;
    IHostMemoryManager *memory;
    standin_init(&clr);
    assert_int_equal(hostmem_create(NULL, &manager), S_OK);
    assert_int_equal(hostmem_get_memory_manager(manager, &memory), S_OK);
    assert_int_equal(hostmem_create_host_control(manager, NULL, &control), S_OK);
    assert_int_equal(hostmem_shutdown(manager), S_OK);
    assert_int_equal(standin_set_host_control(&clr, control), E_UNEXPECTED);
    assert_int_equal(clr.releases, 1);
    assert_true(verified(manager));
    assert_int_equal(IHostControl_Release(control), 0);
    assert_int_equal(IHostMemoryManager_Release(memory), 1); /* hostmem_create's */
}

/* 3.2 */

static void test_critical_levels(void **state)
{
    (void)state;
    void *during_start = alloc(NULL, GRANULE, MEM_RESERVE, PAGE_READWRITE);
    void *block = standin_heap_alloc(&clr, OUTSIDE_LOCKS, 8);
    standin_start(&clr);
    void *later = alloc(NULL, GRANULE, MEM_RESERVE, PAGE_READWRITE);
    void *locked =
        standin_virtual_alloc(&clr, LOCK_IN_DEFAULT_DOMAIN, NULL, GRANULE, MEM_RESERVE, PAGE_READWRITE);
    void *in_domain =
        standin_virtual_alloc(&clr, LOCK_IN_OTHER_DOMAIN, NULL, GRANULE, MEM_RESERVE, PAGE_READWRITE);
    hostmem_statistics now = statistics();
    assert_int_equal(now.calls[HOSTMEM_VIRTUAL_ALLOC][eProcessCritical].calls, 2);
    assert_int_equal(now.calls[HOSTMEM_VIRTUAL_ALLOC][eAppDomainCritical].calls, 1);
    assert_int_equal(now.calls[HOSTMEM_VIRTUAL_ALLOC][eTaskCritical].calls, 1);
    assert_int_equal(now.calls[HOSTMEM_MALLOC_ALLOC][eProcessCritical].calls, 1);
    release(during_start);
    release(later);
    release(locked);
    release(in_domain);
    assert_true(standin_heap_free(&clr, block));
}

/* A garbage collector with write watch: the probe, a segment, growth, reset, trimming, and its end. */
static void test_collector(void **state)
{
    (void)state;
    void *probe = alloc(NULL, GRANULE, MEM_RESERVE | MEM_WRITE_WATCH, PAGE_READWRITE);
    assert_non_null(probe);
    release(probe);

    const SIZE_T segment_bytes = sizeof(void *) == 8 ? 256 * MIB : 16 * MIB;
    char *segment = alloc(NULL, segment_bytes, MEM_RESERVE | MEM_WRITE_WATCH, PAGE_READWRITE);
    assert_non_null(segment);
    assert_int_equal(statistics().reserved.now, segment_bytes);
    assert_int_equal(committed(), 0);
    assert_ptr_equal(alloc(segment, 2 * PAGE, MEM_COMMIT, PAGE_READWRITE), segment);
    assert_non_null(alloc(segment + 2 * PAGE, 16 * PAGE, MEM_COMMIT, PAGE_READWRITE));
    assert_int_equal(committed(), 18 * PAGE);

    /* Memory is Windows' own, with the flags asked for: write watch works on it directly. */
    segment[5 * PAGE] = 1;
    void *written[32];
    ULONG_PTR count = 32;
    DWORD granularity;
    assert_int_equal(GetWriteWatch(0, segment, 18 * PAGE, written, &count, &granularity), 0);
    assert_int_equal(count, 1);
    assert_ptr_equal(written[0], segment + 5 * PAGE);

    /* A reset is no commit; the CLR unlocks afterwards by a call to Windows. */
    assert_ptr_equal(alloc(segment + 4 * PAGE, 4 * PAGE, MEM_RESET, PAGE_READWRITE), segment + 4 * PAGE);
    VirtualUnlock(segment + 4 * PAGE, 4 * PAGE);
    assert_int_equal(committed(), 18 * PAGE);

    /* Trimming; pages that were never committed are in the range. */
    assert_true(standin_virtual_free(&clr, segment + 10 * PAGE, 20 * PAGE, MEM_DECOMMIT));
    assert_int_equal(committed(), 10 * PAGE);
    /* What was trimmed comes back zeroed: the stand-in looks. */
    assert_non_null(alloc(segment + 10 * PAGE, PAGE, MEM_COMMIT, PAGE_READWRITE));

    /* delete_heap_segment: decommit of a prefix, then release of all, with pages committed still. */
    assert_true(standin_virtual_free(&clr, segment, 8 * PAGE, MEM_DECOMMIT));
    assert_int_equal(committed(), 3 * PAGE);
    release(segment);
    assert_int_equal(committed(), 0);
    assert_int_equal(statistics().committed.peak, 18 * PAGE);
}

/* The card table: an odd number of bytes; the mark array behind it shares a page with it (contract 4). */
static void test_card_table(void **state)
{
    (void)state;
    char *table = alloc(NULL, 4 * MIB, MEM_RESERVE, PAGE_READWRITE);
    assert_ptr_equal(alloc(table, 10 * PAGE + 1234, MEM_COMMIT, PAGE_READWRITE), table);
    assert_int_equal(committed(), 11 * PAGE);
    /* An address within a page: the answer is the page's base, and the shared page counts once. */
    assert_ptr_equal(alloc(table + 10 * PAGE + 1240, 3 * PAGE, MEM_COMMIT, PAGE_READWRITE),
                     table + 10 * PAGE);
    assert_int_equal(committed(), 14 * PAGE);
    assert_ptr_equal(alloc(table + 13 * PAGE, 2 * PAGE, MEM_COMMIT, PAGE_READWRITE), table + 13 * PAGE);
    assert_int_equal(committed(), 15 * PAGE);
    release(table);
}

/* Loader heaps: PAGE_NOACCESS at an address found by a scan, committed page by page, then executable. */
static void test_loader_heap(void **state)
{
    (void)state;
    char *low = free_space_find(64 * MIB);
    assert_non_null(low);
    void *taken = VirtualAlloc(low, GRANULE, MEM_RESERVE, PAGE_NOACCESS);
    char *heap = standin_reserve_within(&clr, low, low + 64 * MIB, GRANULE);
    assert_ptr_equal(heap, low + GRANULE); /* the scan saw what is taken, and real free space */
    assert_non_null(alloc(heap, PAGE, MEM_COMMIT, PAGE_READWRITE));
    assert_non_null(alloc(heap + PAGE, PAGE, MEM_COMMIT, PAGE_EXECUTE_READWRITE));
    heap[PAGE] = (char)0xC3; /* ret */
    ((void (*)(void))(uintptr_t)(heap + PAGE))();
    assert_int_equal(committed(), 2 * PAGE);
    /* Taken: refused with NULL, and the CLR moves on. */
    assert_null(alloc(low, GRANULE, MEM_RESERVE, PAGE_NOACCESS));
    VirtualFree(taken, 0, MEM_RELEASE);
    release(heap);
}

/* The remaining flags: thunk tables from the top, the cache-line allocator, the compiler's arenas, a
 * profiler. */
static void test_other_reservations(void **state)
{
    (void)state;
    void *thunks = alloc(NULL, GRANULE, MEM_RESERVE | MEM_TOP_DOWN, PAGE_EXECUTE_READWRITE);
    char *lines = alloc(NULL, GRANULE, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    char *arena = alloc(NULL, 16 * PAGE, MEM_COMMIT, PAGE_READWRITE);
    assert_true(thunks != NULL && lines != NULL && arena != NULL);
    assert_int_equal(statistics().reserved.now, 2 * GRANULE + 16 * PAGE);
    assert_int_equal(committed(), GRANULE + 16 * PAGE);
    arena[16 * PAGE - 1] = 1;
    release(arena);
    release(thunks);
    release(lines);
    char *high = free_space_find(4 * MIB);
    assert_ptr_equal(alloc(high, 4 * MIB, MEM_RESERVE, PAGE_NOACCESS), high);
    release(high);
}

/* Metadata, contract 4: the same pages once more, read-only; no new bytes. */
static void test_commit_again_protects(void **state)
{
    (void)state;
    char *buffer = alloc(NULL, 8 * PAGE, MEM_RESERVE, PAGE_NOACCESS);
    assert_non_null(alloc(buffer, 3 * PAGE, MEM_COMMIT, PAGE_READWRITE));
    assert_non_null(alloc(buffer, 3 * PAGE, MEM_COMMIT, PAGE_READONLY));
    assert_int_equal(committed(), 3 * PAGE);
    MEMORY_BASIC_INFORMATION info;
    assert_int_equal(standin_virtual_query(&clr, buffer, &info, sizeof info), sizeof info);
    assert_int_equal(info.Protect, PAGE_READONLY);
    assert_int_equal(info.RegionSize, 3 * PAGE);
    assert_true(standin_virtual_free(&clr, buffer, 8 * PAGE, MEM_DECOMMIT));
    release(buffer);
}

/* 3.3 */

static void test_release_with_size(void **state)
{
    (void)state;
    char *heap = alloc(NULL, MIB, MEM_RESERVE, PAGE_READWRITE);
    alloc(heap, PAGE, MEM_COMMIT, PAGE_READWRITE);
    assert_false(standin_virtual_free(&clr, heap, MIB, MEM_RELEASE));
    assert_int_equal(clr.last_result, HRESULT_FROM_WIN32(ERROR_INVALID_PARAMETER));
    /* Windows kept it, and so did the accounting. */
    assert_int_equal(hostmem_owns(manager, heap), S_OK);
    assert_int_equal(committed(), PAGE);
    release(heap);
}

/* 3.10: what the CLR took before there was a host. */
static void test_memory_from_before(void **state)
{
    (void)state;
    char *early = VirtualAlloc(NULL, GRANULE, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    void *early_block = HeapAlloc(GetProcessHeap(), 0, 64);
    memset(early, 7, GRANULE);
    memset(early_block, 7, 64);
    assert_false(standin_virtual_free(&clr, early, 0, MEM_RELEASE));
    assert_int_equal(clr.last_result, HOST_E_INVALIDOPERATION);
    assert_false(standin_heap_free(&clr, early_block));
    assert_int_equal(clr.last_result, HOST_E_INVALIDOPERATION);
    for (int i = 0; i < GRANULE; i++)
        assert_int_equal(early[i], 7);
    for (int i = 0; i < 64; i++)
        assert_int_equal(((char *)early_block)[i], 7);
    HeapFree(GetProcessHeap(), 0, early_block);
    VirtualFree(early, 0, MEM_RELEASE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_set_host_control, end),
        cmocka_unit_test_setup_teardown(test_domain_without_next, begin, end),
        cmocka_unit_test_setup_teardown(test_objects_outlive_host, begin_started, end),
        cmocka_unit_test_teardown(test_create_malloc_refused, end),
        cmocka_unit_test_setup_teardown(test_critical_levels, begin, end),
        cmocka_unit_test_setup_teardown(test_collector, begin, end),
        cmocka_unit_test_setup_teardown(test_card_table, begin_started, end),
        cmocka_unit_test_setup_teardown(test_loader_heap, begin, end),
        cmocka_unit_test_setup_teardown(test_other_reservations, begin_started, end),
        cmocka_unit_test_setup_teardown(test_commit_again_protects, begin_started, end),
        cmocka_unit_test_setup_teardown(test_release_with_size, begin_started, end),
        cmocka_unit_test_setup_teardown(test_memory_from_before, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

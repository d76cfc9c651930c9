/*
 * test_manager.c - the manager as an object: making it, counting, the load report,
 * the notification callback, shutdown
 */
#include "support/manager_fixture.h"
#include "support/verified.h"

#include <string.h>

#include "memory/memory_load.h"

static void test_create(void **state)
{
    (void)state;
    hostmem_manager *manager = (hostmem_manager *)1;
    hostmem_options options = {.size = sizeof options};
    assert_hresult(hostmem_create(NULL, NULL), E_POINTER);
    options.size = 0;
    assert_hresult(hostmem_create(&options, &manager), E_INVALIDARG);
    assert_null(manager);
    options.size = sizeof options + 8;
    assert_hresult(hostmem_create(&options, &manager), E_INVALIDARG);
    options.size = sizeof options;
    options.flags = 1;
    manager = (hostmem_manager *)1;
    assert_hresult(hostmem_create(&options, &manager), E_INVALIDARG);
    assert_null(manager);
    options.flags = 0;
    assert_hresult(hostmem_create(&options, &manager), S_OK);
    hostmem_release(manager);
    hostmem_release(NULL);
    assert_int_equal(hostmem_version(), HOSTMEM_VERSION);
}

static HRESULT HOSTMEM_CALL never_region(const hostmem_region *region, void *context)
{
    (void)region;
    (void)context;
    fail();
    return S_OK;
}

static HRESULT HOSTMEM_CALL never_block(const hostmem_block *block, void *context)
{
    (void)block;
    (void)context;
    fail();
    return S_OK;
}

static void test_pointers_of_the_c_api(void **state)
{
    struct fixture *f = *state;
    hostmem_statistics statistics = {.size = sizeof statistics};
    IHostMemoryManager *memory = (IHostMemoryManager *)1;
    assert_hresult(hostmem_get_statistics(NULL, &statistics), E_POINTER);
    assert_hresult(hostmem_get_statistics(f->manager, NULL), E_POINTER);
    statistics.size = sizeof statistics - 1;
    assert_hresult(hostmem_get_statistics(f->manager, &statistics), E_INVALIDARG);
    statistics.size = 0;
    assert_hresult(hostmem_get_statistics(f->manager, &statistics), E_INVALIDARG);
    assert_hresult(hostmem_get_memory_manager(f->manager, NULL), E_POINTER);
    assert_hresult(hostmem_get_memory_manager(NULL, &memory), E_POINTER);
    assert_null(memory);
    assert_hresult(hostmem_walk_regions(NULL, never_region, NULL), E_POINTER);
    assert_hresult(hostmem_walk_regions(f->manager, NULL, NULL), E_POINTER);
    assert_hresult(hostmem_walk_blocks(NULL, never_block, NULL), E_POINTER);
    assert_hresult(hostmem_walk_blocks(f->manager, NULL, NULL), E_POINTER);
    assert_hresult(hostmem_walk_regions(f->manager, never_region, NULL), S_OK);
    assert_hresult(hostmem_walk_blocks(f->manager, never_block, NULL), S_OK);
    assert_hresult(hostmem_owns(NULL, f), E_POINTER);
    assert_hresult(hostmem_shutdown(NULL), E_POINTER);
}

static void test_query_interface(void **state)
{
    struct fixture *f = *state;
    void *out = NULL;
    assert_hresult(IHostMemoryManager_QueryInterface(f->memory, &IID_IUnknown, &out), S_OK);
    assert_ptr_equal(out, f->memory);
    assert_int_equal(IHostMemoryManager_Release(f->memory), 2);
    assert_hresult(IHostMemoryManager_QueryInterface(f->memory, &IID_IHostMemoryManager, &out), S_OK);
    assert_ptr_equal(out, f->memory);
    assert_int_equal(IHostMemoryManager_Release(f->memory), 2);
    assert_hresult(IHostMemoryManager_QueryInterface(f->memory, &IID_IHostMalloc, &out), E_NOINTERFACE);
    assert_null(out);
    assert_hresult(IHostMemoryManager_QueryInterface(f->memory, &IID_IHostControl, &out), E_NOINTERFACE);
    assert_hresult(IHostMemoryManager_QueryInterface(f->memory, &IID_IUnknown, NULL), E_POINTER);
    assert_int_equal(IHostMemoryManager_AddRef(f->memory), 3);
    assert_int_equal(IHostMemoryManager_Release(f->memory), 2);
}

static void test_calls_are_counted_by_level(void **state)
{
    struct fixture *f = *state;
    static const struct {
        int level;
        unsigned row;
    } levels[] = {{0, 0}, {1, 1}, {2, 2}, {3, 3}, {4, 3}, {-1, 3}, {0x7fffffff, 3}};
    hostmem_calls expected[HOSTMEM_LEVEL_COUNT] = {{0, 0}, {0, 0}, {0, 0}, {0, 0}};
    for (unsigned i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        EMemoryCriticalLevel level = (EMemoryCriticalLevel)levels[i].level;
        void *memory;
        HRESULT result = IHostMemoryManager_VirtualAlloc(f->memory, NULL, PAGE, MEM_RESERVE, PAGE_READWRITE,
                                                         level, &memory);
        assert_hresult(result, S_OK);
        fixture_free(f, memory, 0, MEM_RELEASE);
        assert_true(FAILED(IHostMemoryManager_VirtualAlloc(f->memory, NULL, 0, MEM_RESERVE, PAGE_READWRITE,
                                                           level, &memory)));
        expected[levels[i].row].calls += 2;
        expected[levels[i].row].failures += 1;
    }
    hostmem_statistics statistics = fixture_statistics(f->manager);
    assert_memory_equal(statistics.calls[HOSTMEM_VIRTUAL_ALLOC], expected, sizeof expected);
    assert_int_equal(statistics.calls[HOSTMEM_VIRTUAL_FREE][HOSTMEM_LEVEL_NONE].calls, 7);
    assert_int_equal(statistics.calls[HOSTMEM_VIRTUAL_FREE][0].calls, 0);
    assert_int_equal(statistics.calls[HOSTMEM_VIRTUAL_FREE][HOSTMEM_LEVEL_NONE].failures, 0);
}

/* What the machine has, as Windows tells it; two readings may differ while others run. */
static void test_memory_load(void **state)
{
    struct fixture *f = *state;
    DWORD load = 1000;
    SIZE_T available = 1;
    MEMORYSTATUSEX before = {.dwLength = sizeof before}, after = before;
    assert_true(GlobalMemoryStatusEx(&before));
    SetLastError(NO_ERROR_SET);
    assert_hresult(IHostMemoryManager_GetMemoryLoad(f->memory, &load, &available), S_OK);
    assert_int_equal(GetLastError(), NO_ERROR_SET);
    assert_true(GlobalMemoryStatusEx(&after));
    DWORD least = before.dwMemoryLoad < after.dwMemoryLoad ? before.dwMemoryLoad : after.dwMemoryLoad;
    DWORD most = before.dwMemoryLoad < after.dwMemoryLoad ? after.dwMemoryLoad : before.dwMemoryLoad;
    assert_in_range(load, least > 2 ? least - 2 : 0, most + 2);
    uint64_t low = before.ullAvailPhys < after.ullAvailPhys ? before.ullAvailPhys : after.ullAvailPhys;
    uint64_t high = before.ullAvailPhys < after.ullAvailPhys ? after.ullAvailPhys : before.ullAvailPhys;
    const uint64_t slack = 256 << 20;
    low = low > slack ? low - slack : 0;
    high += slack;
    if (low > SIZE_MAX)
        low = SIZE_MAX; /* x86 on a machine with more than it can say */
    assert_true(available >= low && available <= high);

    load = 1000;
    available = 1;
    assert_hresult(IHostMemoryManager_GetMemoryLoad(f->memory, NULL, &available), E_POINTER);
    assert_int_equal(available, 0);
    assert_hresult(IHostMemoryManager_GetMemoryLoad(f->memory, &load, NULL), E_POINTER);
    assert_int_equal(load, 0);
    assert_hresult(IHostMemoryManager_GetMemoryLoad(f->memory, NULL, NULL), E_POINTER);
    assert_int_equal(
        fixture_statistics(f->manager).calls[HOSTMEM_GET_MEMORY_LOAD][HOSTMEM_LEVEL_NONE].failures, 3);
}

/* The arithmetic of job limits, which Wine 8.0 accepts and ignores. */
static void test_job_limits_tighten_the_load(void **state)
{
    (void)state;
    const uint64_t mib = 1 << 20, none = UINT64_MAX;
    const struct {
        uint64_t job, working_set, commit, in_working_set;
        DWORD percent;
        uint64_t available;
    } rows[] = {
        {none, none, 500 * mib, 500 * mib, 40, 600 * mib}, /* no limit: the machine's own figures */
        {1000 * mib, none, 250 * mib, 0, 40, 600 * mib},   /* the machine is tighter */
        {1000 * mib, none, 500 * mib, 0, 50, 500 * mib},   /* the job is */
        {800 * mib, none, 300 * mib, 0, 40, 500 * mib},    /* each figure by itself */
        {100 * mib, none, 100 * mib, 0, 100, 0},           /* at the limit */
        {100 * mib, none, 300 * mib, 0, 100, 0},           /* over it */
        {0, none, 0, 0, 100, 0},                           /* nothing allowed: no division */
        {none, 400 * mib, 0, 300 * mib, 75, 100 * mib},    /* a working-set limit */
        {1000 * mib, 400 * mib, 900 * mib, 100 * mib, 90, 100 * mib}, /* both */
        {none - 1, none, 500 * mib, 0, 40, 600 * mib},                /* a limit as good as none */
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct os_memory memory = {.physical_total = 1000 * mib,
                                   .physical_available = 600 * mib,
                                   .physical_load = 40,
                                   .job_limit = rows[i].job,
                                   .working_set_limit = rows[i].working_set,
                                   .process_commit = rows[i].commit,
                                   .process_working_set = rows[i].in_working_set};
        struct memory_load load = hm_memory_load_of(&memory);
        assert_int_equal(load.percent, rows[i].percent);
        assert_int_equal(load.available, rows[i].available);
    }
    struct os_memory huge = {
        .physical_available = (uint64_t)1 << 40, .job_limit = none, .working_set_limit = none};
    assert_int_equal(hm_memory_load_of(&huge).available, sizeof(SIZE_T) == 8 ? (uint64_t)1 << 40 : SIZE_MAX);
}

/* A notification callback that counts, as the CLR's does not. */
struct callback {
    ICLRMemoryNotificationCallback iface;
    ULONG references;
};

static HRESULT STDMETHODCALLTYPE callback_QueryInterface(ICLRMemoryNotificationCallback *iface, REFIID riid,
                                                         void **out)
{
    (void)iface;
    (void)riid;
    (void)out;
    fail(); /* nobody has a reason to ask */
    return E_NOINTERFACE;
}

static ULONG STDMETHODCALLTYPE callback_AddRef(ICLRMemoryNotificationCallback *iface)
{
    return ++((struct callback *)iface)->references;
}

static ULONG STDMETHODCALLTYPE callback_Release(ICLRMemoryNotificationCallback *iface)
{
    return --((struct callback *)iface)->references;
}

static HRESULT STDMETHODCALLTYPE callback_OnMemoryNotification(ICLRMemoryNotificationCallback *iface,
                                                               EMemoryAvailable available)
{
    (void)iface;
    (void)available;
    fail(); /* nothing here notifies */
    return S_OK;
}

static const ICLRMemoryNotificationCallbackVtbl callback_vtbl = {
    callback_QueryInterface, callback_AddRef, callback_Release, callback_OnMemoryNotification};

static struct callback make_callback(void)
{
    return (struct callback){{(ICLRMemoryNotificationCallbackVtbl *)&callback_vtbl}, 1};
}

static void test_the_callback_is_kept_and_let_go(void **state)
{
    struct fixture *f = *state;
    struct callback a = make_callback(), b = make_callback();
    assert_hresult(IHostMemoryManager_RegisterMemoryNotificationCallback(f->memory, NULL), S_OK);
    assert_hresult(IHostMemoryManager_RegisterMemoryNotificationCallback(f->memory, &a.iface), S_OK);
    assert_int_equal(a.references, 2);
    assert_hresult(IHostMemoryManager_RegisterMemoryNotificationCallback(f->memory, &a.iface), S_OK);
    assert_int_equal(a.references, 2);
    assert_hresult(IHostMemoryManager_RegisterMemoryNotificationCallback(f->memory, &b.iface), S_OK);
    assert_int_equal(a.references, 1);
    assert_int_equal(b.references, 2);
    assert_hresult(IHostMemoryManager_RegisterMemoryNotificationCallback(f->memory, NULL), S_OK);
    assert_int_equal(b.references, 1);

    assert_hresult(IHostMemoryManager_RegisterMemoryNotificationCallback(f->memory, &a.iface), S_OK);
    assert_hresult(hostmem_shutdown(f->manager), S_OK);
    assert_int_equal(a.references, 1);

    hostmem_manager *other;
    IHostMemoryManager *memory;
    assert_hresult(hostmem_create(NULL, &other), S_OK);
    assert_hresult(hostmem_get_memory_manager(other, &memory), S_OK);
    assert_hresult(IHostMemoryManager_RegisterMemoryNotificationCallback(memory, &b.iface), S_OK);
    assert_true(verified(other));
    assert_int_equal(IHostMemoryManager_Release(memory), 1);
    assert_int_equal(b.references, 2);
    hostmem_release(other);
    assert_int_equal(b.references, 1);
}

/* Decision 9: new memory is refused; the rest goes on. */
static void test_shutdown(void **state)
{
    struct fixture *f = *state;
    char *region = fixture_alloc(f, NULL, GRANULE, MEM_RESERVE, PAGE_READWRITE);
    fixture_alloc(f, region, 2 * PAGE, MEM_COMMIT, PAGE_READWRITE);
    char *raw = VirtualAlloc(NULL, GRANULE, MEM_RESERVE, PAGE_READWRITE);
    IHostMalloc *heap;
    assert_hresult(IHostMemoryManager_CreateMalloc(f->memory, MALLOC_THREADSAFE, &heap), S_OK);
    assert_hresult(hostmem_shutdown(f->manager), S_OK);
    assert_hresult(hostmem_shutdown(f->manager), S_OK);

    const struct {
        void *address;
        DWORD type;
    } refused[] = {{NULL, MEM_RESERVE},
                   {NULL, MEM_COMMIT},
                   {NULL, MEM_RESERVE | MEM_COMMIT},
                   {region, MEM_COMMIT},
                   {region + 3 * PAGE, MEM_COMMIT},
                   {raw, MEM_COMMIT}};
    for (unsigned i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        void *memory = (void *)1;
        SetLastError(NO_ERROR_SET);
        HRESULT result = IHostMemoryManager_VirtualAlloc(f->memory, refused[i].address, PAGE, refused[i].type,
                                                         PAGE_READWRITE, eProcessCritical, &memory);
        assert_hresult(result, HOST_E_CLRNOTAVAILABLE);
        assert_int_equal(GetLastError(), NO_ERROR_SET);
        assert_null(memory);
    }
    assert_hresult(IHostMemoryManager_VirtualAlloc(f->memory, NULL, PAGE, MEM_RESERVE, PAGE_READWRITE,
                                                   eTaskCritical, NULL),
                   E_POINTER);
    IHostMalloc *second = (IHostMalloc *)1;
    assert_hresult(IHostMemoryManager_CreateMalloc(f->memory, MALLOC_THREADSAFE, &second),
                   HOST_E_CLRNOTAVAILABLE);
    assert_null(second);
    assert_int_equal(fixture_statistics(f->manager).refusals, sizeof refused / sizeof refused[0] + 1);

    void *block;
    assert_hresult(IHostMalloc_Alloc(heap, 100, eTaskCritical, &block), S_OK);
    assert_hresult(IHostMalloc_Free(heap, block), S_OK);
    assert_int_equal(IHostMalloc_Release(heap), 0);
    assert_ptr_equal(fixture_alloc(f, region, PAGE, MEM_RESET, PAGE_READWRITE), region);
    DWORD old, load;
    SIZE_T written, available;
    MEMORY_BASIC_INFORMATION info;
    assert_hresult(IHostMemoryManager_VirtualProtect(f->memory, region, PAGE, PAGE_READONLY, &old), S_OK);
    assert_hresult(IHostMemoryManager_VirtualQuery(f->memory, region, &info, sizeof info, &written), S_OK);
    assert_int_equal(info.Protect, PAGE_READONLY);
    assert_hresult(IHostMemoryManager_GetMemoryLoad(f->memory, &load, &available), S_OK);
    fixture_free(f, region, PAGE, MEM_DECOMMIT);
    assert_int_equal(fixture_statistics(f->manager).committed.now, PAGE);
    fixture_free(f, region, 0, MEM_RELEASE);
    VirtualFree(raw, 0, MEM_RELEASE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_create),
        fixture_test(test_pointers_of_the_c_api),
        fixture_test(test_query_interface),
        fixture_test(test_calls_are_counted_by_level),
        fixture_test(test_memory_load),
        cmocka_unit_test(test_job_limits_tighten_the_load),
        fixture_test(test_the_callback_is_kept_and_let_go),
        fixture_test(test_shutdown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

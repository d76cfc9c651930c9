/*
 * test_heap_limit.c - heap_limit, and what a region is for
 *
 * The heap's pressure is in test_pressure.c, races and the rows of budgets in test_quota.c.
 */
#include "com/region_use.h"
#include "support/governed.h"
#include "support/verified.h"

static hostmem_limits heap_of(uint64_t heap_limit)
{
    hostmem_limits limits = limits_of(HOSTMEM_UNLIMITED, 0, 0, 0);
    limits.heap_limit = heap_limit;
    return limits;
}

static HRESULT set_use(struct governed *g, void *address, uint32_t use)
{
    IHostmemRegionUse *interface_of_use = NULL;
    assert_hresult(
        IHostMemoryManager_QueryInterface(g->f.memory, &iid_region_use, (void **)&interface_of_use), S_OK);
    SetLastError(NO_ERROR_SET);
    HRESULT result = interface_of_use->lpVtbl->SetUse(interface_of_use, address, use);
    assert_int_equal(GetLastError(), NO_ERROR_SET);
    interface_of_use->lpVtbl->Release(interface_of_use);
    return result;
}

/* Address space that is for this. */
static char *region_for(struct governed *g, SIZE_T page_count, hostmem_use use)
{
    char *region = grant(g, NULL, page_count * PAGE, MEM_RESERVE, eTaskCritical, 0);
    assert_hresult(set_use(g, region, use), S_OK);
    return region;
}

static struct refusal heap(uint64_t bytes, uint64_t limit, uint64_t used)
{
    return (struct refusal){HOSTMEM_REASON_HEAP_LIMIT, bytes, limit, used};
}

static uint64_t committed_for(struct governed *g, hostmem_use use)
{
    return fixture_statistics(g->f.manager).committed_by_use[use].now;
}

static void assert_heap_overrun(struct governed *g, uint64_t count, uint64_t bytes, uint64_t peak)
{
    hostmem_statistics statistics = fixture_statistics(g->f.manager);
    assert_int_equal(statistics.heap_overrun.count, count);
    assert_int_equal(statistics.heap_overrun.bytes, bytes);
    assert_int_equal(statistics.heap_overrun.peak, peak);
    assert_int_equal(statistics.overrun.count, 0);
    assert_true(statistics.committed.peak >= statistics.committed.now);
    assert_true(statistics.committed_by_use[HOSTMEM_USE_GC_HEAP].peak >=
                statistics.committed_by_use[HOSTMEM_USE_GC_HEAP].now);
}

/* What the heap has is counted by itself: refused at both levels that may be. */
static void test_the_heap_is_refused(void **state)
{
    struct governed *g = *state;
    const uint64_t limit = pages(6);
    hostmem_limits limits = heap_of(limit);
    governed_limit(g, &limits);
    char *objects = region_for(g, 64, HOSTMEM_USE_GC_HEAP), *more = region_for(g, 64, HOSTMEM_USE_GC_HEAP);
    char *tables = region_for(g, 64, HOSTMEM_USE_GC_TABLES);
    refuse(g, objects, 7 * PAGE, MEM_COMMIT, eTaskCritical, heap(pages(7), limit, 0));
    grant(g, objects, 4 * PAGE, MEM_COMMIT, eTaskCritical, pages(4));
    refuse(g, more, 3 * PAGE, MEM_COMMIT, eTaskCritical, heap(pages(3), limit, pages(4)));
    grant(g, more, 2 * PAGE, MEM_COMMIT, eAppDomainCritical, pages(2));
    for (unsigned level = eTaskCritical; level <= eAppDomainCritical; level++) {
        refuse(g, objects + 4 * PAGE, PAGE, MEM_COMMIT, level, heap(PAGE, limit, limit));
        refuse(g, objects, 5 * PAGE, MEM_COMMIT, level, heap(PAGE, limit, limit));
        grant(g, objects, 4 * PAGE, MEM_COMMIT, level, 0);
    }

    /* Nothing else is. */
    grant(g, tables, 40 * PAGE, MEM_COMMIT, eTaskCritical, pages(40));
    static const hostmem_use others[] = {HOSTMEM_USE_OTHER, HOSTMEM_USE_CODE, HOSTMEM_USE_LOADER};
    for (unsigned i = 0; i < 3; i++) {
        char *other = region_for(g, 16, others[i]);
        grant(g, other, 16 * PAGE, MEM_COMMIT, eTaskCritical, pages(16));
        release(g, other);
    }
    void *block = grant_block(g, 100000, eTaskCritical);
    refuse(g, objects + 4 * PAGE, PAGE, MEM_COMMIT, eTaskCritical, heap(PAGE, limit, limit));

    /* What it gives back it can have again. */
    decommit(g, objects + PAGE, 2 * PAGE);
    refuse(g, more + 2 * PAGE, 3 * PAGE, MEM_COMMIT, eTaskCritical, heap(pages(3), limit, pages(4)));
    grant(g, more + 2 * PAGE, 2 * PAGE, MEM_COMMIT, eTaskCritical, pages(2));
    release(g, objects);
    grant(g, more + 4 * PAGE, 2 * PAGE, MEM_COMMIT, eTaskCritical, pages(2));
    assert_int_equal(committed_for(g, HOSTMEM_USE_GC_HEAP), pages(6));
    assert_int_equal(committed_for(g, HOSTMEM_USE_GC_TABLES), pages(40));
    assert_heap_overrun(g, 0, 0, 0);
    assert_hresult(IHostMalloc_Free(g->heap, block), S_OK);
    release(g, more);
    release(g, tables);
    assert_int_equal(fixture_statistics(g->f.manager).committed_by_use[HOSTMEM_USE_GC_HEAP].peak, pages(6));
}

/* Before a runtime has started its heap is process-critical: counted, told, and granted, whatever the flags. */
static void test_process_critical(void **state)
{
    struct governed *g = *state;
    for (uint32_t flags = 0; flags <= HOSTMEM_LIMITS_STRICT; flags += HOSTMEM_LIMITS_STRICT) {
        hostmem_limits limits = limits_of(pages(20), 0, pages(4), flags);
        limits.heap_limit = pages(3);
        governed_limit(g, &limits);
        hostmem_overrun before = fixture_statistics(g->f.manager).heap_overrun;
        char *objects = region_for(g, 64, HOSTMEM_USE_GC_HEAP);
        grant(g, objects, 3 * PAGE, MEM_COMMIT, eProcessCritical, pages(3));
        overrun(g, objects + 3 * PAGE, PAGE, MEM_COMMIT, eProcessCritical, heap(PAGE, pages(3), pages(4)));
        overrun(g, objects, 6 * PAGE, MEM_COMMIT, 3, heap(pages(2), pages(3), pages(6)));
        assert_heap_overrun(g, before.count + 2, before.bytes + pages(3),
                            before.peak > pages(3) ? before.peak : pages(3));
        refuse(g, objects + 6 * PAGE, PAGE, MEM_COMMIT, eTaskCritical, heap(PAGE, pages(3), pages(6)));
        /* What it is above its own limit counts in the sum, which has its own answer. */
        char *other = region_for(g, 64, HOSTMEM_USE_OTHER);
        grant(g, other, 14 * PAGE, MEM_COMMIT, eTaskCritical, pages(14));
        refuse(g, other + 14 * PAGE, PAGE, MEM_COMMIT, eTaskCritical, task(PAGE, pages(20), pages(20)));
        overrun(g, objects + 6 * PAGE, 4 * PAGE, MEM_COMMIT, eProcessCritical,
                heap(pages(4), pages(3), pages(10)));
        if (flags == HOSTMEM_LIMITS_STRICT)
            refuse(g, objects + 10 * PAGE, PAGE, MEM_COMMIT, eProcessCritical,
                   (struct refusal){HOSTMEM_REASON_MARGIN, PAGE, pages(24), pages(24)});
        assert_heap_overrun(g, before.count + 3, before.bytes + pages(7), pages(7));
        release(g, objects);
        release(g, other);
    }
}

/* Windows refuses: no overrun of the heap has been, and none is told. */
static void test_windows_refuses(void **state)
{
    struct governed *g = *state;
    hostmem_limits limits = heap_of(PAGE);
    governed_limit(g, &limits);
    char *objects = region_for(g, 4, HOSTMEM_USE_GC_HEAP);
    void *memory;
    for (unsigned level = eTaskCritical; level <= eProcessCritical; level += 2) {
        assert_true(
            FAILED(IHostMemoryManager_VirtualAlloc(g->f.memory, objects, PAGE * (level + 1), MEM_COMMIT,
                                                   0x333, (EMemoryCriticalLevel)level, &memory)));
        assert_heap_overrun(g, 0, 0, 0);
        assert_int_equal(charged(g), 0);
        assert_int_equal(fixture_statistics(g->f.manager).charged.peak, 0);
    }
    grant(g, objects, PAGE, MEM_COMMIT, eTaskCritical, PAGE);
    assert_int_equal(event_log_count(&g->log, HOSTMEM_EVENT_OVERRUN), 0);
    release(g, objects);
}

static hostmem_budget_usage usage_of(hostmem_budget *budget)
{
    hostmem_budget_usage usage = {.size = sizeof usage};
    assert_hresult(hostmem_get_budget(budget, NULL, &usage), S_OK);
    return usage;
}

/* Of a shared budget it is the sum of its managers' heaps. */
static void test_shared(void **state)
{
    (void)state;
    hostmem_limits limits = heap_of(pages(10)), own = heap_of(pages(7));
    hostmem_budget *budget;
    assert_hresult(hostmem_create_budget(&limits, &budget), S_OK);
    struct governed *a = governed_make(&own, budget), *b = governed_make(NULL, budget);
    char *of_a = region_for(a, 64, HOSTMEM_USE_GC_HEAP), *of_b = region_for(b, 64, HOSTMEM_USE_GC_HEAP);
    char *other = region_for(b, 64, HOSTMEM_USE_OTHER);
    grant(a, of_a, 6 * PAGE, MEM_COMMIT, eTaskCritical, pages(6));
    grant(b, other, 20 * PAGE, MEM_COMMIT, eTaskCritical, pages(20));
    const struct refusal five = {HOSTMEM_REASON_SHARED, pages(5), pages(10), pages(6)};
    refuse(b, of_b, 5 * PAGE, MEM_COMMIT, eTaskCritical, five);
    grant(b, of_b, 3 * PAGE, MEM_COMMIT, eAppDomainCritical, pages(3));
    refuse(a, of_a + 6 * PAGE, 2 * PAGE, MEM_COMMIT, eTaskCritical, heap(pages(2), pages(7), pages(6)));
    grant(a, of_a + 6 * PAGE, PAGE, MEM_COMMIT, eTaskCritical, PAGE);
    const struct refusal full = {HOSTMEM_REASON_SHARED, PAGE, pages(10), pages(10)};
    refuse(b, of_b + 3 * PAGE, PAGE, MEM_COMMIT, eTaskCritical, full);
    const struct refusal beyond = {HOSTMEM_REASON_SHARED, PAGE, pages(10), pages(11)};
    overrun(b, of_b + 3 * PAGE, PAGE, MEM_COMMIT, eProcessCritical, beyond);
    assert_heap_overrun(b, 0, 0, 0); /* none of its own */
    hostmem_budget_usage usage = usage_of(budget);
    assert_int_equal(usage.gc_heap.now, pages(11));
    assert_int_equal(usage.charged.now, pages(31));
    assert_int_equal(usage.heap_overrun.count, 1);
    assert_int_equal(usage.heap_overrun.bytes, PAGE);
    assert_int_equal(usage.overrun.count, 0);

    /* One gives back, or ends: the other can have it. */
    release(a, of_a);
    grant(b, of_b + 4 * PAGE, 6 * PAGE, MEM_COMMIT, eTaskCritical, pages(6));
    refuse(b, of_b + 10 * PAGE, PAGE, MEM_COMMIT, eTaskCritical, full);
    assert_true(verified(b->f.manager));
    release(b, of_b);
    release(b, other);
    usage = usage_of(budget);
    assert_int_equal(usage.gc_heap.now, 0);
    assert_int_equal(usage.gc_heap.peak, pages(11));
    governed_end(a);
    governed_end(b);
    hostmem_release_budget(budget);
}

static HRESULT HOSTMEM_CALL find_use(const hostmem_region *region, void *context)
{
    hostmem_region *wanted = context;
    if (region->base == wanted->base)
        *wanted = *region;
    return S_OK;
}

static uint32_t use_of(struct governed *g, void *base)
{
    hostmem_region region = {.base = base, .use = UINT32_MAX};
    assert_hresult(hostmem_walk_regions(g->f.manager, find_use, &region), S_OK);
    return region.use;
}

/* What is committed already moves along, to and from the heap and between others; whatever the limit says. */
static void test_use_changed_late(void **state)
{
    struct governed *g = *state;
    hostmem_limits limits = heap_of(pages(5));
    governed_limit(g, &limits);
    char *region = region_for(g, 64, HOSTMEM_USE_CODE), *objects = region_for(g, 64, HOSTMEM_USE_GC_HEAP);
    grant(g, region, 3 * PAGE, MEM_COMMIT, eTaskCritical, pages(3));
    assert_int_equal(committed_for(g, HOSTMEM_USE_CODE), pages(3));
    grant(g, objects, 4 * PAGE, MEM_COMMIT, eTaskCritical, pages(4));
    for (int i = 0; i < 2; i++) {
        assert_hresult(set_use(g, region + PAGE, HOSTMEM_USE_LOADER), S_OK); /* any of its addresses */
        assert_int_equal(use_of(g, region), HOSTMEM_USE_LOADER);
        assert_int_equal(committed_for(g, HOSTMEM_USE_CODE), 0);
        assert_int_equal(committed_for(g, HOSTMEM_USE_LOADER), pages(3));
        assert_int_equal(committed_for(g, HOSTMEM_USE_GC_HEAP), pages(4));
    }
    assert_heap_overrun(g, 0, 0, 0);
    assert_hresult(set_use(g, region + 63 * PAGE, HOSTMEM_USE_GC_HEAP), S_OK);
    assert_int_equal(charged(g), pages(7)); /* the sum is the same */
    assert_int_equal(committed_for(g, HOSTMEM_USE_GC_HEAP), pages(7));
    assert_int_equal(committed_for(g, HOSTMEM_USE_LOADER), 0);
    assert_heap_overrun(g, 1, pages(3), pages(2));
    refuse(g, objects + 4 * PAGE, PAGE, MEM_COMMIT, eTaskCritical, heap(PAGE, pages(5), pages(7)));
    decommit(g, region, PAGE);
    refuse(g, region, PAGE, MEM_COMMIT, eTaskCritical, heap(PAGE, pages(5), pages(6)));
    assert_hresult(set_use(g, region, HOSTMEM_USE_OTHER), S_OK);
    grant(g, region, PAGE, MEM_COMMIT, eTaskCritical, PAGE);
    grant(g, objects + 4 * PAGE, PAGE, MEM_COMMIT, eTaskCritical, PAGE);
    refuse(g, objects + 5 * PAGE, PAGE, MEM_COMMIT, eTaskCritical, heap(PAGE, pages(5), pages(5)));
    assert_true(verified(g->f.manager));
    assert_hresult(set_use(g, objects, HOSTMEM_USE_OTHER), S_OK);
    release(g, objects);
    assert_hresult(set_use(g, region, HOSTMEM_USE_GC_HEAP), S_OK);
    release(g, region);
    assert_int_equal(committed_for(g, HOSTMEM_USE_GC_HEAP), 0);
}

static void test_use_misused(void **state)
{
    struct governed *g = *state;
    static const uint32_t none[] = {HOSTMEM_USE_VIEW, HOSTMEM_USE_COUNT, UINT32_MAX};
    char *region = region_for(g, 4, HOSTMEM_USE_CODE), *end = region + 4 * PAGE;
    char *raw = VirtualAlloc(NULL, PAGE, MEM_RESERVE, PAGE_READWRITE);
    for (unsigned i = 0; i < 3; i++)
        assert_hresult(set_use(g, region, none[i]), E_INVALIDARG);
    void *nobodys[] = {NULL, raw, end, &end};
    for (unsigned i = 0; i < 4; i++)
        assert_hresult(set_use(g, nobodys[i], HOSTMEM_USE_GC_HEAP), HOST_E_INVALIDOPERATION);
    HANDLE section = CreateFileMappingW(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE, 0, GRANULE, NULL);
    char *view = MapViewOfFile(section, FILE_MAP_WRITE, 0, 0, 0);
    CloseHandle(section);
    assert_hresult(IHostMemoryManager_AcquiredVirtualAddressSpace(g->f.memory, view, 0), S_OK);
    assert_hresult(set_use(g, view, HOSTMEM_USE_GC_HEAP), HOST_E_INVALIDOPERATION);
    assert_int_equal(use_of(g, view), HOSTMEM_USE_VIEW);
    UnmapViewOfFile(view);
    assert_hresult(IHostMemoryManager_ReleasedVirtualAddressSpace(g->f.memory, view), S_OK);
    assert_int_equal(use_of(g, region), HOSTMEM_USE_CODE);
    VirtualFree(raw, 0, MEM_RELEASE);
    release(g, region);
    assert_hresult(set_use(g, region, HOSTMEM_USE_GC_HEAP), HOST_E_INVALIDOPERATION);
}

/* One object, one count of references. */
static void test_the_private_interface(void **state)
{
    struct governed *g = *state;
    IHostmemRegionUse *use;
    IHostMemoryManager *back;
    IUnknown *unknown, *identity;
    assert_hresult(IHostMemoryManager_QueryInterface(g->f.memory, &iid_region_use, (void **)&use), S_OK);
    ULONG count = use->lpVtbl->AddRef(use);
    assert_int_equal(IHostMemoryManager_AddRef(g->f.memory), count + 1);
    assert_int_equal(use->lpVtbl->Release(use), count);
    assert_int_equal(IHostMemoryManager_Release(g->f.memory), count - 1);
    assert_hresult(use->lpVtbl->QueryInterface(use, &IID_IHostMemoryManager, (void **)&back), S_OK);
    assert_ptr_equal(back, g->f.memory);
    assert_hresult(use->lpVtbl->QueryInterface(use, &IID_IUnknown, (void **)&unknown), S_OK);
    assert_hresult(IHostMemoryManager_QueryInterface(g->f.memory, &IID_IUnknown, (void **)&identity), S_OK);
    assert_ptr_equal(unknown, identity);
    IUnknown_Release(unknown);
    IUnknown_Release(identity);
    IHostMemoryManager_Release(back);
    assert_int_equal(use->lpVtbl->Release(use), count - 2);
}

/* Of a caller that says nothing: by the reserving call. */
static void test_guessed(void **state)
{
    struct governed *g = *state;
    static const struct {
        SIZE_T size;
        DWORD type, protect;
        hostmem_use use;
    } rows[] = {
        {16 << 20, MEM_RESERVE, PAGE_READWRITE, HOSTMEM_USE_GC_HEAP},
        {GRANULE, MEM_RESERVE | MEM_WRITE_WATCH, PAGE_READWRITE, HOSTMEM_USE_GC_HEAP},
        {GRANULE, MEM_RESERVE, PAGE_READWRITE, HOSTMEM_USE_GC_TABLES},
        {16 << 20, MEM_RESERVE, PAGE_NOACCESS, HOSTMEM_USE_LOADER},
        {16 << 20, MEM_RESERVE, PAGE_EXECUTE_READWRITE, HOSTMEM_USE_CODE},
        {GRANULE, MEM_RESERVE | MEM_COMMIT, PAGE_EXECUTE_READ, HOSTMEM_USE_CODE},
        {GRANULE, MEM_COMMIT, PAGE_READWRITE, HOSTMEM_USE_OTHER},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        void *region;
        assert_hresult(IHostMemoryManager_VirtualAlloc(g->f.memory, NULL, rows[i].size, rows[i].type,
                                                       rows[i].protect, eTaskCritical, &region),
                       S_OK);
        assert_int_equal(use_of(g, region), rows[i].use);
        assert_int_equal(committed_for(g, rows[i].use), rows[i].type & MEM_COMMIT ? rows[i].size : 0);
        release(g, region);
    }
}

/* While it runs: below what the heap has, up again, and away: then it has what it would have without us. */
static void test_changed_at_run_time(void **state)
{
    struct governed *g = *state;
    char *objects = region_for(g, 256, HOSTMEM_USE_GC_HEAP);
    grant(g, objects, 20 * PAGE, MEM_COMMIT, eTaskCritical, pages(20));
    hostmem_limits limits = heap_of(pages(10)), read = {.size = sizeof read};
    governed_limit(g, &limits);
    assert_hresult(hostmem_get_limits(g->f.manager, &read), S_OK);
    assert_int_equal(read.heap_limit, pages(10));
    assert_int_equal(charged(g), pages(20));
    assert_heap_overrun(g, 0, 0, 0);
    refuse(g, objects + 20 * PAGE, PAGE, MEM_COMMIT, eTaskCritical, heap(PAGE, pages(10), pages(20)));
    grant(g, objects, 20 * PAGE, MEM_COMMIT, eTaskCritical, 0);
    decommit(g, objects, 11 * PAGE);
    grant(g, objects, PAGE, MEM_COMMIT, eTaskCritical, PAGE);
    refuse(g, objects + PAGE, PAGE, MEM_COMMIT, eTaskCritical, heap(PAGE, pages(10), pages(10)));
    limits.heap_limit = pages(11);
    governed_limit(g, &limits);
    grant(g, objects + PAGE, PAGE, MEM_COMMIT, eTaskCritical, PAGE);
    static const uint64_t none[] = {0, HOSTMEM_UNLIMITED};
    for (unsigned i = 0; i < 2; i++) {
        limits.heap_limit = pages(5);
        governed_limit(g, &limits);
        refuse(g, objects + 200 * PAGE, PAGE, MEM_COMMIT, eTaskCritical, heap(PAGE, pages(5), pages(11)));
        limits.heap_limit = none[i];
        governed_limit(g, &limits);
        assert_hresult(hostmem_get_limits(g->f.manager, &read), S_OK);
        assert_int_equal(read.heap_limit, HOSTMEM_UNLIMITED);
        grant(g, objects + 100 * PAGE, 100 * PAGE, MEM_COMMIT, eTaskCritical, pages(100));
        decommit(g, objects + 100 * PAGE, 100 * PAGE);
    }
    release(g, objects);
}

/* GetMemoryLoad: the greater of heap / heap_limit and sum / task_limit, and the less that is left. */
static void test_load(void **state)
{
    struct governed *g = *state;
    hostmem_limits limits = limits_of(pages(200), pages(100), 0, 0);
    limits.heap_limit = pages(40);
    governed_limit(g, &limits);
    static const struct {
        unsigned objects, other, percent, left;
    } rows[] = {{0, 0, 0, 40},   {10, 0, 25, 30}, {10, 50, 60, 30}, {10, 80, 90, 10}, {39, 39, 97, 1},
                {40, 0, 100, 0}, {0, 99, 99, 1},  {0, 100, 100, 0}, {20, 30, 50, 20}, {36, 54, 90, 4}};
    char *objects = region_for(g, 64, HOSTMEM_USE_GC_HEAP), *other = region_for(g, 128, HOSTMEM_USE_OTHER);
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        DWORD percent;
        SIZE_T left;
        if (rows[i].objects != 0)
            grant(g, objects, rows[i].objects * PAGE, MEM_COMMIT, eTaskCritical, rows[i].objects * PAGE);
        if (rows[i].other != 0)
            grant(g, other, rows[i].other * PAGE, MEM_COMMIT, eTaskCritical, rows[i].other * PAGE);
        assert_hresult(IHostMemoryManager_GetMemoryLoad(g->f.memory, &percent, &left), S_OK);
        assert_int_equal(left, rows[i].left * PAGE);
        assert_in_range(percent, rows[i].percent, 100); /* the machine's own may be any; */
        assert_int_equal(percent == 100, rows[i].percent == 100);
        decommit(g, objects, 0);
        decommit(g, other, 0);
    }
    release(g, objects);
    release(g, other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        governed_test(test_the_heap_is_refused),   governed_test(test_process_critical),
        governed_test(test_windows_refuses),       cmocka_unit_test(test_shared),
        governed_test(test_use_changed_late),      governed_test(test_use_misused),
        governed_test(test_the_private_interface), governed_test(test_guessed),
        governed_test(test_changed_at_run_time),   governed_test(test_load),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

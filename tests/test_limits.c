/*
 * test_limits.c - limits on what is committed, to the byte, through the COM interface and over Windows
 *
 * Every refusal is checked in full: support/governed.h.  Shared budgets have test_shared_budgets.c, wrong arguments
 * and callbacks that come back test_limits_misuse.c.
 */
#include "support/free_space.h"
#include "support/governed.h"

/* Commit in a region: what counts are pages that are not committed yet. */
static void test_commit(void **state)
{
    struct governed *g = *state;
    const uint64_t limit = pages(10);
    hostmem_limits limits = limits_of(limit, 0, 0, 0);
    governed_limit(g, &limits);
    char *region = grant(g, NULL, 64 * PAGE, MEM_RESERVE, eTaskCritical, 0);
    refuse(g, region, 11 * PAGE, MEM_COMMIT, eTaskCritical, task(pages(11), limit, 0));
    grant(g, region, 9 * PAGE, MEM_COMMIT, eTaskCritical, pages(9));
    refuse(g, region + 20 * PAGE, 2 * PAGE, MEM_COMMIT, eTaskCritical, task(pages(2), limit, pages(9)));
    grant(g, region + 20 * PAGE, PAGE, MEM_COMMIT, eTaskCritical, PAGE);
    refuse(g, region + 21 * PAGE, 1, MEM_COMMIT, eTaskCritical, task(PAGE, limit, limit));

    /* At the limit what is committed already costs nothing; one page more among it does. */
    grant(g, region, 9 * PAGE, MEM_COMMIT, eTaskCritical, 0);
    grant(g, region + 3 * PAGE + 5, 2 * PAGE, MEM_COMMIT, eTaskCritical, 0);
    refuse(g, region + 8 * PAGE, 2 * PAGE, MEM_COMMIT, eTaskCritical, task(PAGE, limit, limit));
    refuse(g, region, 64 * PAGE, MEM_COMMIT, eTaskCritical, task(pages(54), limit, limit));
    MEMORY_BASIC_INFORMATION info;
    assert_int_equal(VirtualQuery(region + 9 * PAGE, &info, sizeof info), sizeof info);
    assert_int_equal(info.State, MEM_RESERVE);

    /* Decommit gives back what was there, not what was asked for. */
    decommit(g, region + 6 * PAGE, 10 * PAGE);
    assert_int_equal(charged(g), pages(7));
    decommit(g, region + 6 * PAGE, 10 * PAGE);
    assert_int_equal(charged(g), pages(7));
    refuse(g, region + 30 * PAGE, 4 * PAGE, MEM_COMMIT, eTaskCritical, task(pages(4), limit, pages(7)));
    grant(g, region + 4 * PAGE, 5 * PAGE, MEM_COMMIT, eTaskCritical, pages(3));
    decommit(g, region, 0);
    assert_int_equal(charged(g), 0);
    grant(g, region + 54 * PAGE, 10 * PAGE, MEM_COMMIT, eTaskCritical, pages(10));
    assert_int_equal(fixture_statistics(g->f.manager).charged.peak, limit);
    release(g, region);
    assert_int_equal(charged(g), 0);
}

/* Sizes and addresses off the pages: every page that is touched. */
static void test_odd_sizes(void **state)
{
    struct governed *g = *state;
    hostmem_limits limits = limits_of(pages(4), 0, 0, 0);
    governed_limit(g, &limits);
    char *region = grant(g, NULL, 16 * PAGE - 5, MEM_RESERVE, eTaskCritical, 0);
    refuse(g, region + PAGE - 1, 3 * PAGE + 2, MEM_COMMIT, eTaskCritical, task(pages(5), pages(4), 0));
    grant(g, region + PAGE - 1, 2 * PAGE + 2, MEM_COMMIT, eTaskCritical, pages(4));
    refuse(g, region + 4 * PAGE - 1, 2, MEM_COMMIT, eTaskCritical, task(PAGE, pages(4), pages(4)));
    decommit(g, region + PAGE - 1, 2);
    assert_int_equal(charged(g), pages(2));
    grant(g, region + PAGE, 1, MEM_COMMIT, eTaskCritical, PAGE);
    grant(g, region + 15 * PAGE, PAGE, MEM_COMMIT, eTaskCritical, PAGE);
    release(g, region);
}

/* Reserve and commit in one, at NULL and at an address that Windows rounds. */
static void test_reserve_and_commit(void **state)
{
    struct governed *g = *state;
    const DWORD both = MEM_RESERVE | MEM_COMMIT;
    const uint64_t limit = pages(20);
    hostmem_limits limits = limits_of(limit, 0, 0, 0);
    governed_limit(g, &limits);
    refuse(g, NULL, 20 * PAGE + 1, both, eTaskCritical, task(pages(21), limit, 0));
    refuse(g, NULL, 21 * PAGE, MEM_COMMIT, eTaskCritical, task(pages(21), limit, 0));
    char *a = grant(g, NULL, 15 * PAGE + 1, both, eTaskCritical, pages(16));
    refuse(g, NULL, 4 * PAGE + 1, MEM_COMMIT, eTaskCritical, task(pages(5), limit, pages(16)));
    char *b = grant(g, NULL, 4 * PAGE, MEM_COMMIT, eTaskCritical, pages(4));
    refuse(g, NULL, 1, both, eTaskCritical, task(PAGE, limit, limit));
    release(g, a);
    assert_int_equal(charged(g), pages(4));

    char *place = free_space_find(4 * GRANULE);
    assert_non_null(place);
    refuse(g, place + 14 * PAGE + 1, 3 * PAGE, both, eTaskCritical, task(pages(18), limit, pages(4)));
    char *c = grant(g, place + 13 * PAGE + 1, 2 * PAGE, both, eTaskCritical, pages(16));
    assert_ptr_equal(c, place);
    refuse(g, NULL, 1, MEM_COMMIT, eTaskCritical, task(PAGE, limit, limit));
    release(g, c);
    release(g, b);
}

/* What Windows refuses leaves nothing charged, and is no refusal of the manager's. */
static void test_windows_refuses(void **state)
{
    struct governed *g = *state;
    hostmem_limits limits = limits_of(pages(10), 0, 0, 0);
    governed_limit(g, &limits);
    char *region = grant(g, NULL, 4 * PAGE, MEM_RESERVE, eTaskCritical, 0);
    void *memory;
    assert_true(FAILED(IHostMemoryManager_VirtualAlloc(g->f.memory, region + PAGE, 8 * PAGE, MEM_COMMIT,
                                                       PAGE_READWRITE, eTaskCritical, &memory)));
    assert_true(FAILED(IHostMemoryManager_VirtualAlloc(g->f.memory, region, PAGE, MEM_COMMIT, 0x333,
                                                       eTaskCritical, &memory)));
    assert_true(FAILED(IHostMemoryManager_VirtualAlloc(g->f.memory, region, PAGE, MEM_RESERVE | MEM_COMMIT,
                                                       PAGE_READWRITE, eTaskCritical, &memory)));
    assert_int_equal(charged(g), 0);
    assert_int_equal(fixture_statistics(g->f.manager).refusals, 0);
    assert_int_equal(fixture_statistics(g->f.manager).calls[HOSTMEM_VIRTUAL_ALLOC][eTaskCritical].failures,
                     3);
    void *all = grant(g, NULL, 10 * PAGE, MEM_COMMIT, eTaskCritical, pages(10));
    release(g, all);
    release(g, region);
}

/* At the limit: a reset, a protection, address space of any size, and foreign memory are not charged. */
static void test_what_is_not_charged(void **state)
{
    struct governed *g = *state;
    hostmem_limits limits = limits_of(pages(2), 0, 0, HOSTMEM_LIMITS_STRICT);
    governed_limit(g, &limits);
    char *region = grant(g, NULL, 2 * PAGE, MEM_COMMIT, eTaskCritical, pages(2));
    assert_ptr_equal(grant(g, region, 2 * PAGE, MEM_RESET, eTaskCritical, 0), region);
    DWORD old;
    assert_hresult(IHostMemoryManager_VirtualProtect(g->f.memory, region, PAGE, PAGE_READONLY, &old), S_OK);
    for (unsigned level = 0; level < 4; level++) {
        void *large = grant(g, NULL, (SIZE_T)256 << 20, MEM_RESERVE, level, 0);
        release(g, large);
    }
    char *raw = VirtualAlloc(NULL, GRANULE, MEM_RESERVE, PAGE_READWRITE);
    grant(g, raw, 3 * PAGE, MEM_COMMIT, eTaskCritical, 0);
    assert_int_equal(fixture_statistics(g->f.manager).foreign_committed, 3 * PAGE);
    VirtualFree(raw, 0, MEM_RELEASE);
    release(g, region);
}

static void test_levels_and_margin(void **state)
{
    struct governed *g = *state;
    hostmem_limits limits = limits_of(pages(10), pages(6), pages(4), 0);
    governed_limit(g, &limits);
    char *region = grant(g, NULL, 64 * PAGE, MEM_RESERVE, eTaskCritical, 0), *next = region;
    grant(g, next, 6 * PAGE, MEM_COMMIT, eTaskCritical, pages(6));
    next += 6 * PAGE;
    refuse(g, next, PAGE, MEM_COMMIT, eTaskCritical, task(PAGE, pages(6), pages(6)));
    grant(g, next, 4 * PAGE, MEM_COMMIT, eAppDomainCritical, pages(4));
    next += 4 * PAGE;
    const struct refusal domain = {HOSTMEM_REASON_LIMIT, PAGE, pages(10), pages(10)};
    refuse(g, next, PAGE, MEM_COMMIT, eAppDomainCritical, domain);
    refuse(g, next, PAGE, MEM_COMMIT, eTaskCritical, task(PAGE, pages(6), pages(10)));
    grant(g, next, 3 * PAGE, MEM_COMMIT, eProcessCritical, pages(3));
    next += 3 * PAGE;
    grant(g, next, PAGE, MEM_COMMIT, 3, PAGE); /* no level of the three: as the most critical */
    next += PAGE;

    const struct refusal first = {HOSTMEM_REASON_MARGIN, pages(2), pages(14), pages(16)};
    overrun(g, next, 2 * PAGE, MEM_COMMIT, eProcessCritical, first);
    next += 2 * PAGE;
    const struct refusal second = {HOSTMEM_REASON_MARGIN, PAGE, pages(14), pages(17)};
    overrun(g, next, PAGE, MEM_COMMIT, (unsigned)-1, second);
    next += PAGE;
    hostmem_statistics statistics = fixture_statistics(g->f.manager);
    assert_int_equal(statistics.overrun.count, 2);
    assert_int_equal(statistics.overrun.bytes, pages(3));
    assert_int_equal(statistics.overrun.peak, pages(3));

    limits.flags = HOSTMEM_LIMITS_STRICT;
    governed_limit(g, &limits);
    const struct refusal strict = {HOSTMEM_REASON_MARGIN, PAGE, pages(14), pages(17)};
    refuse(g, next, PAGE, MEM_COMMIT, eProcessCritical, strict);
    refuse(g, next, PAGE, MEM_COMMIT, 77, strict);
    decommit(g, region, 4 * PAGE);
    grant(g, region, PAGE, MEM_COMMIT, eProcessCritical, PAGE);
    release(g, region);
}

static void test_heap(void **state)
{
    struct governed *g = *state;
    char file[] = "a file name that is no part of what was asked for";
    hostmem_limits limits = limits_of(1000, 800, 100, HOSTMEM_LIMITS_STRICT);
    governed_limit(g, &limits);
    refuse_block(g, 801, eTaskCritical, task(801, 800, 0));
    void *a = grant_block(g, 500, eTaskCritical), *b = NULL;
    assert_hresult(IHostMalloc_DebugAlloc(g->heap, 300, eTaskCritical, file, 1, &b), S_OK);
    assert_int_equal(charged(g), 800);
    refuse_block(g, 1, eTaskCritical, task(1, 800, 800));
    void *empty = grant_block(g, 0, eTaskCritical);
    void *c = grant_block(g, 200, eAppDomainCritical);
    refuse_block(g, 1, eAppDomainCritical, (struct refusal){HOSTMEM_REASON_LIMIT, 1, 1000, 1000});
    void *d = grant_block(g, 100, eProcessCritical);
    refuse_block(g, 1, eProcessCritical, (struct refusal){HOSTMEM_REASON_MARGIN, 1, 1100, 1100});
    /* Sizes near the end of the number: refused, and not as a small sum.  With its header the last has no size. */
    const SIZE_T huge = SIZE_MAX / 2, huger = SIZE_MAX - 1000;
    refuse_block(g, huge, eTaskCritical, task(huge, 800, 1100));
    refuse_block(g, huger, eProcessCritical, (struct refusal){HOSTMEM_REASON_MARGIN, huger, 1100, 1100});
    void *none = (void *)1;
    assert_hresult(IHostMalloc_Alloc(g->heap, SIZE_MAX, eProcessCritical, &none), E_OUTOFMEMORY);
    assert_null(none);
    assert_int_equal(charged(g), 1100);

    assert_hresult(IHostMalloc_Free(g->heap, b), S_OK);
    assert_hresult(IHostMalloc_Free(g->heap, d), S_OK);
    assert_int_equal(charged(g), 700);
    assert_hresult(IHostMalloc_Free(g->heap, d), HOST_E_INVALIDOPERATION);
    assert_int_equal(charged(g), 700);
    b = grant_block(g, 100, eTaskCritical);
    refuse(g, NULL, 1, MEM_COMMIT, eTaskCritical, task(PAGE, 800, 800)); /* one budget for both */
    void *blocks[] = {a, b, c, empty};
    for (unsigned i = 0; i < sizeof blocks / sizeof blocks[0]; i++)
        assert_hresult(IHostMalloc_Free(g->heap, blocks[i]), S_OK);
}

static void test_reserve_limit(void **state)
{
    struct governed *g = *state;
    hostmem_limits limits = limits_of(HOSTMEM_UNLIMITED, 0, 0, 0);
    limits.reserve_limit = 4 * GRANULE;
    governed_limit(g, &limits);
    const struct refusal first = {HOSTMEM_REASON_RESERVE_LIMIT, 4 * GRANULE + PAGE, 4 * GRANULE, 0};
    for (unsigned level = 0; level < 4; level++) /* any level alike */
        refuse(g, NULL, 4 * GRANULE + 1, MEM_RESERVE, level, first);
    char *a = grant(g, NULL, 3 * GRANULE, MEM_RESERVE, eTaskCritical, 0);
    const struct refusal second = {HOSTMEM_REASON_RESERVE_LIMIT, GRANULE + PAGE, 4 * GRANULE, 3 * GRANULE};
    refuse(g, NULL, GRANULE + PAGE, MEM_COMMIT, eProcessCritical, second);
    char *b = grant(g, NULL, GRANULE, MEM_COMMIT, eTaskCritical, GRANULE);
    grant(g, a, 3 * GRANULE, MEM_COMMIT, eTaskCritical, 3 * GRANULE); /* no new address space */
    release(g, a);
    a = grant(g, NULL, 3 * GRANULE, MEM_RESERVE, eTaskCritical, 0);

    /* The commit is refused after the reserve was charged: that is given back. */
    limits.limit = GRANULE;
    limits.reserve_limit = 5 * GRANULE;
    governed_limit(g, &limits);
    for (int i = 0; i < 3; i++)
        refuse(g, NULL, PAGE, MEM_COMMIT, eTaskCritical, task(PAGE, GRANULE, GRANULE));
    char *c = grant(g, NULL, GRANULE, MEM_RESERVE, eTaskCritical, 0);
    limits.reserve_limit = 0;
    governed_limit(g, &limits);
    char *d = grant(g, NULL, 64 * GRANULE, MEM_RESERVE, eTaskCritical, 0);
    char *regions[] = {a, b, c, d};
    for (unsigned i = 0; i < 4; i++)
        release(g, regions[i]);
}

/* Commits in reported views are charged and never refused; the pages stay charged when the view goes (decision 5). */
static void test_views(void **state)
{
    struct governed *g = *state;
    hostmem_limits limits = limits_of(pages(4), pages(2), pages(1), HOSTMEM_LIMITS_STRICT);
    governed_limit(g, &limits);
    HANDLE section =
        CreateFileMappingW(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE | SEC_RESERVE, 0, 16 * GRANULE, NULL);
    char *view = MapViewOfFile(section, FILE_MAP_WRITE, 0, 0, 0);
    assert_non_null(view);
    assert_hresult(IHostMemoryManager_AcquiredVirtualAddressSpace(g->f.memory, view, 0), S_OK);
    assert_int_equal(charged(g), 0); /* the view itself costs nothing */
    grant(g, view, 5 * PAGE, MEM_COMMIT, eTaskCritical, pages(5));
    grant(g, view, 5 * PAGE, MEM_COMMIT, eTaskCritical, 0);
    const struct refusal one = {HOSTMEM_REASON_MARGIN, PAGE, pages(5), pages(6)};
    overrun(g, view + 4 * PAGE, 2 * PAGE, MEM_COMMIT, eTaskCritical, one);
    const struct refusal two = {HOSTMEM_REASON_MARGIN, pages(2), pages(5), pages(8)};
    overrun(g, view + 8 * PAGE, 2 * PAGE, MEM_COMMIT, eProcessCritical, two);
    hostmem_statistics statistics = fixture_statistics(g->f.manager);
    assert_int_equal(statistics.view_committed.now, pages(8));
    assert_int_equal(statistics.overrun.count, 2);
    assert_int_equal(statistics.overrun.bytes, pages(3));
    assert_int_equal(statistics.overrun.peak, pages(3));
    refuse(g, NULL, 1, MEM_COMMIT, eTaskCritical, task(PAGE, pages(2), pages(8)));

    UnmapViewOfFile(view);
    assert_hresult(IHostMemoryManager_ReleasedVirtualAddressSpace(g->f.memory, view), S_OK);
    assert_int_equal(charged(g), pages(8));
    refuse(g, NULL, 1, MEM_COMMIT, eAppDomainCritical,
           (struct refusal){HOSTMEM_REASON_LIMIT, PAGE, pages(4), pages(8)});
    CloseHandle(section);
}

static void test_fail_after(void **state)
{
    struct governed *g = *state;
    hostmem_limits limits = limits_of(pages(100), pages(80), 0, 0);
    limits.fail_after = 3;
    governed_limit(g, &limits);
    char *region = grant(g, NULL, 64 * PAGE, MEM_RESERVE, eTaskCritical, 0); /* no charge, so not counted */
    grant(g, region, PAGE, MEM_COMMIT, eTaskCritical, PAGE);
    grant(g, region, PAGE, MEM_COMMIT, eTaskCritical, 0);
    grant(g, region + PAGE, PAGE, MEM_COMMIT, eProcessCritical, PAGE);
    void *block = grant_block(g, 10, eAppDomainCritical);
    assert_hresult(hostmem_get_limits(g->f.manager, &limits), S_OK);
    assert_int_equal(limits.fail_after, 3); /* as it was set */
    grant(g, region + 2 * PAGE, PAGE, MEM_COMMIT, eTaskCritical, PAGE);
    const uint64_t used = pages(3) + 10;
    struct refusal expected = {HOSTMEM_REASON_FAIL_AFTER, PAGE, pages(80), used};
    refuse(g, region + 3 * PAGE, PAGE, MEM_COMMIT, eTaskCritical, expected);
    expected.limit = pages(100);
    refuse(g, region + 3 * PAGE, PAGE, MEM_COMMIT, eAppDomainCritical, expected);
    expected.bytes = 5;
    refuse_block(g, 5, eAppDomainCritical, expected);
    grant(g, region + 3 * PAGE, PAGE, MEM_COMMIT, eProcessCritical, PAGE);
    limits = limits_of(pages(100), 0, 0, 0); /* 0 turns it off */
    governed_limit(g, &limits);
    grant(g, region + 4 * PAGE, PAGE, MEM_COMMIT, eTaskCritical, PAGE);
    assert_hresult(IHostMalloc_Free(g->heap, block), S_OK);
    release(g, region);
}

/* While it runs: below what is in use, and up again. */
static void test_limits_change(void **state)
{
    struct governed *g = *state;
    char *region = grant(g, NULL, 64 * PAGE, MEM_RESERVE, eTaskCritical, 0);
    grant(g, region, 20 * PAGE, MEM_COMMIT, eTaskCritical, pages(20));
    hostmem_limits limits = limits_of(pages(10), 0, 0, 0);
    governed_limit(g, &limits);
    assert_int_equal(charged(g), pages(20));
    fill_bytes(region, 20 * PAGE, 3);
    refuse(g, region + 20 * PAGE, PAGE, MEM_COMMIT, eTaskCritical, task(PAGE, pages(10), pages(20)));
    grant(g, region, 20 * PAGE, MEM_COMMIT, eTaskCritical, 0);
    assert_bytes(region, 20 * PAGE, 3);
    assert_int_equal(fixture_statistics(g->f.manager).overrun.count, 0);
    decommit(g, region, 10 * PAGE);
    refuse(g, region, 1, MEM_COMMIT, eTaskCritical, task(PAGE, pages(10), pages(10)));
    decommit(g, region + 19 * PAGE, PAGE);
    grant(g, region, PAGE, MEM_COMMIT, eTaskCritical, PAGE);
    limits.limit = pages(64);
    governed_limit(g, &limits);
    grant(g, region, 64 * PAGE, MEM_COMMIT, eTaskCritical, pages(54));
    limits.limit = HOSTMEM_UNLIMITED;
    governed_limit(g, &limits);
    char *more = grant(g, NULL, 100 * PAGE, MEM_COMMIT, eTaskCritical, pages(100));
    release(g, more);
    release(g, region);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        governed_test(test_commit),
        governed_test(test_odd_sizes),
        governed_test(test_reserve_and_commit),
        governed_test(test_windows_refuses),
        governed_test(test_what_is_not_charged),
        governed_test(test_levels_and_margin),
        governed_test(test_heap),
        governed_test(test_reserve_limit),
        governed_test(test_views),
        governed_test(test_fail_after),
        governed_test(test_limits_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

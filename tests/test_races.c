/*
 * test_races.c - one call is stopped in the middle, others run, and it goes on
 *
 * Each test, and the fixture's teardown, demand that the accounting equals VirtualQuery afterwards (late.h says how
 * it is done).
 */
#include "com/manager.h"
#include "memory/lane.h"
#include "support/crew.h"
#include "support/free_space.h"
#include "support/late.h"
#include "support/verified.h"

static char *free_place(SIZE_T size)
{
    char *place = free_space_find(size);
    assert_non_null(place);
    return place;
}

/* Calls that overlap */

enum { THREADS = 6, ROUNDS = 16, OWN_PAGES = 3 };

struct shared {
    struct fixture *f;
    char *base;
};

static void use_own_pages(struct member *member, void *context)
{
    struct shared *shared = context;
    char *own = shared->base + member->number * OWN_PAGES * PAGE;
    for (unsigned i = 0; i < ROUNDS; i++) {
        void *memory;
        HRESULT result = IHostMemoryManager_VirtualAlloc(shared->f->memory, own, OWN_PAGES * PAGE, MEM_COMMIT,
                                                         PAGE_READWRITE, eTaskCritical, &memory);
        crew_check(member, result == S_OK, result);
        result = IHostMemoryManager_VirtualFree(shared->f->memory, own + PAGE, PAGE, MEM_DECOMMIT);
        crew_check(member, result == S_OK, result);
    }
}

/* Everybody overlaps everybody: each call looks at its pages, which are nobody else's, once at most. */
static void test_overlaps_on_disjoint_pages(void **state)
{
    static struct crew crew;
    struct shared shared = {.f = *state};
    shared.base = fixture_alloc(shared.f, NULL, GRANULE * 2, MEM_RESERVE, PAGE_READWRITE);
    atomic_store(&late_queries, 0);
    atomic_store(&late_slow, true);
    crew_run(&crew, THREADS, use_own_pages, &shared);
    atomic_store(&late_slow, false);
    assert_in_range(late_queries, THREADS * ROUNDS / 2, 2 * THREADS * ROUNDS);
    assert_statistics_equal_windows(shared.f->manager);
    assert_int_equal(fixture_statistics(shared.f->manager).committed.now, THREADS * (OWN_PAGES - 1) * PAGE);
    fixture_free(shared.f, shared.base, 0, MEM_RELEASE);
}

/* Windows did the late call first, the accounting notes it last.  The later one to end looks; and once more if its
 * repair was overlapped as well. */
static void test_overlaps_on_the_same_pages(void **state)
{
    struct fixture *f = *state;
    char *base = fixture_alloc(f, NULL, GRANULE, MEM_RESERVE, PAGE_READWRITE);
    fixture_alloc(f, base + 8 * PAGE, 4 * PAGE, MEM_COMMIT, PAGE_READWRITE);
    struct late commit = {
        .method = ALLOC, .address = base, .size = 4 * PAGE, .type = MEM_COMMIT, .stop = AFTER_ALLOC};
    struct late decommit = {.method = FREE,
                            .address = base + 8 * PAGE,
                            .size = 4 * PAGE,
                            .type = MEM_DECOMMIT,
                            .stop = AFTER_FREE};
    late_begin(f, &commit);
    late_begin(f, &decommit);
    atomic_store(&late_queries, 0);
    fixture_free(f, base, 2 * PAGE, MEM_DECOMMIT);
    fixture_alloc(f, base + 10 * PAGE, 2 * PAGE, MEM_COMMIT, PAGE_READWRITE);
    assert_int_equal(late_queries, 0);   /* whoever is still at work will see to it */
    late_go_to(&commit, AFTER_QUERY, 1); /* the query before the repair */
    fixture_alloc(f, base, PAGE, MEM_COMMIT, PAGE_READWRITE);
    assert_int_equal(late_end(&commit), S_OK);
    assert_int_equal(late_end(&decommit), S_OK);
    assert_statistics_equal_windows(f->manager);
    assert_int_equal(fixture_statistics(f->manager).committed.now, 5 * PAGE);
    fixture_free(f, base, 0, MEM_RELEASE);
}

/* Releases that are late */

static void test_a_region_being_released(void **state)
{
    struct fixture *f = *state;
    char *base = free_place(2 * GRANULE);
    static const enum late_point points[] = {BEFORE_ERASE, BEFORE_FREE, AFTER_FREE};
    for (unsigned i = 0; i < 3; i++) {
        fixture_alloc(f, base, 2 * GRANULE, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
        struct late release = {.method = FREE, .address = base, .type = MEM_RELEASE, .stop = points[i]};
        late_begin(f, &release);
        assert_hresult(IHostMemoryManager_VirtualFree(f->memory, base, 0, MEM_RELEASE),
                       HOST_E_INVALIDOPERATION);
        assert_hresult(IHostMemoryManager_VirtualFree(f->memory, base, PAGE, MEM_DECOMMIT),
                       HOST_E_INVALIDOPERATION);
        if (points[i] == AFTER_FREE) {
            fixture_alloc(f, base + GRANULE, GRANULE, MEM_RESERVE, PAGE_READWRITE);
            fixture_alloc(f, base + GRANULE, PAGE, MEM_COMMIT, PAGE_READWRITE);
            assert_hresult(hostmem_owns(f->manager, base), S_FALSE);
            assert_hresult(hostmem_owns(f->manager, base + GRANULE), S_OK);
        }
        assert_hresult(late_end(&release), S_OK);
        assert_statistics_equal_windows(f->manager);
        assert_hresult(hostmem_owns(f->manager, base), S_FALSE);
        if (points[i] == AFTER_FREE)
            fixture_free(f, base + GRANULE, 0, MEM_RELEASE);
        assert_int_equal(fixture_statistics(f->manager).reserved.now, 0);
    }
    assert_int_equal(fixture_statistics(f->manager).stale_regions, 0);
}

/* What comes where a region was whose entries its releaser has not erased yet: of the one a cell of its own, of the other many
 * small ones. */
static void test_a_region_of_another_size(void **state)
{
    struct fixture *f = *state;
    const SIZE_T span = (SIZE_T)64 << 20;
    char *base = (char *)(((uintptr_t)free_place(3 * span) + span - 1) & ~(uintptr_t)(span - 1));
    const struct {
        char *base;
        SIZE_T size;
    } places[] = {{base, span},
                  {base + span / 2, GRANULE},
                  {base, span + GRANULE},
                  {base + GRANULE, span - GRANULE},
                  {base, span}};
    static const enum late_point points[] = {AFTER_FREE, BEFORE_ERASE};
    for (unsigned i = 0; i < 2; i++) {
        fixture_alloc(f, places[0].base, places[0].size, MEM_RESERVE, PAGE_READWRITE);
        for (unsigned place = 1; place < sizeof places / sizeof *places; place++) {
            char *next = places[place].base;
            struct late release = {
                .method = FREE, .address = places[place - 1].base, .type = MEM_RELEASE, .stop = points[i]};
            late_begin(f, &release);
            fixture_alloc(f, next, places[place].size, MEM_RESERVE, PAGE_READWRITE);
            fixture_alloc(f, next + GRANULE - PAGE, PAGE, MEM_COMMIT, PAGE_READWRITE);
            assert_hresult(hostmem_owns(f->manager, next), S_OK);
            assert_hresult(hostmem_owns(f->manager, next + places[place].size), S_FALSE);
            assert_hresult(late_end(&release), S_OK);
            assert_statistics_equal_windows(f->manager);
            assert_true(verified(f->manager));
            assert_hresult(hostmem_owns(f->manager, next + places[place].size - PAGE), S_OK);
            hostmem_statistics statistics = fixture_statistics(f->manager);
            assert_int_equal(statistics.reserved.now, places[place].size);
            assert_int_equal(statistics.committed.now, PAGE);
        }
        fixture_free(f, base, 0, MEM_RELEASE);
    }
    assert_int_equal(fixture_statistics(f->manager).stale_regions, 0);
}

/* Nobody can have its address yet; but somebody may guess right. */
static void test_a_region_being_published(void **state)
{
    struct fixture *f = *state;
    char *base = free_place(2 * GRANULE);
    for (unsigned i = 0; i < 2; i++) {
        struct late reserve = {.method = ALLOC,
                               .address = base,
                               .size = 2 * GRANULE,
                               .type = MEM_RESERVE,
                               .stop = i == 0 ? BEFORE_PUBLISH : AFTER_PUBLISH};
        late_begin(f, &reserve);
        assert_hresult(IHostMemoryManager_VirtualFree(f->memory, base, 0, MEM_RELEASE),
                       HOST_E_INVALIDOPERATION);
        assert_hresult(late_end(&reserve), S_OK);
        assert_hresult(hostmem_owns(f->manager, base), S_OK);
        assert_statistics_equal_windows(f->manager);
        fixture_free(f, base, 0, MEM_RELEASE);
        assert_hresult(hostmem_owns(f->manager, base), S_FALSE);
        assert_statistics_equal_windows(f->manager);
    }
}

/* Map a view at `at`, and report it. */
static void map_view(struct fixture *f, SIZE_T size, char *at)
{
    HANDLE section =
        CreateFileMappingW(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE | SEC_RESERVE, 0, (DWORD)size, NULL);
    assert_ptr_equal(MapViewOfFileEx(section, FILE_MAP_WRITE, 0, 0, 0, at), at);
    CloseHandle(section);
    assert_hresult(IHostMemoryManager_AcquiredVirtualAddressSpace(f->memory, at, size), S_OK);
}

static void assert_views(struct fixture *f, uint64_t views, uint64_t mapped)
{
    hostmem_statistics statistics = fixture_statistics(f->manager);
    assert_int_equal(statistics.views, views);
    assert_int_equal(statistics.mapped.now, mapped);
    assert_int_equal(statistics.stale_regions, 0);
}

/* A region where a view was whose release is never reported, or is just being so; the view filled a cell of
 * its own. */
static void test_a_region_in_place_of_a_view(void **state)
{
    struct fixture *f = *state;
    const SIZE_T span = (SIZE_T)64 << 20;
    char *base = (char *)(((uintptr_t)free_place(2 * span) + span - 1) & ~(uintptr_t)(span - 1));
    static const enum late_point points[] = {NOWHERE, AFTER_QUERY, BEFORE_ERASE};
    for (unsigned i = 0; i < 3; i++) {
        for (SIZE_T at = 0; at < span; at += span / 2) {
            map_view(f, span, base);
            assert_views(f, 1, span);
            UnmapViewOfFile(base);
            struct late released = {.method = RELEASED, .address = base, .stop = points[i]};
            if (points[i] != NOWHERE)
                late_begin(f, &released);
            char *region = fixture_alloc(f, base + at, GRANULE, MEM_RESERVE, PAGE_READWRITE);
            assert_hresult(hostmem_owns(f->manager, region), S_OK);
            assert_hresult(hostmem_owns(f->manager, region + GRANULE), S_FALSE);
            fixture_alloc(f, region, 2 * PAGE, MEM_COMMIT, PAGE_READWRITE);
            if (points[i] != NOWHERE)
                assert_hresult(late_end(&released), S_OK);
            assert_views(f, 0, 0);
            assert_statistics_equal_windows(f->manager);
            assert_int_equal(fixture_statistics(f->manager).committed.now, 2 * PAGE);
            assert_int_equal(fixture_statistics(f->manager).view_committed.now, 0);
            fixture_free(f, region, 0, MEM_RELEASE);
            assert_hresult(hostmem_owns(f->manager, region), S_FALSE);
        }
    }
}

static void test_a_region_in_place_of_two_views(void **state)
{
    struct fixture *f = *state;
    char *base = free_place(4 * GRANULE);
    map_view(f, GRANULE, base);
    map_view(f, 2 * GRANULE, base + GRANULE);
    UnmapViewOfFile(base);
    UnmapViewOfFile(base + GRANULE);
    assert_views(f, 2, 3 * GRANULE);
    fixture_alloc(f, base, 4 * GRANULE, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    assert_views(f, 0, 0);
    for (int i = 0; i < 4; i++)
        assert_hresult(hostmem_owns(f->manager, base + i * GRANULE), S_OK);
    assert_statistics_equal_windows(f->manager);
    fixture_free(f, base, 0, MEM_RELEASE);
}

/* Unmapped; its release comes, wherever it stops, while another thread maps and reports the same address. */
static void test_a_view_mapped_again(void **state)
{
    struct fixture *f = *state;
    char *base = free_place(4 * GRANULE);
    static const enum late_point points[] = {NOWHERE, AFTER_QUERY, BEFORE_ERASE};
    for (unsigned i = 0; i < 3; i++) {
        map_view(f, 4 * GRANULE, base);
        UnmapViewOfFile(base);
        struct late released = {.method = RELEASED, .address = base, .stop = points[i]};
        if (points[i] != NOWHERE)
            late_begin(f, &released);
        map_view(f, 2 * GRANULE, base);
        if (points[i] != NOWHERE)
            assert_hresult(late_end(&released), S_OK);
        else
            assert_hresult(IHostMemoryManager_ReleasedVirtualAddressSpace(f->memory, base), S_OK);
        assert_views(f, 1, 2 * GRANULE);
        assert_statistics_equal_windows(f->manager);
        UnmapViewOfFile(base);
        assert_hresult(IHostMemoryManager_ReleasedVirtualAddressSpace(f->memory, base), S_OK);
        assert_views(f, 0, 0);
    }
}

/* Commits and decommits that are late */

enum successor { NONE, READY, NOT_PUBLISHED };

/* Its region is released, and the address taken again, right before the late call asks Windows. */
static void check_late_for_its_region(struct fixture *f, bool commit, enum successor successor)
{
    char *old = free_place(2 * GRANULE);
    char *base = old + GRANULE;
    DWORD reserve = commit ? MEM_RESERVE : MEM_RESERVE | MEM_COMMIT;
    fixture_alloc(f, old, 2 * GRANULE, reserve, PAGE_READWRITE);
    struct late late = {.method = commit ? ALLOC : FREE,
                        .address = base + PAGE,
                        .size = 3 * PAGE,
                        .type = commit ? MEM_COMMIT : MEM_DECOMMIT,
                        .stop = commit ? BEFORE_ALLOC : BEFORE_FREE};
    struct late reserver = {
        .method = ALLOC, .address = base, .size = GRANULE, .type = reserve, .stop = AFTER_ALLOC};
    late_begin(f, &late);
    fixture_free(f, old, 0, MEM_RELEASE);
    if (successor == READY)
        fixture_alloc(f, base, GRANULE, reserve, PAGE_READWRITE);
    if (successor == NOT_PUBLISHED)
        late_begin(f, &reserver);
    HRESULT result = late_end(&late);
    if (successor == NOT_PUBLISHED)
        assert_hresult(late_end(&reserver), S_OK);
    assert_statistics_equal_windows(f->manager);
    hostmem_statistics statistics = fixture_statistics(f->manager);
    assert_int_equal(statistics.stale_regions, 0);
    assert_int_equal(statistics.reserved.now, successor == NONE ? 0 : GRANULE);
    if (successor == NONE) {
        assert_true(result != S_OK);
        assert_int_equal(statistics.committed.now, 0);
    } else {
        assert_hresult(result, S_OK);
        assert_int_equal(statistics.committed.now, commit ? 3 * PAGE : GRANULE - 3 * PAGE);
        fixture_free(f, base, 0, MEM_RELEASE);
    }
}

static void test_late_for_its_region(void **state)
{
    for (enum successor successor = NONE; successor <= NOT_PUBLISHED; successor++) {
        check_late_for_its_region(*state, true, successor);
        check_late_for_its_region(*state, false, successor);
    }
}

/* What Windows would have refused there, it does in a region that is longer and lies there by then: to its last page. */
static void test_late_in_a_longer_region(void **state)
{
    static const struct {
        SIZE_T at, size;
        bool commit;
    } rows[] = {{PAGE, GRANULE, true}, {PAGE, GRANULE, false}, {0, 0, false}};
    struct fixture *f = *state;
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const DWORD reserve = rows[i].commit ? MEM_RESERVE : MEM_RESERVE | MEM_COMMIT;
        char *base = free_place(2 * GRANULE);
        fixture_alloc(f, base, 4 * PAGE, reserve, PAGE_READWRITE);
        struct late late = {.method = rows[i].commit ? ALLOC : FREE,
                            .address = base + rows[i].at,
                            .size = rows[i].size,
                            .type = rows[i].commit ? MEM_COMMIT : MEM_DECOMMIT,
                            .stop = rows[i].commit ? BEFORE_ALLOC : BEFORE_FREE};
        late_begin(f, &late);
        fixture_free(f, base, 0, MEM_RELEASE);
        fixture_alloc(f, base, 2 * GRANULE, reserve, PAGE_READWRITE);
        assert_hresult(late_end(&late), S_OK);
        assert_statistics_equal_windows(f->manager);
        fixture_free(f, base, 0, MEM_RELEASE);
    }
}

/* Nobody's memory when it was looked up, ours when Windows committed it. */
static void test_early_for_its_region(void **state)
{
    struct fixture *f = *state;
    char *base = free_place(GRANULE);
    struct late commit = {
        .method = ALLOC, .address = base + PAGE, .size = 3 * PAGE, .type = MEM_COMMIT, .stop = BEFORE_ALLOC};
    late_begin(f, &commit);
    fixture_alloc(f, base, GRANULE, MEM_RESERVE, PAGE_READWRITE);
    assert_hresult(late_end(&commit), S_OK);
    assert_statistics_equal_windows(f->manager);
    assert_int_equal(fixture_statistics(f->manager).committed.now, 3 * PAGE);
    assert_int_equal(fixture_statistics(f->manager).foreign_committed, 0);
    fixture_free(f, base, 0, MEM_RELEASE);
}

/* A commit that is not in the region, when Windows does it to pages that a call in the region has just decommitted.  It sees
 * them noted as they are, since that call has still to note them; so that call has to look again. */
static void check_commit_from_outside(struct fixture *f, struct late *commit, char *base)
{
    struct late decommit = {
        .method = FREE, .address = base, .size = 2 * PAGE, .type = MEM_DECOMMIT, .stop = AFTER_FREE};
    late_begin(f, &decommit);
    assert_hresult(late_end(commit), S_OK);
    assert_hresult(late_end(&decommit), S_OK);
    assert_int_equal(fixture_statistics(f->manager).committed.now, 4 * PAGE);
    assert_statistics_equal_windows(f->manager);
    fixture_free(f, base, 0, MEM_RELEASE);
}

static void test_commits_from_outside(void **state)
{
    struct fixture *f = *state;
    char *base = free_place(GRANULE);
    struct late commit = {
        .method = ALLOC, .address = base, .size = 4 * PAGE, .type = MEM_COMMIT, .stop = BEFORE_ALLOC};
    late_begin(f, &commit); /* nobody's memory yet */
    fixture_alloc(f, base, GRANULE, MEM_RESERVE, PAGE_READWRITE);
    fixture_alloc(f, base, 4 * PAGE, MEM_COMMIT, PAGE_READWRITE);
    check_commit_from_outside(f, &commit, base);

    fixture_alloc(f, base, GRANULE, MEM_RESERVE, PAGE_READWRITE);
    commit.stop = BEFORE_ALLOC;
    commit.passes = 0;
    late_begin(f, &commit); /* in the region that was there before */
    fixture_free(f, base, 0, MEM_RELEASE);
    fixture_alloc(f, base, GRANULE, MEM_RESERVE, PAGE_READWRITE);
    fixture_alloc(f, base, 4 * PAGE, MEM_COMMIT, PAGE_READWRITE);
    check_commit_from_outside(f, &commit, base);
}

/* Windows refuses to release our own base, and a commit or decommit begins before or during the release, and
 * ends during or after it. */
static void check_refused_release(struct fixture *f, bool commit, bool before, bool after)
{
    char *base = fixture_alloc(f, NULL, 2 * GRANULE, MEM_RESERVE, PAGE_READWRITE);
    fixture_alloc(f, base, 2 * PAGE, MEM_COMMIT, PAGE_READWRITE);
    struct late late = {.method = commit ? ALLOC : FREE,
                        .address = base + PAGE,
                        .size = 3 * PAGE,
                        .type = commit ? MEM_COMMIT : MEM_DECOMMIT,
                        .stop = commit ? BEFORE_ALLOC : BEFORE_FREE};
    struct late release = {.method = FREE,
                           .address = base,
                           .type = MEM_RELEASE,
                           .stop = BEFORE_FREE,
                           .refusal = ERROR_INVALID_PARAMETER};
    if (before)
        late_begin(f, &late);
    late_begin(f, &release);
    assert_hresult(hostmem_owns(f->manager, base), S_FALSE);
    if (!before)
        late_begin(f, &late);
    if (!after)
        assert_hresult(late_end(&late), S_OK);
    assert_win32(late_end(&release), ERROR_INVALID_PARAMETER);
    if (after)
        assert_hresult(late_end(&late), S_OK);
    assert_hresult(hostmem_owns(f->manager, base), S_OK);
    assert_hresult(hostmem_owns(f->manager, base + GRANULE), S_OK);
    assert_statistics_equal_windows(f->manager);
    assert_int_equal(fixture_statistics(f->manager).committed.now, (commit ? 4 : 1) * PAGE);
    assert_int_equal(fixture_statistics(f->manager).stale_regions, 0);
    fixture_free(f, base, 0, MEM_RELEASE);
}

static void test_a_release_that_is_refused(void **state)
{
    for (int after = 0; after < 2; after++) {
        check_refused_release(*state, true, true, after);
        check_refused_release(*state, true, false, after);
        check_refused_release(*state, false, true, after);
    }
}

/* Its memory has gone behind our back when its release asks Windows, and the refusal finds the address given away again: to a
 * region of the same size, to a smaller one, or to one that gets there as the old one is opened again. */
static void test_a_refused_release_and_a_successor(void **state)
{
    struct fixture *f = *state;
    const SIZE_T node = (SIZE_T)64 << 20; /* of the region map */
    static const struct {
        SIZE_T nodes; /* 0: two granules */
        bool smaller, as_it_is_opened;
    } rows[] = {{0, false, false}, {0, true, false}, {1, false, false},
                {1, true, false},  {0, false, true}, {1, false, true}};
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const SIZE_T size = rows[i].nodes == 0 ? 2 * GRANULE : rows[i].nodes * node;
        char *place = free_place(size + node);
        char *base = (char *)(((uintptr_t)place + node - 1) & ~(uintptr_t)(node - 1));
        const uint64_t stale = fixture_statistics(f->manager).stale_regions;
        fixture_alloc(f, base, size, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
        struct late release = {.method = FREE, .address = base, .type = MEM_RELEASE, .stop = BEFORE_FREE};
        late_begin(f, &release);
        assert_true(VirtualFree(base, 0, MEM_RELEASE));
        late_go_to(&release, AFTER_FREE, 0);
        const SIZE_T successor = rows[i].smaller ? GRANULE : size;
        if (rows[i].as_it_is_opened) {
            /* Windows has given it away, and nobody can find it yet. */
            assert_ptr_equal(VirtualAlloc(base, size, MEM_RESERVE, PAGE_READWRITE), base);
            late_go_to(&release, REOPENED, 0);
            assert_true(VirtualFree(base, 0, MEM_RELEASE));
        }
        fixture_alloc(f, base, successor, MEM_RESERVE, PAGE_READWRITE);
        fixture_alloc(f, base, 3 * PAGE, MEM_COMMIT, PAGE_READWRITE);
        assert_true(FAILED(late_end(&release))); /* as Windows puts it */
        assert_statistics_equal_windows(f->manager);
        assert_true(verified(f->manager));
        hostmem_statistics statistics = fixture_statistics(f->manager);
        assert_int_equal(statistics.regions, 1);
        assert_int_equal(statistics.reserved.now, successor);
        assert_int_equal(statistics.charged.now, 3 * PAGE);
        assert_int_equal(statistics.stale_regions - stale, 1);
        fixture_free(f, base, 0, MEM_RELEASE);
    }
}

/* The same, and the release ends while its successor has found its entries and not erased them yet. */
static void test_a_refused_release_and_a_publisher(void **state)
{
    struct fixture *f = *state;
    char *base = free_place(GRANULE);
    const uint64_t stale = fixture_statistics(f->manager).stale_regions;
    fixture_alloc(f, base, GRANULE, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    struct late release = {.method = FREE, .address = base, .type = MEM_RELEASE, .stop = BEFORE_FREE};
    struct late successor = {
        .method = ALLOC, .address = base, .size = GRANULE, .type = MEM_RESERVE, .stop = BEFORE_PURGE};
    late_begin(f, &release);
    release.refusal = ERROR_INVALID_ADDRESS;
    assert_true(VirtualFree(base, 0, MEM_RELEASE));
    late_begin(f, &successor);
    assert_int_equal(late_end(&release), HRESULT_FROM_WIN32(ERROR_INVALID_ADDRESS));
    assert_int_equal(late_end(&successor), S_OK);
    assert_statistics_equal_windows(f->manager);
    assert_true(verified(f->manager));
    hostmem_statistics statistics = fixture_statistics(f->manager);
    assert_int_equal(statistics.regions, 1);
    assert_int_equal(statistics.reserved.now, GRANULE);
    assert_int_equal(statistics.charged.now, 0);
    assert_int_equal(statistics.stale_regions - stale, 1);
    fixture_free(f, base, 0, MEM_RELEASE);
}

/* Shutting down, and failing to protect */

struct callback {
    ICLRMemoryNotificationCallback iface;
    hostmem_manager *shuts_down; /* in its first AddRef */
    ULONG references;
};

static ULONG STDMETHODCALLTYPE callback_AddRef(ICLRMemoryNotificationCallback *iface)
{
    struct callback *callback = (struct callback *)iface;
    if (callback->shuts_down != NULL)
        assert_hresult(hostmem_shutdown(callback->shuts_down), S_OK);
    callback->shuts_down = NULL;
    return ++callback->references;
}

static ULONG STDMETHODCALLTYPE callback_Release(ICLRMemoryNotificationCallback *iface)
{
    return --((struct callback *)iface)->references;
}

/* During the registration the first time, before it the second time. */
static void test_a_callback_after_the_shutdown(void **state)
{
    struct fixture *f = *state;
    ICLRMemoryNotificationCallbackVtbl vtable = {.AddRef = callback_AddRef, .Release = callback_Release};
    struct callback callback = {{&vtable}, f->manager, 1};
    for (int i = 0; i < 2; i++) {
        assert_hresult(IHostMemoryManager_RegisterMemoryNotificationCallback(f->memory, &callback.iface),
                       S_OK);
        assert_null(callback.shuts_down);
        assert_int_equal(callback.references, 1);
    }
    assert_hresult(IHostMemoryManager_RegisterMemoryNotificationCallback(f->memory, NULL), S_OK);
    assert_int_equal(callback.references, 1);
}

static void test_a_protect_that_fails(void **state)
{
    struct fixture *f = *state;
    static const DWORD errors[] = {ERROR_INVALID_PARAMETER, ERROR_INVALID_ADDRESS, ERROR_NOT_ENOUGH_MEMORY,
                                   ERROR_NOACCESS};
    char *base = fixture_alloc(f, NULL, GRANULE, MEM_RESERVE, PAGE_READWRITE);
    for (unsigned i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        DWORD old = NO_ERROR_SET;
        late_protect_error = errors[i];
        HRESULT result = IHostMemoryManager_VirtualProtect(f->memory, base, PAGE, PAGE_READONLY, &old);
        late_protect_error = 0;
        assert_int_equal(GetLastError(), errors[i]);
        assert_hresult(result,
                       errors[i] == ERROR_NOT_ENOUGH_MEMORY ? E_OUTOFMEMORY : HRESULT_FROM_WIN32(errors[i]));
        assert_int_equal(old, errors[i] == ERROR_NOACCESS ? NO_ERROR_SET : 0);
    }
    DWORD old = NO_ERROR_SET;
    assert_win32(IHostMemoryManager_VirtualProtect(f->memory, base, PAGE, PAGE_READONLY, &old),
                 ERROR_INVALID_ADDRESS); /* only reserved: Windows' own refusal */
    assert_int_equal(old, 0);
    fixture_free(f, base, 0, MEM_RELEASE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_overlaps_on_disjoint_pages),
        fixture_test(test_overlaps_on_the_same_pages),
        fixture_test(test_a_region_being_released),
        fixture_test(test_a_region_of_another_size),
        fixture_test(test_a_region_being_published),
        fixture_test(test_a_region_in_place_of_a_view),
        fixture_test(test_a_region_in_place_of_two_views),
        fixture_test(test_a_view_mapped_again),
        fixture_test(test_late_for_its_region),
        fixture_test(test_late_in_a_longer_region),
        fixture_test(test_early_for_its_region),
        fixture_test(test_commits_from_outside),
        fixture_test(test_a_release_that_is_refused),
        fixture_test(test_a_refused_release_and_a_successor),
        fixture_test(test_a_refused_release_and_a_publisher),
        fixture_test(test_a_callback_after_the_shutdown),
        fixture_test(test_a_protect_that_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

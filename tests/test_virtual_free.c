/*
 * test_virtual_free.c - freeing our own memory: what Windows answers, and the accounting after it
 *
 * The same requests go to a region of the manager and to a raw one beside it, which must fare alike.
 */
#include "support/manager_fixture.h"
#include "support/verified.h"

/* Two regions alike: 16 pages, the first 8 committed and filled. */
struct pair {
    char *ours, *raw;
};

static struct pair make_pair(struct fixture *f)
{
    struct pair pair = {.ours = fixture_alloc(f, NULL, 16 * PAGE, MEM_RESERVE, PAGE_READWRITE),
                        .raw = VirtualAlloc(NULL, 16 * PAGE, MEM_RESERVE, PAGE_READWRITE)};
    assert_non_null(pair.raw);
    fixture_alloc(f, pair.ours, 8 * PAGE, MEM_COMMIT, PAGE_READWRITE);
    assert_non_null(VirtualAlloc(pair.raw, 8 * PAGE, MEM_COMMIT, PAGE_READWRITE));
    fill_bytes(pair.ours, 8 * PAGE, 9);
    fill_bytes(pair.raw, 8 * PAGE, 9);
    return pair;
}

/* Free both at the same offset; true: both were freed.  A failure has the same last error on both. */
static bool free_both(struct fixture *f, struct pair pair, SIZE_T offset, SIZE_T size, DWORD type)
{
    SetLastError(NO_ERROR_SET);
    bool raw = VirtualFree(pair.raw + offset, size, type);
    DWORD expected = GetLastError();
    SetLastError(NO_ERROR_SET);
    HRESULT result = IHostMemoryManager_VirtualFree(f->memory, pair.ours + offset, size, type);
    assert_int_equal(GetLastError(), expected);
    if (raw)
        assert_hresult(result, S_OK);
    else
        assert_win32(result, expected);
    return raw;
}

static void release_pair(struct fixture *f, struct pair pair)
{
    assert_true(free_both(f, pair, 0, 0, MEM_RELEASE));
}

static void test_wrong_requests_change_nothing(void **state)
{
    struct fixture *f = *state;
    static const struct {
        SIZE_T offset, size;
        DWORD type;
    } wrong[] = {
        {0, 16 * PAGE, MEM_RELEASE},      /* MEM_RELEASE takes no size */
        {0, PAGE, MEM_RELEASE},           /* likewise */
        {0, 1, MEM_RELEASE},              /* likewise */
        {PAGE, 0, MEM_RELEASE},           /* not the base */
        {8 * PAGE + 100, 0, MEM_RELEASE}, /* not the base */
        {15 * PAGE + PAGE - 1, 0, MEM_RELEASE},
        {PAGE, 0, MEM_DECOMMIT},            /* all of it, but not from the base */
        {0, 17 * PAGE, MEM_DECOMMIT},       /* past the end */
        {8 * PAGE, 9 * PAGE, MEM_DECOMMIT}, /* past the end */
        {0, 0, 0},
        {0, PAGE, 0},
        {0, 0, MEM_RELEASE | MEM_DECOMMIT},
        {0, PAGE, MEM_RELEASE | MEM_DECOMMIT},
        {0, 0, MEM_COMMIT},
        {0, PAGE, MEM_RESERVE},
        {0, 0, 0xffffffff},
    };
    for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct pair pair = make_pair(f);
        struct picture before = picture_take(pair.ours, 16 * PAGE);
        assert_false(free_both(f, pair, wrong[i].offset, wrong[i].size, wrong[i].type));
        assert_picture(&before, pair.ours, 16 * PAGE);
        assert_bytes(pair.ours, 8 * PAGE, 9);
        assert_int_equal(fixture_statistics(f->manager).committed.now, 8 * PAGE);
        assert_statistics_equal_windows(f->manager);
        release_pair(f, pair);
    }
    assert_int_equal(fixture_statistics(f->manager).foreign_frees, 0);
    assert_int_equal(fixture_statistics(f->manager).stale_regions, 0);
}

/* Windows refuses sizes that wrap around, Wine 8.0 takes them for 0: the accounting follows either. */
static void test_sizes_that_wrap(void **state)
{
    struct fixture *f = *state;
    static const DWORD types[] = {MEM_DECOMMIT, MEM_RELEASE};
    for (unsigned i = 0; i < sizeof types / sizeof types[0]; i++) {
        struct pair pair = make_pair(f);
        bool freed = free_both(f, pair, 0, SIZE_MAX, types[i]);
        assert_statistics_equal_windows(f->manager);
        assert_int_equal(fixture_statistics(f->manager).committed.now, freed ? 0 : 8 * PAGE);
        assert_int_equal(fixture_statistics(f->manager).stale_regions, 0); /* it went through us */
        if (!freed || types[i] == MEM_DECOMMIT)
            release_pair(f, pair);
    }
}

/* The address is rounded down to its page: so Windows says, and so do we, whatever this Windows says. */
static void test_release_just_above_the_base(void **state)
{
    struct fixture *f = *state;
    static const SIZE_T offsets[] = {1, 100, PAGE - 1};
    for (unsigned i = 0; i < sizeof offsets / sizeof offsets[0]; i++) {
        struct pair pair = make_pair(f);
        bool freed = free_both(f, pair, offsets[i], 0, MEM_RELEASE);
        assert_int_equal(fixture_statistics(f->manager).regions, freed ? 0 : 1);
        assert_statistics_equal_windows(f->manager);
        if (!freed)
            release_pair(f, pair);
    }
}

static void test_decommit_all_just_above_the_base(void **state)
{
    struct fixture *f = *state;
    struct pair pair = make_pair(f);
    bool freed = free_both(f, pair, 100, 0, MEM_DECOMMIT);
    assert_int_equal(fixture_statistics(f->manager).committed.now, freed ? 0 : 8 * PAGE);
    assert_statistics_equal_windows(f->manager);
    release_pair(f, pair);
}

static void test_decommit_of_parts(void **state)
{
    struct fixture *f = *state;
    struct pair pair = make_pair(f);
    assert_true(free_both(f, pair, 2 * PAGE, 2 * PAGE, MEM_DECOMMIT));
    assert_int_equal(fixture_statistics(f->manager).committed.now, 6 * PAGE);
    assert_statistics_equal_windows(f->manager);
    /* Again; then over the hole and into what was never committed. */
    assert_true(free_both(f, pair, 2 * PAGE, 2 * PAGE, MEM_DECOMMIT));
    assert_int_equal(fixture_statistics(f->manager).committed.now, 6 * PAGE);
    assert_true(free_both(f, pair, PAGE, 15 * PAGE, MEM_DECOMMIT));
    assert_int_equal(fixture_statistics(f->manager).committed.now, PAGE);
    assert_bytes(pair.ours, PAGE, 9);
    assert_statistics_equal_windows(f->manager);
    /* Two bytes across a page border take both pages. */
    fixture_alloc(f, pair.ours, 4 * PAGE, MEM_COMMIT, PAGE_READWRITE);
    assert_non_null(VirtualAlloc(pair.raw, 4 * PAGE, MEM_COMMIT, PAGE_READWRITE));
    assert_true(free_both(f, pair, 2 * PAGE - 1, 2, MEM_DECOMMIT));
    assert_int_equal(fixture_statistics(f->manager).committed.now, 2 * PAGE);
    assert_statistics_equal_windows(f->manager);
    /* Pages that come back are zero. */
    fixture_alloc(f, pair.ours, 2 * PAGE, MEM_COMMIT, PAGE_READWRITE);
    for (unsigned i = 0; i < PAGE; i++)
        assert_int_equal(pair.ours[PAGE + i], 0);
    assert_bytes(pair.ours, PAGE, 9);
    release_pair(f, pair);
    assert_int_equal(fixture_statistics(f->manager).committed.now, 0);
    assert_int_equal(fixture_statistics(f->manager).committed.peak, 8 * PAGE);
}

static void test_decommit_of_all(void **state)
{
    struct fixture *f = *state;
    struct pair pair = make_pair(f);
    assert_true(free_both(f, pair, 0, 0, MEM_DECOMMIT));
    hostmem_statistics statistics = fixture_statistics(f->manager);
    assert_int_equal(statistics.committed.now, 0);
    assert_int_equal(statistics.reserved.now, 16 * PAGE);
    assert_true(free_both(f, pair, 0, 0, MEM_DECOMMIT));
    assert_statistics_equal_windows(f->manager);
    release_pair(f, pair);
    assert_int_equal(fixture_statistics(f->manager).reserved.now, 0);
    assert_int_equal(fixture_statistics(f->manager).reserved.peak, 16 * PAGE);
}

static void test_release_of_what_is_partly_decommitted(void **state)
{
    struct fixture *f = *state;
    struct pair pair = make_pair(f);
    assert_true(free_both(f, pair, 0, 5 * PAGE, MEM_DECOMMIT));
    release_pair(f, pair);
    assert_int_equal(fixture_statistics(f->manager).committed.now, 0);
    MEMORY_BASIC_INFORMATION info;
    assert_int_equal(VirtualQuery(pair.ours, &info, sizeof info), sizeof info);
    assert_int_equal(info.State, MEM_FREE);
}

static void test_freed_twice(void **state)
{
    struct fixture *f = *state;
    struct pair pair = make_pair(f);
    release_pair(f, pair);
    SetLastError(NO_ERROR_SET);
    assert_hresult(IHostMemoryManager_VirtualFree(f->memory, pair.ours, 0, MEM_RELEASE),
                   HOST_E_INVALIDOPERATION);
    assert_hresult(IHostMemoryManager_VirtualFree(f->memory, pair.ours, PAGE, MEM_DECOMMIT),
                   HOST_E_INVALIDOPERATION);
    assert_int_equal(GetLastError(), NO_ERROR_SET);
    assert_int_equal(fixture_statistics(f->manager).foreign_frees, 2);
    assert_int_equal(fixture_statistics(f->manager).double_frees, 1);
    assert_int_equal(fixture_statistics(f->manager).stale_regions, 0);
}

static void foreign_free(struct fixture *f, void *address, unsigned doubles)
{
    const uint64_t before = fixture_statistics(f->manager).foreign_frees;
    SetLastError(NO_ERROR_SET);
    assert_hresult(IHostMemoryManager_VirtualFree(f->memory, address, 0, MEM_RELEASE),
                   HOST_E_INVALIDOPERATION);
    assert_int_equal(GetLastError(), NO_ERROR_SET);
    assert_int_equal(fixture_statistics(f->manager).foreign_frees, before + 1);
    assert_int_equal(fixture_statistics(f->manager).double_frees, doubles);
}

/* A second release is told from a stranger's address, as long as nobody has the address. */
static void test_double_frees_by_kind(void **state)
{
    enum { MORE = 100 };
    struct fixture *f = *state;
    char *region = fixture_alloc(f, NULL, 16 * PAGE, MEM_RESERVE, PAGE_READWRITE), *more[MORE];
    int local;

    foreign_free(f, &local, 0);
    foreign_free(f, NULL, 0);
    fixture_free(f, region, 0, MEM_RELEASE);
    foreign_free(f, region, 1);
    foreign_free(f, region, 2);
    foreign_free(f, region + GRANULE, 2);
    char *others = VirtualAlloc(region, PAGE, MEM_RESERVE, PAGE_READWRITE);
    assert_ptr_equal(others, region);
    foreign_free(f, others, 2);
    VirtualFree(others, 0, MEM_RELEASE);

    /* Ours once more, in between. */
    assert_ptr_equal(fixture_alloc(f, region, PAGE, MEM_RESERVE, PAGE_READWRITE), region);
    fixture_free(f, region, 0, MEM_RELEASE);
    foreign_free(f, region, 3);

    /* Too long ago. */
    for (unsigned i = 0; i < MORE; i++)
        more[i] = fixture_alloc(f, NULL, GRANULE, MEM_RESERVE, PAGE_READWRITE);
    for (unsigned i = 0; i < MORE; i++)
        fixture_free(f, more[i], 0, MEM_RELEASE);
    foreign_free(f, more[MORE - 1], 4);
    foreign_free(f, more[0], 4);
}

/* A region of 17 pages ends inside a granule; what follows it in the same granule is nobody's. */
static void test_the_rest_of_the_last_granule_is_foreign(void **state)
{
    struct fixture *f = *state;
    char *region = fixture_alloc(f, NULL, 17 * PAGE, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    assert_hresult(IHostMemoryManager_VirtualFree(f->memory, region + 17 * PAGE, PAGE, MEM_DECOMMIT),
                   HOST_E_INVALIDOPERATION);
    assert_int_equal(fixture_statistics(f->manager).committed.now, 17 * PAGE);
    assert_statistics_equal_windows(f->manager);
    fixture_free(f, region, 0, MEM_RELEASE);
}

/* Released over and over at the same address, through two managers by turns. */
static void test_an_address_changes_hands(void **state)
{
    struct fixture *f = *state;
    hostmem_manager *other;
    IHostMemoryManager *memory;
    assert_hresult(hostmem_create(NULL, &other), S_OK);
    assert_hresult(hostmem_get_memory_manager(other, &memory), S_OK);
    void *warm; /* so that the other manager's own memory does not take the address */
    assert_hresult(IHostMemoryManager_VirtualAlloc(memory, NULL, GRANULE, MEM_RESERVE, PAGE_READWRITE,
                                                   eTaskCritical, &warm),
                   S_OK);
    assert_hresult(IHostMemoryManager_VirtualFree(memory, warm, 0, MEM_RELEASE), S_OK);
    char *address = NULL;
    for (int i = 0; i < 1000; i++) {
        address = fixture_alloc(f, address, GRANULE, MEM_RESERVE, PAGE_READWRITE);
        assert_hresult(hostmem_owns(f->manager, address), S_OK);
        assert_hresult(hostmem_owns(other, address), S_FALSE);
        assert_hresult(IHostMemoryManager_VirtualFree(memory, address, 0, MEM_RELEASE),
                       HOST_E_INVALIDOPERATION);
        fixture_free(f, address, 0, MEM_RELEASE);
        void *again;
        assert_hresult(IHostMemoryManager_VirtualAlloc(memory, address, GRANULE, MEM_RESERVE | MEM_COMMIT,
                                                       PAGE_READWRITE, eTaskCritical, &again),
                       S_OK);
        assert_ptr_equal(again, address);
        assert_hresult(IHostMemoryManager_VirtualFree(f->memory, address, 0, MEM_RELEASE),
                       HOST_E_INVALIDOPERATION);
        assert_hresult(IHostMemoryManager_VirtualFree(memory, address, 0, MEM_RELEASE), S_OK);
    }
    assert_statistics_equal_windows(other);
    assert_int_equal(fixture_statistics(other).reserved.now, 0);
    assert_int_equal(fixture_statistics(other).stale_regions, 0);
    assert_true(verified(other));
    IHostMemoryManager_Release(memory);
    hostmem_release(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_wrong_requests_change_nothing),
        fixture_test(test_sizes_that_wrap),
        fixture_test(test_release_just_above_the_base),
        fixture_test(test_decommit_all_just_above_the_base),
        fixture_test(test_decommit_of_parts),
        fixture_test(test_decommit_of_all),
        fixture_test(test_release_of_what_is_partly_decommitted),
        fixture_test(test_freed_twice),
        fixture_test(test_double_frees_by_kind),
        fixture_test(test_the_rest_of_the_last_granule_is_foreign),
        fixture_test(test_an_address_changes_hands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

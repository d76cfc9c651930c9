/*
 * test_overlap.c - which calls make each other ask Windows again
 *
 * One call is stopped when Windows has done it, an opposite one is made whole, and the first goes on: it has to compare
 * its pages if they may be the other's, and must not ask if they are 4 MiB or more away from those.
 */
#include "com/manager.h"
#include "memory/overlap.h"
#include "support/late.h"

enum { MIB = 1 << 20, SECTOR = 4 * MIB, PAST_ONE_STRIPE = 96 * MIB };

struct range {
    SIZE_T at, size;
};

static void call(struct fixture *f, char *base, const struct range *range, bool commits)
{
    if (commits)
        fixture_alloc(f, base + range->at, range->size, MEM_COMMIT, PAGE_READWRITE);
    else
        fixture_free(f, base + range->at, range->size, MEM_DECOMMIT);
}

static void check(struct fixture *f, char *base, bool commits, struct range late_pages, struct range pages,
                  bool asks)
{
    call(f, base, &late_pages, !commits);
    call(f, base, &pages, commits);
    uint64_t compared = fixture_statistics(f->manager).os_compared;
    struct late late = {.method = commits ? ALLOC : FREE,
                        .address = base + late_pages.at,
                        .size = late_pages.size,
                        .type = commits ? MEM_COMMIT : MEM_DECOMMIT,
                        .stop = commits ? AFTER_ALLOC : AFTER_FREE};
    late_begin(f, &late);
    atomic_store(&late_queries, 0);
    call(f, base, &pages, !commits);
    assert_int_equal(late_queries, 0); /* whoever is still at work will see to it */
    assert_int_equal(late_end(&late), S_OK);
    if ((late_queries != 0) != asks)
        fail_msg("%s of %#lx at %#lx, meanwhile %#lx at %#lx: Windows asked %u times",
                 commits ? "commit" : "decommit", (unsigned long)late_pages.size,
                 (unsigned long)late_pages.at, (unsigned long)pages.size, (unsigned long)pages.at,
                 (unsigned)late_queries);
    assert_int_equal(fixture_statistics(f->manager).os_compared - compared, asks);
    assert_statistics_equal_windows(f->manager);
}

static char *reserve(struct fixture *f, SIZE_T size)
{
    return fixture_alloc(f, NULL, size, MEM_RESERVE, PAGE_READWRITE);
}

static void check_region(struct fixture *f, SIZE_T size)
{
    char *base = reserve(f, size);
    const SIZE_T step = size < PAST_ONE_STRIPE ? 3 * MIB : 11 * MIB;
    for (int commits = 0; commits < 2; commits++) {
        for (SIZE_T at = 0; at + SECTOR < size; at += step) {
            const struct range page = {at, PAGE}, behind = {at + SECTOR, 2 * PAGE};
            check(f, base, commits, page, page, true);
            check(f, base, commits, page, behind, false);
            check(f, base, commits, behind, page, false);
        }
        /* The last page of a sector, and the first of the next. */
        for (SIZE_T at = SECTOR; at < size; at += 3 * SECTOR)
            check(f, base, commits, (struct range){at - PAGE, PAGE}, (struct range){at, PAGE}, false);
        /* Three sectors: all that is in them, and nothing else. */
        for (SIZE_T at = MIB; at + 5 * SECTOR <= size; at += 5 * SECTOR) {
            const struct range long_one = {at, 2 * SECTOR + PAGE};
            for (SIZE_T part = 0; part <= 2 * SECTOR; part += SECTOR) {
                check(f, base, commits, long_one, (struct range){at + part, PAGE}, true);
                check(f, base, commits, (struct range){at + part, PAGE}, long_one, true);
            }
            const struct range behind = {at + 3 * SECTOR + PAGE, PAGE};
            check(f, base, commits, long_one, behind, false);
            check(f, base, commits, behind, long_one, false);
        }
    }
    fixture_free(f, base, 0, MEM_RELEASE);
}

static void test_overlap_is_a_matter_of_pages(void **state)
{
    check_region(*state, 5 * MIB);
    check_region(*state, 24 * MIB);
    check_region(*state, PAST_ONE_STRIPE);
}

/* Without a size it goes to the end of the region, over parts that nobody has touched yet. */
static void test_a_decommit_of_all(void **state)
{
    struct fixture *f = *state;
    char *base = reserve(f, PAST_ONE_STRIPE);
    const struct range all = {0, PAST_ONE_STRIPE};
    for (SIZE_T at = 0; at < all.size; at += 31 * MIB) {
        const struct range page = {at, PAGE};
        struct late late = {.method = FREE, .address = base, .type = MEM_DECOMMIT, .stop = AFTER_FREE};
        late_begin(f, &late);
        atomic_store(&late_queries, 0);
        call(f, base, &page, true);
        assert_int_equal(late_queries, 0);
        assert_int_equal(late_end(&late), S_OK);
        assert_true(late_queries > 0);
        assert_int_equal(fixture_statistics(f->manager).committed.now, PAGE);
        assert_statistics_equal_windows(f->manager);
        call(f, base, &page, false);
    }
    fixture_free(f, base, 0, MEM_RELEASE);
}

/* Two commits are of one mind. */
static void test_commits_that_meet(void **state)
{
    struct fixture *f = *state;
    char *base = reserve(f, SECTOR);
    const struct range pages = {0, 4 * PAGE};
    struct late late = {
        .method = ALLOC, .address = base, .size = pages.size, .type = MEM_COMMIT, .stop = AFTER_ALLOC};
    late_begin(f, &late);
    atomic_store(&late_queries, 0);
    call(f, base, &pages, true);
    assert_int_equal(late_end(&late), S_OK);
    assert_int_equal(late_queries, 0);
    assert_statistics_equal_windows(f->manager);
    fixture_free(f, base, 0, MEM_RELEASE);
}

/* A size that wraps, which Windows refuses and Wine does not: what it has done is looked for in all of the region, and no pages
 * are its own to be compared. */
static void test_a_decommit_of_no_pages(void **state)
{
    struct fixture *f = *state;
    char *base = reserve(f, 2 * SECTOR);
    const struct range pages = {0, 4 * PAGE};
    check(f, base, true, pages, pages, true); /* the versions are not 0 any more */
    const uint64_t compared = fixture_statistics(f->manager).os_compared;
    struct late late = {
        .method = FREE, .address = base, .size = (SIZE_T)-1, .type = MEM_DECOMMIT, .stop = BEFORE_FREE};
    late_begin(f, &late);
    call(f, base, &(struct range){SECTOR, PAGE}, true);
    late_end(&late);
    assert_statistics_equal_windows(f->manager);
    assert_int_equal(fixture_statistics(f->manager).os_compared, compared);
    fixture_free(f, base, 0, MEM_RELEASE);
}

/* So many that the sum of the versions comes round to where it was, be it by calls that have not ended yet. */
static void test_very_many_calls_meanwhile(void **state)
{
    struct fixture *f = *state;
    struct region_table *table = &f->manager->vm.table;
    char *base = reserve(f, 4 * SECTOR);
    for (unsigned i = 0; i < 4; i++) {
        const unsigned sectors = i / 2 == 0 ? 1 : 4, calls = 65536 / sectors;
        const bool end = i % 2 == 0;
        const uint64_t pages = sectors * SECTOR_PAGES;
        struct region_hold late, other;
        assert_true(hm_region_enter(table, (uintptr_t)base, &late));
        overlap_begin(&late, 0, pages);
        for (unsigned n = 0; n < calls; n++) {
            assert_true(hm_region_enter(table, (uintptr_t)base, &other));
            overlap_begin(&other, 0, pages);
            overlap_end(&other, 0, pages, false);
            assert_true(!end || hm_region_leave(table, &other));
        }
        assert_int_equal((uint16_t)(overlap_versions(&late, 0, pages, 0) - late.versions), 0);
        assert_true(overlap_end(&late, 0, pages, true));
        for (unsigned n = 0; n < calls && !end; n++)
            assert_true(hm_region_leave(table, &other));
        assert_true(hm_region_leave(table, &late));
    }
    fixture_free(f, base, 0, MEM_RELEASE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_overlap_is_a_matter_of_pages),
        fixture_test(test_a_decommit_of_all),
        fixture_test(test_commits_that_meet),
        fixture_test(test_a_decommit_of_no_pages),
        fixture_test(test_very_many_calls_meanwhile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

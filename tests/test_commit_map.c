/*
 * test_commit_map.c - page bits beside an array of bytes that says the same, for every form of the map
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <windows.h>

#include <cmocka.h>

#include "maps/commit_map.h"
#include "support/fake_pages.h"

enum { STRIPE = 16384 };

static struct bit_store store;
static _Atomic uint64_t metadata;

static int setup(void **state)
{
    (void)state;
    fake_pages_fail_from(0);
    metadata = 0;
    hm_bit_store_init(&store, &metadata);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fake_pages_fail_from(0);
    hm_bit_store_destroy(&store);
    assert_int_equal(metadata, 0);
    assert_int_equal(fake_pages_outstanding(), 0);
    return 0;
}

static uint32_t seed = 1;

static uint32_t random_below(uint32_t limit)
{
    seed = seed * 1664525 + 1013904223;
    return (uint32_t)((uint64_t)seed * limit >> 32);
}

/* One step on the map and on the model, which must turn the same number of pages. */
static void step(struct commit_map *map, char *model, uint64_t pages, uint64_t first, uint64_t count,
                 bool set)
{
    uint64_t turned = 0, were_set = 0;
    for (uint64_t p = first; p < first + count; p++) {
        turned += model[p] != set;
        were_set += model[p];
        model[p] = set;
    }
    assert_int_equal(hm_commit_map_count(map, pages, first, count), were_set);
    if (set) {
        assert_true(hm_commit_map_prepare(map, &store, pages, first, count));
        assert_int_equal(hm_commit_map_set(map, pages, first, count), turned);
    } else {
        assert_int_equal(hm_commit_map_clear(map, pages, first, count), turned);
    }
}

static void test_against_a_model(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {1,    2,          63,     64,         65,         128,
                                     1000, STRIPE - 1, STRIPE, STRIPE + 1, 2 * STRIPE, 5 * STRIPE + 77};
    for (unsigned s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        uint32_t pages = sizes[s];
        char *model = calloc(pages, 1);
        struct commit_map map;
        assert_true(hm_commit_map_init(&map, &store, pages));
        assert_int_equal(hm_commit_map_count(&map, pages, 0, pages), 0);
        for (int i = 0; i < 300; i++) {
            uint32_t first = random_below(pages);
            uint32_t count = i % 7 == 0 ? pages - first : random_below(pages - first + 1);
            if (i % 3 == 0 && count > 200)
                count = random_below(200);
            step(&map, model, pages, first, count, random_below(5) < 3);
        }
        step(&map, model, pages, 0, pages, true);
        step(&map, model, pages, 0, pages, true);
        step(&map, model, pages, 0, pages, false);
        step(&map, model, pages, 0, pages, false);
        step(&map, model, pages, pages - 1, 1, true);
        step(&map, model, pages, 0, 0, true); /* nothing */
        assert_int_equal(hm_commit_map_clear_all(&map, &store, pages), 1);
        free(model);
    }
}

/* What was given back is given out again, empty. */
static void test_maps_come_back_empty(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {70, 200, 900, 4000, STRIPE, STRIPE + 1, 9 * STRIPE};
    for (unsigned s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        uint64_t after_one = 0;
        for (int round = 0; round < 20; round++) {
            struct commit_map map;
            assert_true(hm_commit_map_init(&map, &store, sizes[s]));
            assert_int_equal(hm_commit_map_count(&map, sizes[s], 0, sizes[s]), 0);
            assert_true(hm_commit_map_prepare(&map, &store, sizes[s], 0, sizes[s]));
            assert_int_equal(hm_commit_map_count(&map, sizes[s], 0, sizes[s]), 0);
            assert_int_equal(hm_commit_map_set(&map, sizes[s], round, sizes[s] - round), sizes[s] - round);
            assert_int_equal(hm_commit_map_clear_all(&map, &store, sizes[s]), sizes[s] - round);
            if (round == 0)
                after_one = metadata;
        }
        assert_int_equal(metadata, after_one); /* no growth: they were recycled */
    }
}

/* Beside a model; every page has the version of its sector, and a range has the sum. */
static void check_versions(uint64_t pages)
{
    static uint32_t sectors[5 * STRIPE / SECTOR_PAGES + 2];
    struct commit_map map;
    memset(sectors, 0, sizeof sectors);
    assert_true(hm_commit_map_init(&map, &store, pages));
    assert_int_equal(hm_commit_map_versions(&map, pages, 0, pages, 0), 0);
    assert_true(hm_commit_map_prepare(&map, &store, pages, 0, pages));
    assert_int_equal(hm_commit_map_versions(&map, pages, 0, pages, 0), 0);
    for (uint32_t i = 0; i < 100; i++) {
        uint64_t first = random_below((uint32_t)pages), count = random_below((uint32_t)(pages - first) + 1);
        uint32_t sum = 0, amount = i % 3 == 0 ? 0 : i;
        for (uint64_t b = first / SECTOR_PAGES; count != 0 && b * SECTOR_PAGES < first + count; b++) {
            sum += sectors[b];
            sectors[b] += amount;
        }
        assert_int_equal(hm_commit_map_versions(&map, pages, first, count, amount), sum);
    }
    for (uint64_t page = 0; page < pages; page += 1 + random_below(99))
        assert_int_equal(hm_commit_map_versions(&map, pages, page, 1, 0), sectors[page / SECTOR_PAGES]);
    assert_int_equal(hm_commit_map_clear_all(&map, &store, pages), 0); /* no bit is a version's */
}

static void test_versions(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {1, 64, 65, 1024, 1025, 4096, 4097, STRIPE, STRIPE + 1, 5 * STRIPE + 77};
    for (unsigned s = 0; s < sizeof sizes / sizeof sizes[0]; s++)
        for (unsigned again = 0; again < 2; again++) /* those that come back begin at 0 */
            check_versions(sizes[s]);
}

/* Where nothing was prepared there is nothing to advance. */
static void test_versions_of_nothing(void **state)
{
    (void)state;
    const uint64_t pages = 3 * STRIPE;
    struct commit_map map;
    assert_true(hm_commit_map_init(&map, &store, pages));
    assert_true(hm_commit_map_prepare(&map, &store, pages, STRIPE, 1));
    assert_int_equal(hm_commit_map_versions(&map, pages, 0, pages, 7), 0);
    assert_int_equal(hm_commit_map_versions(&map, pages, 0, pages, 0), 7 * STRIPE / SECTOR_PAGES);
    assert_true(hm_commit_map_prepare(&map, &store, pages, 0, pages));
    assert_int_equal(hm_commit_map_versions(&map, pages, 0, STRIPE, 0), 0);
    assert_int_equal(hm_commit_map_clear_all(&map, &store, pages), 0);
}

/* The garbage collector's reservations: little memory until they are touched. */
static void test_a_huge_map(void **state)
{
    (void)state;
    const uint64_t pages = sizeof(void *) == 8 ? ((uint64_t)1 << 33) - 1 : (uint64_t)1 << 20;
    struct commit_map map;
    assert_true(hm_commit_map_init(&map, &store, pages));
    uint64_t empty = metadata;
    const uint64_t places[] = {0, STRIPE - 3, pages / 2, pages - 5};
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(hm_commit_map_count(&map, pages, places[i], 5), 0);
        assert_int_equal(hm_commit_map_clear(&map, pages, places[i], 5), 0);
        assert_true(hm_commit_map_prepare(&map, &store, pages, places[i], 5));
        assert_int_equal(hm_commit_map_set(&map, pages, places[i], 5), 5);
    }
    assert_true(metadata - empty <= 2 * 65536);
    assert_int_equal(hm_commit_map_count(&map, pages, 0, pages), 20);
    assert_int_equal(hm_commit_map_clear(&map, pages, 0, pages), 20);
    assert_int_equal(hm_commit_map_clear_all(&map, &store, pages), 0);
}

static void test_failing_pages(void **state)
{
    (void)state;
    const uint64_t pages = 600 * STRIPE;
    struct commit_map map;
    fake_pages_fail_from(1);
    assert_true(hm_commit_map_init(&map, &store, 64)); /* needs none */
    assert_int_equal(hm_commit_map_set(&map, 64, 3, 9), 9);
    assert_int_equal(hm_commit_map_clear_all(&map, &store, 64), 9);
    assert_false(hm_commit_map_init(&map, &store, 65));
    assert_false(hm_commit_map_init(&map, &store, pages));
    fake_pages_fail_from(0);
    assert_true(hm_commit_map_init(&map, &store, pages));
    int failures = 0;
    for (long n = 1;; n++) {
        fake_pages_fail_from(n);
        bool prepared = hm_commit_map_prepare(&map, &store, pages, 0, pages);
        assert_int_equal(hm_commit_map_count(&map, pages, 0, pages), 0);
        if (prepared)
            break;
        failures++;
    }
    assert_true(failures > 3);
    assert_int_equal(hm_commit_map_set(&map, pages, 0, pages), pages);
    assert_int_equal(hm_commit_map_clear_all(&map, &store, pages), pages);
}

enum { WORKERS = 4, SHARED = 3 * STRIPE };

static HANDLE gate;
static struct commit_map shared;
static atomic_int unprepared;

struct sum {
    int64_t turned;
};

/* Overlapping ranges by several threads: every page that turns is told to exactly one of them. */
static DWORD WINAPI turn(void *context)
{
    struct sum *sum = context;
    uint32_t s = (uint32_t)(uintptr_t)context;
    WaitForSingleObject(gate, INFINITE);
    for (int i = 0; i < 1000000; i++) {
        s = s * 1664525 + 1013904223;
        uint64_t first = STRIPE - 200 + (s >> 24); /* across two stripes */
        uint64_t count = s >> 3 & 255;
        if (!hm_commit_map_prepare(&shared, &store, SHARED, first, count))
            unprepared++;
        sum->turned += (int64_t)hm_commit_map_set(&shared, SHARED, first, count);
        if (i % 2)
            sum->turned -= (int64_t)hm_commit_map_clear(&shared, SHARED, first + count / 2, count);
    }
    return 0;
}

static void test_threads_count_each_page_once(void **state)
{
    (void)state;
    HANDLE threads[WORKERS];
    struct sum sums[WORKERS] = {{0}};
    unprepared = 0;
    gate = CreateEventW(NULL, TRUE, FALSE, NULL);
    assert_true(hm_commit_map_init(&shared, &store, SHARED));
    for (int i = 0; i < WORKERS; i++)
        threads[i] = CreateThread(NULL, 0, turn, &sums[i], 0, NULL);
    SetEvent(gate);
    assert_int_equal(WaitForMultipleObjects(WORKERS, threads, TRUE, 120000), WAIT_OBJECT_0);
    CloseHandle(gate);
    int64_t total = 0;
    for (int i = 0; i < WORKERS; i++) {
        CloseHandle(threads[i]);
        total += sums[i].turned;
    }
    assert_int_equal(unprepared, 0);
    assert_int_equal(hm_commit_map_count(&shared, SHARED, 0, SHARED), total);
    assert_int_equal(hm_commit_map_clear_all(&shared, &store, SHARED), total);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_against_a_model, setup, teardown),
        cmocka_unit_test_setup_teardown(test_maps_come_back_empty, setup, teardown),
        cmocka_unit_test_setup_teardown(test_versions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_versions_of_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_huge_map, setup, teardown),
        cmocka_unit_test_setup_teardown(test_failing_pages, setup, teardown),
        cmocka_unit_test_setup_teardown(test_threads_count_each_page_once, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

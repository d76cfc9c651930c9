/*
 * test_region_map.c - the table of the address space, with synthetic addresses
 *
 * A plain array of owners, one for each granule, is the model on a piece of the address space; a million
 * regions are checked against the rule by which they were laid out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <windows.h>

#include <cmocka.h>

#include "maps/region_map.h"
#include "support/fake_pages.h"

static struct region_map *map;
static _Atomic uint64_t metadata;

static int setup(void **state)
{
    (void)state;
    fake_pages_fail_from(0);
    metadata = 0;
    map = calloc(1, sizeof *map);
    hm_region_map_init(map, &metadata);
    return map == NULL;
}

static int teardown(void **state)
{
    (void)state;
    fake_pages_fail_from(0);
    hm_region_map_destroy(map);
    free(map);
    assert_int_equal(metadata, 0);
    assert_int_equal(fake_pages_outstanding(), 0);
    return 0;
}

static uint32_t owner(uint64_t granule)
{
    return region_map_find(map, granule << GRANULE_SHIFT);
}

/* The same for all of the granule, demanded. */
static uint32_t find(uint64_t granule)
{
    uint32_t first = owner(granule);
    assert_int_equal(region_map_find(map, (granule << GRANULE_SHIFT) + 65535), first);
    return first;
}

static void publish(uint64_t granule, uint64_t count, uint32_t number)
{
    assert_true(hm_region_map_prepare(map, granule, count));
    hm_region_map_publish(map, granule, count, number);
}

static void test_empty(void **state)
{
    (void)state;
    const uint64_t addresses[] = {0,
                                  1,
                                  0xffffffff,
                                  UINT64_C(0x7fffffffffff),
                                  UINT64_C(0x800000000000),
                                  UINT64_C(0xffff800000000000),
                                  UINT64_MAX};
    for (unsigned i = 0; i < sizeof addresses / sizeof addresses[0]; i++)
        assert_int_equal(region_map_find(map, addresses[i]), 0);
    assert_int_equal(hm_region_map_first(map, 0, REGION_MAP_GRANULES), 0);
    assert_int_equal(metadata, 0);
}

static void test_beyond_the_address_space(void **state)
{
    (void)state;
    assert_false(hm_region_map_prepare(map, REGION_MAP_GRANULES, 1));
    assert_false(hm_region_map_prepare(map, REGION_MAP_GRANULES - 1, 2));
    assert_false(hm_region_map_prepare(map, 0, REGION_MAP_GRANULES + 1));
    assert_false(hm_region_map_prepare(map, 1, UINT64_MAX));
    assert_false(hm_region_map_prepare(map, UINT64_MAX, 2));
    publish(REGION_MAP_GRANULES - 1, 1, 5); /* the very last one */
    assert_int_equal(find(REGION_MAP_GRANULES - 1), 5);
    assert_int_equal(find(REGION_MAP_GRANULES), 0);
    assert_int_equal(hm_region_map_first(map, REGION_MAP_GRANULES - 3, 3), 5);
    assert_int_equal(hm_region_map_first(map, REGION_MAP_GRANULES - 1, 100), 5);
    assert_int_equal(hm_region_map_first(map, REGION_MAP_GRANULES, 100), 0);
    publish(0, 1, 6);
    assert_int_equal(find(0), 6);
}

static void test_erase_spares_other_owners(void **state)
{
    (void)state;
    publish(100, 10, 1);
    hm_region_map_publish(map, 103, 3, 2); /* the address was handed out again */
    hm_region_map_erase(map, 100, 10, 1);
    for (uint64_t g = 99; g < 112; g++)
        assert_int_equal(find(g), g >= 103 && g < 106 ? 2 : 0);
    assert_int_equal(hm_region_map_first(map, 90, 13), 0);
    assert_int_equal(hm_region_map_first(map, 90, 14), 2);
    hm_region_map_erase(map, 100, 10, 9);
    assert_int_equal(find(104), 2);
    hm_region_map_erase(map, 103, 3, 2);

    /* One of any two that lie side by side. */
    for (uint64_t foreign = 100; foreign < 110; foreign++) {
        publish(100, 10, 1);
        hm_region_map_publish(map, foreign, 1, 2);
        hm_region_map_erase(map, 100, 10, 1);
        for (uint64_t g = 99; g < 112; g++)
            assert_int_equal(find(g), g == foreign ? 2 : 0);
        hm_region_map_erase(map, foreign, 1, 2);
    }
}

#if UINTPTR_MAX > UINT32_MAX
enum { NODE = 1024, ROOT = 1024 * 1024 };

/* Regions whose edges lie anywhere in and across nodes of 64 MiB and 64 GiB. */
static void test_spans(void **state)
{
    (void)state;
    static const uint64_t starts[] = {0,
                                      1,
                                      NODE - 1,
                                      NODE,
                                      NODE + 1,
                                      ROOT - 1,
                                      ROOT,
                                      ROOT + 1,
                                      ROOT + NODE - 1,
                                      ROOT + NODE,
                                      5 * (uint64_t)ROOT - NODE,
                                      7 * (uint64_t)ROOT + 12345};
    static const uint64_t counts[] = {1,
                                      2,
                                      NODE - 1,
                                      NODE,
                                      NODE + 1,
                                      3 * NODE + 5,
                                      ROOT - 1,
                                      ROOT,
                                      ROOT + 1,
                                      ROOT + NODE + 1,
                                      4 * (uint64_t)ROOT + 7};
    uint32_t number = 1;
    for (unsigned s = 0; s < sizeof starts / sizeof starts[0]; s++)
        for (unsigned c = 0; c < sizeof counts / sizeof counts[0]; c++, number++) {
            uint64_t start = starts[s], end = start + counts[c];
            publish(start, counts[c], number);
            const uint64_t inside[] = {start,
                                       end - 1,
                                       start + counts[c] / 2,
                                       start + counts[c] / 3,
                                       (start + NODE) / NODE * NODE,
                                       (start + ROOT) / ROOT * ROOT,
                                       (end - 1) / NODE * NODE,
                                       (end - 1) / ROOT * ROOT};
            for (unsigned i = 0; i < sizeof inside / sizeof inside[0]; i++)
                if (inside[i] >= start && inside[i] < end)
                    assert_int_equal(find(inside[i]), number);
            assert_int_equal(find(end), 0);
            if (start > 0)
                assert_int_equal(find(start - 1), 0);
            assert_int_equal(hm_region_map_first(map, 0, start), 0);
            assert_int_equal(hm_region_map_first(map, 0, start + 1), number);
            assert_int_equal(hm_region_map_first(map, end - 1, 50), number);
            assert_int_equal(hm_region_map_first(map, end, 100000), 0);
            hm_region_map_erase(map, start, counts[c], number);
            assert_int_equal(find(start), 0);
            assert_int_equal(find(end - 1), 0);
            assert_int_equal(hm_region_map_first(map, 0, REGION_MAP_GRANULES), 0);
        }
    /* No region needed more than the nodes at its two edges. */
    assert_true(metadata < 4 << 20);
}

/* A region that filled nodes is gone, small ones take its place, and the other way round. */
static void test_spans_and_cells_take_turns(void **state)
{
    (void)state;
    for (int round = 0; round < 3; round++) {
        publish(ROOT, 2 * ROOT, 1);
        assert_int_equal(hm_region_map_first(map, ROOT + 5, 1), 1);
        hm_region_map_erase(map, ROOT, 2 * ROOT, 1);
        publish(ROOT + 3 * NODE + 7, 1, 2);
        publish(ROOT + 4 * NODE, NODE, 3);
        assert_int_equal(find(ROOT + 3 * NODE + 7), 2);
        assert_int_equal(find(ROOT + 5 * NODE - 1), 3);
        assert_int_equal(find(ROOT + 3 * NODE + 8), 0);
        assert_int_equal(hm_region_map_first(map, ROOT, 3 * NODE + 7), 0);
        assert_int_equal(hm_region_map_first(map, ROOT + 3 * NODE + 8, 2 * NODE), 3);
        hm_region_map_erase(map, ROOT + 3 * NODE + 7, 1, 2);
        hm_region_map_erase(map, ROOT + 4 * NODE, NODE, 3);
    }
}

enum { MILLION = 1000000, STRIDE = 3 };
#else
enum { MILLION = 20000, STRIDE = 3 };
#endif

/* A million regions of one to three granules, back to back, placed by rule; then every second one is
 * erased. */
static void test_a_million_regions(void **state)
{
    (void)state;
    uint64_t base = REGION_MAP_GRANULES - (uint64_t)MILLION * STRIDE - 100;
    for (uint32_t n = 0; n < MILLION; n++)
        publish(base + (uint64_t)n * STRIDE, 1 + n % STRIDE, n + 1);
    for (int pass = 0; pass < 2; pass++) {
        for (uint64_t g = 0; g < (uint64_t)MILLION * STRIDE; g++) {
            uint32_t n = (uint32_t)(g / STRIDE);
            bool there = g % STRIDE <= n % STRIDE && (pass == 0 || n % 2 == 0);
            if (owner(base + g) != (there ? n + 1 : 0))
                fail_msg("granule %lu of pass %d is somebody else's", (unsigned long)g, pass);
        }
        assert_int_equal(find(base - 1), 0);
        for (uint32_t n = 1; pass == 0 && n < MILLION; n += 2)
            hm_region_map_erase(map, base + (uint64_t)n * STRIDE, 1 + n % STRIDE, n + 1);
    }
    assert_true(metadata <= (uint64_t)MILLION * 20);
}

/* A model of 40,000 granules; random regions come where there is room and go at random. */
static void test_against_a_model(void **state)
{
    (void)state;
    enum { GRANULES = 40000, REGIONS = 500 };
    static uint32_t model[GRANULES];
    static struct {
        uint32_t start, count;
    } live[REGIONS + 1];
    const uint64_t base = 20000;
    uint32_t seed = 7;
    memset(model, 0, sizeof model);
    memset(live, 0, sizeof live);
    for (int i = 0; i < 20000; i++) {
        seed = seed * 1664525 + 1013904223;
        uint32_t number = (seed >> 16) % REGIONS + 1;
        if (live[number].count != 0) {
            hm_region_map_erase(map, base + live[number].start, live[number].count, number);
            for (uint32_t g = 0; g < live[number].count; g++)
                model[live[number].start + g] = 0;
            live[number].count = 0;
        }
        seed = seed * 1664525 + 1013904223;
        uint32_t start = (seed >> 8) % GRANULES, count = 1 + (seed >> 4) % (i % 50 == 0 ? 3000 : 60);
        if (count > GRANULES - start)
            count = GRANULES - start;
        uint32_t first = 0;
        for (uint32_t g = 0; g < count && first == 0; g++)
            first = model[start + g];
        assert_int_equal(hm_region_map_first(map, base + start, count) != 0, first != 0);
        if (first != 0)
            continue;
        publish(base + start, count, number);
        for (uint32_t g = 0; g < count; g++)
            model[start + g] = number;
        live[number].start = start;
        live[number].count = count;
        for (int probe = 0; probe < 20; probe++) {
            seed = seed * 1664525 + 1013904223;
            uint32_t g = (seed >> 8) % GRANULES;
            assert_int_equal(owner(base + g), model[g]);
        }
    }
    for (uint32_t g = 0; g < GRANULES; g++)
        assert_int_equal(owner(base + g), model[g]);
}

#if UINTPTR_MAX > UINT32_MAX
static void test_failing_pages(void **state)
{
    (void)state;
    uint64_t start = 3 * (uint64_t)ROOT + 5, count = 2 * (uint64_t)ROOT + NODE + 9;
    publish(7, 1, 1);
    bool prepared = false; /* nodes come 64 KiB at a time: few calls, each a place to fail */
    for (long n = 1; !prepared; n++) {
        fake_pages_fail_from(n);
        prepared = hm_region_map_prepare(map, start, count);
        assert_int_equal(find(7), 1);
        assert_int_equal(hm_region_map_first(map, start, count), 0);
    }
    hm_region_map_publish(map, start, count, 2); /* cannot fail once prepared */
    assert_int_equal(find(start), 2);
    assert_int_equal(find(start + count - 1), 2);
    fake_pages_fail_from(1);
    uint32_t roots = 0;
    while (hm_region_map_prepare(map, (uint64_t)(100 + roots) * ROOT + 1, 1))
        roots++;
    assert_true(roots < 100);
    assert_int_equal(find((uint64_t)(100 + roots) * ROOT + 1), 0);
    fake_pages_fail_from(0);
    publish((uint64_t)(100 + roots) * ROOT + 1, 1, 3);
    assert_int_equal(find((uint64_t)(100 + roots) * ROOT + 1), 3);
}
#endif

/*
 * One thread publishes and erases regions of many sizes, another does so in the granules between; two
 * look up.  A granule's owner follows from its place, so a wrong one shows.
 */
enum { PLACES = 64, SPACING = 600, LONGEST = 280, CHURNS = 30000 };

static atomic_int wrong, stop;
static const uint64_t churn_base = 2000;

static DWORD WINAPI churn(void *context)
{
    uint64_t offset = context == NULL ? 0 : SPACING / 2;
    uint32_t add = context == NULL ? 1 : 1001, seed = add;
    uint32_t sizes[PLACES] = {0};
    for (int i = 0; i < CHURNS; i++) {
        seed = seed * 1664525 + 1013904223;
        uint32_t p = (seed >> 20) % PLACES;
        uint64_t start = churn_base + p * SPACING + offset;
        if (sizes[p] != 0) {
            hm_region_map_erase(map, start, sizes[p], p + add);
            if (hm_region_map_first(map, start, LONGEST) != 0)
                wrong++;
            sizes[p] = 0;
        } else {
            sizes[p] = 1 + (seed >> 4) % LONGEST;
            if (!hm_region_map_prepare(map, start, sizes[p]))
                wrong++;
            hm_region_map_publish(map, start, sizes[p], p + add);
            if (owner(start + sizes[p] - 1) != p + add)
                wrong++;
        }
    }
    return 0;
}

static DWORD WINAPI look(void *context)
{
    uint32_t seed = (uint32_t)(uintptr_t)context;
    while (!stop) {
        seed = seed * 1664525 + 1013904223;
        uint32_t g = (seed >> 8) % (PLACES * SPACING);
        uint32_t found = owner(churn_base + g);
        uint32_t p = g / SPACING, in = g % SPACING;
        uint32_t mine = in < LONGEST ? p + 1 : in >= SPACING / 2 && in < SPACING / 2 + LONGEST ? p + 1001 : 0;
        if (found != 0 && found != mine)
            wrong++;
        if (owner(1500) != 77) /* one that stays */
            wrong++;
    }
    return 0;
}

static void test_lookups_beside_churn(void **state)
{
    (void)state;
    wrong = stop = 0;
    publish(1400, 500, 77);
    HANDLE churners[2], lookers[2];
    for (uintptr_t i = 0; i < 2; i++) {
        lookers[i] = CreateThread(NULL, 0, look, (void *)(i + 1), 0, NULL);
        churners[i] = CreateThread(NULL, 0, churn, (void *)i, 0, NULL);
    }
    assert_int_equal(WaitForMultipleObjects(2, churners, TRUE, 120000), WAIT_OBJECT_0);
    stop = 1;
    assert_int_equal(WaitForMultipleObjects(2, lookers, TRUE, 120000), WAIT_OBJECT_0);
    for (int i = 0; i < 2; i++) {
        CloseHandle(lookers[i]);
        CloseHandle(churners[i]);
    }
    assert_int_equal(wrong, 0);
}

#define map_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        map_test(test_empty),
        map_test(test_beyond_the_address_space),
        map_test(test_erase_spares_other_owners),
#if UINTPTR_MAX > UINT32_MAX
        map_test(test_spans),
        map_test(test_spans_and_cells_take_turns),
        map_test(test_failing_pages),
#endif
        map_test(test_a_million_regions),
        map_test(test_against_a_model),
        map_test(test_lookups_beside_churn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

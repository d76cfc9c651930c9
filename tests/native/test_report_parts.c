/*
 * test_report_parts.c - the parts that hostmem-report is made of
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "loaded_trace.h"
#include "report/regions.h"
#include "report/table.h"

/* A region's runs beside a naive array of pages. */
static void test_runs(void **state)
{
    (void)state;
    enum { PAGES = 200, STEPS = 20000 };
    static bool pages[PAGES];
    struct regions regions = {0};
    uint64_t dice = 7;

    struct region *region = hm_regions_make(&regions, MB);
    region->bytes = PAGES * 4 * KB;
    for (unsigned step = 0; step < STEPS; step++) {
        dice = dice * 6364136223846793005u + 1442695040888963407u;
        const unsigned first = dice >> 40 & 0xFF, count = 1 + (dice >> 33 & 15);
        const bool commit = dice >> 60 & 1;
        (commit ? hm_regions_commit : hm_regions_decommit)(&regions, region, MB + first * 4 * KB,
                                                           count * 4 * KB);
        for (unsigned i = first; i < first + count && i < PAGES; i++)
            pages[i] = commit;
        uint64_t last = 0;
        bool shown[PAGES] = {false};
        for (uint32_t i = 0; i < region->run_count; i++) {
            assert_true(region->runs[i].start > last && region->runs[i].start < region->runs[i].end);
            last = region->runs[i].end;
            for (uint64_t at = region->runs[i].start; at < last; at += 4 * KB)
                shown[(at - MB) / (4 * KB)] = true;
        }
        assert_memory_equal(shown, pages, sizeof pages);
        assert_int_equal(regions.run_count, region->run_count);
    }
    hm_regions_clear(&regions);
}

static void test_table(void **state)
{
    (void)state;
    enum { KEYS = 500, STEPS = 100000 };
    static bool there[KEYS];
    struct table table = {0};
    uint64_t dice = 3;
    uint32_t count = 0;

    for (unsigned step = 0; step < STEPS; step++) {
        dice = dice * 6364136223846793005u + 1442695040888963407u;
        const uint64_t key = (dice >> 33) % KEYS;
        if (dice >> 62 == 0 && count > 300) {
            hm_table_remove(&table, key << 16);
            count -= there[key];
            there[key] = false;
        } else {
            uint32_t *value = hm_table_add(&table, key << 16, 400);
            assert_int_equal(value != NULL, there[key] || count < 400);
            if (value)
                *value = (uint32_t)key;
            count += value && !there[key];
            there[key] = value != NULL;
        }
        assert_int_equal(table.count, count);
        const uint64_t looked = (dice >> 20) % KEYS;
        const uint32_t *found = hm_table_find(&table, looked << 16);
        assert_int_equal(found != NULL, there[looked]);
        assert_true(!found || *found == looked);
    }
    hm_table_clear(&table);
}

/* Keys that a multiplication by the golden ratio, which everybody takes, has all go to one place. */
static void test_table_hostile(void **state)
{
    (void)state;
    enum { KEYS = 4000 };
    const uint64_t golden = 0x9E3779B97F4A7C15u;
    static uint64_t keys[KEYS];
    uint64_t inverse = golden;
    struct table table = {0};

    for (unsigned i = 0; i < 6; i++)
        inverse *= 2 - golden * inverse;
    for (uint64_t i = 0; i < KEYS; i++) {
        const uint64_t stirred = i * inverse;
        keys[i] = stirred ^ stirred >> 29 ^ stirred >> 58;
    }
    const clock_t start = clock();
    for (unsigned i = 0; i < KEYS; i++)
        assert_non_null(hm_table_add(&table, keys[i], KEYS));
    for (unsigned i = 0; i < KEYS; i++) {
        hm_table_remove(&table, keys[i]);
        assert_true(clock() - start < 5 * CLOCKS_PER_SEC);
    }
    assert_int_equal(table.count, 0);
    hm_table_clear(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_runs),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_table_hostile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

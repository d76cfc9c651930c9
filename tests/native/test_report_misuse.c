/*
 * test_report_misuse.c - what hostmem-report tells of leaks and of wrong frees
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "loaded_trace.h"
#include "report/compare.h"
#include "report/owned.h"

static void assert_site(const struct model *model, uint32_t site, const char *expected)
{
    char name[SITE_KEY_MAX];

    assert_in_range(site, 1, model->sites.count);
    hm_site_name(model, &model->sites.list[site], 1, "", name);
    assert_string_equal(name, expected);
}

/* A commit does not pass for a reservation that is not in the trace, wherever in the region it is; and the survey at the
 * start, which may come behind it, tells the rest. */
static void test_not_reserved_here(void **state)
{
    (void)state;
    enum { COMMIT = 0x1000, RESERVE = 0x2000 };
    struct trace_maker maker;
    struct loaded loaded;
    struct owned owned;

    begin(&maker);
    maker_stack(&maker, 1, 1, (const uint64_t[]){77});
    MAKE(&maker, MADE_ALLOC, AT(1), 1, MB, 64 * KB, COMMIT, 4, 2, 1, 0, MB, 64 * KB, MB);
    MAKE(&maker, MADE_REGION, AT(2), 0, MB, 4 * MB, 128 * KB, 1, RESERVE);
    MAKE(&maker, MADE_SAMPLE, AT(3), 0, 4 * MB, 0, 0, 128 * KB, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    MAKE(&maker, MADE_ALLOC, AT(4), 1, 0, 64 * KB, COMMIT, 4, 2, 1, 0, 8 * MB, 64 * KB, 8 * MB);
    MAKE(&maker, MADE_LOST, AT(5), 0, 1);
    MAKE(&maker, MADE_ALLOC, AT(6), 1, 16 * MB, 64 * KB, COMMIT, 4, 2, 1, 0, 16 * MB, 64 * KB, 16 * MB);
    MAKE(&maker, MADE_SAMPLE, AT(7), 0, 6 * MB, 0, 0, MB, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    MAKE(&maker, MADE_REGION, AT(8), 0, 16 * MB, 2 * MB, 512 * KB, 1, RESERVE);
    end_and_load(&maker, &loaded);
    struct model *model = &loaded.model;
    const struct region *surveyed = hm_regions_find(&model->regions, MB);
    const struct region *anywhere = hm_regions_find(&model->regions, 8 * MB);
    const struct region *lost = hm_regions_find(&model->regions, 16 * MB);
    assert_true(surveyed->since == NOT_SEEN && surveyed->site == 0);
    assert_int_equal(surveyed->bytes, 4 * MB);
    assert_int_equal(surveyed->committed, 128 * KB);
    assert_true(anywhere->since == 4 && anywhere->site != 0); /* reserved without the flag, which does it */
    assert_true(lost->since == NOT_SEEN && lost->site == 0);
    assert_int_equal(lost->bytes, 2 * MB);
    assert_int_equal(lost->committed, 512 * KB);
    assert_int_equal(model->correction[USE_GC_HEAP],
                     MB - 256 * KB); /* of the last sample; none by the first */
    assert_int_equal(model->state.committed[USE_GC_HEAP], MB);
    assert_int_equal(model->state.reserved, 6 * MB);
    assert_int_equal(model->sites.list[anywhere->site].reserved, 64 * KB);
    assert_true(hm_owned_find(&owned, model));
    assert_int_equal(owned.group_count, 2);
    hm_owned_clear(&owned);
    hm_unload(&loaded);
}

/* By who reserved it and what for; what was there before is apart, and has no age. */
static void test_owned(void **state)
{
    (void)state;
    struct trace_maker maker = {0};
    struct loaded loaded;
    struct owned owned;

    maker_scene(&maker, "leaks", 0);
    assert_true(load(&loaded, &maker));
    assert_int_equal(loaded.result.ending, NETTRACE_COMPLETE);
    assert_int_equal(loaded.model.last_sample_difference, 0);
    assert_true(hm_owned_find(&owned, &loaded.model));
    assert_int_equal(owned.region_count, 5);
    assert_int_equal(owned.group_count, 4);
    const struct owned_group *heap = &owned.groups[0], *before = &owned.groups[3];
    assert_int_equal(heap->count, 2); /* of two stacks whose innermost frames are the same */
    assert_int_equal(heap->use, USE_GC_HEAP);
    assert_int_equal(heap->committed, 3 * MB);
    assert_int_equal(heap->oldest, MAKER_FREQUENCY / 10);
    assert_int_equal(heap->youngest, MAKER_FREQUENCY / 10 * 4);
    assert_int_equal(owned.regions[heap->first].region->bytes, 2 * MB);
    assert_int_equal(owned.groups[1].use, USE_LOADER); /* from the same place, for another use */
    assert_int_equal(owned.groups[1].site, heap->site);
    assert_int_equal(before->site, 0);
    assert_true(before->oldest == NOT_SEEN && before->youngest == NOT_SEEN);
    tell(&loaded);
    hm_owned_clear(&owned);
    hm_unload(&loaded);
    maker_free(&maker);
}

static void test_misuse(void **state)
{
    (void)state;
    struct trace_maker maker = {0};
    struct loaded loaded;

    maker_scene(&maker, "leaks", 0);
    assert_true(load(&loaded, &maker));
    const struct model *model = &loaded.model;
    const struct misuse *list = model->misuses.list;
    assert_int_equal(model->misuses.count, 6);
    assert_int_equal(model->misuses.twice, 4);
    assert_int_equal(model->misuses.left_out, 0);
    assert_int_equal(model->failed[METHOD_FREE], 7); /* one of them for another reason */
    for (unsigned i = 0; i < 6; i++) {
        assert_site(model, list[i].from, "coreclr.dll+0x6000");
        assert_int_equal(list[i].thread, i < 4 ? 4712 : 4711);
        assert_int_equal(list[i].twice, i != 2 && i != 4);
        assert_int_equal(list[i].decommits, i == 1);
    }
    assert_int_equal(list[0].first.time, MAKER_FREQUENCY / 10 * 5);
    assert_site(model, list[0].first.from, "coreclr.dll+0x4000");
    assert_site(model, list[0].first.reserved_from, "coreclr.dll+0x3000");
    assert_site(model, list[1].first.from, "coreclr.dll+0x5000"); /* the last owner of the address */
    assert_site(model, list[1].first.reserved_from, "coreclr.dll+0x1000");
    assert_true(list[3].first.time > list[3].time); /* the one that got it is told later */
    assert_site(model, list[3].first.from, "coreclr.dll+0x4000");
    assert_true(list[5].first.since == NOT_SEEN);
    assert_int_equal(list[5].first.reserved_from, 0);
    hm_unload(&loaded);
    maker_free(&maker);
}

/* The address of no memory at all, and the last moment that there is: numbers, of which the page makes what it shows. */
static void test_last_address(void **state)
{
    (void)state;
    struct trace_maker maker;
    struct loaded loaded;

    begin(&maker);
    MAKE(&maker, MADE_FREE, UINT64_MAX, 0, UINT64_MAX, 0, 0x8000, 0, NOT_OWNED, 0, 0, 0);
    MAKE(&maker, MADE_CALLS, UINT64_MAX, 0, (uintptr_t) "VirtualFree", UINT64_MAX, 0);
    maker_end(&maker);
    memset(maker.bytes + 40, 0, 8); /* the clock at the start */
    assert_true(load(&loaded, &maker));
    char *json = json_of(&loaded);
    assert_non_null(strstr(json, "\"address\": 18446744073709551615,"));
    assert_non_null(strstr(json, "\"count\": 18446744073709551615,"));
    assert_null(strstr(json, "{\"seconds\": null"));
    free(json);
    hm_unload(&loaded);
    maker_free(&maker);
}

/* Regions of 64 KiB, and a free of `thread` of what is not one. */
static void reserve(struct trace_maker *maker, uint64_t time, uint64_t base)
{
    MAKE(maker, MADE_ALLOC, time, 0, 0, 64 * KB, 0x3000, 4, 2, 0, 0, base, 64 * KB, base);
}

static void release(struct trace_maker *maker, uint64_t time, uint64_t base)
{
    MAKE(maker, MADE_FREE, time, 0, base, 0, 0x8000, 0, 0, 64 * KB, 64 * KB, base);
}

static void misuse(struct trace_maker *maker, uint64_t time, uint32_t thread, unsigned type, uint64_t address)
{
    const uint32_t before = maker->thread;

    maker->thread = thread;
    MAKE(maker, MADE_FREE, time, 0, address, 0, type, 0, NOT_OWNED, 0, 0, 0);
    maker->thread = before;
}

/* So many releases and misuses as are kept, and some more. */
static void test_many_misuses(void **state)
{
    (void)state;
    enum { RELEASE = 0x8000, MORE = 100 };
    struct trace_maker maker;
    struct loaded loaded;

    begin(&maker);
    for (uint64_t i = 1; i <= RELEASES_KEPT + MORE; i++) {
        MAKE(&maker, MADE_ALLOC, AT(i), 0, 0, 64 * KB, 0x3000, 4, 2, 0, 0, i * MB, 64 * KB, i * MB);
        MAKE(&maker, MADE_FREE, AT(i), 0, i * MB, 0, RELEASE, 0, 0, 64 * KB, 64 * KB, i * MB);
    }
    for (uint64_t i = 1; i <= MISUSES_MAX + MORE; i++)
        MAKE(&maker, MADE_FREE, AT(RELEASES_KEPT + MORE + i), 0, i * MB, 0, RELEASE, 0, NOT_OWNED, 0, 0, 0);
    end_and_load(&maker, &loaded);
    const struct misuses *misuses = &loaded.model.misuses;
    assert_int_equal(misuses->count, MISUSES_MAX);
    assert_int_equal(misuses->left_out, MORE);
    assert_int_equal(misuses->twice,
                     MISUSES_MAX); /* the first releases are forgotten: of them, none is kept */
    for (uint64_t i = 0; i < MISUSES_MAX; i++) {
        assert_true(misuses->list[i].twice);
        assert_int_equal(misuses->list[i].first.base, (MORE + 1 + i) * MB);
        assert_int_equal(misuses->list[i].first.time, MORE + 1 + i);
    }
    tell(&loaded);
    hm_unload(&loaded);
}

/* A program that frees foreign memory all day, and twice what was ours: that is not left out. */
static void test_twice_among_many(void **state)
{
    (void)state;
    struct trace_maker maker;
    struct loaded loaded;

    begin(&maker);
    for (uint64_t i = 0; i < 2 * MISUSES_MAX; i++)
        misuse(&maker, AT(i), 0, 0x8000, 64 * MB + i);
    reserve(&maker, AT(2000), MB);
    release(&maker, AT(2001), MB);
    misuse(&maker, AT(2002), 0, 0x8000, MB);
    misuse(&maker, AT(2003), 0, 0x8000, 64 * MB);
    end_and_load(&maker, &loaded);
    const struct misuses *misuses = &loaded.model.misuses;
    assert_int_equal(misuses->count, MISUSES_MAX);
    assert_int_equal(misuses->left_out, MISUSES_MAX + 2);
    assert_int_equal(misuses->twice, 1);
    assert_int_equal(misuses->list[MISUSES_MAX - 2].time, MISUSES_MAX - 2); /* still the first ones */
    assert_int_equal(misuses->list[MISUSES_MAX - 1].first.time, 2001);
    hm_unload(&loaded);
}

/* Which release explains a misuse: none before, if there was a region; none behind, if there was none, or if the thread is
 * the same one, which cannot have been too late for itself. */
static void test_which_release(void **state)
{
    (void)state;
    enum { DECOMMIT = 0x4000 };
    struct trace_maker maker;
    struct loaded loaded;

    begin(&maker);
    maker_thread(&maker, 1, "", 1111);
    maker_thread(&maker, 2, "", 2222);
    maker.thread = 1;
    reserve(&maker, AT(1), MB);
    release(&maker, AT(2), MB);
    reserve(&maker, AT(3), MB);
    misuse(&maker, AT(4), 2, DECOMMIT, MB + 4 * KB); /* within; the other one is back later */
    release(&maker, AT(5), MB);
    misuse(&maker, AT(10), 2, 0x8000, 2 * MB); /* nobody's, as far as is known */
    MAKE(&maker, MADE_LOST, AT(11), 0, 1);
    release(&maker, AT(12), 2 * MB); /* whose reservation was lost */
    reserve(&maker, AT(20), 3 * MB);
    misuse(&maker, AT(21), 1, DECOMMIT, 3 * MB + 4 * KB);
    release(&maker, AT(22), 3 * MB);
    MAKE(&maker, MADE_VIEW_MAPPED, AT(30), 0, MB, 64 * KB, 0);
    misuse(&maker, AT(31), 1, DECOMMIT, MB + 4 * KB);
    end_and_load(&maker, &loaded);
    const struct misuses *misuses = &loaded.model.misuses;
    assert_int_equal(misuses->count, 4);
    assert_true(misuses->list[0].twice);
    assert_int_equal(misuses->list[0].first.time, 5);
    for (uint32_t i = 1; i < 4; i++)
        assert_false(misuses->list[i].twice);
    hm_unload(&loaded);
}

/* What is not known is not told as if it was: when, and by which thread; and how much was left out. */
static void test_not_known(void **state)
{
    (void)state;
    for (unsigned lost = 0; lost < 2; lost++) {
        struct trace_maker maker;
        struct loaded loaded;

        begin(&maker);
        if (lost)
            MAKE(&maker, MADE_LOST, AT(0), 0, 1);
        MAKE(&maker, MADE_REGION, AT(0), 0, 4 * MB, 64 * KB, 64 * KB, 0, 0x3000);
        release(&maker, AT(1), MB);
        for (uint64_t i = 0; i <= MISUSES_MAX - 1 + lost; i++)
            misuse(&maker, AT(2), 0, 0x8000, MB);
        end_and_load(&maker, &loaded);
        char *text = text_of(&loaded), *json = json_of(&loaded);
        assert_non_null(
            strstr(text, lost ? ", there before the trace, or lost\n" : ", there before the trace\n"));
        assert_non_null(
            strstr(text, lost ? "reserved before the trace, or lost\n" : "reserved before the trace\n"));
        assert_non_null(strstr(text, lost ? "before, as far as is known: of 1 only the number is kept\n"
                                          : "512 of what was freed before\n"));
        assert_non_null(strstr(text, "0x100000\n"));
        assert_non_null(strstr(json, "\"thread\": null, "));
        free(text);
        free(json);
        hm_unload(&loaded);
    }
}

/* A thread's number is another thread's when all were forgotten. */
static void test_threads(void **state)
{
    (void)state;
    enum { RELEASE = 0x8000 };
    struct trace_maker maker;
    struct loaded loaded;

    begin(&maker);
    maker_thread(&maker, 99, "a worker", 1111);
    maker.thread = 99;
    MAKE(&maker, MADE_FREE, AT(1), 0, MB, 0, RELEASE, 0, NOT_OWNED, 0, 0, 0);
    maker_open(&maker, BLOCK_SEQUENCE_POINT);
    maker_put(&maker, AT(2), 8);
    maker_put(&maker, 1, 4);
    maker_put(&maker, 0, 4);
    maker.sequence = 0;
    MAKE(&maker, MADE_FREE, AT(3), 0, MB, 0, RELEASE, 0, NOT_OWNED, 0, 0, 0);
    maker_thread(&maker, 99, "", 2222);
    MAKE(&maker, MADE_FREE, AT(4), 0, MB, 0, RELEASE, 0, NOT_OWNED, 0, 0, 0);
    end_and_load(&maker, &loaded);
    assert_int_equal(loaded.result.ending, NETTRACE_COMPLETE);
    assert_int_equal(loaded.model.misuses.count, 3);
    assert_int_equal(loaded.model.misuses.list[0].thread, 1111);
    assert_int_equal(loaded.model.misuses.list[1].thread, 0);
    assert_int_equal(loaded.model.misuses.list[2].thread, 2222);
    hm_unload(&loaded);

    begin(&maker);
    maker_open(&maker, BLOCK_THREADS);
    maker_put(&maker, 500, 2);
    maker_end(&maker);
    expect(&maker, NETTRACE_DAMAGED, "a thread that is longer than its block");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_not_reserved_here),
        cmocka_unit_test(test_owned),
        cmocka_unit_test(test_misuse),
        cmocka_unit_test(test_last_address),
        cmocka_unit_test(test_many_misuses),
        cmocka_unit_test(test_twice_among_many),
        cmocka_unit_test(test_which_release),
        cmocka_unit_test(test_not_known),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

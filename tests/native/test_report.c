/*
 * test_report.c - what hostmem-report reads from traces that are made here, whole and broken, and the parts it is made of
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "report/compare.h"
#include "report/json.h"
#include "report/load.h"
#include "report/owned.h"
#include "report/text.h"
#include "support/trace_maker.h"

#define MB        ((uint64_t)1 << 20)
#define KB        ((uint64_t)1 << 10)
#define NOT_OWNED 0x80131022u
#define AT(ticks) (1000 + (uint64_t)(ticks)) /* the clock of a maker starts there */

static bool load_bytes(struct loaded *loaded, const void *bytes, size_t size)
{
    struct bytes source = bytes_of(bytes, size);
    return hm_load(loaded, (struct nettrace_source){maker_read, &source});
}

static bool load(struct loaded *loaded, const struct trace_maker *maker)
{
    return load_bytes(loaded, maker->bytes, maker->size);
}

/* Everything that can be said of it, said to nobody. */
static uint64_t tell(const struct loaded *loaded)
{
    struct out out = {.file = fopen("/dev/null", "wb")};
    const struct reported reported = {"a.nettrace", loaded};

    assert_non_null(out.file);
    hm_report_text(&out, &reported);
    assert_true(hm_report_json(&out, &reported, &reported));
    assert_true(hm_report_comparison(&out, &reported, &reported));
    fclose(out.file);
    return out.bytes;
}

static char *what_is_in(struct out *out)
{
    char *text = calloc(1, out->bytes + 1);

    assert_non_null(text);
    rewind(out->file);
    assert_int_equal(fread(text, 1, out->bytes, out->file), out->bytes);
    fclose(out->file);
    return text;
}

/* Its JSON, for free(). */
static char *json_of(const struct loaded *loaded)
{
    struct out out = {.file = tmpfile()};
    const struct reported reported = {"a.nettrace", loaded};

    assert_non_null(out.file);
    assert_true(hm_report_json(&out, &reported, NULL));
    return what_is_in(&out);
}

/* Its text, for free(). */
static char *text_of(const struct loaded *loaded)
{
    struct out out = {.file = tmpfile()};
    const struct reported reported = {"a.nettrace", loaded};

    assert_non_null(out.file);
    hm_report_text(&out, &reported);
    return what_is_in(&out);
}

/* ----------------------------------------------------------------------------------------------------- whole traces */

static void test_small(void **state)
{
    (void)state;
    struct trace_maker maker = {0};
    struct loaded loaded;

    assert_true(maker_scene(&maker, "small", 0));
    assert_true(load(&loaded, &maker));
    const struct model *model = &loaded.model;
    assert_int_equal(loaded.result.ending, NETTRACE_COMPLETE);
    assert_null(loaded.result.what);
    assert_int_equal(loaded.result.lost, 0);
    assert_int_equal(model->events, 23);
    assert_string_equal(hm_schema_text(&model->schema, model->runtime), "10.0.1");
    assert_int_equal(model->calls[METHOD_ALLOC], 6);
    assert_int_equal(model->failed[METHOD_ALLOC], 1);
    assert_int_equal(model->calls[METHOD_FREE], 2);
    assert_int_equal(model->refusals, 1);
    assert_int_equal(model->refused_bytes, 80 * MB);
    assert_int_equal(model->refused_reasons[3], 1);
    assert_int_equal(model->refused_levels[1], 1);
    assert_int_equal(model->notified[NOTIFIED_LOW], 1);
    assert_int_equal(model->notified[NOTIFIED_HIGH], 1);
    assert_int_equal(model->state.limits[LIMITS_LIMIT], 64 * MB);
    assert_true(model->state.limits[LIMITS_HEAP] == UNKNOWN);
    assert_int_equal(model->state.collections[0], 8);

    /* Sums of the events; the sample at the end says the same. */
    assert_int_equal(model->state.committed[USE_GC_HEAP], 4 * MB);
    assert_int_equal(model->state.committed[USE_CODE], 0);
    assert_int_equal(model->state.committed[USE_OTHER], 64 * KB);
    assert_int_equal(model->state.committed[USE_BLOCKS], 180 * KB);
    assert_int_equal(model->differences, 0);
    assert_int_equal(model->peak, 5 * MB + 192 * KB + 180 * KB);
    assert_int_equal(model->row_count, 2);
    tell(&loaded);
    hm_unload(&loaded);
    maker_free(&maker);
}

/* The stack with id 1 is another one after the sequence point; the file has it. */
static void test_sites(void **state)
{
    (void)state;
    struct trace_maker maker = {0};
    struct loaded loaded;
    char name[SITE_KEY_MAX];

    maker_scene(&maker, "small", 0);
    assert_true(load(&loaded, &maker));
    const struct model *model = &loaded.model;
    assert_int_equal(model->sites.count, 3);
    uint32_t *order = hm_sites_by_bytes(&model->sites);
    const struct site *most = &model->sites.list[order[0]];
    assert_int_equal(most->committed, 5 * MB);
    assert_int_equal(most->reserved, 256 * MB);
    assert_int_equal(most->held, 4 * MB);
    assert_int_equal(most->calls, 4);
    assert_int_equal(most->failed, 1);
    hm_site_name(model, most, 2, " < ", name);
    assert_string_equal(name, "coreclr.dll+0x1234 < coreclr.dll+0x5678");
    hm_site_name(model, &model->sites.list[order[2]], 1, " < ", name);
    assert_string_equal(name, "clrjit.dll+0x888");
    free(order);
    hm_unload(&loaded);
    maker_free(&maker);
}

static void test_map(void **state)
{
    (void)state;
    struct trace_maker maker = {0};
    struct loaded loaded;

    maker_scene(&maker, "small", 0);
    assert_true(load(&loaded, &maker));
    const struct frames *frames = &loaded.model.frames;
    assert_true(frames->count > 4);
    const struct frame *last = &frames->list[frames->count - 1];
    assert_int_equal(last->region_count, 2);
    assert_int_equal(last->regions[0].base, 0x20000000000);
    assert_int_equal(last->regions[0].committed, 4 * MB);
    assert_int_equal(last->regions[0].run_count, 3); /* 4 MB with a hole, and one apart */
    const struct run *run = &last->runs[last->regions[0].first_run];
    assert_int_equal(run[0].end - run[0].start, MB);
    assert_int_equal(run[1].end - run[1].start, 2 * MB);
    assert_int_equal(run[2].start, 0x20000000000 + 8 * MB);
    hm_unload(&loaded);
    maker_free(&maker);
}

/* More events than are held at a time, and more moments than the timeline has slices. */
static void test_program(void **state)
{
    (void)state;
    enum { EVENTS = 400000 };
    struct trace_maker maker = {0};
    struct loaded loaded;
    uint64_t calls = 0, refusals = 0;

    maker_scene(&maker, "program", EVENTS);
    assert_true(load(&loaded, &maker));
    const struct model *model = &loaded.model;
    assert_int_equal(loaded.result.ending, NETTRACE_COMPLETE);
    assert_int_equal(loaded.result.lost, 0);
    assert_int_equal(model->last_sample_difference, 0);
    assert_int_equal(model->differences, 0);
    assert_in_range(model->timeline.count, SLICES_MAX / 2, SLICES_MAX);
    for (uint32_t i = 0; i < model->timeline.count; i++) {
        calls += model->timeline.slices[i].calls[METHOD_ALLOC];
        refusals += model->timeline.slices[i].refusals;
    }
    assert_int_equal(calls, model->calls[METHOD_ALLOC]);
    assert_int_equal(refusals, model->refusals);
    assert_in_range(model->frames.count, FRAMES_MAX / 4, FRAMES_MAX);
    assert_true(tell(&loaded) < 2000000);
    hm_unload(&loaded);
    maker_free(&maker);
}

/* ------------------------------------------------------------------------------------------------ what is not whole */

static void begin(struct trace_maker *maker)
{
    *maker = (struct trace_maker){0};
    maker_begin(maker, 8);
    maker_rows(maker);
}

static void expect(struct trace_maker *maker, enum nettrace_ending ending, const char *what)
{
    struct loaded loaded;

    load(&loaded, maker);
    assert_int_equal(loaded.result.ending, ending);
    assert_non_null(loaded.result.what);
    assert_string_equal(loaded.result.what, what);
    hm_unload(&loaded);
    maker_free(maker);
}

static void test_cut_everywhere(void **state)
{
    (void)state;
    struct trace_maker maker = {0};
    bool told = false;

    maker_scene(&maker, "small", 100); /* few slices: it takes less time */
    for (size_t size = 0; size < maker.size; size++) {
        struct loaded loaded;
        uint8_t *copy = malloc(size + 1); /* for the sanitizer: nothing is behind it */
        memcpy(copy, maker.bytes, size);
        const bool now = load_bytes(&loaded, copy, size);
        assert_true(now || !told); /* more of it tells no less */
        told = now;
        assert_int_equal(loaded.result.ending, size < 20 ? NETTRACE_FOREIGN : NETTRACE_CUT);
        assert_non_null(loaded.result.what);
        if (now && size % 16 == 0)
            tell(&loaded);
        hm_unload(&loaded);
        free(copy);
    }
    assert_true(told);
    maker_free(&maker);
}

/* Every byte another one, by a bit: it may be read or not, but has an end. */
static void test_damaged_everywhere(void **state)
{
    (void)state;
    struct trace_maker maker = {0};
    unsigned seen = 0;

    maker_scene(&maker, "small", 100); /* few slices: it takes less time */
    for (size_t at = 0; at < maker.size; at++) {
        struct loaded loaded;
        maker.bytes[at] ^= (uint8_t)(1u << at % 8);
        if (load(&loaded, &maker) && at % 16 == 0)
            tell(&loaded);
        seen += loaded.result.what != NULL || loaded.model.last_sample_difference != 0;
        hm_unload(&loaded);
        maker.bytes[at] ^= (uint8_t)(1u << at % 8);
    }
    assert_true(seen > maker.size / 4);
    maker_free(&maker);
}

static void test_foreign(void **state)
{
    (void)state;
    struct trace_maker maker = {0};

    expect(&maker, NETTRACE_FOREIGN, "the file is empty");
    maker_put(&maker, 0x04034B50, 4);
    expect(&maker, NETTRACE_FOREIGN, "is no .nettrace file");
    maker_begin(&maker, 8);
    maker.bytes[8] = 20; /* where version 5 has the length of a name */
    expect(&maker, NETTRACE_FOREIGN, "a .nettrace file of another format version than 6");
    maker_begin(&maker, 8);
    maker.bytes[12] = 7;
    expect(&maker, NETTRACE_FOREIGN, "a .nettrace file of another format version than 6");
    maker_begin(&maker, 8);
    maker_row(&maker, 1, "Microsoft-Windows-DotNETRuntime", "GCStart", "Count u32");
    MAKE(&maker, 1, AT(0), 0, 1);
    maker_end(&maker);
    expect(&maker, NETTRACE_FOREIGN, "a .nettrace file without events of hostmem");
}

static void test_hostile(void **state)
{
    (void)state;
    struct trace_maker maker;

    begin(&maker);
    maker_open(&maker, BLOCK_EVENTS); /* a block of 16 MB of which nothing is there */
    memset(maker.bytes + maker.size - 4, 0xFF, 3);
    expect(&maker, NETTRACE_CUT, "the file ends within a block");

    begin(&maker);
    MAKE(&maker, MADE_LOST, AT(0), 0, 1);
    maker.bytes[maker.size - 9] = 0x7F; /* a payload longer than the block */
    maker_end(&maker);
    expect(&maker, NETTRACE_DAMAGED, "an event that is longer than its block");

    begin(&maker);
    MAKE(&maker, MADE_LOST, AT(0), 0, 1);
    maker.bytes[maker.size - 9] = 4; /* shorter than its fields */
    maker.size -= 4;
    maker_end(&maker);
    expect(&maker, NETTRACE_DAMAGED, "an event that is shorter than its fields");

    begin(&maker);
    MAKE(&maker, 31, AT(0), 0, 1);
    maker_end(&maker);
    expect(&maker, NETTRACE_DAMAGED, "an event of a kind that was not described before");

    begin(&maker);
    maker_open(&maker, BLOCK_STACKS); /* four billion stacks */
    maker_put(&maker, 1, 4);
    maker_put(&maker, UINT32_MAX, 4);
    maker_end(&maker);
    expect(&maker, NETTRACE_DAMAGED, "a stack that is longer than its block");

    maker = (struct trace_maker){0};
    maker_begin(&maker, 5);
    expect(&maker, NETTRACE_DAMAGED, "pointers that have neither 4 bytes nor 8");
}

/* Wherever one looks, figures stay figures. */
static void test_absurd_values(void **state)
{
    (void)state;
    struct trace_maker maker;
    struct loaded loaded;
    const uint64_t most = UINT64_MAX;

    begin(&maker);
    for (unsigned i = 0; i < 4; i++) {
        MAKE(&maker, MADE_ALLOC, most, 7, most, most, most, most, most, most, 0, most - i, most, most - i);
        MAKE(&maker, MADE_ALLOC, 0, 7, 0, most, 0x3000, 4, 9, 9, 0, i, most, i);
        MAKE(&maker, MADE_FREE, AT(i), 0, i, most, most, 200, 0, most, 0, i);
        MAKE(&maker, MADE_FREE, AT(i), 0, i, most, most, 200, 0, most, most, most - i);
        MAKE(&maker, MADE_VIEW_MAPPED, AT(i), 0, most, most, most);
        MAKE(&maker, MADE_REFUSAL, AT(i), 0, most, 255, 255, most, most);
        MAKE(&maker, MADE_NOTIFICATION, AT(i), 0, most);
        MAKE(&maker, MADE_SAMPLE, AT(i), 0, most, most, most, most, most, most, most, most, most, most, most,
             most, most, most);
        MAKE(&maker, MADE_REGION, AT(i), 0, most, most, most, 255, most);
        MAKE(&maker, MADE_LIMITS, AT(i), 0, 0, 0, 0, 0, 0, 0);
        MAKE(&maker, MADE_RUNTIME, AT(i), 0, (uintptr_t) "\xFF</script>\x01");
    }
    maker_end(&maker);
    assert_true(load(&loaded, &maker));
    assert_int_equal(loaded.result.ending, NETTRACE_COMPLETE);
    assert_in_range(loaded.model.timeline.count, 1, SLICES_MAX);
    tell(&loaded);
    hm_unload(&loaded);
    maker_free(&maker);
}

/* ------------------------------------------------------------------------------------------------------ lost events */

/* What is missing is counted by the numbers of events, and the next sample puts the sums right. */
static void test_lost(void **state)
{
    (void)state;
    struct trace_maker maker;
    struct loaded loaded;

    begin(&maker);
    MAKE(&maker, MADE_SAMPLE, AT(0), 0, MB, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    MAKE(&maker, MADE_ALLOC, AT(1), 0, 0, MB, 0x3000, 4, 2, 1, 0, MB, MB, MB);
    maker.sequence += 5;
    MAKE(&maker, MADE_LOST, AT(2), 0, 5);
    MAKE(&maker, MADE_SAMPLE, AT(3), 0, 9 * MB, 0, 0, 3 * MB, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    MAKE(&maker, MADE_ALLOC, AT(4), 0, 0, MB, 0x3000, 4, 2, 1, 0, 64 * MB, MB, 64 * MB);
    MAKE(&maker, MADE_SAMPLE, AT(5), 0, 10 * MB, 0, 0, 4 * MB, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    maker_end(&maker);
    assert_true(load(&loaded, &maker));
    assert_int_equal(loaded.result.lost, 5);
    assert_int_equal(loaded.model.lost, 5);
    assert_int_equal(loaded.model.state.committed[USE_GC_HEAP], 4 * MB);
    assert_int_equal(loaded.model.state.reserved, 10 * MB);
    assert_int_equal(loaded.model.last_sample_difference, 0);
    hm_unload(&loaded);
    maker_free(&maker);
}

/* An event too few, of which nothing tells: the sample does. */
static void test_missing_event_shows(void **state)
{
    (void)state;
    struct trace_maker maker;
    struct loaded loaded;

    begin(&maker);
    MAKE(&maker, MADE_SAMPLE, AT(0), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    MAKE(&maker, MADE_SAMPLE, AT(3), 0, MB, 0, 0, 3 * MB, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    maker_end(&maker);
    assert_true(load(&loaded, &maker));
    assert_int_equal(loaded.model.last_sample_difference, 3 * MB);
    assert_int_equal(loaded.model.state.committed[USE_GC_HEAP], 0);
    hm_unload(&loaded);
    maker_free(&maker);
}

/* Fields in another order, of other types, and some that nobody knows. */
static void test_fields_by_name(void **state)
{
    (void)state;
    struct trace_maker maker = {0};
    struct loaded loaded;

    maker_begin(&maker, 8);
    maker_row(
        &maker, 3, "Hostmem", "Alloc",
        "Note s, Region v, Level u32, Extra u64, Committed v, Type v, Address v, Bytes v, Use v, Result u8");
    maker_row(&maker, 4, "Hostmem", "Later", "Anything u64");
    MAKE(&maker, 3, AT(1), 0, (uintptr_t) "text", 64 * KB, 2, 99, 8 * KB, 0x3000, 64 * KB, 64 * KB, 3, 0);
    MAKE(&maker, 4, AT(2), 0, 1);
    maker_end(&maker);
    assert_true(load(&loaded, &maker));
    assert_int_equal(loaded.result.ending, NETTRACE_COMPLETE);
    assert_int_equal(loaded.model.events, 1);
    assert_int_equal(loaded.model.state.committed[USE_CODE], 8 * KB);
    assert_int_equal(loaded.model.state.reserved, 64 * KB);
    hm_unload(&loaded);
    maker_free(&maker);
}

/* Stacks begin in the recorder; what calls it is what is told, once. */
static void test_recorder_not_told(void **state)
{
    (void)state;
    const uint64_t own = 0x140000000, runtime = 0x7FF000000000;
    struct trace_maker maker;
    struct loaded loaded;
    char name[SITE_KEY_MAX];

    begin(&maker);
    maker_stack(&maker, 1, 3, (const uint64_t[]){own + 1, own + 2, runtime + 3});
    maker_stack(&maker, 2, 2, (const uint64_t[]){own + 4, runtime + 3});
    maker_stack(&maker, 3, 3, (const uint64_t[]){own + 1, runtime + 5, own + 6});
    for (uint32_t stack = 1; stack <= 3; stack++)
        MAKE(&maker, MADE_ALLOC, AT(stack), stack, 0, MB, 0x3000, 4, 2, 1, 0, stack * MB, MB, stack * MB);
    MAKE(&maker, MADE_IMAGE, AT(4), 0, 1, 1, own, own + MB, 0, (uintptr_t) "hostmem.dll", 0);
    MAKE(&maker, MADE_IMAGE, AT(4), 0, 1, 1, runtime, runtime + MB, 0, (uintptr_t) "coreclr.dll", 0);
    maker_end(&maker);
    assert_true(load(&loaded, &maker));
    const struct sites *sites = &loaded.model.sites;
    assert_int_equal(sites->count, 2);
    hm_site_name(&loaded.model, &sites->list[1], 9, " < ", name);
    assert_string_equal(name, "coreclr.dll+0x3");
    assert_int_equal(sites->list[1].committed, 2 * MB);
    assert_int_equal(sites->list[1].by_use[USE_GC_HEAP], 2 * MB);
    assert_int_equal(sites->list[1].held, 2 * MB);
    assert_int_equal(sites->list[1].calls, 2);
    hm_site_name(&loaded.model, &sites->list[2], 9, " < ", name);
    assert_string_equal(name, "coreclr.dll+0x5 < hostmem.dll+0x6");
    for (uint64_t stack = 1; stack <= 3; stack++) /* a region knows its own still */
        assert_int_equal(hm_regions_find(&loaded.model.regions, stack * MB)->site, stack == 3 ? 2 : 1);
    hm_unload(&loaded);
    maker_free(&maker);
}

/* ------------------------------------------------------------------------------------------------ leaks and misuse */

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
    maker_end(&maker);
    assert_true(load(&loaded, &maker));
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
    maker_free(&maker);
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
    maker_end(&maker);
    assert_true(load(&loaded, &maker));
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
    maker_free(&maker);
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
    maker_end(&maker);
    assert_true(load(&loaded, &maker));
    const struct misuses *misuses = &loaded.model.misuses;
    assert_int_equal(misuses->count, MISUSES_MAX);
    assert_int_equal(misuses->left_out, MISUSES_MAX + 2);
    assert_int_equal(misuses->twice, 1);
    assert_int_equal(misuses->list[MISUSES_MAX - 2].time, MISUSES_MAX - 2); /* still the first ones */
    assert_int_equal(misuses->list[MISUSES_MAX - 1].first.time, 2001);
    hm_unload(&loaded);
    maker_free(&maker);
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
    maker_end(&maker);
    assert_true(load(&loaded, &maker));
    const struct misuses *misuses = &loaded.model.misuses;
    assert_int_equal(misuses->count, 4);
    assert_true(misuses->list[0].twice);
    assert_int_equal(misuses->list[0].first.time, 5);
    for (uint32_t i = 1; i < 4; i++)
        assert_false(misuses->list[i].twice);
    hm_unload(&loaded);
    maker_free(&maker);
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
        maker_end(&maker);
        assert_true(load(&loaded, &maker));
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
        maker_free(&maker);
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
    maker_end(&maker);
    assert_true(load(&loaded, &maker));
    assert_int_equal(loaded.result.ending, NETTRACE_COMPLETE);
    assert_int_equal(loaded.model.misuses.count, 3);
    assert_int_equal(loaded.model.misuses.list[0].thread, 1111);
    assert_int_equal(loaded.model.misuses.list[1].thread, 0);
    assert_int_equal(loaded.model.misuses.list[2].thread, 2222);
    hm_unload(&loaded);
    maker_free(&maker);

    begin(&maker);
    maker_open(&maker, BLOCK_THREADS);
    maker_put(&maker, 500, 2);
    maker_end(&maker);
    expect(&maker, NETTRACE_DAMAGED, "a thread that is longer than its block");
}

/* --------------------------------------------------------------------------------------------------------- the parts */

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

/* No text of a trace can end the element that it is in, or be no JSON. */
static void test_json_texts(void **state)
{
    (void)state;
    static const char source[] = "a\"b\\c</script>&\x01\xFF\xC3\xA9\xED\xA0\x80\xE2\x80\xAE";
    static const char expected[] = "\"a\\u0022b\\u005cc\\u003c/script\\u003e\\u0026\\ufffd\\ufffd\xC3\xA9"
                                   "\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\"";
    char text[200] = {0};
    struct out out = {.file = tmpfile()};

    hm_out_json(&out, source);
    rewind(out.file);
    assert_int_equal(fread(text, 1, sizeof text - 1, out.file), strlen(expected));
    assert_string_equal(text, expected);
    fclose(out.file);
}

/* The other trace's images lie elsewhere, and it has allocated more. */
static void test_compared(void **state)
{
    (void)state;
    struct trace_maker maker[2];
    struct loaded loaded[2];
    struct site_pairs pairs;

    for (unsigned i = 0; i < 2; i++) {
        const uint64_t image = 0x7FF000000000 + i * 64 * MB;
        begin(&maker[i]);
        maker_stack(&maker[i], 1, 1, (const uint64_t[]){image + 0x10});
        maker_stack(&maker[i], 2, 1, (const uint64_t[]){image + (i ? 0x20 : 0x30)});
        MAKE(&maker[i], MADE_IMAGE, AT(0), 0, 1, 1, image, image + MB, 0, (uintptr_t) "/a/b.dll", 0);
        MAKE(&maker[i], MADE_ALLOC, AT(1), 1, 0, 8 * MB, 0x3000, 4, 2, 1, 0, MB, (2 + i * 5) * MB, MB);
        MAKE(&maker[i], MADE_ALLOC, AT(2), 2, 0, MB, 0x3000, 4, 2, 1, 0, 32 * MB, MB, 32 * MB);
        maker_end(&maker[i]);
        assert_true(load(&loaded[i], &maker[i]));
    }
    assert_true(hm_compare_sites(&pairs, &loaded[0].model, &loaded[1].model));
    assert_int_equal(pairs.count, 3);
    assert_int_equal(pairs.list[0].committed, 5 * (int64_t)MB);
    assert_true(pairs.list[0].first != 0 && pairs.list[0].second != 0);
    assert_int_equal(pairs.list[1].committed, -(int64_t)MB + (pairs.list[1].second ? 2 * (int64_t)MB : 0));
    assert_int_equal(pairs.list[1].committed, -pairs.list[2].committed);
    hm_pairs_clear(&pairs);
    for (unsigned i = 0; i < 2; i++) {
        hm_unload(&loaded[i]);
        maker_free(&maker[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small),
        cmocka_unit_test(test_sites),
        cmocka_unit_test(test_map),
        cmocka_unit_test(test_program),
        cmocka_unit_test(test_cut_everywhere),
        cmocka_unit_test(test_damaged_everywhere),
        cmocka_unit_test(test_foreign),
        cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_absurd_values),
        cmocka_unit_test(test_lost),
        cmocka_unit_test(test_missing_event_shows),
        cmocka_unit_test(test_fields_by_name),
        cmocka_unit_test(test_runs),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_table_hostile),
        cmocka_unit_test(test_json_texts),
        cmocka_unit_test(test_compared),
        cmocka_unit_test(test_recorder_not_told),
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

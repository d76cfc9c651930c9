/*
 * test_report.c - what hostmem-report reads from traces that are made here: whole ones, and some in which events are lost
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
#include "report/out.h"

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
    end_and_load(&maker, &loaded);
    assert_int_equal(loaded.result.lost, 5);
    assert_int_equal(loaded.model.lost, 5);
    assert_int_equal(loaded.model.state.committed[USE_GC_HEAP], 4 * MB);
    assert_int_equal(loaded.model.state.reserved, 10 * MB);
    assert_int_equal(loaded.model.last_sample_difference, 0);
    hm_unload(&loaded);
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
    end_and_load(&maker, &loaded);
    assert_int_equal(loaded.model.last_sample_difference, 3 * MB);
    assert_int_equal(loaded.model.state.committed[USE_GC_HEAP], 0);
    hm_unload(&loaded);
}

/* A sample has what a call has done that is still at work, and whose event comes later: what was lost is known when one
 * agrees. */
static void test_lost_at_work(void **state)
{
    (void)state;
    struct trace_maker maker;
    struct loaded loaded;

    begin(&maker);
    MAKE(&maker, MADE_SAMPLE, AT(0), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    MAKE(&maker, MADE_LOST, AT(1), 0, 1);
    MAKE(&maker, MADE_SAMPLE, AT(2), 0, 2 * MB, 0, 0, MB, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    MAKE(&maker, MADE_ALLOC, AT(3), 0, 0, 2 * MB, 0x3000, 4, 2, 1, 0, MB, MB, MB);
    MAKE(&maker, MADE_SAMPLE, AT(4), 0, 2 * MB, 0, 0, MB, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    MAKE(&maker, MADE_SAMPLE, AT(5), 0, 2 * MB, 0, 0, MB, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    end_and_load(&maker, &loaded);
    assert_int_equal(loaded.model.state.committed[USE_GC_HEAP], MB);
    assert_int_equal(loaded.model.state.reserved, 2 * MB);
    assert_int_equal(loaded.model.last_sample_difference, 0);
    hm_unload(&loaded);
}

/* So it is with the first one. */
static void test_begun_at_work(void **state)
{
    (void)state;
    struct trace_maker maker;
    struct loaded loaded;

    begin(&maker);
    MAKE(&maker, MADE_SAMPLE, AT(0), 0, 2 * MB, 0, 0, MB, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    MAKE(&maker, MADE_ALLOC, AT(1), 0, 0, 2 * MB, 0x3000, 4, 2, 1, 0, MB, MB, MB);
    MAKE(&maker, MADE_SAMPLE, AT(2), 0, 2 * MB, 0, 0, MB, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    MAKE(&maker, MADE_SAMPLE, AT(3), 0, 2 * MB, 0, 0, MB, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    end_and_load(&maker, &loaded);
    assert_int_equal(loaded.model.state.committed[USE_GC_HEAP], MB);
    assert_int_equal(loaded.model.state.reserved, 2 * MB);
    assert_int_equal(loaded.model.last_sample_difference, 0);
    hm_unload(&loaded);
}

/* What a sample has counted is not counted again when its region is heard of: its release was being refused when the trace
 * began, or there was no room for it. */
static void test_region_heard_of_late(void **state)
{
    (void)state;
    struct trace_maker maker;
    struct loaded loaded;

    begin(&maker);
    MAKE(&maker, MADE_SAMPLE, AT(0), 0, MB, 0, 0, MB, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    MAKE(&maker, MADE_SAMPLE, AT(1), 0, MB, 0, 0, MB, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    MAKE(&maker, MADE_REGION, AT(2), 0, MB, MB, MB, 1, 0x3000);
    MAKE(&maker, MADE_LIMITS, AT(3), 0, 0, 0, 0, 0, 0, 0);
    end_and_load(&maker, &loaded);
    assert_int_equal(loaded.model.state.committed[USE_GC_HEAP], MB);
    assert_int_equal(loaded.model.state.reserved, MB);
    assert_int_equal(hm_regions_find(&loaded.model.regions, MB)->committed, MB);
    hm_unload(&loaded);
}

/* What was lost counts by the sample; so when it goes, it goes from there, and from the use that the event has. */
static void test_lost_then_freed(void **state)
{
    (void)state;
    struct trace_maker maker;
    struct loaded loaded;

    begin(&maker);
    MAKE(&maker, MADE_SAMPLE, AT(0), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    MAKE(&maker, MADE_ALLOC, AT(1), 0, 0, MB, 0x3000, 4, 2, 0, 0, MB, MB, MB);
    MAKE(&maker, MADE_LOST, AT(2), 0, 1);
    MAKE(&maker, MADE_SAMPLE, AT(3), 0, 9 * MB, 0, 0, 8 * MB, 0, 0, 0, 0, MB, 0, 0, 0, 0, 0);
    MAKE(&maker, MADE_FREE, AT(4), 0, 64 * MB, 0, 0x8000, 1, 0, 8 * MB, 8 * MB, 64 * MB);
    MAKE(&maker, MADE_SAMPLE, AT(5), 0, MB, 0, 0, 0, 0, 0, 0, 0, MB, 0, 0, 0, 0, 0);
    end_and_load(&maker, &loaded);
    assert_int_equal(loaded.model.state.committed[USE_GC_HEAP], 0);
    assert_int_equal(loaded.model.state.committed[USE_OTHER], MB);
    assert_int_equal(loaded.model.state.reserved, MB);
    assert_int_equal(loaded.model.last_sample_difference, 0);
    hm_unload(&loaded);
}

/* Where something is reserved nothing is left of what was there before, though its release was lost. */
static void test_reserved_again(void **state)
{
    (void)state;
    struct trace_maker maker;
    struct loaded loaded;

    begin(&maker);
    MAKE(&maker, MADE_SAMPLE, AT(0), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    MAKE(&maker, MADE_ALLOC, AT(1), 0, 0, 8 * MB, 0x3000, 4, 2, 1, 0, MB, 8 * MB, MB);
    MAKE(&maker, MADE_LOST, AT(2), 0, 1);
    MAKE(&maker, MADE_SAMPLE, AT(3), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    MAKE(&maker, MADE_ALLOC, AT(4), 0, 0, 2 * MB, 0x2000, 4, 2, 4, 0, MB, 0, MB);
    MAKE(&maker, MADE_ALLOC, AT(5), 0, MB, MB, 0x1000, 4, 2, 4, 0, MB, MB, MB);
    MAKE(&maker, MADE_SAMPLE, AT(6), 0, 2 * MB, 0, 0, 0, 0, 0, MB, 0, 0, 0, 0, 0, 0, 0);
    end_and_load(&maker, &loaded);
    assert_int_equal(loaded.model.last_sample_difference, 0);
    assert_int_equal(loaded.model.state.reserved, 2 * MB);
    const struct region *region = hm_regions_find(&loaded.model.regions, MB);
    assert_int_equal(region->bytes, 2 * MB);
    assert_int_equal(region->committed, MB);
    assert_int_equal(region->use, USE_LOADER);
    assert_int_equal(region->runs[0].end, 2 * MB);
    hm_unload(&loaded);
}

/* A commit in memory that is nobody's is in no sample; one in a view is. */
static void test_committed_elsewhere(void **state)
{
    (void)state;
    struct trace_maker maker;
    struct loaded loaded;

    begin(&maker);
    MAKE(&maker, MADE_SAMPLE, AT(0), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    MAKE(&maker, MADE_ALLOC, AT(1), 0, MB, MB, 0x1000, 4, 2, 0, 0, MB, MB, 0);
    MAKE(&maker, MADE_ALLOC, AT(2), 0, 4 * MB, MB, 0x1000, 4, 2, 5, 0, 4 * MB, 64 * KB, 0);
    MAKE(&maker, MADE_SAMPLE, AT(3), 0, 0, 0, 0, 0, 0, 0, 0, 64 * KB, 0, 0, 0, 0, 0, 0);
    end_and_load(&maker, &loaded);
    assert_int_equal(loaded.model.last_sample_difference, 0);
    assert_int_equal(loaded.model.state.committed[USE_VIEW], 64 * KB);
    assert_int_equal(loaded.model.state.committed[USE_OTHER], 0);
    hm_unload(&loaded);
}

/* A sample that is believed agrees with nothing. */
static void test_sample_believed(void **state)
{
    (void)state;
    for (unsigned lost = 0; lost < 3; lost++) {
        struct trace_maker maker;
        struct loaded loaded;

        begin(&maker);
        if (lost != 0)
            MAKE(&maker, MADE_LOST, AT(0), 0, 1);
        if (lost != 1)
            MAKE(&maker, MADE_SAMPLE, AT(1), 0, MB, 0, 0, MB, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
        MAKE(&maker, MADE_LIMITS, AT(2), 0, 0, 0, 0, 0, 0, 0);
        end_and_load(&maker, &loaded);
        char *text = text_of(&loaded), *json = json_of(&loaded);
        assert_null(strstr(text, "agrees"));
        assert_non_null(strstr(json, "\"last_difference\": null"));
        free(text);
        free(json);
        hm_unload(&loaded);
    }
}

/* Views that were there already are no calls. */
static void test_views_from_before(void **state)
{
    (void)state;
    struct trace_maker maker;
    struct loaded loaded;

    begin(&maker);
    MAKE(&maker, MADE_VIEW_MAPPED, AT(0), 0, MB, MB, 0);
    MAKE(&maker, MADE_SAMPLE, AT(1), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    MAKE(&maker, MADE_VIEW_MAPPED, AT(2), 0, 4 * MB, MB, 0);
    MAKE(&maker, MADE_VIEW_UNMAPPED, AT(3), 0, MB, MB);
    end_and_load(&maker, &loaded);
    assert_int_equal(loaded.model.calls[METHOD_VIEW_MAPPED], 1);
    assert_int_equal(loaded.model.calls[METHOD_VIEW_UNMAPPED], 1);
    assert_int_equal(loaded.model.regions.count, 1);
    hm_unload(&loaded);
}

/* Windows deals in pages, whatever it is asked for; and 0 bytes are all of a region. */
static void test_pages(void **state)
{
    (void)state;
    struct trace_maker maker;
    struct loaded loaded;
    const struct region *region;

    begin(&maker);
    MAKE(&maker, MADE_SAMPLE, AT(0), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    MAKE(&maker, MADE_ALLOC, AT(1), 0, 0, 100, 0x2000, 4, 2, 1, 0, MB, 0, MB);
    MAKE(&maker, MADE_FREE, AT(2), 0, MB, 0, 0x8000, 1, 0, 0, 4 * KB, MB);
    MAKE(&maker, MADE_ALLOC, AT(3), 0, MB + 8 * KB, 5 * KB, 0x2000, 4, 2, 1, 0, MB, 0, MB);
    MAKE(&maker, MADE_ALLOC, AT(4), 0, MB + 5 * KB, KB, 0x1000, 4, 2, 1, 0, MB + 4 * KB, 4 * KB, MB);
    maker_end(&maker);
    assert_true(load(&loaded, &maker));
    assert_int_equal(loaded.model.state.reserved, 16 * KB);
    region = hm_regions_find(&loaded.model.regions, MB);
    assert_int_equal(region->bytes, 16 * KB);
    assert_int_equal(region->run_count, 1);
    assert_int_equal(region->runs[0].start, MB + 4 * KB);
    assert_int_equal(region->runs[0].end, MB + 8 * KB);
    hm_unload(&loaded);
    maker.size -= 4; /* the end mark */
    MAKE(&maker, MADE_FREE, AT(5), 0, MB, 0, 0x4000, 1, 0, 4 * KB, 0, MB);
    maker_end(&maker);
    assert_true(load(&loaded, &maker));
    assert_int_equal(hm_regions_find(&loaded.model.regions, MB)->run_count, 0);
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
    maker_row(&maker, 3, "Hostmem", "Alloc",
              "Note s, Region v, Level u32, Extra u64, Id g, Load d, Committed v, Type v, Address v, Bytes "
              "v, Use v, Result u8");
    maker_row(&maker, 4, "Hostmem", "Later", "Anything u64");
    MAKE(&maker, 3, AT(1), 0, (uintptr_t) "text", 64 * KB, 2, 99, 98, 97, 8 * KB, 0x3000, 64 * KB, 64 * KB, 3,
         0);
    MAKE(&maker, 4, AT(2), 0, 1);
    end_and_load(&maker, &loaded);
    assert_int_equal(loaded.result.ending, NETTRACE_COMPLETE);
    assert_int_equal(loaded.model.events, 1);
    assert_int_equal(loaded.model.state.committed[USE_CODE], 8 * KB);
    assert_int_equal(loaded.model.state.reserved, 64 * KB);
    hm_unload(&loaded);
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
    end_and_load(&maker, &loaded);
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
}

/* Those for which there is no room are counted once each, however often the file has them. */
static void test_stacks_left_out(void **state)
{
    (void)state;
    enum { KEPT = 4096, MORE = 10 };
    struct trace_maker maker;
    struct loaded loaded;

    begin(&maker);
    for (unsigned round = 0; round < 3; round++) {
        for (uint64_t i = 0; i < KEPT + MORE; i++)
            maker_stack(&maker, (uint32_t)i + 1, 1, (const uint64_t[]){MB + i});
        MAKE(&maker, MADE_LIMITS, AT(round), 0, 0, 0, 0, 0, 0, 0);
        maker_sequence_point(&maker, AT(round));
    }
    end_and_load(&maker, &loaded);
    assert_int_equal(loaded.model.sites.count, KEPT);
    assert_int_equal(loaded.model.sites.left_out, MORE);
    hm_unload(&loaded);
}

/* ------------------------------------------------------------------------------------------------- how it is told */

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

/* As long as hostmem writes it, in UTF-8: the name is at its end. */
static void test_long_path(void **state)
{
    (void)state;
    enum { LONGEST = 3 * 1024 };
    static char path[LONGEST + 1];
    static const char name[] = "/named.dll";
    const uint64_t image = 0x7FF000000000;
    struct trace_maker maker;
    struct loaded loaded;

    memset(path, 'a', LONGEST);
    path[0] = '/';
    strcpy(path + LONGEST - strlen(name), name);
    begin(&maker);
    maker_stack(&maker, 1, 1, (const uint64_t[]){image + 0x10});
    MAKE(&maker, MADE_IMAGE, AT(0), 0, 1, 1, image, image + MB, 0, (uintptr_t)path, 0);
    MAKE(&maker, MADE_ALLOC, AT(1), 1, 0, 8 * MB, 0x3000, 4, 2, 1, 0, MB, 8 * MB, MB);
    maker_end(&maker);
    assert_true(load(&loaded, &maker));
    char *text = text_of(&loaded);
    assert_non_null(strstr(text, "named.dll+0x10"));
    free(text);
    hm_unload(&loaded);
    maker_free(&maker);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small),
        cmocka_unit_test(test_sites),
        cmocka_unit_test(test_map),
        cmocka_unit_test(test_program),
        cmocka_unit_test(test_lost),
        cmocka_unit_test(test_missing_event_shows),
        cmocka_unit_test(test_lost_at_work),
        cmocka_unit_test(test_begun_at_work),
        cmocka_unit_test(test_region_heard_of_late),
        cmocka_unit_test(test_lost_then_freed),
        cmocka_unit_test(test_reserved_again),
        cmocka_unit_test(test_committed_elsewhere),
        cmocka_unit_test(test_sample_believed),
        cmocka_unit_test(test_views_from_before),
        cmocka_unit_test(test_pages),
        cmocka_unit_test(test_fields_by_name),
        cmocka_unit_test(test_recorder_not_told),
        cmocka_unit_test(test_stacks_left_out),
        cmocka_unit_test(test_json_texts),
        cmocka_unit_test(test_compared),
        cmocka_unit_test(test_long_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

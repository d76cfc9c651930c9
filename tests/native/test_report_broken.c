/*
 * test_report_broken.c - what hostmem-report makes of files that are cut, damaged, or no traces
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "loaded_trace.h"

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
    end_and_load(&maker, &loaded);
    assert_int_equal(loaded.result.ending, NETTRACE_COMPLETE);
    assert_in_range(loaded.model.timeline.count, 1, SLICES_MAX);
    tell(&loaded);
    hm_unload(&loaded);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut_everywhere), cmocka_unit_test(test_damaged_everywhere),
        cmocka_unit_test(test_foreign),        cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_absurd_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * test_nettrace.c - the parts that blocks of a trace file are made of
 *
 * That a whole file is as a reader wants it is seen by one (test_trace.sh).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "nettrace/block.h"
#include "nettrace/clock.h"
#include "nettrace/schema.h"
#include "nettrace/stacks.h"
#include "nettrace/threads.h"

static uint8_t memory[64 << 10];

static struct bytes fresh(size_t room)
{
    memset(memory, 0xCC, sizeof memory);
    return (struct bytes){.at = memory, .room = room};
}

static void test_numbers(void **state)
{
    static const struct {
        uint64_t number;
        size_t bytes;
        uint8_t first, last;
    } rows[] = {{0, 1, 0, 0},         {127, 1, 127, 127},          {128, 2, 0x80, 1},
                {300, 2, 0xAC, 0x02}, {UINT32_MAX, 5, 0xFF, 0x0F}, {UINT64_MAX, 10, 0xFF, 0x01}};
    (void)state;
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct bytes bytes = fresh(sizeof memory);
        put_varuint(&bytes, rows[i].number);
        assert_int_equal(bytes.used, rows[i].bytes);
        assert_int_equal(memory[0], rows[i].first);
        assert_int_equal(memory[bytes.used - 1], rows[i].last);
    }
    struct bytes bytes = fresh(3);
    put_number(&bytes, 0x0807060504030201, 8);
    assert_true(bytes.overrun && bytes.used == 3 && memory[2] == 3 && memory[3] == 0xCC);
}

/* The table of all events fits where it is put together; an event's figures have the widths that it says. */
static void test_schema(void **state)
{
    struct bytes bytes = fresh(sizeof memory);
    const uint64_t figures[SCHEMA_VALUES] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14};
    (void)state;
    hm_schema_describe(&bytes);
    assert_false(bytes.overrun);
    assert_int_equal(memory[3], BLOCK_METADATA);
    assert_int_equal(memory[0] | memory[1] << 8 | memory[2] << 16, bytes.used - 4);
    bytes = fresh(sizeof memory);
    hm_schema_payload(&bytes, TRACE_ALLOC, figures, NULL);
    assert_int_equal(bytes.used, 8 + 8 + 4 + 4 + 1 + 1 + 4 + 8 + 8 + 8);
    assert_int_equal(memory[16], 3);
    bytes = fresh(sizeof memory);
    hm_schema_payload(&bytes, TRACE_CALLS, figures, "ab");
    assert_memory_equal(memory, "a\0b\0\0\0\1\0\0\0\0\0\0\0\2", 15);
}

/* An event that follows the one before it in its lane says little; one behind a gap says of the gap. */
static void test_events(void **state)
{
    struct event_block block = {.bytes = fresh(sizeof memory)};
    uint8_t figure[8] = {0};
    const struct bytes payload = {.at = figure, .used = sizeof figure};
    struct event_head head = {.event = 1, .capture = 5, .sequence = 7, .thread = 64, .time = 1000};
    (void)state;
    hm_event_block_begin(&block);
    assert_true(event_block_is_empty(&block));
    const size_t first = block.bytes.used;
    hm_event_block_add(&block, &head, &payload);
    assert_int_equal(memory[first], 0x87); /* event, capture, thread, length */
    assert_int_equal(memory[first + 1], 1);
    assert_int_equal(memory[first + 2], 6); /* six numbers before it */
    assert_int_equal(memory[first + 3], 5);
    const size_t second = block.bytes.used;
    head.sequence++;
    head.time += 3;
    hm_event_block_add(&block, &head, &payload);
    assert_memory_equal(memory + second, "\x04\x40\x03", 3);
    const size_t third = block.bytes.used;
    head.sequence += 3;
    hm_event_block_add(&block, &head, &payload);
    assert_memory_equal(memory + third, "\x06\x02\x05\x00\x40\x00", 6);
    hm_event_block_end(&block);
    assert_int_equal(memory[3], BLOCK_EVENT);
    assert_int_equal(memory[8] | memory[9] << 8, 1000);
    assert_int_equal(memory[16] | memory[17] << 8, 1003);
    /* The number wraps around: an event it is. */
    hm_event_block_begin(&block);
    head.sequence = 0;
    hm_event_block_add(&block, &head, &payload);
    assert_false(event_block_is_empty(&block));
}

static void test_stacks(void **state)
{
    static struct stacks stacks;
    const uint64_t one[] = {1, 2, 3}, other[] = {1, 2, 4};
    (void)state;
    stacks.block = fresh(sizeof memory);
    hm_stacks_forget(&stacks);
    assert_int_equal(hm_stacks_id(&stacks, NULL, 0), 0);
    assert_false(hm_stacks_end(&stacks));
    const uint32_t id = hm_stacks_id(&stacks, one, 3);
    assert_int_equal(id, 1);
    assert_int_equal(hm_stacks_id(&stacks, other, 3), 2);
    assert_int_equal(hm_stacks_id(&stacks, one, 2), 3);
    assert_int_equal(hm_stacks_id(&stacks, one, 3), id);
    assert_true(hm_stacks_end(&stacks));
    assert_int_equal(memory[4], 1);
    assert_int_equal(memory[8], 3);
    hm_stacks_begin(&stacks);
    assert_int_equal(hm_stacks_id(&stacks, one, 3), id);
    assert_false(hm_stacks_end(&stacks));
    hm_stacks_forget(&stacks); /* a sequence point: nobody refers to what is before it */
    assert_int_equal(hm_stacks_id(&stacks, one, 3), 4);
    /* More than it knows apart: each is written, and none in another's place. */
    for (uint64_t i = 0; i < 2 * STACKS_MOST; i++) {
        const uint64_t many[] = {i, i};
        if (!stacks_have_room(&stacks, 2))
            hm_stacks_begin(&stacks);
        assert_int_equal(hm_stacks_id(&stacks, many, 2), 5 + i);
    }
}

static void test_threads(void **state)
{
    static struct threads threads;
    bool added;
    uint32_t first = hm_threads_number(&threads, 4, &added);
    (void)state;
    assert_true(added && first >= THREADS_FIRST);
    unsigned known = 1;
    for (uint32_t id = 8; hm_threads_number(&threads, id, &added) != 0; id += 4)
        known += added;
    assert_int_equal(known, THREADS_MOST / 4 * 3);
    assert_int_equal(hm_threads_number(&threads, 4, &added), first);
    assert_false(added);
}

/* Stamps that rise ten times as fast as the counter: what is before the last look is before it in the file, too. */
static void test_clock(void **state)
{
    (void)state;
    const struct clock clock = {.first = {.stamp = UINT64_MAX - 999, .counter = 500},
                                .last = {.stamp = 9000, .counter = 1500}};
    assert_int_equal(clock_time(&clock, 9000), 1500);
    assert_int_equal(clock_time(&clock, 8000), 1400);
    assert_int_equal(clock_time(&clock, 9100), 1510);
    assert_int_equal(clock_time(&clock, UINT64_MAX - 999), 500);
    const struct clock fresh = {.first = {.stamp = 7, .counter = 9}, .last = {.stamp = 7, .counter = 9}};
    assert_int_equal(clock_time(&fresh, 10), 12);
}

/* The machine sleeps: stamps begin anew, or the counter has gone on alone.  Later times are right, at the same rate. */
static void test_clock_leaps(void **state)
{
    (void)state;
    static const struct moment after[] = {{.stamp = 20, .counter = 90000}, {.stamp = 9500, .counter = 90000}};
    for (unsigned i = 0; i < 2; i++) {
        struct clock clock = {.first = {.stamp = 5000, .counter = 1100}, .second = 10000};
        clock.last = clock.first;
        clock_move(&clock, (struct moment){.stamp = 9000, .counter = 1500});
        assert_int_equal(clock_time(&clock, 8000), 1400);
        clock_move(&clock, after[i]);
        assert_int_equal(clock_time(&clock, after[i].stamp), 90000);
        assert_int_equal(clock_time(&clock, after[i].stamp + 300), 90030);
        clock_move(&clock, (struct moment){.stamp = after[i].stamp + 1000, .counter = 90100});
        assert_int_equal(clock_time(&clock, after[i].stamp + 500), 90050);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),     cmocka_unit_test(test_schema),  cmocka_unit_test(test_events),
        cmocka_unit_test(test_stacks),      cmocka_unit_test(test_threads), cmocka_unit_test(test_clock),
        cmocka_unit_test(test_clock_leaps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

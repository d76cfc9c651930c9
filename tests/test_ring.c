/*
 * test_ring.c - events through the ring: in order, dropped and counted, and of threads that are late
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "support/crew.h"
#include "trace/ring.h"

enum { LANE = 3, SLOTS = 8 };

struct made {
    struct ring ring;
    void *memory;
};

static struct made *make(unsigned slots, unsigned frames)
{
    struct made *made = calloc(1, sizeof *made + 64);
    made->memory = calloc(1, ring_bytes(slots, frames));
    assert_non_null(made->memory);
    hm_ring_init(&made->ring, made->memory, slots, frames);
    return made;
}

static void unmake(struct made *made)
{
    free(made->memory);
    free(made);
}

static struct trace_event *claim(struct made *made, uint64_t value)
{
    bool half;
    struct trace_event *event = hm_ring_claim(&made->ring, LANE, &half);
    if (event != NULL)
        event->value[0] = value;
    return event;
}

static void write_one(struct made *made, uint64_t value)
{
    struct trace_event *event = claim(made, value);
    assert_non_null(event);
    ring_finish(event);
}

static void read_one(struct made *made, uint64_t value, uint64_t lost)
{
    const struct trace_event *event = hm_ring_next(&made->ring, LANE, false);
    assert_non_null(event);
    assert_int_equal(event->value[0], value);
    assert_int_equal(hm_ring_lost(&made->ring, LANE, false), lost);
    hm_ring_free(&made->ring, LANE);
}

static void read_none(struct made *made, bool last)
{
    assert_null(hm_ring_next(&made->ring, LANE, last));
}

static void test_in_order(void **state)
{
    struct made *made = make(SLOTS, 0);
    (void)state;
    for (uint64_t i = 0; i < 5 * SLOTS; i += 5) {
        for (uint64_t j = i; j < i + 5; j++)
            write_one(made, j);
        for (uint64_t j = i; j < i + 5; j++)
            read_one(made, j, 0);
        read_none(made, false);
    }
    unmake(made);
}

/* Those that find no slot are counted, and whoever comes next tells of it. */
static void test_full(void **state)
{
    struct made *made = make(SLOTS, 0);
    (void)state;
    for (uint64_t i = 0; i < SLOTS; i++)
        write_one(made, i);
    for (unsigned i = 0; i < 3; i++)
        assert_null(claim(made, 99));
    for (uint64_t i = 0; i < SLOTS; i++)
        read_one(made, i, 0);
    assert_int_equal(hm_ring_lost(&made->ring, LANE, true), 3);
    write_one(made, 100);
    read_one(made, 100, 3);
    unmake(made);
}

/* Drops are told when their number has wrapped around, too. */
static void test_lost_without_end(void **state)
{
    struct made *made = make(SLOTS, 0);
    struct ring_lane *lane = &made->ring.lane[LANE];
    const uint64_t before = lane->told = UINT32_MAX - 1;
    (void)state;
    lane->dropped = UINT32_MAX - 1;
    for (uint64_t i = 0; i < SLOTS; i++)
        write_one(made, i);
    for (unsigned i = 0; i < 4; i++)
        assert_null(claim(made, 99));
    assert_int_equal(hm_ring_lost(&made->ring, LANE, true), before + 4);
    for (uint64_t i = 0; i < SLOTS; i++)
        read_one(made, i, before);
    write_one(made, 100);
    read_one(made, 100, before + 4);
    assert_int_equal(hm_ring_lost(&made->ring, LANE, true), before + 4);
    unmake(made);
}

static void test_half(void **state)
{
    struct made *made = make(SLOTS, 0);
    unsigned halves = 0;
    (void)state;
    for (unsigned i = 0; i < SLOTS; i++) {
        bool half = false;
        ring_finish(hm_ring_claim(&made->ring, LANE, &half));
        halves += half;
        assert_int_equal(half, i == SLOTS / 2);
    }
    assert_int_equal(halves, 1);
    unmake(made);
}

/* One that is held up in the middle of its event costs that event: those behind it are read, its slot is left to it for as
 * many laps as it likes, and what it writes then goes nowhere. */
static void test_late(void **state)
{
    struct made *made = make(SLOTS, 0);
    (void)state;
    write_one(made, 0);
    struct trace_event *late = claim(made, 1);
    write_one(made, 2);
    read_one(made, 0, 0);
    read_none(made, false); /* it may have some time */
    read_one(made, 2, 1);
    for (uint64_t i = 3; i < 10 * SLOTS; i++) {
        write_one(made, i);
        late->value[0] = 4711; /* still its own */
        read_one(made, i, 1);
    }
    ring_finish(late);
    for (uint64_t i = 100; i < 100 + 10 * SLOTS; i++) {
        write_one(made, i);
        read_one(made, i, 1);
    }
    /* And the slot is one of eight again. */
    for (uint64_t i = 0; i < SLOTS; i++)
        write_one(made, i);
    assert_null(claim(made, 99));
    for (uint64_t i = 0; i < SLOTS; i++)
        read_one(made, i, 1);
    unmake(made);
}

/* Even if all but one are held up for good, the last slot goes on. */
static void test_killed(void **state)
{
    struct made *made = make(SLOTS, 0);
    (void)state;
    for (unsigned i = 0; i < SLOTS - 1; i++)
        assert_non_null(claim(made, i));
    read_none(made, true);
    for (uint64_t i = 0; i < 100; i++) {
        write_one(made, i);
        read_one(made, i, SLOTS - 1);
    }
    unmake(made);
}

/* At the end nobody is waited for. */
static void test_last(void **state)
{
    struct made *made = make(SLOTS, 0);
    (void)state;
    claim(made, 1);
    write_one(made, 2);
    const struct trace_event *event = hm_ring_next(&made->ring, LANE, true);
    assert_non_null(event);
    assert_int_equal(event->value[0], 2);
    hm_ring_free(&made->ring, LANE);
    assert_int_equal(hm_ring_lost(&made->ring, LANE, true), 1);
    unmake(made);
}

/*
 * Many threads, of which some are held up again and again, and a reader.  Every event is read once, whole, in the order of
 * its thread; or lost, and counted.
 */
enum { WRITERS = 7, EVENTS = 60000, FRAMES = 4, KEPT = 40 };

struct race {
    struct made *made;
    atomic_uint running;
    uint64_t next[WRITERS]; /* the reader's: no event of the thread below this can come */
    uint64_t read;
};

static void fill(struct trace_event *event, unsigned writer, uint64_t number)
{
    event->thread = writer;
    for (unsigned i = 0; i < TRACE_VALUES; i++)
        event->value[i] = number * 16 + writer;
    for (unsigned i = 0; i < FRAMES; i++)
        event->frame[i] = number * 16 + writer;
}

static void read_lane(struct member *member, struct race *race, bool last)
{
    const struct trace_event *event;
    while ((event = hm_ring_next(&race->made->ring, LANE, last)) != NULL) {
        const unsigned writer = event->thread % WRITERS;
        const uint64_t word = event->value[0], number = word / 16;
        bool whole = word % 16 == writer;
        for (unsigned i = 0; i < TRACE_VALUES; i++)
            whole = whole && event->value[i] == word;
        for (unsigned i = 0; i < FRAMES; i++)
            whole = whole && event->frame[i] == word;
        crew_check(member, whole, word);
        crew_check(member, number >= race->next[writer], number);
        race->next[writer] = number + 1;
        race->read++;
        hm_ring_free(&race->made->ring, LANE);
    }
}

static void run_race(struct member *member, void *context)
{
    struct race *race = context;
    crew_meet(member);
    if (member->number == 0) {
        while (atomic_load(&race->running) != 0)
            read_lane(member, race, false);
        return;
    }
    const unsigned writer = member->number - 1;
    for (uint64_t number = 0; number < EVENTS; number++) {
        bool half;
        struct trace_event *event = hm_ring_claim(&race->made->ring, LANE, &half);
        if (event == NULL)
            continue;
        if (crew_random(member, 1000) == 0)
            for (unsigned i = crew_random(member, KEPT); i != 0; i--)
                SwitchToThread();
        fill(event, writer, number);
        ring_finish(event);
    }
    atomic_fetch_sub(&race->running, 1);
}

static void test_threads(void **state)
{
    struct crew *crew = calloc(1, sizeof *crew);
    struct race race = {.made = make(SLOTS, FRAMES), .running = WRITERS};
    (void)state;
    crew_run(crew, WRITERS + 1, run_race, &race);
    struct member alone = {.crew = crew};
    read_lane(&alone, &race, true);
    assert_int_equal(atomic_load(&crew->faults), 0);
    assert_int_equal(race.read + hm_ring_lost(&race.made->ring, LANE, true), (uint64_t)WRITERS * EVENTS);
    assert_true(race.read > 0);
    unmake(race.made);
    free(crew);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_order), cmocka_unit_test(test_full),
        cmocka_unit_test(test_half),     cmocka_unit_test(test_lost_without_end),
        cmocka_unit_test(test_late),     cmocka_unit_test(test_killed),
        cmocka_unit_test(test_last),     cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

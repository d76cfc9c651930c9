/*
 * What a collector makes its hard limit of, and what it is to be: tables of figures.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <hostmem/bridge.h>

#include "bridge/hard_limit.h"

#define MIB  ((uint64_t)1 << 20)
#define NONE HARD_LIMIT_NONE

enum { NOBODY = HOSTMEM_BRIDGE_OF_NOBODY, HOST, PROGRAM, JOB };

static const bool has_parts = sizeof(void *) == 8; /* of jobs */

static void by_itself(void **state)
{
    static const struct {
        struct gc_settings settings;
        struct gc_machine machine;
        uint64_t physical, limit;
        unsigned owner;
        bool part;
    } rows[] = {
        {{0}, {1000 * MIB, NONE}, 1000 * MIB, NONE, NOBODY, false},
        {{0}, {1000 * MIB, 400 * MIB}, 400 * MIB, 300 * MIB, JOB, true},
        {{0},
         {100 * MIB, 400 * MIB},
         100 * MIB,
         75 * MIB,
         JOB,
         true},                                                     /* a job that is more than the machine */
        {{0}, {1000 * MIB, 8 * MIB}, 8 * MIB, 20 * MIB, JOB, true}, /* the least */
        {{.limit = 50 * MIB}, {1000 * MIB, NONE}, 1000 * MIB, 50 * MIB, PROGRAM, false},
        {{.limit = 500 * MIB}, {1000 * MIB, 400 * MIB}, 400 * MIB, 500 * MIB, PROGRAM, false},
        {{.limit = 50 * MIB, .percent = 10}, {1000 * MIB, NONE}, 1000 * MIB, 50 * MIB, PROGRAM, false},
        {{.percent = 10}, {1000 * MIB, NONE}, 1000 * MIB, 100 * MIB, PROGRAM, false},
        {{.percent = 10}, {1000 * MIB, 400 * MIB}, 400 * MIB, 40 * MIB, PROGRAM, false},
        {{.percent = 100}, {1000 * MIB, NONE}, 1000 * MIB, NONE, NOBODY, false}, /* no part */
        {{.limit = 50 * MIB, .by_heap = 300 * MIB},
         {1000 * MIB, NONE},
         1000 * MIB,
         300 * MIB,
         PROGRAM,
         false},
        {{.limit = 50 * MIB, .by_heap_percent = 60},
         {1000 * MIB, NONE},
         1000 * MIB,
         600 * MIB,
         PROGRAM,
         false},
        {{.physical = 200 * MIB}, {1000 * MIB, 400 * MIB}, 200 * MIB, 150 * MIB, PROGRAM, true},
        {{.percent = 99}, {UINT64_MAX - 1, NONE}, UINT64_MAX - 1, 18262276632972456097u, PROGRAM, false},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; ++i) {
        const struct hard_limit limit = hm_hard_limit_of(&rows[i].settings, &rows[i].machine);
        const bool none = rows[i].part && !has_parts;
        assert_true(hm_hard_limit_physical(&rows[i].settings, &rows[i].machine) == rows[i].physical);
        assert_true(limit.bytes == (none ? NONE : rows[i].limit));
        assert_int_equal(limit.owner, none ? NOBODY : rows[i].owner);
    }
}

/* 400 MiB of the host's on a machine of 1000, unless said otherwise. */
static void wanted(void **state)
{
    static const struct {
        struct gc_settings settings;
        struct gc_machine real;
        uint64_t host, limit;
        unsigned owner;
        bool part; /* as the host's on a 32-bit collector */
    } rows[] = {
        {{0}, {1000 * MIB, NONE}, 400 * MIB, 400 * MIB, HOST, false},
        {{0}, {300 * MIB, NONE}, 400 * MIB, 300 * MIB, NOBODY, false},
        {{0}, {1000 * MIB, 100 * MIB}, 400 * MIB, 75 * MIB, JOB, true},
        {{0}, {1000 * MIB, 800 * MIB}, 400 * MIB, 400 * MIB, HOST, false},
        {{0}, {1000 * MIB, 500 * MIB}, 400 * MIB, 375 * MIB, JOB, true}, /* not of what is shown */
        {{.limit = 100 * MIB}, {1000 * MIB, NONE}, 400 * MIB, 100 * MIB, PROGRAM, false},
        {{.limit = 500 * MIB}, {1000 * MIB, NONE}, 400 * MIB, 400 * MIB, HOST, false},
        {{.limit = 200 * MIB}, {1000 * MIB, 100 * MIB}, 400 * MIB, 75 * MIB, JOB, true},
        {{.percent = 50}, {1000 * MIB, NONE}, 400 * MIB, 200 * MIB, PROGRAM, false},
        {{.percent = 50}, {300 * MIB, NONE}, 400 * MIB, 150 * MIB, PROGRAM, false},
        {{.by_heap = 300 * MIB}, {1000 * MIB, NONE}, 400 * MIB, 300 * MIB, PROGRAM, false},
        {{.by_heap = 500 * MIB}, {1000 * MIB, NONE}, 400 * MIB, 400 * MIB, HOST, false},
        /* without the host's: what there was */
        {{0}, {1000 * MIB, NONE}, NONE, NONE, NOBODY, false},
        {{.limit = 100 * MIB}, {1000 * MIB, NONE}, NONE, 100 * MIB, PROGRAM, false},
        {{.percent = 50}, {1000 * MIB, NONE}, NONE, 500 * MIB, PROGRAM, false},
        {{.percent = 50},
         {16000 * MIB, 1000 * MIB},
         8000 * MIB,
         500 * MIB,
         PROGRAM,
         false}, /* of the job, as before */
    };

    (void)state;
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; ++i) {
        const struct hard_limit limit = hm_hard_limit_wanted(&rows[i].settings, &rows[i].real, rows[i].host);
        if (rows[i].part && !has_parts)
            continue;
        assert_true(limit.bytes == rows[i].limit);
        assert_int_equal(limit.owner, rows[i].owner);
    }
}

/* The job that is shown for a limit gives just that, to the byte, and never wraps. */
static void as_job(void **state)
{
    static const uint64_t limits[] = {
        21 * MIB, 21 * MIB + 1, 21 * MIB + 2, 100 * MIB, ((uint64_t)3 << 40) + 7, UINT64_MAX / 4 * 3 - 3};
    const struct gc_settings nothing = {0};

    (void)state;
    for (unsigned i = 0; i < sizeof limits / sizeof *limits; ++i) {
        const uint64_t job = hm_hard_limit_as_job(limits[i]);
        const struct hard_limit limit = hm_hard_limit_of(&nothing, &(struct gc_machine){NONE, job});
        assert_true(job > limits[i] && job != NONE);
        assert_true(limit.bytes == (has_parts ? limits[i] : NONE));
    }
    assert_true(hm_hard_limit_as_job(UINT64_MAX / 4 * 3 + 4) == NONE);
    assert_true(hm_hard_limit_as_job(UINT64_MAX - 1) == NONE);
}

/* A collector writes what it has come to where the program's own limit was. */
static void at_start(void **state)
{
    const struct gc_machine bare = {1000 * MIB, NONE}, shown = {1000 * MIB, 400 * MIB};
    static const struct {
        struct gc_settings settings;
        bool real_is_bare;
        uint64_t limit;
        unsigned owner;
    } rows[] = {
        {{.limit = 300 * MIB}, true, 300 * MIB, HOST},
        {{.limit = 300 * MIB}, false, 300 * MIB, JOB},
        {{.limit = 299 * MIB}, true, 299 * MIB, PROGRAM},
        {{.limit = 200 * MIB, .percent = 50}, true, 200 * MIB, PROGRAM},
        {{0}, true, 300 * MIB, HOST}, /* one that does not */
    };

    (void)state;
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; ++i) {
        const struct hard_limit limit =
            hm_hard_limit_at_start(&rows[i].settings, &shown, rows[i].real_is_bare ? &bare : &shown);
        if (!has_parts)
            continue;
        assert_true(limit.bytes == rows[i].limit);
        assert_int_equal(limit.owner, rows[i].owner);
    }
    const struct hard_limit limit = hm_hard_limit_at_start(&(struct gc_settings){0}, &bare, &bare);
    assert_true(limit.bytes == NONE && limit.owner == NOBODY);
}

static void may_change(void **state)
{
    (void)state;
    assert_true(
        hm_hard_limit_may_change(&(struct gc_settings){.limit = 1, .percent = 50, .high_percent = 80}));
    assert_false(hm_hard_limit_may_change(&(struct gc_settings){.by_heap = 1}));
    assert_false(hm_hard_limit_may_change(&(struct gc_settings){.by_heap_percent = 1}));
    assert_false(hm_hard_limit_may_change(&(struct gc_settings){.physical = 1}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(by_itself), cmocka_unit_test(wanted),
                                       cmocka_unit_test(as_job), cmocka_unit_test(at_start),
                                       cmocka_unit_test(may_change)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}

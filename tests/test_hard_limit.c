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

static const bool on_64_bits = sizeof(void *) == 8; /* else there is no hard limit */

static void by_itself(void **state)
{
    static const struct {
        struct gc_settings settings;
        struct gc_machine machine;
        uint64_t physical, limit;
        unsigned owner;
    } rows[] = {
        {{0}, {1000 * MIB, NONE}, 1000 * MIB, NONE, NOBODY},
        {{0}, {1000 * MIB, 400 * MIB}, 400 * MIB, 300 * MIB, JOB},
        {{0}, {100 * MIB, 400 * MIB}, 100 * MIB, 75 * MIB, JOB}, /* a job that is more than the machine */
        {{0}, {1000 * MIB, 8 * MIB}, 8 * MIB, 20 * MIB, JOB},    /* the least */
        {{.limit = 50 * MIB}, {1000 * MIB, NONE}, 1000 * MIB, 50 * MIB, PROGRAM},
        {{.limit = 500 * MIB}, {1000 * MIB, 400 * MIB}, 400 * MIB, 500 * MIB, PROGRAM},
        {{.limit = 50 * MIB, .percent = 10}, {1000 * MIB, NONE}, 1000 * MIB, 50 * MIB, PROGRAM},
        {{.percent = 10}, {1000 * MIB, NONE}, 1000 * MIB, 100 * MIB, PROGRAM},
        {{.percent = 10}, {1000 * MIB, 400 * MIB}, 400 * MIB, 40 * MIB, PROGRAM},
        {{.percent = 100}, {1000 * MIB, NONE}, 1000 * MIB, NONE, NOBODY}, /* no part */
        {{.limit = 50 * MIB, .by_heap = 300 * MIB}, {1000 * MIB, NONE}, 1000 * MIB, 300 * MIB, PROGRAM},
        {{.limit = 50 * MIB, .by_heap_percent = 60}, {1000 * MIB, NONE}, 1000 * MIB, 600 * MIB, PROGRAM},
        {{.physical = 200 * MIB}, {1000 * MIB, 400 * MIB}, 200 * MIB, 150 * MIB, PROGRAM},
        {{.percent = 99}, {UINT64_MAX - 1, NONE}, UINT64_MAX - 1, 18262276632972456097u, PROGRAM},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; ++i) {
        const struct hard_limit limit = hm_hard_limit_of(&rows[i].settings, &rows[i].machine);
        assert_true(hm_hard_limit_physical(&rows[i].settings, &rows[i].machine) == rows[i].physical);
        assert_true(limit.bytes == (on_64_bits ? rows[i].limit : NONE));
        assert_int_equal(limit.owner, on_64_bits ? rows[i].owner : NOBODY);
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
    } rows[] = {
        {{0}, {1000 * MIB, NONE}, 400 * MIB, 400 * MIB, HOST},
        {{0}, {300 * MIB, NONE}, 400 * MIB, 300 * MIB, NOBODY},
        {{0}, {1000 * MIB, 100 * MIB}, 400 * MIB, 75 * MIB, JOB},
        {{0}, {1000 * MIB, 800 * MIB}, 400 * MIB, 400 * MIB, HOST},
        {{0}, {1000 * MIB, 500 * MIB}, 400 * MIB, 375 * MIB, JOB}, /* not of what is shown */
        {{.limit = 100 * MIB}, {1000 * MIB, NONE}, 400 * MIB, 100 * MIB, PROGRAM},
        {{.limit = 500 * MIB}, {1000 * MIB, NONE}, 400 * MIB, 400 * MIB, HOST},
        {{.limit = 200 * MIB}, {1000 * MIB, 100 * MIB}, 400 * MIB, 75 * MIB, JOB},
        {{.percent = 50}, {1000 * MIB, NONE}, 400 * MIB, 200 * MIB, PROGRAM},
        {{.percent = 50}, {300 * MIB, NONE}, 400 * MIB, 150 * MIB, PROGRAM},
        {{.by_heap = 300 * MIB}, {1000 * MIB, NONE}, 400 * MIB, 300 * MIB, PROGRAM},
        {{.by_heap = 500 * MIB}, {1000 * MIB, NONE}, 400 * MIB, 400 * MIB, HOST},
        /* without the host's: what there was */
        {{0}, {1000 * MIB, NONE}, NONE, NONE, NOBODY},
        {{.limit = 100 * MIB}, {1000 * MIB, NONE}, NONE, 100 * MIB, PROGRAM},
        {{.percent = 50}, {1000 * MIB, NONE}, NONE, 500 * MIB, PROGRAM},
        {{.percent = 50},
         {16000 * MIB, 1000 * MIB},
         8000 * MIB,
         500 * MIB,
         PROGRAM}, /* of the job, as before */
    };

    (void)state;
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; ++i) {
        const struct hard_limit limit = hm_hard_limit_wanted(&rows[i].settings, &rows[i].real, rows[i].host);
        if (on_64_bits) {
            assert_true(limit.bytes == rows[i].limit);
            assert_int_equal(limit.owner, rows[i].owner);
        } else if (rows[i].host == NONE) {
            assert_true(limit.bytes == NONE && limit.owner == NOBODY);
        } else { /* refusals go by it */
            const bool host = rows[i].host < rows[i].real.physical;
            assert_true(limit.bytes == (host ? rows[i].host : rows[i].real.physical));
            assert_int_equal(limit.owner, host ? HOST : NOBODY);
        }
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
        assert_true(limit.bytes == (on_64_bits ? limits[i] : NONE));
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
        assert_true(limit.bytes == (on_64_bits ? rows[i].limit : NONE));
        assert_int_equal(limit.owner, on_64_bits ? rows[i].owner : NOBODY);
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

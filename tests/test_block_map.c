/*
 * test_block_map.c - at which addresses a block begins, with synthetic addresses
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <windows.h>

#include <cmocka.h>

#include "maps/block_map.h"
#include "support/fake_pages.h"

#define LEAF ((uintptr_t)BLOCK_MAP_LEAF_SPAN)
#if UINTPTR_MAX > UINT32_MAX
#    define TOP ((uintptr_t)1 << 47)
#else
#    define TOP ((uintptr_t)0) /* 2^32, as additions see it */
#endif

static struct block_map *map;
static _Atomic uint64_t metadata;

static int setup(void **state)
{
    (void)state;
    fake_pages_fail_from(0);
    metadata = 0;
    map = calloc(1, sizeof *map);
    hm_block_map_init(map, &metadata);
    return map == NULL;
}

static int teardown(void **state)
{
    (void)state;
    fake_pages_fail_from(0);
    hm_block_map_destroy(map);
    free(map);
    assert_int_equal(metadata, 0);
    assert_int_equal(fake_pages_outstanding(), 0);
    return 0;
}

/* The places where levels of the table meet. */
static const uintptr_t places[] = {BLOCK_MAP_ALIGN,
                                   64 * BLOCK_MAP_ALIGN - BLOCK_MAP_ALIGN,
                                   64 * BLOCK_MAP_ALIGN,
                                   LEAF - BLOCK_MAP_ALIGN,
                                   LEAF,
                                   7 * LEAF + 12345 * BLOCK_MAP_ALIGN,
                                   0x7fff0000,
                                   0x80000000,
#if UINTPTR_MAX > UINT32_MAX
                                   0x400000000 - BLOCK_MAP_ALIGN, /* a middle node: 16 GiB */
                                   0x400000000,
                                   0x7ff000000000,
#endif
                                   TOP - BLOCK_MAP_ALIGN};
enum { PLACES = sizeof places / sizeof places[0] };

static void test_add_and_remove(void **state)
{
    (void)state;
    assert_int_equal(hm_block_map_next(map, 0), 0);
    for (unsigned i = 0; i < PLACES; i++) {
        assert_false(block_map_has(map, places[i]));
        assert_false(block_map_remove(map, places[i]));
    }
    assert_int_equal(metadata, 0); /* looking takes no memory */
    for (unsigned i = 0; i < PLACES; i++)
        assert_true(block_map_add(map, places[i]));
    for (unsigned i = 0; i < PLACES; i++) {
        assert_true(block_map_has(map, places[i]));
        assert_false(block_map_has(map, places[i] + 1));
        assert_false(block_map_remove(map, places[i] + BLOCK_MAP_ALIGN / 2));
        assert_false(block_map_remove(map, places[i] - 1));
    }
    uintptr_t at = 0;
    for (unsigned i = 0; i < PLACES; i++) {
        at = hm_block_map_next(map, at);
        assert_int_equal(at, places[i]);
        assert_int_equal(hm_block_map_next(map, at), at);
        at++;
    }
    assert_int_equal(hm_block_map_next(map, at), 0);
    for (unsigned i = 0; i < PLACES; i++) {
        assert_true(block_map_remove(map, places[i]));
        assert_false(block_map_remove(map, places[i])); /* a second time: no */
        assert_false(block_map_has(map, places[i]));
    }
    assert_int_equal(hm_block_map_next(map, 0), 0);
}

#if UINTPTR_MAX > UINT32_MAX
static void test_beyond_the_address_space(void **state)
{
    (void)state;
    static const uintptr_t beyond[] = {TOP, TOP + LEAF, 0xffff800000000000, UINTPTR_MAX - 15};
    for (unsigned i = 0; i < sizeof beyond / sizeof beyond[0]; i++) {
        assert_false(block_map_add(map, beyond[i]));
        assert_false(block_map_has(map, beyond[i]));
        assert_false(block_map_remove(map, beyond[i]));
        assert_int_equal(hm_block_map_next(map, beyond[i]), 0);
    }
}
#endif

static void test_neighbours_against_a_model(void **state)
{
    (void)state;
    enum { BLOCKS = 20000 };
    static char model[BLOCKS];
    const uintptr_t base = 5 * LEAF - 10000 * BLOCK_MAP_ALIGN; /* across two leaves */
    uint32_t seed = 3;
    for (int i = 0; i < 100000; i++) {
        seed = seed * 1664525 + 1013904223;
        uint32_t n = (seed >> 8) % BLOCKS;
        uintptr_t address = base + (uintptr_t)n * BLOCK_MAP_ALIGN;
        assert_int_equal(block_map_has(map, address), model[n]);
        if (seed >> 31) {
            assert_true(block_map_add(map, address));
            model[n] = 1;
        } else {
            assert_int_equal(block_map_remove(map, address), model[n]);
            model[n] = 0;
        }
    }
    uintptr_t at = base;
    for (uint32_t n = 0; n < BLOCKS; n++) {
        uintptr_t address = base + (uintptr_t)n * BLOCK_MAP_ALIGN;
        if (!model[n])
            continue;
        assert_int_equal(hm_block_map_next(map, at), address);
        at = address + 1;
    }
    assert_int_equal(hm_block_map_next(map, at), 0);
}

static void test_failing_pages(void **state)
{
    (void)state;
    for (long n = 1;; n++) {
        fake_pages_fail_from(n);
        if (block_map_add(map, 9 * LEAF))
            break;
        assert_false(block_map_has(map, 9 * LEAF));
        assert_int_equal(hm_block_map_next(map, 0), 0);
    }
    fake_pages_fail_from(1);
    assert_true(block_map_add(map, 9 * LEAF + BLOCK_MAP_ALIGN)); /* its leaf is there */
    uintptr_t refused = 10 * LEAF;
    while (block_map_add(map, refused)) /* nodes come 64 KiB at a time */
        refused += LEAF;
    assert_false(block_map_has(map, refused));
    fake_pages_fail_from(0);
    assert_true(block_map_add(map, refused));
    assert_true(block_map_has(map, 9 * LEAF));
}

enum { WORKERS = 4, ROUNDS = 50000 };

static atomic_long removed, added;

/* All of them add and remove in the same few words: each add is undone by at most one remove. */
static DWORD WINAPI compete(void *context)
{
    uint32_t seed = (uint32_t)(uintptr_t)context + 1;
    for (int i = 0; i < ROUNDS; i++) {
        seed = seed * 1664525 + 1013904223;
        uintptr_t own = 6 * LEAF + ((seed >> 20 & 63) * WORKERS + (uintptr_t)context) * BLOCK_MAP_ALIGN;
        uintptr_t any = 6 * LEAF + (seed >> 8 & (64 * WORKERS - 1)) * BLOCK_MAP_ALIGN;
        if (!block_map_has(map, own)) { /* only its own thread adds a block */
            if (!block_map_add(map, own))
                return 1;
            added++;
        }
        if (block_map_remove(map, any))
            removed++;
    }
    return 0;
}

enum { RACED = 500000 };

static HANDLE gate;

static DWORD WINAPI remove_all(void *context)
{
    (void)context;
    WaitForSingleObject(gate, INFINITE);
    for (uintptr_t i = 0; i < RACED; i++)
        if (block_map_remove(map, 6 * LEAF + i * BLOCK_MAP_ALIGN))
            removed++;
    return 0;
}

/* All of them remove the same blocks in the same order: for each, one is told yes. */
static void test_one_of_many_removes(void **state)
{
    (void)state;
    HANDLE threads[WORKERS];
    removed = 0;
    gate = CreateEventW(NULL, TRUE, FALSE, NULL);
    for (uintptr_t i = 0; i < RACED; i++)
        assert_true(block_map_add(map, 6 * LEAF + i * BLOCK_MAP_ALIGN));
    for (int i = 0; i < WORKERS; i++)
        threads[i] = CreateThread(NULL, 0, remove_all, NULL, 0, NULL);
    SetEvent(gate);
    assert_int_equal(WaitForMultipleObjects(WORKERS, threads, TRUE, 120000), WAIT_OBJECT_0);
    for (int i = 0; i < WORKERS; i++)
        CloseHandle(threads[i]);
    CloseHandle(gate);
    assert_int_equal(removed, RACED);
}

static void test_one_remove_for_each_add(void **state)
{
    (void)state;
    HANDLE threads[WORKERS];
    added = removed = 0;
    for (uintptr_t i = 0; i < WORKERS; i++)
        threads[i] = CreateThread(NULL, 0, compete, (void *)i, 0, NULL);
    assert_int_equal(WaitForMultipleObjects(WORKERS, threads, TRUE, 120000), WAIT_OBJECT_0);
    for (int i = 0; i < WORKERS; i++) {
        DWORD code;
        assert_true(GetExitCodeThread(threads[i], &code));
        assert_int_equal(code, 0);
        CloseHandle(threads[i]);
    }
    long left = 0;
    for (uintptr_t at = 0; (at = hm_block_map_next(map, at)) != 0; at++)
        left++;
    assert_true(added > 1000);
    assert_int_equal(added - removed, left);
}

#define map_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        map_test(test_add_and_remove),
#if UINTPTR_MAX > UINT32_MAX
        map_test(test_beyond_the_address_space),
#endif
        map_test(test_neighbours_against_a_model),
        map_test(test_failing_pages),
        map_test(test_one_of_many_removes),
        map_test(test_one_remove_for_each_add),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

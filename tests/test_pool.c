/*
 * test_pool.c - numbers and their items: dense, never given twice, usable after a want of memory
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <windows.h>

#include <cmocka.h>

#include "maps/pool.h"
#include "support/fake_pages.h"

struct item {
    _Atomic uint32_t link;
    uint32_t owner;
    _Atomic uint32_t users;
    uint32_t pad[3];
};

static struct pool pool;
static _Atomic uint64_t metadata;

static int setup(void **state)
{
    (void)state;
    fake_pages_fail_from(0);
    metadata = 0;
    hm_pool_init(&pool, sizeof(struct item), 4, &metadata);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fake_pages_fail_from(0);
    hm_pool_destroy(&pool);
    assert_int_equal(metadata, 0);
    assert_int_equal(fake_pages_outstanding(), 0);
    return 0;
}

static struct item *item(uint32_t number)
{
    return pool_item(&pool, number);
}

static void test_numbers_are_dense_and_items_apart(void **state)
{
    (void)state;
    enum { COUNT = 100000 };
    for (uint32_t n = 1; n <= COUNT; n++) {
        assert_int_equal(hm_pool_take(&pool), n);
        assert_int_equal(pool_used(&pool), n);
        const uint32_t *words = pool_item(&pool, n);
        for (unsigned w = 0; w < sizeof(struct item) / 4; w++)
            assert_true(words[w] == 0); /* never taken before: zero */
        item(n)->owner = n;
        item(n)->pad[2] = ~n;
    }
    for (uint32_t n = 1; n <= COUNT; n++)
        assert_true(item(n)->owner == n && item(n)->pad[2] == ~n);
    assert_in_range(metadata, COUNT * sizeof(struct item), COUNT * sizeof(struct item) + 20 * 65536);
}

static void test_what_was_given_is_taken_again(void **state)
{
    (void)state;
    uint32_t a = hm_pool_take(&pool), b = hm_pool_take(&pool), c = hm_pool_take(&pool);
    item(b)->owner = 77;
    hm_pool_give(&pool, b);
    hm_pool_give(&pool, a);
    uint32_t first = hm_pool_take(&pool), second = hm_pool_take(&pool);
    assert_true((first == a && second == b) || (first == b && second == a));
    assert_int_equal(item(b)->owner, 77); /* left as the giver left it */
    assert_int_equal(item(a)->link, 0);   /* except what is the pool's */
    assert_int_equal(item(b)->link, 0);
    assert_int_equal(hm_pool_take(&pool), c + 1);
}

/* The same first item, with another one behind it: who saw the list before must not take it for the same (ABA). */
static void test_a_list_is_never_the_same_again(void **state)
{
    (void)state;
    uint32_t a = hm_pool_take(&pool), b = hm_pool_take(&pool), number;
    hm_pool_give(&pool, b);
    hm_pool_give(&pool, a);
    uint64_t before = pool.free_list;
    number = hm_pool_take(&pool);
    assert_int_equal(number, a);
    assert_int_equal(hm_pool_take(&pool), b);
    hm_pool_give(&pool, number);
    assert_int_equal((uint32_t)pool.free_list, (uint32_t)before);
    assert_true(pool.free_list != before);
}

/* Every number of calls to pages_... is a place to fail; the pool hands out what it has, and goes on
 * afterwards. */
static void test_failing_pages_leave_it_usable(void **state)
{
    (void)state;
    uint32_t last = 0;
    for (int round = 0; round < 30; round++) {
        fake_pages_fail_from(1);
        uint32_t number;
        while ((number = hm_pool_take(&pool)) != 0)
            last = number;
        uint64_t before = metadata;
        assert_int_equal(hm_pool_take(&pool), 0);
        assert_int_equal(metadata, before);
        assert_int_equal(pool_used(&pool), last);
        fake_pages_fail_from(2); /* a reservation succeeds, its first pages do not; or the other way round */
        while ((number = hm_pool_take(&pool)) != 0)
            last = number;
        if (last != 0) {
            hm_pool_give(&pool, last);
            assert_int_equal(hm_pool_take(&pool), last); /* needs no memory */
        }
        fake_pages_fail_from(0);
        assert_int_equal(hm_pool_take(&pool), ++last);
        item(last)->owner = last;
        for (int i = 0; i < 2000; i++)
            item(hm_pool_take(&pool))->owner = ++last;
        assert_int_equal(pool_used(&pool), last);
    }
    for (uint32_t n = 1; n <= last; n++)
        if (item(n)->owner != n && item(n)->owner != 0)
            fail_msg("item %u holds %u", n, item(n)->owner);
}

enum { WORKERS = 4, HELD = 16, ROUNDS = 60000 };

static atomic_int twice;

/* Take and give in short cycles, so that the free list has the same heads again and again (ABA). */
static DWORD WINAPI churn(void *context)
{
    uint32_t held[HELD] = {0};
    uint32_t seed = (uint32_t)(uintptr_t)context * 2654435761u + 1;
    for (int i = 0; i < ROUNDS; i++) {
        seed = seed * 1664525 + 1013904223;
        uint32_t *slot = &held[seed >> 28];
        if (*slot != 0) {
            if (atomic_fetch_sub(&item(*slot)->users, 1) != 1)
                twice++;
            hm_pool_give(&pool, *slot);
        }
        *slot = hm_pool_take(&pool);
        if (*slot == 0 || atomic_fetch_add(&item(*slot)->users, 1) != 0)
            twice++;
    }
    for (int i = 0; i < HELD; i++)
        if (held[i] != 0) {
            atomic_fetch_sub(&item(held[i])->users, 1);
            hm_pool_give(&pool, held[i]);
        }
    return 0;
}

static void test_no_number_is_given_twice(void **state)
{
    (void)state;
    HANDLE threads[WORKERS];
    twice = 0;
    for (uintptr_t i = 0; i < WORKERS; i++)
        threads[i] = CreateThread(NULL, 0, churn, (void *)i, 0, NULL);
    assert_int_equal(WaitForMultipleObjects(WORKERS, threads, TRUE, 120000), WAIT_OBJECT_0);
    for (int i = 0; i < WORKERS; i++)
        CloseHandle(threads[i]);
    assert_int_equal(twice, 0);
    /* Nothing was lost either: all that was ever taken comes out of the free list, once. */
    uint32_t used = pool_used(&pool);
    assert_in_range(used, HELD, WORKERS * HELD);
    for (uint32_t i = 0; i < used; i++) {
        uint32_t number = hm_pool_take(&pool);
        assert_in_range(number, 1, used);
        assert_int_equal(atomic_fetch_add(&item(number)->users, 1), 0);
    }
    assert_int_equal(hm_pool_take(&pool), used + 1);
}

/* Threads that need the same new chunk at once: all get items, and the bytes are counted once. */
static DWORD WINAPI grow(void *context)
{
    (void)context;
    for (int i = 0; i < 20000; i++) {
        uint32_t number = hm_pool_take(&pool);
        if (number == 0 || atomic_fetch_add(&item(number)->users, 1) != 0)
            twice++;
    }
    return 0;
}

static void test_growing_at_once(void **state)
{
    (void)state;
    HANDLE threads[WORKERS];
    twice = 0;
    for (int i = 0; i < WORKERS; i++)
        threads[i] = CreateThread(NULL, 0, grow, NULL, 0, NULL);
    assert_int_equal(WaitForMultipleObjects(WORKERS, threads, TRUE, 120000), WAIT_OBJECT_0);
    for (int i = 0; i < WORKERS; i++)
        CloseHandle(threads[i]);
    assert_int_equal(twice, 0);
    assert_int_equal(pool_used(&pool), WORKERS * 20000);
    uint64_t committed = 0;
    for (unsigned k = 0; k < POOL_CHUNKS; k++) {
        MEMORY_BASIC_INFORMATION info;
        char *base = pool.chunk[k].base;
        if (base != NULL && VirtualQuery(base, &info, sizeof info) != 0 && info.State == MEM_COMMIT)
            committed += info.RegionSize;
    }
    assert_int_equal(metadata, committed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_numbers_are_dense_and_items_apart, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_was_given_is_taken_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_list_is_never_the_same_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_failing_pages_leave_it_usable, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_number_is_given_twice, setup, teardown),
        cmocka_unit_test_setup_teardown(test_growing_at_once, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * test_low_stack.c - every method with little stack left
 *
 * The CLR calls its host also with very low stack (contract 3.4), so each path of each method runs with 4 KiB above the
 * guard page, which must stay untouched.  Of these the library itself may take no more than MOST; the rest is for
 * Windows.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "support/method_depths.h"

enum { LEFT = 4096, MOST = 1536 };

static void test_depth_of_each_path(void **state)
{
    (void)state;
    unsigned i = 0;
    for (const struct method_path *path; (path = method_path(i)) != NULL; i++) {
        struct path_outcome outcome = path_measure(i, 0);
        print_message("%-36s %-38s %5u, with Windows %5u\n", path->method, path->path,
                      (unsigned)outcome.depth.own, (unsigned)outcome.depth.with_windows);
        if (outcome.result != path->expected)
            fail_msg("%s, %s: %#lx", path->method, path->path, (unsigned long)outcome.result);
        assert_true(outcome.depth.own > 0);
        assert_true(outcome.depth.own <= MOST);
    }
    assert_true(i > 70);
}

static void test_each_path_on_low_stack(void **state)
{
    (void)state;
    unsigned i = 0;
    for (const struct method_path *path; (path = method_path(i)) != NULL; i++) {
        struct path_outcome outcome = path_measure(i, LEFT);
        if (outcome.result != path->expected)
            fail_msg("%s, %s: %#lx", path->method, path->path, (unsigned long)outcome.result);
        if (!outcome.guard_intact)
            fail_msg("%s, %s: the guard page was touched", path->method, path->path);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_depth_of_each_path),
        cmocka_unit_test(test_each_path_on_low_stack),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

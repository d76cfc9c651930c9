/*
 * The lines in which a running hostmem-run is asked: what is understood, and that nothing else is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "tools/control_text.h"

static const char *read_line(struct control_request *request, const char *line)
{
    return control_read(request, line, strlen(line));
}

static void test_understood(void **state)
{
    struct control_request request;

    (void)state;
    assert_null(read_line(&request, "get\n"));
    assert_true(request.get);
    assert_null(read_line(&request, "limits limit=314572800 soft=none\n"));
    assert_false(request.get);
    for (unsigned which = 0; which < CONTROL_FIGURES; which++)
        assert_int_equal(request.figure[which], which == CONTROL_LIMIT  ? 314572800u
                                                : which == CONTROL_SOFT ? UINT64_MAX
                                                                        : 0);
    assert_null(read_line(&request, "limits fail_after=18446744073709551615\n"));
    assert_true(request.figure[CONTROL_FAIL_AFTER] == UINT64_MAX);
}

/* Each with what is wrong about it. */
static void test_refused(void **state)
{
    static const struct {
        const char *line, *wrong;
    } lines[] = {
        {"", "whole line"},
        {"get", "whole line"},
        {"limits limit=5", "whole line"},
        {"get\nget\n", "more than one"},
        {"\n\n", "more than one"},
        {"\n", "neither"},
        {"get \n", "neither"},
        {"GET\n", "neither"},
        {"getlimits\n", "neither"},
        {"limits\n", "neither"},
        {"limitslimit=5\n", "neither"},
        {"limits \n", "not known"},
        {"limits  limit=5\n", "not known"},
        {"limits limit=5 \n", "not known"},
        {"limits limit\n", "not known"},
        {"limits lim=5\n", "not known"},
        {"limits limit2=5\n", "not known"},
        {"limits task_limit=5\n", "not known"},
        {"limits =5\n", "not known"},
        {"limits limit=\n", "figure"},
        {"limits limit=0\n", "figure"},
        {"limits limit=-5\n", "figure"},
        {"limits limit=5M\n", "figure"},
        {"limits limit=5=5\n", "figure"},
        {"limits limit=nonesuch\n", "figure"},
        {"limits limit=18446744073709551616\n", "figure"},
        {"limits limit=99999999999999999999999\n", "figure"},
        {"limits limit=5 limit=5\n", "twice"},
        {"limits soft=5 limit=5 soft=none\n", "twice"},
        {"limits limit=5\r\n", "figure"},
    };
    struct control_request request;
    char line[CONTROL_LINE + 1];

    (void)state;
    for (unsigned i = 0; i < sizeof lines / sizeof *lines; i++) {
        const char *wrong = read_line(&request, lines[i].line);
        if (!wrong || !strstr(wrong, lines[i].wrong))
            fail_msg("'%s': %s", lines[i].line, wrong ? wrong : "understood");
    }
    assert_non_null(control_read(&request, "get\0\n", 5));
    assert_non_null(control_read(&request, "limits limit=5\0\n", 16));
    memset(line, '0', sizeof line);
    memcpy(line, "limits limit=", 13);
    line[CONTROL_LINE - 1] = '\n';
    assert_non_null(control_read(&request, line, CONTROL_LINE));
}

static void test_written(void **state)
{
    struct control_request most, again;
    char line[CONTROL_LINE];

    (void)state;
    memset(&most, 0, sizeof most);
    for (unsigned which = 0; which < CONTROL_FIGURES; which++)
        most.figure[which] = UINT64_MAX - 1 - which;
    const size_t length = control_write(&most, line);
    assert_int_equal(length, strlen(line));
    assert_null(control_read(&again, line, length));
    assert_memory_equal(&most, &again, sizeof most);

    memset(&most, 0, sizeof most);
    most.figure[CONTROL_HEAP_LIMIT] = UINT64_MAX;
    most.figure[CONTROL_MARGIN] = 1;
    control_write(&most, line);
    assert_string_equal(line, "limits heap_limit=none margin=1\n");
    most.get = true;
    control_write(&most, line);
    assert_string_equal(line, "get\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_understood),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

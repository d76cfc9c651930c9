/*
 * What --watch shows on a terminal: its rows, and that they leave the program's output and cursor alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "support/terminal.h"
#include "tools/panel.h"

enum { ROWS = 24, COLUMNS = 80 };
#define MIB ((uint64_t)1 << 20)

static struct terminal terminal;

static bool to_terminal(void *to, const char *bytes, unsigned length)
{
    terminal_write(to, bytes, length);
    return true;
}

static struct screen a_screen(void)
{
    struct screen screen = {.columns = COLUMNS - 1,
                            .program = L"churn.dll",
                            .elapsed = 12430,
                            .since = 500,
                            .load = 43,
                            .limits = {.limit = 64 * MIB, .soft = 56 * MIB, .heap_limit = HOSTMEM_UNLIMITED},
                            .watched = {.collections = {994, 259, 11}, .counted = WATCH_BEFORE}};
    hostmem_statistics *now = &screen.now, *before = &screen.before;

    now->pressure = eMemoryAvailableNeutral;
    now->charged = (hostmem_gauge){32 * MIB, 40 * MIB};
    now->committed_by_use[HOSTMEM_USE_GC_HEAP] = (hostmem_gauge){24 * MIB, 30 * MIB};
    now->committed_by_use[HOSTMEM_USE_CODE] = (hostmem_gauge){104858, 104858};
    before->charged.now = 31 * MIB;
    now->calls[HOSTMEM_VIRTUAL_ALLOC][0].calls = 500;
    now->calls[HOSTMEM_VIRTUAL_ALLOC][HOSTMEM_LEVEL_NONE].calls = 60;
    before->calls[HOSTMEM_VIRTUAL_ALLOC][0].calls = 500;
    now->calls[HOSTMEM_VIRTUAL_FREE][HOSTMEM_LEVEL_NONE].calls = 40;
    now->refusals = 7;
    before->refusals = 5;
    now->heap_overrun.count = 1;
    return screen;
}

static const char *row_of(const struct screen *screen, unsigned row)
{
    struct writer writer;

    terminal_init(&terminal, 2, TERMINAL_COLUMNS);
    writer_open_sender(&writer, to_terminal, &terminal);
    writer.coloured = true;
    screen_row(&writer, screen, row);
    writer_flush(&writer);
    assert_int_equal(terminal.row, 0);
    assert_false(terminal.unknown);
    assert_true(terminal.column <= screen->columns);
    return terminal_row(&terminal, 0);
}

#define FULL8  "\u2588\u2588\u2588\u2588\u2588\u2588\u2588\u2588"
#define LIGHT4 "\u2591\u2591\u2591\u2591"

static void test_rows(void **state)
{
    static const char *const rows[SCREEN_ROWS] = {
        "churn.dll  12.4 s, pressure Neutral, load 43%",
        /* 46 cells for 64 MiB: 23 now, 29 at most; the soft mark is in the 42nd. */
        "in all          32.0M of   64.0M  " FULL8 FULL8 "\u2588\u2588\u2588\u2588\u2588\u2588\u2588" LIGHT4
        "\u2591\u2591            \u2502",
        "GC heap         24.0M             " FULL8 FULL8 "\u2588\u2588" LIGHT4,
        "GC tables        0.0M",
        "code             0.1M             \u2588",
        "loader           0.0M",
        "other            0.0M",
        "a second     committed +2.0M, VirtualAlloc 120, VirtualFree 80, refused 4",
        "so far       refused 7, overruns 1, collections gen0 994 gen1 259 gen2 11",
    };
    const struct screen screen = a_screen();

    (void)state;
    for (unsigned row = 0; row < SCREEN_ROWS; row++)
        assert_string_equal(row_of(&screen, row), rows[row]);
}

static void test_other_states(void **state)
{
    struct screen screen = a_screen();

    (void)state;
    screen.now.charged.now = 30 * MIB;
    assert_non_null(strstr(row_of(&screen, 7), "committed -2.0M"));
    screen.since = 0; /* the first time */
    assert_non_null(strstr(row_of(&screen, 7), "VirtualAlloc 0,"));
    screen.watched.counted = WATCH_NEVER;
    assert_string_equal(row_of(&screen, 8), "so far       refused 7, overruns 1");
    screen.now.pressure = eMemoryAvailableLow;
    assert_non_null(strstr(row_of(&screen, 0), "pressure Low"));

    /* Above its limit, as an overrun is: the limit is within. */
    screen.limits.limit = 20 * MIB;
    screen.limits.soft = 10 * MIB;
    assert_non_null(strstr(row_of(&screen, 1), "\u2502" FULL8));
    assert_non_null(strstr(row_of(&screen, 1), "\u2588\u2503\u2588"));

    /* No limit but the heap's. */
    screen.limits.limit = screen.limits.soft = HOSTMEM_UNLIMITED;
    screen.limits.heap_limit = 48 * MIB;
    assert_non_null(strstr(row_of(&screen, 2), "24.0M of   48.0M  " FULL8 FULL8
                                               "\u2588\u2588\u2588\u2588\u2588\u2588\u2588\u2591"));
    assert_null(strstr(row_of(&screen, 1), "\u2502"));
    screen.limits.heap_limit = HOSTMEM_UNLIMITED;
    assert_null(strstr(row_of(&screen, 1), " of "));
}

/* Whatever the figures and the width: no row is too long, nothing is divided by zero. */
static void test_extremes(void **state)
{
    static const uint64_t figures[] = {0, 1, 4095, 4096, MIB, (uint64_t)1 << 62, UINT64_MAX - 1, UINT64_MAX};
    static const wchar_t *const programs[] = {
        L"", L"a name that is longer than the narrowest of terminals has room for.dll",
        L"\u4E00\u4E8C\u4E09\u56DB\u4E94\u516D\u4E03\u516B\u4E5D\u5341 \u2014 \uAC00\uB098\uB2E4\uFF21.dll"};
    enum { COUNT = sizeof figures / sizeof *figures };

    (void)state;
    for (unsigned i = 0; i < COUNT * COUNT * COUNT; i++)
        for (unsigned columns = SCREEN_LEAST_COLUMNS; columns < TERMINAL_COLUMNS; columns += 13) {
            struct screen screen = a_screen();
            screen.columns = columns;
            screen.program = programs[i % 3];
            screen.limits.limit = figures[i % COUNT];
            screen.limits.soft = figures[i / COUNT % COUNT];
            screen.now.charged.now = screen.now.charged.peak = figures[i / COUNT / COUNT];
            for (unsigned row = 0; row < SCREEN_ROWS; row++)
                row_of(&screen, row);
        }
}

static void draw(const struct screen *screen, unsigned drawn)
{
    struct writer writer;

    writer_open_sender(&writer, to_terminal, &terminal);
    panel_text(&writer, screen, terminal.rows, drawn, terminal.column);
    writer_flush(&writer);
}

static void print_line(unsigned number)
{
    char line[32];

    snprintf(line, sizeof line, "line %u\n", number);
    terminal_write(&terminal, line, (unsigned)strlen(line));
}

/* From where the cursor is: the screen below, and the program's last lines above it, in order and complete. */
static void panel_from(unsigned lines_before)
{
    const struct screen screen = a_screen();
    const unsigned above = ROWS - SCREEN_ROWS;
    unsigned lines = 0;
    char line[32];

    terminal_init(&terminal, ROWS, COLUMNS);
    while (lines < lines_before)
        print_line(lines++);
    terminal_write(&terminal, "ha", 2); /* a line that the program has begun */
    draw(&screen, 0);
    terminal_write(&terminal, "lf", 2);
    for (unsigned round = 0; round < 30; round++) {
        const unsigned row = terminal.row, column = terminal.column;
        draw(&screen, ROWS);
        assert_int_equal(terminal.row, row);
        assert_int_equal(terminal.column, column);
        assert_true(row < above);
        if (round == 0)
            assert_string_equal(terminal_row(&terminal, row), "half");
        if (round == 0)
            terminal_write(&terminal, "\n", 1);
        else
            print_line(lines++);
        assert_string_equal(terminal_row(&terminal, above), "churn.dll  12.4 s, pressure Neutral, load 43%");
        assert_memory_equal(terminal_row(&terminal, ROWS - 1), "so far ", 7);
    }
    for (unsigned row = 0; row < above - 1; row++) {
        snprintf(line, sizeof line, "line %u", lines - (above - 1) + row);
        assert_string_equal(terminal_row(&terminal, row), line);
    }

    /* At the end the rows are blank, and the program's again. */
    const unsigned row = terminal.row, column = terminal.column;
    struct writer writer;
    writer_open_sender(&writer, to_terminal, &terminal);
    panel_end_text(&writer, ROWS);
    writer_flush(&writer);
    assert_int_equal(terminal.row, row);
    assert_int_equal(terminal.column, column);
    for (unsigned blank = above; blank < ROWS; blank++)
        assert_string_equal(terminal_row(&terminal, blank), "");
    for (unsigned i = 0; i < ROWS; i++)
        print_line(lines++);
    snprintf(line, sizeof line, "line %u", lines - 1);
    assert_string_equal(terminal_row(&terminal, ROWS - 2), line);
    assert_false(terminal.unknown);
}

static void test_panel(void **state)
{
    (void)state;
    panel_from(0);
    panel_from(10);
    panel_from(ROWS - SCREEN_ROWS);
    panel_from(100);
}

static void test_another_size(void **state)
{
    const struct screen screen = a_screen();

    (void)state;
    terminal_init(&terminal, ROWS, COLUMNS);
    draw(&screen, 0);
    terminal.rows += 6; /* as a user may have it */
    draw(&screen, ROWS);
    assert_int_equal(terminal.bottom, ROWS + 6 - SCREEN_ROWS - 1);
    assert_memory_equal(terminal_row(&terminal, ROWS + 5), "so far ", 7);
    assert_false(terminal.unknown);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),  cmocka_unit_test(test_other_states), cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_panel), cmocka_unit_test(test_another_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * table.c - see table.h
 */
#include "bench/table.h"

#include <stdarg.h>
#include <stdio.h>

enum { MOST_ROWS = 320, NAME_SIZE = 96 };

static struct row {
    const char *section, *unit;
    char name[NAME_SIZE];
    struct bench_figure value;
    double bar;
} rows[MOST_ROWS];
static unsigned row_count;
static const char *section;

static bool misses_bar(const struct row *row)
{
    return row->bar != 0 && row->value.median > row->bar;
}

static const char *verdict(const struct row *row)
{
    return misses_bar(row) ? "miss" : "pass";
}

void table_begin(void)
{
    printf("%-66s %10s %-6s %21s %9s\n", "", "median", "", "quartiles", "bar");
}

void table_section(const char *name)
{
    section = name;
    printf("%s\n", name);
}

void table_row(struct bench_figure value, const char *unit, double bar, const char *name, ...)
{
    if (row_count == MOST_ROWS)
        bench_stop("too many rows: raise MOST_ROWS");
    struct row *row = &rows[row_count++];
    *row = (struct row){.section = section, .unit = unit, .value = value, .bar = bar};
    va_list arguments;
    va_start(arguments, name);
    vsnprintf(row->name, sizeof row->name, name, arguments);
    va_end(arguments);

    printf("  %-64s %10.2f %-6s", row->name, value.median, unit);
    if (value.low != value.high)
        printf(" %10.2f%11.2f", value.low, value.high);
    else
        printf(" %21s", "");
    if (bar != 0)
        printf(" %9.2f  %s", bar, verdict(row));
    if (value.together < BENCH_TOGETHER)
        printf("  together %.0f %%", value.together * 100);
    printf("\n");
    fflush(stdout);
}

unsigned table_misses(void)
{
    unsigned misses = 0;
    for (unsigned i = 0; i < row_count; i++)
        misses += misses_bar(&rows[i]);
    return misses;
}

const char *table_threads(unsigned count)
{
    static const char *const texts[BENCH_THREADS + 1] = {"", "1 thread", "2 threads", "3 threads",
                                                         "4 threads"};
    return texts[count];
}

bool table_write_json(const char *path)
{
    FILE *file = fopen(path, "w");
    if (file == NULL)
        return false;
    fprintf(file, "{\n  \"bits\": %u,\n  \"processors\": %u,\n  \"rounds\": %u,\n  \"results\": [",
            (unsigned)sizeof(void *) * 8, bench_processors(), bench_rounds());
    for (unsigned i = 0; i < row_count; i++) {
        const struct row *row = &rows[i];
        fprintf(file,
                "%s\n    {\"section\": \"%s\", \"what\": \"%s\", "
                "\"value\": %.17g, \"low\": %.17g, \"high\": %.17g, \"together\": %.2f, \"unit\": \"%s\"",
                i == 0 ? "" : ",", row->section, row->name, row->value.median, row->value.low,
                row->value.high, row->value.together, row->unit);
        if (row->bar != 0)
            fprintf(file, ", \"bar\": %.4f, \"verdict\": \"%s\"", row->bar, verdict(row));
        fprintf(file, "}");
    }
    fprintf(file, "\n  ]\n}\n");
    bool whole = ferror(file) == 0;
    return fclose(file) == 0 && whole;
}

/* Timing and the table; see the header. */
#include "bench/bench.h"

#include <stdio.h>
#include <stdlib.h>

#include <windows.h>

enum { MOST_RESULTS = 64 };

static struct result {
    const char *what;
    const char *unit;
    double value, bar;
} results[MOST_RESULTS];
static unsigned result_count;

double bench_now(void)
{
    static LARGE_INTEGER frequency;
    LARGE_INTEGER now;
    if (frequency.QuadPart == 0)
        QueryPerformanceFrequency(&frequency);
    QueryPerformanceCounter(&now);
    return (double)now.QuadPart * 1e9 / (double)frequency.QuadPart;
}

struct runner {
    struct bench_side *side;
    unsigned thread, count;
    HANDLE go;
    double ns;
};

static DWORD WINAPI run_block(void *context)
{
    struct runner *runner = context;
    if (runner->go != NULL)
        WaitForSingleObject(runner->go, INFINITE);
    double start = bench_now();
    runner->side->block(runner->thread, runner->count, runner->side->context);
    runner->ns = (bench_now() - start) / runner->count;
    return 0;
}

/* The time of one operation, on all threads at once: their mean. */
static double run_side(struct bench_side *side, unsigned threads, unsigned count)
{
    struct runner runner[BENCH_THREADS];
    HANDLE handle[BENCH_THREADS];
    HANDLE go = threads > 1 ? CreateEventW(NULL, TRUE, FALSE, NULL) : NULL;
    double sum = 0;
    for (unsigned i = 0; i < threads; i++) {
        runner[i] = (struct runner){side, i, count, go, 0};
        if (threads > 1)
            handle[i] = CreateThread(NULL, 0, run_block, &runner[i], 0, NULL);
        else
            run_block(&runner[i]);
    }
    if (threads > 1) {
        SetEvent(go);
        WaitForMultipleObjects(threads, handle, TRUE, INFINITE);
        for (unsigned i = 0; i < threads; i++)
            CloseHandle(handle[i]);
        CloseHandle(go);
    }
    for (unsigned i = 0; i < threads; i++)
        sum += runner[i].ns;
    return sum / threads;
}

static int by_value(const void *a, const void *b)
{
    double difference = *(const double *)a - *(const double *)b;
    return (difference > 0) - (difference < 0);
}

void bench_run(struct bench_side *sides, unsigned side_count, unsigned threads, unsigned count)
{
    double times[4][BENCH_ROUNDS];
    for (unsigned s = 0; s < side_count; s++)
        run_side(&sides[s], threads, count); /* warm up */
    for (unsigned round = 0; round < BENCH_ROUNDS; round++)
        for (unsigned s = 0; s < side_count; s++)
            times[s][round] = run_side(&sides[s], threads, count);
    for (unsigned s = 0; s < side_count; s++) {
        qsort(times[s], BENCH_ROUNDS, sizeof(double), by_value);
        sides[s].ns = times[s][BENCH_ROUNDS / 2];
    }
}

static const char *verdict(const struct result *result)
{
    return result->bar == 0 ? "" : result->value <= result->bar ? "pass" : "miss";
}

void bench_report(const char *what, double value, const char *unit, double bar)
{
    struct result *result = &results[result_count++];
    *result = (struct result){what, unit, value, bar};
    if (bar != 0)
        printf("%-58s %9.2f %-6s %8.2f  %s\n", what, value, unit, bar, verdict(result));
    else
        printf("%-58s %9.2f %-6s\n", what, value, unit);
    fflush(stdout);
}

bool bench_write_json(const char *path)
{
    FILE *file = fopen(path, "w");
    if (file == NULL)
        return false;
    fprintf(file, "{\n  \"bits\": %u,\n  \"results\": [", (unsigned)sizeof(void *) * 8);
    for (unsigned i = 0; i < result_count; i++) {
        const struct result *r = &results[i];
        fprintf(file, "%s\n    {\"what\": \"%s\", \"value\": %.3f, \"unit\": \"%s\"", i == 0 ? "" : ",",
                r->what, r->value, r->unit);
        if (r->bar != 0)
            fprintf(file, ", \"bar\": %.3f, \"verdict\": \"%s\"", r->bar, verdict(r));
        fprintf(file, "}");
    }
    fprintf(file, "\n  ]\n}\n");
    return fclose(file) == 0;
}

/*
 * timing.c - see timing.h
 *
 * The first thread is the program's own.  The others sleep until there is a block for them; those awake wait for the last
 * one in a loop, since waking takes longer than many blocks do.
 */
#include "bench/timing.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <windows.h>

bool bench_quick;

static struct helper {
    HANDLE thread, begin, ended;
    unsigned number;
    void (*work)(void *context, const _Atomic bool *stop); /* instead of a block; NULL: a block */
    void *context;
    _Atomic bool began;
} helpers[BENCH_THREADS]; /* the first is not used */

static struct {
    const struct bench_side *side;
    unsigned threads, count;
    double start[BENCH_THREADS], end[BENCH_THREADS];
} job;
static _Atomic unsigned awake;
static _Atomic bool stop;

_Noreturn void bench_stop(const char *why)
{
    fflush(stdout);
    fprintf(stderr, "hostmem-bench: %s\n", why);
    exit(2);
}

unsigned bench_rounds(void)
{
    return bench_quick ? 3 : BENCH_ROUNDS;
}

unsigned bench_count(unsigned count)
{
    return bench_quick ? (count + 31) / 32 : count;
}

unsigned bench_processors(void)
{
    DWORD_PTR process, machine;
    unsigned processors = 0;
    if (!GetProcessAffinityMask(GetCurrentProcess(), &process, &machine))
        return 1;
    for (; process != 0; process &= process - 1)
        processors++;
    return processors;
}

static double now(void)
{
    static LARGE_INTEGER frequency;
    LARGE_INTEGER ticks;
    if (frequency.QuadPart == 0)
        QueryPerformanceFrequency(&frequency);
    QueryPerformanceCounter(&ticks);
    return (double)ticks.QuadPart * 1e9 / (double)frequency.QuadPart;
}

/* More threads than processors: somebody has to let the last one run. */
static void wait_for_the_others(void)
{
    atomic_fetch_add(&awake, 1);
    for (unsigned turns = 0; atomic_load(&awake) < job.threads; turns++)
        if (turns < 10000)
            YieldProcessor();
        else
            SwitchToThread();
}

static void run_block(unsigned thread)
{
    wait_for_the_others();
    job.start[thread] = now();
    job.side->block(thread, job.count, job.side->context);
    job.end[thread] = now();
}

static DWORD WINAPI help(void *context)
{
    struct helper *helper = context;
    while (WaitForSingleObject(helper->begin, INFINITE) == WAIT_OBJECT_0) {
        helper->began = true;
        if (helper->work != NULL)
            helper->work(helper->context, &stop);
        else
            run_block(helper->number);
        SetEvent(helper->ended);
    }
    return 0;
}

static void call_helper(unsigned number)
{
    struct helper *helper = &helpers[number];
    if (helper->thread == NULL) {
        helper->number = number;
        helper->begin = CreateEventW(NULL, FALSE, FALSE, NULL);
        helper->ended = CreateEventW(NULL, FALSE, FALSE, NULL);
        helper->thread = CreateThread(NULL, 0, help, helper, 0, NULL);
        if (helper->begin == NULL || helper->ended == NULL || helper->thread == NULL)
            bench_stop("cannot start a thread");
    }
    SetEvent(helper->begin);
}

/* The time of one operation is the threads' mean. */
static void run_side(struct bench_side *side, unsigned round, unsigned threads, unsigned count)
{
    job.side = side;
    job.threads = threads;
    job.count = count;
    awake = 0;
    for (unsigned i = 1; i < threads; i++)
        call_helper(i);
    run_block(0);
    for (unsigned i = 1; i < threads; i++)
        WaitForSingleObject(helpers[i].ended, INFINITE);
    double sum = 0, first = job.start[0], last_start = first, first_end = job.end[0], last = first_end;
    for (unsigned i = 0; i < threads; i++) {
        sum += job.end[i] - job.start[i];
        first = fmin(first, job.start[i]);
        last_start = fmax(last_start, job.start[i]);
        first_end = fmin(first_end, job.end[i]);
        last = fmax(last, job.end[i]);
    }
    side->ns[round] = sum / threads / count;
    side->together[round] = last > first ? fmax(0, first_end - last_start) / (last - first) : 1;
}

void bench_run(struct bench_side *sides, unsigned side_count, unsigned threads, unsigned count)
{
    count = bench_count(count);
    for (unsigned s = 0; s < side_count; s++)
        run_side(&sides[s], 0, threads, count); /* warm up */
    for (unsigned round = 0; round < bench_rounds(); round++)
        for (unsigned i = 0; i < side_count; i++) {
            unsigned s = round % 2 == 0 ? i : side_count - 1 - i;
            run_side(&sides[s], round, threads, count);
        }
}

/* On the last helper, so that bench_run may have the others. */
void bench_work_start(void (*work)(void *context, const _Atomic bool *stop), void *context)
{
    struct helper *helper = &helpers[BENCH_THREADS - 1];
    stop = false;
    helper->began = false;
    helper->work = work;
    helper->context = context;
    call_helper(BENCH_THREADS - 1);
    while (!helper->began)
        SwitchToThread();
}

void bench_work_stop(void)
{
    struct helper *helper = &helpers[BENCH_THREADS - 1];
    stop = true;
    WaitForSingleObject(helper->ended, INFINITE);
    helper->work = NULL;
}

static int by_value(const void *a, const void *b)
{
    double difference = *(const double *)a - *(const double *)b;
    return (difference > 0) - (difference < 0);
}

static struct bench_figure figure_of(double *values, double together)
{
    unsigned count = bench_rounds();
    qsort(values, count, sizeof(double), by_value);
    return (struct bench_figure){values[count / 2], values[count / 4], values[count - 1 - count / 4],
                                 together};
}

static double together(const struct bench_side *side)
{
    double values[BENCH_ROUNDS];
    memcpy(values, side->together, sizeof values);
    return figure_of(values, 1).median;
}

struct bench_figure bench_time(const struct bench_side *side)
{
    double values[BENCH_ROUNDS];
    memcpy(values, side->ns, sizeof values);
    return figure_of(values, together(side));
}

struct bench_figure bench_ratio(const struct bench_side *side, const struct bench_side *by)
{
    double values[BENCH_ROUNDS];
    for (unsigned round = 0; round < bench_rounds(); round++)
        values[round] = side->ns[round] / by->ns[round];
    return figure_of(values, fmin(together(side), together(by)));
}

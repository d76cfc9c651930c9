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

#include <windows.h>

bool bench_quick;

enum { PIECES = 16 };

static struct helper {
    HANDLE thread, begin, ended;
    unsigned number;
    void (*work)(void *context, const _Atomic bool *stop); /* instead of a block; NULL: a block */
    void *context;
    _Atomic bool began;
} helpers[BENCH_THREADS]; /* the first is not used */

static struct {
    const struct bench_side *side;
    unsigned threads, pieces, count; /* operations of a piece */
    bool crowded;                    /* fewer processors than threads */
    double start[PIECES][BENCH_THREADS], end[PIECES][BENCH_THREADS];
} job;
static _Atomic unsigned arrivals;
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

static unsigned pieces(void)
{
    return bench_quick ? 2 : PIECES;
}

static unsigned piece_count(unsigned count)
{
    unsigned piece = count / pieces() / (bench_quick ? 32 : 1);
    return piece == 0 ? 1 : piece;
}

unsigned bench_count(unsigned count)
{
    return piece_count(count) * pieces();
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

/* For the n-th time.  Who waits stays awake, unless somebody waits for a processor, too. */
static void meet(unsigned n)
{
    atomic_fetch_add(&arrivals, 1);
    while (atomic_load(&arrivals) < n * job.threads)
        if (job.crowded)
            SwitchToThread();
        else
            YieldProcessor();
}

static void run_pieces(unsigned thread)
{
    for (unsigned p = 0; p < job.pieces; p++) {
        meet(p + 1);
        job.start[p][thread] = now();
        job.side->block(thread, job.count, job.side->context);
        job.end[p][thread] = now();
    }
}

static DWORD WINAPI help(void *context)
{
    struct helper *helper = context;
    while (WaitForSingleObject(helper->begin, INFINITE) == WAIT_OBJECT_0) {
        helper->began = true;
        if (helper->work != NULL)
            helper->work(helper->context, &stop);
        else
            run_pieces(helper->number);
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

static int by_value(const void *a, const void *b)
{
    double difference = *(const double *)a - *(const double *)b;
    return (difference > 0) - (difference < 0);
}

/*
 * The time of one operation, the threads' mean; were all of them at work for nearly all of it?  They cannot be if they are
 * more than the processors: then it is the time of the whole, of which each processor did its share.
 */
static double time_of_piece(unsigned p, bool *together)
{
    const double *start = job.start[p], *end = job.end[p];
    double sum = 0, first = start[0], last_start = first, first_end = end[0], last = first_end;
    for (unsigned i = 0; i < job.threads; i++) {
        sum += end[i] - start[i];
        first = fmin(first, start[i]);
        last_start = fmax(last_start, start[i]);
        first_end = fmin(first_end, end[i]);
        last = fmax(last, end[i]);
    }
    *together = job.crowded || first_end - last_start >= 0.8 * (last - first);
    if (job.crowded)
        return (last - first) * bench_processors() / job.threads / job.count;
    return sum / job.threads / job.count;
}

/* A median of those pieces that the threads did together, if there are any. */
static void run_round(struct bench_side *side, unsigned round, unsigned threads, unsigned count)
{
    double times[PIECES], kept[PIECES];
    unsigned met = 0;
    job.side = side;
    job.threads = threads;
    job.crowded = threads > bench_processors();
    job.pieces = job.crowded ? 1 : pieces();
    job.count = bench_count(count) / job.pieces;
    arrivals = 0;
    for (unsigned i = 1; i < threads; i++)
        call_helper(i);
    run_pieces(0);
    for (unsigned i = 1; i < threads; i++)
        WaitForSingleObject(helpers[i].ended, INFINITE);
    for (unsigned p = 0; p < job.pieces; p++) {
        bool together;
        times[p] = time_of_piece(p, &together);
        if (together)
            kept[met++] = times[p];
    }
    unsigned kept_count = met != 0 ? met : job.pieces;
    double *values = met != 0 ? kept : times;
    qsort(values, kept_count, sizeof *values, by_value);
    side->ns[round] = values[kept_count / 2];
    side->together[round] = (double)met / job.pieces;
}

void bench_run(struct bench_side *sides, unsigned side_count, unsigned threads, unsigned count)
{
    for (unsigned s = 0; s < side_count; s++)
        run_round(&sides[s], 0, threads, count); /* warm up */
    for (unsigned round = 0; round < bench_rounds(); round++)
        for (unsigned i = 0; i < side_count; i++) {
            unsigned s = round % 2 == 0 ? i : side_count - 1 - i;
            run_round(&sides[s], round, threads, count);
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

/* Of the rounds in which there were pieces that the threads did together; of all of them if there was none.  `by`:
 * ratios to that side's times. */
static struct bench_figure figure_of(const struct bench_side *side, const struct bench_side *by)
{
    double values[BENCH_ROUNDS], together = 0;
    unsigned count = 0;
    for (unsigned round = 0; round < bench_rounds(); round++)
        together += by == NULL ? side->together[round] : fmin(side->together[round], by->together[round]);
    for (unsigned round = 0; round < bench_rounds(); round++)
        if (together == 0 || (side->together[round] > 0 && (by == NULL || by->together[round] > 0)))
            values[count++] = side->ns[round] / (by == NULL ? 1 : by->ns[round]);
    qsort(values, count, sizeof *values, by_value);
    return (struct bench_figure){values[count / 2], values[count / 4], values[count - 1 - count / 4],
                                 together / bench_rounds()};
}

struct bench_figure bench_time(const struct bench_side *side)
{
    return figure_of(side, NULL);
}

struct bench_figure bench_ratio(const struct bench_side *side, const struct bench_side *by)
{
    return figure_of(side, by);
}

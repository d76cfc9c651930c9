/*
 * one_region.c - threads that commit and decommit pages of their own in one region, as the garbage collector's do
 *
 * What is judged is the distance between their pages: from 4 MiB on Windows is not asked again on another's behalf.
 */
#include "bench/calls.h"
#include "bench/seam.h"
#include "bench/sections.h"

enum { MIB = 1 << 20, COUNT = 1000, BOOKKEEPING_COUNT = 20000 };

/* A bar of nothing at all. */
#define NONE 0.0001

static const struct distance {
    const char *name;
    SIZE_T bytes;
    double ratio_bar, asked_bar;
} distances[] = {
    {"64 MiB apart", 64 * MIB, 1.05, NONE},
    {"4 MiB apart", 4 * MIB, 1.05, NONE},
    {"512 KiB apart", RUNS_SIZE, 0, 0},
};
enum { DISTANCES = sizeof distances / sizeof *distances, REGION_SIZE = BENCH_THREADS * 64 * MIB };

/* Also says how often Windows was asked again for a managed pair. */
static struct bench_figure run(struct bench_side *sides, unsigned side_count, unsigned threads,
                               unsigned count)
{
    seam_queries = 0;
    bench_run(sides, side_count, threads, count);
    return bench_exactly(seam_queries / ((double)threads * bench_count(count) * (bench_rounds() + 1)));
}

static void on_threads(unsigned threads, const struct distance *distance, char *base)
{
    const char *on = table_threads(threads), *name = distance->name;
    struct runs runs;
    for (unsigned i = 0; i < BENCH_THREADS; i++)
        runs.base[i] = base + i * distance->bytes;
    struct bench_side sides[] = {{.block = calls_managed_run, .context = &runs},
                                 {.block = calls_raw_run, .context = &runs}};
    if (seam_without_windows) {
        struct bench_figure asked = run(sides, 1, threads, BOOKKEEPING_COUNT);
        table_row(bench_time(&sides[0]), "ns", 0, "%s: bookkeeping alone, %s", name, on);
        table_row(asked, "", distance->asked_bar, "  %s: bookkeeping alone, Windows asked again, %s", name,
                  on);
    } else {
        struct bench_figure asked = run(sides, 2, threads, COUNT);
        table_row(bench_ratio(&sides[0], &sides[1]), "x", distance->ratio_bar, "%s: managed / raw, %s", name,
                  on);
        table_row(asked, "", distance->asked_bar, "  %s: Windows asked again, %s", name, on);
    }
}

static void in_one_region(void *at)
{
    char *base = calls_reserve(at, REGION_SIZE);
    for (unsigned d = 0; d < DISTANCES; d++)
        for (unsigned threads = 1; threads <= BENCH_THREADS; threads *= 2)
            on_threads(threads, &distances[d], base);
    calls_release(base);
}

void section_region(void)
{
    in_one_region(NULL);
    seam_without_windows = true;
    in_one_region((void *)(uintptr_t)0x20000000);
    seam_without_windows = false;
}

/*
 * against_windows.c - managed calls beside raw ones
 */
#include "bench/calls.h"
#include "bench/sections.h"

static void on_threads(unsigned threads, double bar, struct runs *ours, struct runs *raws)
{
    const char *on = table_threads(threads);
    struct bench_side pairs[] = {{.block = calls_managed_pair}, {.block = calls_raw_pair}};
    struct bench_side runs[] = {{.block = calls_managed_run, .context = ours},
                                {.block = calls_raw_run, .context = raws}};
    bench_run(pairs, 2, threads, 1000);
    table_row(bench_ratio(&pairs[0], &pairs[1]), "x", bar, "reserve + release: managed / raw, %s", on);
    table_row(bench_time(&pairs[1]), "ns", 0, "  reserve + release: raw, %s", on);
    bench_run(runs, 2, threads, 1000);
    table_row(bench_ratio(&runs[0], &runs[1]), "x", bar, "commit + decommit of 16 pages: managed / raw, %s",
              on);
    table_row(bench_time(&runs[1]), "ns", 0, "  commit + decommit of 16 pages: raw, %s", on);
}

void section_windows(void)
{
    struct runs ours, raws;
    for (unsigned i = 0; i < BENCH_THREADS; i++) {
        ours.base[i] = calls_reserve(NULL, RUNS_SIZE);
        raws.base[i] = VirtualAlloc(NULL, RUNS_SIZE, MEM_RESERVE, PAGE_READWRITE);
        if (raws.base[i] == NULL)
            bench_stop("Windows has no address space");
    }
    on_threads(1, 1.03, &ours, &raws);
    on_threads(2, 1.03, &ours, &raws);
    on_threads(4, 0, &ours, &raws);
    for (unsigned i = 0; i < BENCH_THREADS; i++) {
        calls_release(ours.base[i]);
        VirtualFree(raws.base[i], 0, MEM_RELEASE);
    }
}

/*
 * bookkeeping.c - what the bookkeeping costs when Windows costs nothing
 */
#include "bench/calls.h"
#include "bench/seam.h"
#include "bench/sections.h"

enum { COUNT = 20000, REGION_SIZE = 8 * 1024 * 1024 };

static void on_threads(unsigned threads, struct runs *apart)
{
    const char *on = table_threads(threads);
    struct bench_side sides[] = {{.block = calls_managed_pair},
                                 {.block = calls_managed_run, .context = apart}};
    bench_run(sides, 2, threads, COUNT);
    table_row(bench_time(&sides[0]), "ns", 0, "reserve + release, %s", on);
    table_row(bench_time(&sides[1]), "ns", 0, "commit + decommit of 16 pages, %s", on);
}

/* Every budget there is: a manager's limit and heap limit, and those of a budget that it shares; far from use. */
static void with_limits(const struct runs *runs)
{
    const hostmem_limits limits = {.size = sizeof limits,
                                   .limit = 1ull << 40,
                                   .heap_limit = 1ull << 40,
                                   .soft = 1ull << 39,
                                   .reserve_limit = 1ull << 46};
    hostmem_options options = {.size = sizeof options, .limits = &limits};
    hostmem_manager *const manager = bench_manager;
    IHostMemoryManager *const memory = bench_memory;
    struct runs apart;
    if (hostmem_create_budget(&limits, &options.shared) != S_OK ||
        hostmem_create(&options, &bench_manager) != S_OK ||
        hostmem_get_memory_manager(bench_manager, &bench_memory) != S_OK)
        bench_stop("cannot make a manager with limits");
    for (unsigned i = 0; i < BENCH_THREADS; i++)
        apart.base[i] =
            calls_reserve(runs->base[i], REGION_SIZE); /* big enough to pass for the collector's heap */
    for (unsigned threads = 1; threads <= BENCH_THREADS; threads *= 2) {
        const double bar = threads == 1 ? 130 : 0;
        const char *on = table_threads(threads);
        struct bench_side sides[] = {{.block = calls_managed_pair},
                                     {.block = calls_managed_run, .context = &apart}};
        bench_run(sides, 2, threads, COUNT);
        table_row(bench_time(&sides[0]), "ns", bar, "with limits: reserve + release, %s", on);
        table_row(bench_time(&sides[1]), "ns", bar, "with limits: commit + decommit of 16 pages, %s", on);
    }
    for (unsigned i = 0; i < BENCH_THREADS; i++)
        calls_release(apart.base[i]);
    IHostMemoryManager_Release(bench_memory);
    hostmem_release(bench_manager);
    hostmem_release_budget(options.shared);
    bench_manager = manager;
    bench_memory = memory;
}

static void in_and_out(unsigned thread, unsigned count, void *base)
{
    (void)thread;
    for (unsigned i = 0; i < count; i++)
        calls_release(calls_reserve(base, (SIZE_T)((uint64_t)64 << 30)));
}

static void big_reservations(void)
{
    struct bench_side sides[] = {{.block = in_and_out, .context = (void *)(uintptr_t)0x100000000ull},
                                 {.block = in_and_out, .context = (void *)(uintptr_t)0x100010000ull}};
    bench_run(sides, 2, 1, 100);
    table_row(bench_time(&sides[0]), "ns", 15000, "64 GiB in and out");
    table_row(bench_time(&sides[1]), "ns", 15000, "64 GiB in and out, at an odd address");
}

void section_bookkeeping(void)
{
    struct runs apart;
    seam_without_windows = true;
    for (unsigned i = 0; i < BENCH_THREADS; i++)
        apart.base[i] = calls_reserve((void *)(0x20000000 + i * (uintptr_t)REGION_SIZE), REGION_SIZE);
    on_threads(1, &apart);
    on_threads(2, &apart);
    on_threads(4, &apart);
    with_limits(&apart);
    for (unsigned i = 0; i < BENCH_THREADS; i++)
        calls_release(apart.base[i]);
    if (WIDE)
        big_reservations();
    seam_without_windows = false;
}

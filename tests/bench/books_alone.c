/*
 * books_alone.c - what the books cost when Windows costs nothing
 */
#include "bench/calls.h"
#include "bench/seam.h"
#include "bench/sections.h"

enum { COUNT = 20000 };

static const double bars[BENCH_THREADS + 1] = {[1] = 100, [2] = 150};

static void on_threads(unsigned threads, struct runs *apart)
{
    const char *on = table_threads(threads);
    struct bench_side sides[] = {{.block = calls_managed_pair},
                                 {.block = calls_managed_run, .context = apart}};
    bench_run(sides, 2, threads, COUNT);
    table_row(bench_time(&sides[0]), "ns", bars[threads], "reserve + release, %s", on);
    table_row(bench_time(&sides[1]), "ns", bars[threads], "commit + decommit of 16 pages, %s", on);
}

/* A limit and a soft mark, far from use. */
static void with_limits(struct runs *apart)
{
    const hostmem_limits limits = {
        .size = sizeof limits, .limit = 1ull << 40, .soft = 1ull << 39, .reserve_limit = 1ull << 46};
    const hostmem_limits none = {.size = sizeof none, .limit = HOSTMEM_UNLIMITED, .soft = HOSTMEM_UNLIMITED};
    if (hostmem_set_limits(bench_manager, &limits) != S_OK)
        bench_stop("cannot set limits");
    for (unsigned threads = 1; threads <= 2; threads++) {
        struct bench_side sides[] = {{.block = calls_managed_pair},
                                     {.block = calls_managed_run, .context = apart}};
        bench_run(sides, 2, threads, COUNT);
        table_row(bench_time(&sides[0]), "ns", 0, "with limits: reserve + release, %s",
                  table_threads(threads));
        table_row(bench_time(&sides[1]), "ns", 0, "with limits: commit + decommit of 16 pages, %s",
                  table_threads(threads));
    }
    if (hostmem_set_limits(bench_manager, &none) != S_OK)
        bench_stop("cannot lift limits");
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

void section_books(void)
{
    const SIZE_T size = 8 * 1024 * 1024;
    struct runs apart;
    seam_without_windows = true;
    for (unsigned i = 0; i < BENCH_THREADS; i++)
        apart.base[i] = calls_reserve((void *)(0x20000000 + i * (uintptr_t)size), size);
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

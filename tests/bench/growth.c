/*
 * growth.c - cost per call while many regions live: real ones, and with Windows away many more
 */
#include "bench/calls.h"
#include "bench/seam.h"
#include "bench/sections.h"

#include <stdlib.h>

enum { PICKS = 1 << 16 };

struct many {
    char **base;
    unsigned regions;
    char *pick[PICKS]; /* some of them, in no order */
    unsigned next;
};

static char *any_of(struct many *many)
{
    return many->pick[many->next++ % PICKS];
}

static void look_up(unsigned thread, unsigned count, void *context)
{
    (void)thread;
    for (unsigned i = 0; i < count; i++)
        if (hostmem_owns(bench_manager, any_of(context)) != S_OK)
            bench_stop("a region is not found");
}

static void ask_windows(unsigned thread, unsigned count, void *context)
{
    MEMORY_BASIC_INFORMATION info;
    (void)thread;
    for (unsigned i = 0; i < count; i++)
        if (VirtualQuery(any_of(context), &info, sizeof info) == 0)
            bench_stop("VirtualQuery fails");
}

/* One of them goes and comes again. */
static void renew(unsigned thread, unsigned count, void *context)
{
    (void)thread;
    for (unsigned i = 0; i < count; i++) {
        char *base = any_of(context);
        void *again;
        IHostMemoryManager_VirtualFree(bench_memory, base, 0, MEM_RELEASE);
        IHostMemoryManager_VirtualAlloc(bench_memory, base, GRANULE, MEM_RESERVE, PAGE_READWRITE,
                                        eTaskCritical, &again);
    }
}

static void commit_in_one(unsigned thread, unsigned count, void *context)
{
    (void)thread;
    for (unsigned i = 0; i < count; i++) {
        char *base = any_of(context);
        void *got;
        IHostMemoryManager_VirtualAlloc(bench_memory, base, RUN, MEM_COMMIT, PAGE_READWRITE, eTaskCritical,
                                        &got);
        IHostMemoryManager_VirtualFree(bench_memory, base, RUN, MEM_DECOMMIT);
    }
}

/* With real regions: the pair and the run as in against_windows.c, with the others in the way. */
static void measure_real(struct many *many)
{
    struct runs in = {.base = {calls_reserve(NULL, RUNS_SIZE)}};
    struct bench_side pairs[] = {{.block = calls_managed_pair}, {.block = calls_raw_pair}};
    struct bench_side runs[] = {{.block = calls_managed_run, .context = &in},
                                {.block = calls_raw_run, .context = &in}};
    struct bench_side lookups[] = {{.block = look_up, .context = many},
                                   {.block = ask_windows, .context = many}};
    struct bench_side refusal = {.block = calls_refused};
    const unsigned n = many->regions;
    bench_run(pairs, 2, 1, 500);
    table_row(bench_time(&pairs[0]), "ns", 0, "reserve + release, %u real regions", n);
    table_row(bench_ratio(&pairs[0], &pairs[1]), "x", 1.05,
              "reserve + release: managed / raw, %u real regions", n);
    bench_run(runs, 2, 1, 500);
    table_row(bench_time(&runs[0]), "ns", 0, "commit + decommit of 16 pages, %u real regions", n);
    table_row(bench_ratio(&runs[0], &runs[1]), "x", 1.05,
              "commit + decommit of 16 pages: managed / raw, %u real regions", n);
    bench_run(lookups, 2, 1, 5000);
    table_row(bench_time(&lookups[0]), "ns", 0, "hostmem_owns of one, %u real regions", n);
    table_row(bench_time(&lookups[1]), "ns", 0, "  VirtualQuery of one, %u real regions", n);
    bench_run(&refusal, 1, 1, 20000);
    table_row(bench_time(&refusal), "ns", 10, "refusing a foreign pointer, %u real regions", n);
    calls_release(in.base[0]);
}

/* With Windows away: of any of the regions, so that the caches do not hold them all. */
static void measure_synthetic(struct many *many)
{
    struct bench_side sides[] = {{.block = renew, .context = many},
                                 {.block = commit_in_one, .context = many},
                                 {.block = look_up, .context = many},
                                 {.block = calls_refused}};
    const unsigned n = many->regions;
    bench_run(sides, 4, 1, PICKS);
    table_row(bench_time(&sides[0]), "ns", 0, "bookkeeping alone: release + reserve of any, %u regions", n);
    table_row(bench_time(&sides[1]), "ns", 0,
              "bookkeeping alone: commit + decommit of 16 pages in any, %u regions", n);
    table_row(bench_time(&sides[2]), "ns", 0, "hostmem_owns of any, %u regions", n);
    table_row(bench_time(&sides[3]), "ns", 10, "refusing a foreign pointer, %u regions", n);
}

static void grow(const unsigned *sizes, char *first, void (*measure)(struct many *))
{
    static struct many many;
    uint64_t random = 88172645463325252ull;
    for (; *sizes != 0; sizes++) {
        many.base = realloc(many.base, *sizes * sizeof *many.base);
        if (many.base == NULL)
            bench_stop("no memory for the addresses of many regions");
        for (; many.regions < *sizes; many.regions++)
            many.base[many.regions] =
                calls_reserve(first == NULL ? NULL : first + many.regions * (uintptr_t)GRANULE, GRANULE);
        for (unsigned i = 0; i < PICKS; i++)
            many.pick[i] = many.base[next_random(&random) % many.regions];
        measure(&many);
    }
    while (many.regions > 0)
        calls_release(many.base[--many.regions]);
    free(many.base);
    many.base = NULL;
}

void section_growth(void)
{
    static const unsigned real[] = {1000, 10000, WIDE ? 50000 : 0, 0};
    static const unsigned synthetic[] = {1000, WIDE ? 100000 : 20000, WIDE ? 1000000 : 0, 0};
    grow(real, NULL, measure_real);
    seam_without_windows = true;
    grow(synthetic, (char *)(uintptr_t)(WIDE ? 0x10000000000ull : 0x1000000ull), measure_synthetic);
    seam_without_windows = false;
}

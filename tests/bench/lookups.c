/*
 * lookups.c - the table alone, with made-up addresses, and what it takes
 */
#include "bench/crowd.h"
#include "bench/seam.h"
#include "bench/sections.h"

static double metadata(void)
{
    hostmem_statistics statistics = {.size = sizeof statistics};
    hostmem_get_statistics(bench_manager, &statistics);
    return (double)statistics.metadata;
}

/* A big region committed all over: is there more than a bit for each further page? */
static void page_bits(void)
{
    const uint64_t size = 256ull << 30, step = 64ull << 20;
    char *base = (char *)(uintptr_t)0x20000000000ull;
    double quarter = 0;
    seam_without_windows = true;
    calls_reserve(base, (SIZE_T)size);
    for (uint64_t at = 0; at < size; at += step) {
        void *got;
        if (at == size / 4)
            quarter = metadata();
        if (IHostMemoryManager_VirtualAlloc(bench_memory, base + at, (SIZE_T)step, MEM_COMMIT, PAGE_READWRITE,
                                            eTaskCritical, &got) != S_OK)
            bench_stop("cannot commit");
    }
    double bits = (metadata() - quarter) * 8 / ((double)(size - size / 4) / PAGE);
    calls_release(base);
    seam_without_windows = false;
    table_row(bench_exactly(bits), "bits", 1.05, "metadata a page, from 64 to 256 GiB committed");
}

void section_lookups(void)
{
    static const double bars[] = {15, 50, 100};
    for (unsigned s = 0; crowd_sizes[s] != 0; s++) {
        unsigned regions = crowd_sizes[s];
        struct crowd *crowd = crowd_ours(regions);
        struct crowd_lookups lookups;
        crowd_measure(crowd, crowd_look_up, crowd_churn, 200000, &lookups);
        table_row(bench_time(&lookups.quiet), "ns", bars[s], "lookup, %u regions", regions);
        table_row(bench_time(&lookups.busy), "ns", 0, "  lookup while another thread churns, %u regions",
                  regions);
        table_row(bench_ratio(&lookups.busy, &lookups.quiet), "x", 3, "lookup: churning / quiet, %u regions",
                  regions);
        table_row(bench_exactly(crowd->metadata), "bytes", regions >= 30000 ? 64 : 0,
                  "metadata a region, %u regions", regions);
        crowd_ours_end(crowd);
    }
    if (WIDE)
        page_bits();
}

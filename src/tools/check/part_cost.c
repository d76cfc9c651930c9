/*
 * part_cost.c - what a call costs by the manager, and raw
 *
 * In turns, round by round, so that a change of the machine's mood hits both; a figure is the median of the rounds.
 * hostmem-bench measures it thoroughly.
 */
#include "tools/check/check.h"

#include <stdlib.h>

#include "tools/check/rows.h"

enum { GRANULE = 65536, RUN = GRANULE, PLACES = 8, ROUNDS = 15, ROUND_MS = 30 };

static const struct row_text rows[] = {
    {"reserve", "reserve and release of 64 KiB"},
    {"commit", "commit and decommit of 16 pages"},
    {0},
};

static IHostMemoryManager *memory;
static char *region;
static unsigned failures;

static void managed_reserve(unsigned i)
{
    void *at = NULL;

    (void)i;
    failures += IHostMemoryManager_VirtualAlloc(memory, NULL, GRANULE, MEM_RESERVE, PAGE_READWRITE,
                                                eTaskCritical, &at) != S_OK;
    failures += IHostMemoryManager_VirtualFree(memory, at, 0, MEM_RELEASE) != S_OK;
}

static void raw_reserve(unsigned i)
{
    (void)i;
    failures += !VirtualFree(VirtualAlloc(NULL, GRANULE, MEM_RESERVE, PAGE_READWRITE), 0, MEM_RELEASE);
}

static void managed_commit(unsigned i)
{
    char *at = region + i % PLACES * (SIZE_T)RUN;
    void *got = NULL;

    failures += IHostMemoryManager_VirtualAlloc(memory, at, RUN, MEM_COMMIT, PAGE_READWRITE, eTaskCritical,
                                                &got) != S_OK;
    failures += IHostMemoryManager_VirtualFree(memory, at, RUN, MEM_DECOMMIT) != S_OK;
}

/* In the same pages: what Windows needs depends on where they lie.  It leaves them as the manager has them. */
static void raw_commit(unsigned i)
{
    char *at = region + i % PLACES * (SIZE_T)RUN;

    failures += !VirtualAlloc(at, RUN, MEM_COMMIT, PAGE_READWRITE);
    failures += !VirtualFree(at, RUN, MEM_DECOMMIT);
}

static int64_t ticks(void)
{
    LARGE_INTEGER now;

    QueryPerformanceCounter(&now);
    return now.QuadPart;
}

static double time_of(void (*call)(unsigned), unsigned count)
{
    LARGE_INTEGER frequency;
    const int64_t begin = ticks();

    for (unsigned i = 0; i < count; i++)
        call(i);
    QueryPerformanceFrequency(&frequency);
    return (double)(ticks() - begin) * 1e9 / (double)frequency.QuadPart / count;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *figures)
{
    qsort(figures, ROUNDS, sizeof *figures, compare);
    return figures[ROUNDS / 2];
}

static void measure(const char *id, void (*managed)(unsigned), void (*raw)(unsigned))
{
    double managed_ns[ROUNDS], raw_ns[ROUNDS], ratio[ROUNDS];
    const double first = (time_of(managed, 100), time_of(raw, 100));
    const unsigned count = first * 100 > ROUND_MS * 1e6 ? 100 : (unsigned)(ROUND_MS * 1e6 / (first + 1)) + 1;

    failures = 0;
    for (unsigned i = 0; i < ROUNDS; i++) {
        if (i % 2)
            managed_ns[i] = time_of(managed, count);
        raw_ns[i] = time_of(raw, count);
        if (i % 2 == 0)
            managed_ns[i] = time_of(managed, count);
        ratio[i] = managed_ns[i] / raw_ns[i];
    }
    if (failures)
        row_fail(id, "%u of the calls failed", failures);
    else
        row_figure(id, "managed / raw %.3f: %.0f ns raw, %.0f ns by the manager", median(ratio),
                   median(raw_ns), median(managed_ns));
}

static void run(const struct check *check)
{
    hostmem_manager *manager;
    void *base = NULL;

    (void)check;
    if (hostmem_create(NULL, &manager) != S_OK || hostmem_get_memory_manager(manager, &memory) != S_OK ||
        IHostMemoryManager_VirtualAlloc(memory, NULL, PLACES * (SIZE_T)RUN, MEM_RESERVE, PAGE_READWRITE,
                                        eTaskCritical, &base) != S_OK) {
        row_fail(ROW_THE_REST, "no manager can be made");
        return;
    }
    region = base;
    measure("reserve", managed_reserve, raw_reserve);
    measure("commit", managed_commit, raw_commit);
}

const struct part part_cost = {"cost", "What a call costs", run, rows, 0};

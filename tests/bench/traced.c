/*
 * traced.c - what a trace costs the calls that it tells of
 *
 * The lanes have room for all that the blocks make, so that nothing is lost: an event that is dropped costs less.
 */
#include "bench/calls.h"
#include "bench/sections.h"

#include <hostmem/trace.h>

static wchar_t path[MAX_PATH];

static void start(uint32_t flags)
{
    const hostmem_trace_options options = {
        .size = sizeof options, .flags = flags, .path = path, .lane_events = 65536};
    if (hostmem_trace_start(bench_manager, &options) != S_OK)
        bench_stop("cannot trace");
}

static void beside_raw(struct runs *in, double bar, const char *how)
{
    struct bench_side pairs[] = {{.block = calls_managed_pair}, {.block = calls_raw_pair}};
    struct bench_side runs[] = {{.block = calls_managed_run, .context = in},
                                {.block = calls_raw_run, .context = in}};
    bench_run(pairs, 2, 1, 1000);
    bench_run(runs, 2, 1, 1000);
    table_row(bench_ratio(&pairs[0], &pairs[1]), "x", bar, "reserve + release: %s / raw, 1 thread", how);
    table_row(bench_ratio(&runs[0], &runs[1]), "x", bar, "commit + decommit of 16 pages: %s / raw, 1 thread",
              how);
    table_row(bench_time(&pairs[0]), "ns", 0, "  reserve + release: %s, 1 thread", how);
}

void section_trace(void)
{
    wchar_t folder[MAX_PATH];
    struct runs runs = {.base = {calls_reserve(NULL, RUNS_SIZE)}};
    if (GetTempPathW(MAX_PATH, folder) == 0 || GetTempFileNameW(folder, L"hmb", 0, path) == 0)
        bench_stop("no place for a trace");
    beside_raw(&runs, 0, "not traced");
    start(0);
    beside_raw(&runs, 1.10, "traced");
    hostmem_trace_stop(bench_manager);
    if (WIDE) {
        start(HOSTMEM_TRACE_STACKS);
        beside_raw(&runs, 0, "with stacks");
        hostmem_trace_stop(bench_manager);
    }
    DeleteFileW(path);
    calls_release(runs.base[0]);
}

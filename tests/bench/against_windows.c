/*
 * against_windows.c - managed calls beside raw ones
 *
 * And beside an object that does nothing but pass them on: what it costs at least to be asked by way of an interface.
 */
#include "bench/calls.h"
#include "bench/sections.h"

static HRESULT STDMETHODCALLTYPE pass_alloc(IHostMemoryManager *iface, void *address, SIZE_T size, DWORD type,
                                            DWORD protect, EMemoryCriticalLevel level, void **memory)
{
    (void)iface, (void)level;
    *memory = VirtualAlloc(address, size, type, protect);
    return *memory != NULL ? S_OK : E_OUTOFMEMORY;
}

static HRESULT STDMETHODCALLTYPE pass_free(IHostMemoryManager *iface, LPVOID address, SIZE_T size, DWORD type)
{
    (void)iface;
    return VirtualFree(address, size, type) ? S_OK : E_FAIL;
}

static IHostMemoryManagerVtbl passing_vtbl = {.VirtualAlloc = pass_alloc, .VirtualFree = pass_free};
static IHostMemoryManager passing = {&passing_vtbl};

/* Blocks of the manager's, asked of that object. */
static void ask_passing(void (*block)(unsigned, unsigned, void *), unsigned thread, unsigned count,
                        void *context)
{
    IHostMemoryManager *const manager = bench_memory;
    bench_memory = &passing;
    block(thread, count, context);
    bench_memory = manager;
}

static void passed_pair(unsigned thread, unsigned count, void *context)
{
    ask_passing(calls_managed_pair, thread, count, context);
}

static void passed_run(unsigned thread, unsigned count, void *runs)
{
    ask_passing(calls_managed_run, thread, count, runs);
}

static void passed_on(struct runs *in)
{
    struct bench_side pairs[] = {{.block = passed_pair}, {.block = calls_raw_pair}};
    struct bench_side runs[] = {{.block = passed_run, .context = in},
                                {.block = calls_raw_run, .context = in}};
    bench_run(pairs, 2, 1, 1000);
    bench_run(runs, 2, 1, 1000);
    table_row(bench_ratio(&pairs[0], &pairs[1]), "x", 0, "reserve + release: only passed on / raw, 1 thread");
    table_row(bench_ratio(&runs[0], &runs[1]), "x", 0,
              "commit + decommit of 16 pages: only passed on / raw, 1 thread");
}

static void on_threads(unsigned threads, double bar, struct runs *in)
{
    const char *on = table_threads(threads);
    struct bench_side pairs[] = {{.block = calls_managed_pair}, {.block = calls_raw_pair}};
    struct bench_side runs[] = {{.block = calls_managed_run, .context = in},
                                {.block = calls_raw_run, .context = in}};
    bench_run(pairs, 2, threads, 1000);
    table_row(bench_ratio(&pairs[0], &pairs[1]), "x", bar, "reserve + release: managed / raw, %s", on);
    table_row(bench_time(&pairs[1]), "ns", 0, "  reserve + release: raw, %s", on);
    bench_run(runs, 2, threads, 1000);
    table_row(bench_ratio(&runs[0], &runs[1]), "x", bar, "commit + decommit of 16 pages: managed / raw, %s",
              on);
    table_row(bench_time(&runs[1]), "ns", 0, "  commit + decommit of 16 pages: raw, %s", on);
}

/* One region for both sides: what Windows needs depends on where the pages lie.  Raw calls leave them as the bookkeeping has
 * them, not committed. */
void section_windows(void)
{
    struct runs runs;
    for (unsigned i = 0; i < BENCH_THREADS; i++)
        runs.base[i] = calls_reserve(NULL, RUNS_SIZE);
    on_threads(1, 1.05, &runs);
    on_threads(2, 1.05, &runs);
    on_threads(4, 1.05, &runs);
    passed_on(&runs);
    for (unsigned i = 0; i < BENCH_THREADS; i++)
        calls_release(runs.base[i]);
}

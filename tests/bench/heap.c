/*
 * heap.c - IHostMalloc beside HeapAlloc
 */
#include "bench/calls.h"
#include "bench/sections.h"

struct blocks {
    IHostMalloc *ours;
    HANDLE raw;
    SIZE_T size;
};

enum { BATCH = 32, PIECE = 13 * BATCH };

static void managed_blocks(unsigned thread, unsigned count, void *context)
{
    struct blocks *blocks = context;
    void *held[BATCH];
    (void)thread;
    for (unsigned i = 0; i < count; i += BATCH) {
        for (unsigned b = 0; b < BATCH; b++)
            IHostMalloc_Alloc(blocks->ours, blocks->size, eTaskCritical, &held[b]);
        for (unsigned b = 0; b < BATCH; b++)
            IHostMalloc_Free(blocks->ours, held[b]);
    }
}

static void fill_and_empty(const struct blocks *blocks, unsigned count, DWORD flags)
{
    void *held[BATCH];
    for (unsigned i = 0; i < count; i += BATCH) {
        for (unsigned b = 0; b < BATCH; b++)
            held[b] = HeapAlloc(blocks->raw, flags, blocks->size);
        for (unsigned b = 0; b < BATCH; b++)
            HeapFree(blocks->raw, 0, held[b]);
    }
}

static void raw_blocks(unsigned thread, unsigned count, void *context)
{
    (void)thread;
    fill_and_empty(context, count, 0);
}

/* As ours, which always zeroes. */
static void zeroed_blocks(unsigned thread, unsigned count, void *context)
{
    (void)thread;
    fill_and_empty(context, count, HEAP_ZERO_MEMORY);
}

/* `budget`: how the manager's is told in a row's name. */
static void beside_windows(IHostMemoryManager *memory, const char *budget, const unsigned *sizes,
                           unsigned count, double bar)
{
    struct blocks blocks = {.raw = HeapCreate(0, 0, 0)};
    if (blocks.raw == NULL ||
        IHostMemoryManager_CreateMalloc(memory, MALLOC_THREADSAFE, &blocks.ours) != S_OK)
        bench_stop("cannot make a heap");
    for (unsigned i = 0; i < count; i++) {
        blocks.size = sizes[i];
        struct bench_side sides[] = {{.block = managed_blocks, .context = &blocks},
                                     {.block = raw_blocks, .context = &blocks},
                                     {.block = zeroed_blocks, .context = &blocks}};
        for (unsigned threads = 1; threads <= 2; threads++) {
            const char *on = table_threads(threads);
            bench_run(sides, 3, threads, PIECE * 16);
            table_row(bench_ratio(&sides[0], &sides[2]), "x", bar,
                      "%sAlloc + Free / HeapAlloc that zeroes + HeapFree, %u bytes, %s", budget, sizes[i],
                      on);
            table_row(bench_ratio(&sides[0], &sides[1]), "x", 0,
                      "  %sagainst HeapAlloc that does not, %u bytes, %s", budget, sizes[i], on);
            table_row(bench_time(&sides[2]), "ns", 0, "  %sHeapAlloc that zeroes + HeapFree, %u bytes, %s",
                      budget, sizes[i], on);
        }
    }
    IHostMalloc_Release(blocks.ours);
    HeapDestroy(blocks.raw);
}

void section_heap(void)
{
    static const unsigned sizes[] = {16, 64, 256, 1024, 4096}, some[] = {64, 1024};
    const hostmem_limits limits = {.size = sizeof limits, .limit = 1ull << 40};
    hostmem_options options = {.size = sizeof options};
    hostmem_manager *manager;
    IHostMemoryManager *memory;
    beside_windows(bench_memory, "", sizes, sizeof sizes / sizeof *sizes, 1.5);
    /* No stock: each block is charged by itself, twice. */
    if (hostmem_create_budget(&limits, &options.shared) != S_OK ||
        hostmem_create(&options, &manager) != S_OK || hostmem_get_memory_manager(manager, &memory) != S_OK)
        bench_stop("cannot make a manager with a shared budget");
    beside_windows(memory, "shared: ", some, sizeof some / sizeof *some, 0);
    IHostMemoryManager_Release(memory);
    hostmem_release(manager);
    hostmem_release_budget(options.shared);
}

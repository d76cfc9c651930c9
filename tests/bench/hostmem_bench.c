/*
 * hostmem_bench.c - the bars of the design, measured side by side in one run
 *
 *     hostmem-bench [--json FILE]
 *
 * The books alone are timed with Windows taken away: the linker puts the functions below between the library
 * and its OS calls (--wrap), and a switch makes them answer by themselves, with addresses that stand for
 * nothing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "memory/os.h"
#include "memory/region.h"
#include <hostmem/hostmem.h>

enum { PAGE = 4096, GRANULE = 65536, RUN = 16 * PAGE };

static const bool wide = sizeof(void *) == 8;
static hostmem_manager *manager;
static IHostMemoryManager *memory;

static void stop(const char *why)
{
    printf("%s\n", why);
    exit(1);
}

/* Windows, or nothing */

static bool without_windows;
static _Atomic unsigned queries;

void *__real_os_virtual_alloc(void *address, SIZE_T size, DWORD type, DWORD protect);
bool __real_os_virtual_free(void *address, SIZE_T size, DWORD type);
SIZE_T __real_os_virtual_query(const void *address, MEMORY_BASIC_INFORMATION *buffer, SIZE_T length);

/* Addresses for when Windows is away: each thread takes 256 in turn. */
static char *made_up(void)
{
    static struct {
        _Alignas(64) unsigned turn;
    } thread[64];
    unsigned t = GetCurrentThreadId() / 4 % 64;
    return (char *)(uintptr_t)0x40000000 + t * 0x1000000u + (thread[t].turn++ % 256u) * (uintptr_t)GRANULE;
}

void *__wrap_os_virtual_alloc(void *address, SIZE_T size, DWORD type, DWORD protect)
{
    if (!without_windows)
        return __real_os_virtual_alloc(address, size, type, protect);
    return address != NULL ? address : made_up();
}

bool __wrap_os_virtual_free(void *address, SIZE_T size, DWORD type)
{
    return without_windows || __real_os_virtual_free(address, size, type);
}

SIZE_T __wrap_os_virtual_query(const void *address, MEMORY_BASIC_INFORMATION *buffer, SIZE_T length)
{
    if (!without_windows)
        return __real_os_virtual_query(address, buffer, length);
    atomic_fetch_add_explicit(&queries, 1, memory_order_relaxed);
    return 0;
}

/* Reserve and release, commit and decommit */

static void managed_pair(unsigned thread, unsigned count, void *context)
{
    (void)thread, (void)context;
    for (unsigned i = 0; i < count; i++) {
        void *base;
        IHostMemoryManager_VirtualAlloc(memory, NULL, GRANULE, MEM_RESERVE, PAGE_READWRITE, eTaskCritical,
                                        &base);
        IHostMemoryManager_VirtualFree(memory, base, 0, MEM_RELEASE);
    }
}

static void raw_pair(unsigned thread, unsigned count, void *context)
{
    (void)thread, (void)context;
    for (unsigned i = 0; i < count; i++)
        VirtualFree(VirtualAlloc(NULL, GRANULE, MEM_RESERVE, PAGE_READWRITE), 0, MEM_RELEASE);
}

struct ranges {
    char *base[BENCH_THREADS];
};

static void managed_run(unsigned thread, unsigned count, void *context)
{
    char *base = ((struct ranges *)context)->base[thread];
    for (unsigned i = 0; i < count; i++) {
        void *at = base + (i % 8u) * (uintptr_t)RUN, *got;
        IHostMemoryManager_VirtualAlloc(memory, at, RUN, MEM_COMMIT, PAGE_READWRITE, eTaskCritical, &got);
        IHostMemoryManager_VirtualFree(memory, at, RUN, MEM_DECOMMIT);
    }
}

static void raw_run(unsigned thread, unsigned count, void *context)
{
    char *base = ((struct ranges *)context)->base[thread];
    for (unsigned i = 0; i < count; i++) {
        void *at = base + (i % 8u) * (uintptr_t)RUN;
        VirtualAlloc(at, RUN, MEM_COMMIT, PAGE_READWRITE);
        VirtualFree(at, RUN, MEM_DECOMMIT);
    }
}

static void *reserve(void *address, SIZE_T size)
{
    void *base;
    if (IHostMemoryManager_VirtualAlloc(memory, address, size, MEM_RESERVE, PAGE_READWRITE, eTaskCritical,
                                        &base) != S_OK)
        stop("cannot reserve");
    return base;
}

static void release(void *base)
{
    IHostMemoryManager_VirtualFree(memory, base, 0, MEM_RELEASE);
}

static void bench_books_alone(void)
{
    static const char *const pair_names[] = {"books alone: reserve + release, 1 thread",
                                             "books alone: reserve + release, 2 threads"};
    static const char *const run_names[] = {"books alone: commit + decommit of 16 pages, 1 thread",
                                            "books alone: commit + decommit of 16 pages, 2 threads"};
    const double bars[] = {100, 150};
    const SIZE_T size = 8 * 1024 * 1024;
    without_windows = true;
    char *one = reserve((void *)0x20000000, size), *other = reserve((void *)0x28000000, size);
    struct ranges apart = {{one, other}}, together = {{one, one + size / 2}};
    struct bench_side pair = {managed_pair, NULL, 0}, run = {managed_run, &apart, 0},
                      same = {managed_run, &together, 0};
    for (unsigned threads = 1; threads <= 2; threads++) {
        bench_run(&pair, 1, threads, 20000);
        bench_report(pair_names[threads - 1], pair.ns, "ns", bars[threads - 1]);
        bench_run(&run, 1, threads, 20000);
        bench_report(run_names[threads - 1], run.ns, "ns", bars[threads - 1]);
    }
    queries = 0;
    bench_run(&same, 1, 2, 20000);
    bench_report("  the same, both threads in one region", same.ns, "ns", 0);
    bench_report("  of these, Windows asked again per pair", queries / (2.0 * 20000 * (BENCH_ROUNDS + 1)), "",
                 0);
    release(one);
    release(other);
    if (wide) {
        double start = bench_now();
        for (int i = 0; i < 100; i++)
            release(reserve((void *)(uintptr_t)0x100000000ull, (SIZE_T)(64ull << 30)));
        bench_report("books alone: 64 GiB in and out", (bench_now() - start) / 100, "ns", 10000);
        start = bench_now();
        for (int i = 0; i < 100; i++)
            release(reserve((void *)(uintptr_t)0x100010000ull, (SIZE_T)(64ull << 30)));
        bench_report("  the same, at an odd address", (bench_now() - start) / 100, "ns", 0);
    }
    without_windows = false;
}

static void bench_against_windows(void)
{
    static const char *const names[][2] = {{"reserve + release of 64 KiB: managed / raw, 1 thread",
                                            "commit + decommit of 16 pages: managed / raw, 1 thread"},
                                           {"reserve + release of 64 KiB: managed / raw, 2 threads",
                                            "commit + decommit of 16 pages: managed / raw, 2 threads"}};
    const SIZE_T size = 1024 * 1024;
    struct ranges ours = {{reserve(NULL, size), reserve(NULL, size)}}, raws;
    for (unsigned i = 0; i < BENCH_THREADS; i++)
        raws.base[i] = VirtualAlloc(NULL, size, MEM_RESERVE, PAGE_READWRITE);
    for (unsigned threads = 1; threads <= 2; threads++) {
        struct bench_side pairs[] = {{managed_pair, NULL, 0}, {raw_pair, NULL, 0}};
        struct bench_side runs[] = {{managed_run, &ours, 0}, {raw_run, &raws, 0}};
        bench_run(pairs, 2, threads, 1000);
        bench_report(names[threads - 1][0], pairs[0].ns / pairs[1].ns, "x", 1.03);
        bench_report("  raw", pairs[1].ns, "ns", 0);
        bench_run(runs, 2, threads, 1000);
        bench_report(names[threads - 1][1], runs[0].ns / runs[1].ns, "x", 1.03);
        bench_report("  raw", runs[1].ns, "ns", 0);
    }
    for (unsigned i = 0; i < BENCH_THREADS; i++) {
        release(ours.base[i]);
        VirtualFree(raws.base[i], 0, MEM_RELEASE);
    }
}

static void refuse(unsigned thread, unsigned count, void *context)
{
    char on_stack[16];
    (void)thread, (void)context;
    for (unsigned i = 0; i < count; i++)
        IHostMemoryManager_VirtualFree(memory, on_stack, 0, MEM_RELEASE);
}

static void ask_owner(unsigned thread, unsigned count, void *context)
{
    char on_stack[16];
    (void)thread, (void)context;
    for (unsigned i = 0; i < count; i++)
        hostmem_owns(manager, on_stack);
}

/* The table, with regions that stand for nothing */

struct crowd {
    struct region_table *table;
    uint64_t first, regions; /* one granule each */
    uint32_t *where;         /* indices to look up */
    uint64_t found;
    _Atomic bool stop;
    uint64_t churned;
};

enum { LOOKUPS = 1 << 16 };

static void look_up(unsigned thread, unsigned count, void *context)
{
    struct crowd *crowd = context;
    uint64_t geometry, found = 0;
    (void)thread;
    for (unsigned i = 0; i < count; i++)
        found += region_find(crowd->table, crowd->first + (uint64_t)crowd->where[i % LOOKUPS] * GRANULE,
                             &geometry) != 0;
    crowd->found += found;
}

static void publish(struct region_table *table, uint64_t base)
{
    uint32_t number = region_take(table);
    struct region_origin origin = {
        .base = base, .pages = 16, .kind = HOSTMEM_REGION_PRIVATE, .protect = PAGE_READWRITE};
    budget_charge(&table->reserve, 16 * PAGE, BUDGET_TASK);
    if (number == 0 || !region_publish(table, number, &origin))
        stop("no memory for the table");
}

static void drop(struct region_table *table, uint64_t base)
{
    struct region_hold hold;
    if (region_enter(table, base, REGION_CHANGE, &hold)) {
        region_unpublish(table, &hold);
        region_leave_unchanged(table, &hold);
    }
}

/* In the same part of the address space, just behind the crowd. */
static DWORD WINAPI churn(void *context)
{
    struct crowd *crowd = context;
    uint64_t behind = crowd->first + crowd->regions * GRANULE;
    while (!atomic_load_explicit(&crowd->stop, memory_order_relaxed)) {
        uint64_t base = behind + crowd->churned++ % 64 * GRANULE;
        publish(crowd->table, base);
        drop(crowd->table, base);
    }
    return 0;
}

static void bench_lookups(uint64_t regions, const char *name, const char *churn_name, double bar)
{
    static struct stats stats;
    static struct region_table table;
    memset(&stats, 0, sizeof stats);
    memset(&table, 0, sizeof table);
    region_table_init(&table, &stats);
    struct crowd crowd = {.table = &table, .first = wide ? 0x10000000000ull : 0x1000000, .regions = regions};
    crowd.where = malloc(LOOKUPS * sizeof *crowd.where);
    uint64_t random = 88172645463325252ull;
    for (unsigned i = 0; i < LOOKUPS; i++) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        crowd.where[i] = (uint32_t)(random % regions);
    }
    for (uint64_t i = 0; i < regions; i++)
        publish(&table, crowd.first + i * GRANULE);
    double bytes = (double)stats.metadata / (double)regions;

    struct bench_side quiet = {look_up, &crowd, 0}, busy = {look_up, &crowd, 0};
    bench_run(&quiet, 1, 1, 200000);
    HANDLE thread = CreateThread(NULL, 0, churn, &crowd, 0, NULL);
    bench_run(&busy, 1, 1, 200000);
    atomic_store(&crowd.stop, true);
    WaitForSingleObject(thread, INFINITE);
    CloseHandle(thread);
    if (crowd.found != 2ull * 200000 * (BENCH_ROUNDS + 1) || crowd.churned == 0)
        stop("lookups went wrong");
    bench_report(name, quiet.ns, "ns", bar);
    bench_report(churn_name, busy.ns / quiet.ns, "x", 3);
    bench_report("  metadata a region", bytes, "bytes", regions >= 30000 ? 64 : 0);
    free(crowd.where);
    region_table_destroy(&table);
}

/* Heap blocks */

struct blocks {
    IHostMalloc *ours;
    HANDLE raw;
    SIZE_T size;
};

enum { BATCH = 32 };

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

static void bench_heap(void)
{
    static const struct {
        SIZE_T size;
        const char *name;
    } sizes[] = {{16, "IHostMalloc / HeapAlloc, 16 bytes"},
                 {64, "IHostMalloc / HeapAlloc, 64 bytes"},
                 {256, "IHostMalloc / HeapAlloc, 256 bytes"},
                 {1024, "IHostMalloc / HeapAlloc, 1 KiB"},
                 {4096, "IHostMalloc / HeapAlloc, 4 KiB"}};
    struct blocks blocks = {.raw = HeapCreate(0, 0, 0)};
    IHostMemoryManager_CreateMalloc(memory, MALLOC_THREADSAFE, &blocks.ours);
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        blocks.size = sizes[i].size;
        struct bench_side sides[] = {
            {managed_blocks, &blocks, 0}, {raw_blocks, &blocks, 0}, {zeroed_blocks, &blocks, 0}};
        bench_run(sides, 3, 1, 6400);
        bench_report(sizes[i].name, sides[0].ns / sides[1].ns, "x", 1.5);
        bench_report("  against HeapAlloc that zeroes, as ours does", sides[0].ns / sides[2].ns, "x", 0);
        bench_report("  raw", sides[1].ns, "ns", 0);
    }
    IHostMalloc_Release(blocks.ours);
    HeapDestroy(blocks.raw);
}

int main(int count, char **arguments)
{
    const char *json = count == 3 && strcmp(arguments[1], "--json") == 0 ? arguments[2] : NULL;
    if (count > 1 && json == NULL) {
        printf("usage: hostmem-bench [--json FILE]\n");
        return 2;
    }
    hostmem_create(NULL, &manager);
    hostmem_get_memory_manager(manager, &memory);
    printf("%-58s %9s %-6s %8s\n", "", "", "", "bar");
    bench_books_alone();
    bench_against_windows();
    struct bench_side refusal = {refuse, NULL, 0}, owner = {ask_owner, NULL, 0};
    bench_run(&refusal, 1, 1, 200000);
    bench_run(&owner, 1, 1, 200000);
    bench_report("refusing a foreign pointer (VirtualFree)", refusal.ns, "ns", 10);
    bench_report("  of this, the lookup (hostmem_owns)", owner.ns, "ns", 0);
    bench_lookups(1000, "lookup, 1,000 regions", "lookup while another thread churns / quiet, 1,000", 15);
    if (wide) {
        bench_lookups(100000, "lookup, 100,000 regions",
                      "lookup while another thread churns / quiet, 100,000", 50);
        bench_lookups(1000000, "lookup, 1,000,000 regions",
                      "lookup while another thread churns / quiet, 1,000,000", 100);
    } else {
        bench_lookups(50000, "lookup, 50,000 regions", "lookup while another thread churns / quiet, 50,000",
                      50);
    }
    bench_heap();
    if (json != NULL && !bench_write_json(json))
        stop("cannot write the JSON file");
    printf("done\n");
    return 0;
}

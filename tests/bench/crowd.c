/*
 * crowd.c - see crowd.h
 */
#include "bench/crowd.h"

#include <stdlib.h>
#include <string.h>

#include "memory/region.h"

#if UINTPTR_MAX > UINT32_MAX
const unsigned crowd_sizes[] = {1000, 100000, 1000000, 0};
#    define FIRST 0x10000000000ull
#else
const unsigned crowd_sizes[] = {1000, 50000, 0};
#    define FIRST 0x1000000ull
#endif

struct crowd *crowd_begin(void *table, uint64_t regions)
{
    struct crowd *crowd = calloc(1, sizeof *crowd);
    uint64_t random = 88172645463325252ull;
    if (crowd == NULL)
        bench_stop("no memory for a crowd");
    crowd->table = table;
    crowd->first = FIRST;
    crowd->regions = regions;
    for (unsigned i = 0; i < CROWD_LOOKUPS; i++)
        crowd->where[i] = (uint32_t)(next_random(&random) % regions);
    return crowd;
}

static void publish(struct region_table *table, uint64_t base)
{
    struct region_origin origin = {
        .base = base, .pages = GRANULE_PAGES, .kind = HOSTMEM_REGION_PRIVATE, .protect = PAGE_READWRITE};
    struct charge charge = {.bytes = GRANULE, .level = BUDGET_TASK, .kind = CHARGE_RESERVE};
    hm_quota_charge(table->quota, &charge);
    if (hm_region_publish(table, &origin) == 0)
        bench_stop("no memory for the table");
}

static void drop(struct region_table *table, uint64_t base)
{
    struct region_hold hold;
    if (hm_region_enter(table, base, &hold)) {
        hm_region_unpublish(table, &hold);
        hm_region_leave_unchanged(table, &hold);
    }
}

struct crowd *crowd_ours(uint64_t regions)
{
    static struct stats stats;
    static struct region_table table;
    static struct quota quota;
    memset(&stats, 0, sizeof stats);
    memset(&table, 0, sizeof table);
    memset(&quota, 0, sizeof quota);
    hm_quota_init(&quota, NULL);
    hm_region_table_init(&table, &stats, &quota);
    struct crowd *crowd = crowd_begin(&table, regions);
    for (uint64_t i = 0; i < regions; i++)
        publish(&table, crowd_address(crowd, i));
    crowd->metadata = (double)stats.metadata / (double)regions;
    return crowd;
}

void crowd_ours_end(struct crowd *crowd)
{
    hm_region_table_destroy(crowd->table);
    free(crowd);
}

void crowd_look_up(unsigned thread, unsigned count, void *context)
{
    struct crowd *crowd = context;
    uint64_t geometry, found = 0;
    unsigned kind;
    (void)thread;
    for (unsigned i = 0; i < count; i++)
        found += hm_region_find(crowd->table, crowd_next(crowd), &geometry, &kind) != 0;
    crowd->found += found;
}

void crowd_churn(void *context, const _Atomic bool *stop)
{
    struct crowd *crowd = context;
    do {
        uint64_t base = crowd_behind(crowd, crowd->churned++);
        publish(crowd->table, base);
        drop(crowd->table, base);
    } while (!atomic_load_explicit(stop, memory_order_relaxed));
}

void crowd_measure(struct crowd *crowd, bench_block look_up, void (*churn)(void *, const _Atomic bool *),
                   unsigned count, struct crowd_lookups *lookups)
{
    lookups->quiet = lookups->busy = (struct bench_side){.block = look_up, .context = crowd};
    crowd->found = 0;
    bench_run(&lookups->quiet, 1, 1, count);
    bench_work_start(churn, crowd);
    bench_run(&lookups->busy, 1, 1, count);
    bench_work_stop();
    if (crowd->found != 2ull * bench_count(count) * (bench_rounds() + 1) || crowd->churned == 0)
        bench_stop("lookups did not find what is there");
}

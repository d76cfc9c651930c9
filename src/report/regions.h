/*
 * regions.h - the address space as the events make it: regions, and in each the runs of pages that are committed
 *
 * Bytes committed are those that the events name; runs are for the map, and where there are very many, neighbours are
 * shown as one.
 */
#ifndef HOSTMEM_REPORT_REGIONS_H
#define HOSTMEM_REPORT_REGIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "report/table.h"

enum use {
    USE_OTHER,
    USE_GC_HEAP,
    USE_GC_TABLES,
    USE_CODE,
    USE_LOADER,
    USE_VIEW,
    USE_BLOCKS, /* IHostMalloc, which has no regions: from samples */
    USE_COUNT
};

#define NOT_SEEN UINT64_MAX /* a moment before the trace, or one that is not in it */

struct run {
    uint64_t start, end; /* addresses */
};

struct region {
    uint64_t base, bytes, committed;
    uint64_t since;   /* when it was reserved: ticks since the start, or NOT_SEEN */
    struct run *runs; /* by address, none of them touching */
    uint32_t run_count, run_capacity;
    uint32_t site; /* who reserved it; 0: not known */
    uint8_t use;
};

struct regions {
    struct table by_base; /* index in list */
    struct region *list;
    uint32_t count, capacity;
    uint64_t run_count;
    uint64_t left_out; /* regions for which there was no room */
    uint64_t changes;  /* so far: who has seen as many has seen all */
};

/* Of what has no bytes that are known, the base is there. */
static inline bool range_covers(uint64_t base, uint64_t bytes, uint64_t address)
{
    return address == base || (address >= base && address - base < bytes);
}

/* The region with this base, made if there is none. NULL: there is no room. */
struct region *hm_regions_make(struct regions *regions, uint64_t base);
struct region *hm_regions_find(struct regions *regions, uint64_t base);
bool hm_regions_cover(const struct regions *regions, uint64_t address); /* looks at each */
void hm_regions_remove(struct regions *regions, struct region *region);

void hm_regions_commit(struct regions *regions, struct region *region, uint64_t address, uint64_t bytes);
void hm_regions_decommit(struct regions *regions, struct region *region, uint64_t address, uint64_t bytes);

void hm_regions_clear(struct regions *regions);

#endif

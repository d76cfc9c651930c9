/*
 * owned.h - what is still there at the end of a trace: regions, by who reserved them and what for
 */
#ifndef HOSTMEM_REPORT_OWNED_H
#define HOSTMEM_REPORT_OWNED_H

#include "report/model.h"

struct owned_region {
    const struct region *region;
    uint32_t site; /* in `sites`; 0: not known */
};

/* Regions of one call site and one use; those from before the trace have no site, and are apart. */
struct owned_group {
    uint32_t first, count; /* in `regions` */
    uint32_t site;
    uint8_t use;
    uint64_t bytes, committed;
    uint64_t oldest, youngest; /* when they were reserved: ticks since the start, or NOT_SEEN */
};

struct owned {
    struct sites sites;           /* by their innermost frames */
    struct owned_region *regions; /* those with most first, within each group */
    struct owned_group *groups;   /* those with most first: committed, then reserved */
    uint32_t region_count, group_count;
};

/* False: no memory. hm_owned_clear in either case. */
bool hm_owned_find(struct owned *owned, const struct model *model);
void hm_owned_clear(struct owned *owned);

#endif

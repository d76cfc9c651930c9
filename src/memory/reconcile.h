/*
 * reconcile.h - page bits against what Windows says
 *
 * Asked only where the order of things is in doubt: calls that overlapped, a release that failed, an address
 * that was given away and taken again.  The last error is left alone.
 */
#ifndef HOSTMEM_MEMORY_RECONCILE_H
#define HOSTMEM_MEMORY_RECONCILE_H

#include "memory/region.h"

/* End the work of a hold that committed the given pages (`commits`), or changed them otherwise, and make their bits agree with
 * Windows. */
void hm_reconcile_leave(struct region_table *table, struct region_hold *hold, uint64_t first, uint64_t count,
                        bool commits);

/* Make the bits of the pages of [start, end) agree with Windows, in the region at `start`, if it is one of ours. */
void hm_reconcile_range(struct region_table *table, uint64_t start, uint64_t end);

/* Consecutive pages of one allocation that are in one state; `allocation` 0: that of the first page. */
struct page_run {
    uint64_t allocation, start, end;
    DWORD type; /* MEM_PRIVATE, MEM_MAPPED, MEM_IMAGE */
    bool committed;
    bool unknown; /* Windows did not say what follows */
};

/* What follows the run, up to `end`; false: nothing of the allocation, or it is unknown. */
bool hm_reconcile_next_run(struct page_run *run, uint64_t end);

/* Is the held region's memory still what was allocated for it?  False: freed behind our back. */
bool hm_reconcile_still_there(const struct region_hold *hold);

#endif

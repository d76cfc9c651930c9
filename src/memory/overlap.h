/*
 * overlap.h - has another call changed the same pages meanwhile?
 *
 * Each 4 MiB of a region have a version, which counts the calls that have turned bits there:
 *
 *      | commits 16 | changes 16 |
 *
 * A call reads the versions of its pages before it asks Windows, and advances them after it has turned its bits, unless it
 * had the region to itself.  If there was an opposite call in between, it compares its pages with VirtualQuery
 * (reconcile.c).  Why that is enough: docs/architecture.md.
 */
#ifndef HOSTMEM_MEMORY_OVERLAP_H
#define HOSTMEM_MEMORY_OVERLAP_H

#include "memory/region.h"

static inline uint32_t overlap_versions(const struct region_hold *hold, uint64_t first, uint64_t count,
                                        uint32_t amount)
{
    return hm_commit_map_versions(&hold->region->commit, geometry_pages(hold->geometry), first, count,
                                  amount);
}

/* Before Windows is asked to change these pages. */
static inline void overlap_begin(struct region_hold *hold, uint64_t first, uint64_t count)
{
    hold->versions = overlap_versions(hold, first, count, 0);
}

/* May the sum of the versions of so many pages have wrapped since the hold was entered?  By the calls that have ended since
 * then, and those that are at work: they may have advanced them already. */
static inline bool overlap_was_long(const struct region_hold *hold, uint64_t count, uint64_t state)
{
    uint64_t ended = state / ENDED_ONE - hold->entered / ENDED_ONE,
             at_work = (state & AT_WORK) / AT_WORK_ONE - 1,
             sectors = (count + 2 * SECTOR_PAGES - 2) / SECTOR_PAGES;
    return (ended + at_work) * sectors > UINT16_MAX / 2; /* half: a call that repairs advances them twice */
}

/* After the bits of these pages were turned: by a commit (`commits`), or by anything else.  True: an opposite call may have come
 * in between, compare them.  False also where the region is not LIVE any more: hm_region_leave says so. */
static inline bool overlap_end(const struct region_hold *hold, uint64_t first, uint64_t count, bool commits)
{
    const uint32_t commit_ended = 1 << 16, change_ended = 1;
    if (region_undisturbed(hold))
        return false;
    uint32_t before = overlap_versions(hold, first, count, commits ? commit_ended : change_ended);
    uint32_t others = before - hold->versions;
    uint64_t state = atomic_load_explicit(&hold->region->state, memory_order_acquire);
    /* A repair is a change, since it may have copied what was true before this call: a change minds all others. */
    bool met = commits ? (uint16_t)others != 0 : others != 0;
    return (state & LIVE) && (met || overlap_was_long(hold, count, state));
}

#endif

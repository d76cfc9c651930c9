/*
 * overlap.h - has another call changed the same pages meanwhile?
 *
 * Windows and the page bits are changed one after the other, so threads that commit and decommit the same pages at once
 * could leave the bits in another order than Windows took the calls.  Each 4 MiB have a version, which counts the calls
 * that have turned bits there:
 *
 *      | commits 16 | changes 16 |
 *
 * A call reads the versions of its pages before it asks Windows, and advances them after it has turned its bits.  If
 * there was an opposite call in between, it stays: it compares its pages with VirtualQuery; only if they differ it
 * writes, as a change that others see, and compares again if that was overlapped (reconcile.c).
 *
 * Who changes pages without being in their region (a commit that was passed on as foreign, a call whose region was released
 * meanwhile) advances the versions afterwards, and then compares.
 *
 * A call that had the region to itself until its bits were turned overlapped nobody, and leaves the versions alone.  Versions
 * wrap: a call that was in the region for so long that they may have compares in any case.  Why that is enough:
 * docs/architecture.md.
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

/* May the sum of the versions of so many pages have wrapped since the hold was entered? */
static inline bool overlap_was_long(const struct region_hold *hold, uint64_t count, uint64_t state)
{
    uint64_t ended = state / ENDED_ONE - hold->entered / ENDED_ONE, blocks = count / (BLOCK_PAGES / 2) + 3;
    return ended * blocks > UINT16_MAX / 2; /* a call that writes again advances them again */
}

/* After the bits of these pages were turned.  True: compare them, if the region is still there. */
static inline bool overlap_end(const struct region_hold *hold, uint64_t first, uint64_t count)
{
    const uint32_t commit_ended = 1 << 16, change_ended = 1;
    const bool commits = hold->work == REGION_COMMIT;
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

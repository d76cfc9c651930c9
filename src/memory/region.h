/*
 * region.h - the records: what is owned, how much of it is committed, who is at work in it
 *
 * One record a region (or reported view), found by address through the region map, without a lock.
 *
 *      geometry  | first granule 31 | pages 33 |      one load is the whole answer; 0: free
 *      state     | ended 39 | at work 24 | LIVE |
 *
 * Nobody ever waits here: whoever works on a region is counted in it, who takes LIVE away has released it, and the last one
 * to leave a region that is not LIVE refunds its pages and recycles the record.
 */
#ifndef HOSTMEM_MEMORY_REGION_H
#define HOSTMEM_MEMORY_REGION_H

#include "maps/commit_map.h"
#include "maps/region_map.h"
#include "memory/quota.h"
#include "memory/stats.h"

enum { PAGE_SHIFT = 12, PAGE_BYTES = 1 << PAGE_SHIFT, GRANULE_PAGES = 16 };

/* Sizes are below this: 33 bits of pages. */
#define REGION_MAX_PAGES (((uint64_t)1 << 33) - 1)

struct region {
    _Atomic uint32_t link; /* the pool's */
    uint32_t allocation_protect;
    _Atomic uint64_t geometry;
    _Atomic uint64_t state;
    struct commit_map commit;
    _Atomic uint64_t account; /* committed pages as they are charged, and the use they are charged for */
    uint64_t time;            /* of the reservation, or the report; of hm_os_ticks */
    uint32_t allocation_type;
    _Atomic uint8_t kind; /* hostmem_region_kind; also read by whoever holds nothing (hm_region_find) */
    uint8_t level;
};

/* What every call looks at comes first, and so on few pages. */
struct region_table {
    struct quota *quota;
    struct stats *stats;
    struct pool records;
    struct bit_store bits;
    struct region_map map;
};

/* Parts of the state word. */
#define LIVE        ((uint64_t)1)
#define AT_WORK_ONE ((uint64_t)1 << 1)
#define ENDED_ONE   ((uint64_t)1 << 25)
#define AT_WORK     (ENDED_ONE - AT_WORK_ONE)

/* Somebody at work in a region: keeps the record (not the memory) from being recycled. */
struct region_hold {
    struct region *region;
    uint32_t number;
    uint32_t versions; /* of its pages, before Windows was asked (overlap.h) */
    uint64_t entered;  /* state as it was right after entering */
    uint64_t geometry;
};

static inline uint64_t geometry_base(uint64_t geometry)
{
    return geometry >> 33 << GRANULE_SHIFT;
}

static inline uint64_t geometry_pages(uint64_t geometry)
{
    return geometry & REGION_MAX_PAGES;
}

static inline uint64_t geometry_granules(uint64_t geometry)
{
    return (geometry_pages(geometry) + GRANULE_PAGES - 1) / GRANULE_PAGES;
}

/* The first address behind it. */
static inline uint64_t geometry_end(uint64_t geometry)
{
    return geometry_base(geometry) + (geometry_pages(geometry) << PAGE_SHIFT);
}

static inline bool geometry_has(uint64_t geometry, uint64_t address)
{
    uint64_t base = geometry_base(geometry);
    return address >= base && (address - base) >> PAGE_SHIFT < geometry_pages(geometry);
}

/* The memory of `table` must be zero. */
void hm_region_table_init(struct region_table *table, struct stats *stats, struct quota *quota);
void hm_region_table_destroy(struct region_table *table);

/* The record number, geometry and kind (HOSTMEM_REGION_...) at an address; 0: nobody's, or being released.  No lock, nothing
 * shared is written. */
uint32_t hm_region_find(const struct region_table *table, uint64_t address, uint64_t *geometry,
                        unsigned *kind);

/* The kind alone, or 0. */
unsigned hm_region_kind_at(const struct region_table *table, uint64_t address);

/* How a region came to be. */
struct region_origin {
    uint64_t base; /* multiple of 64 KiB */
    uint64_t pages;
    bool committed; /* all of it */
    hostmem_region_kind kind;
    uint32_t type, protect;
    unsigned level;
    hostmem_use use;
    uint64_t time; /* now */
};

/*
 * Take a record, fill it and let it be found: its number.  The caller has charged the quota with the region's pages, those
 * reserved and those committed, and settles that.  Entries found in the range are stale: their memory was freed behind our
 * back, so they are dropped and counted.  0: no memory for record, entry or bits; the charges are still the caller's.
 */
uint32_t hm_region_publish(struct region_table *table, const struct region_origin *origin);

/* Begin work in the region at `address`; false: nobody's, or being released. */
bool hm_region_enter(struct region_table *table, uint64_t address, struct region_hold *hold);

/* As hm_region_enter, by number, for a walk; false: the record is free. */
bool hm_region_enter_number(struct region_table *table, uint32_t number, struct region_hold *hold);

/* End the work of a hold that changed something.  False: the region was released meanwhile, and Windows may have meant its
 * successor. */
bool hm_region_leave(struct region_table *table, struct region_hold *hold);

/* End the work of a hold that changed nothing. */
void hm_region_leave_unchanged(struct region_table *table, struct region_hold *hold);

/* As hm_region_enter, but for views. */
static inline bool region_enter_owned(struct region_table *table, uint64_t address, struct region_hold *hold)
{
    if (!hm_region_enter(table, address, hold))
        return false;
    if (hold->region->kind == HOSTMEM_REGION_PRIVATE)
        return true;
    hm_region_leave_unchanged(table, hold);
    return false;
}

/* Is the state as it was left by entering a region with nobody in it?  Then nobody has been there since, but to look. */
static inline bool region_undisturbed(const struct region_hold *hold)
{
    return (hold->entered & AT_WORK) == AT_WORK_ONE &&
           atomic_load_explicit(&hold->region->state, memory_order_acquire) == hold->entered;
}

/* Take LIVE away: from now on nobody enters or finds the region.  False: another thread has.  The caller, who is at work in it
 * still, then erases its entries and leaves, or opens it again. */
static inline bool region_close(const struct region_hold *hold)
{
    return atomic_fetch_and_explicit(&hold->region->state, ~LIVE, memory_order_acq_rel) & LIVE;
}

/* Remove its entries; what a successor has written over them stays. */
void hm_region_erase(struct region_table *table, const struct region_hold *hold);

/* Give LIVE back, after Windows has refused the release.  False: a successor has its place, and this has closed it again. */
bool hm_region_reopen(struct region_table *table, struct region_hold *hold);

/* Close and erase; false: another thread has closed it. */
bool hm_region_unpublish(struct region_table *table, struct region_hold *hold);

/* Turn bits of an entered region, and what is charged follows.  prepare: so that set cannot fail.  `charge` is what the
 * pages have been charged already, and receives the bytes that it came to; the result is that of hm_quota_settle. */
bool hm_region_prepare_commit(struct region_table *table, struct region_hold *hold, uint64_t first,
                              uint64_t count);
const struct budget *hm_region_set_committed(struct region_table *table, struct region_hold *hold,
                                             uint64_t first, uint64_t count, struct charge *charge);
uint64_t hm_region_set_decommitted(struct region_table *table, struct region_hold *hold, uint64_t first,
                                   uint64_t count); /* bytes */

/* The pages of [address, address + size) that lie in the held region, as [first, first + count). */
static inline uint64_t region_pages_within(const struct region_hold *hold, uint64_t address, uint64_t size,
                                           uint64_t *first)
{
    uint64_t base = geometry_base(hold->geometry);
    uint64_t limit = geometry_end(hold->geometry);
    uint64_t end = size > limit - address ? limit : address + size;
    *first = (address - base) >> PAGE_SHIFT;
    return ((end - base + PAGE_BYTES - 1) >> PAGE_SHIFT) - *first;
}

/* Bytes of these pages that are not noted as committed. */
uint64_t hm_region_uncommitted(struct region_hold *hold, uint64_t first, uint64_t count);

/*
 *      account  | committed pages, signed 56 | use 8 |
 *
 * One word, so that whoever turned bits learns for what use they are charged in the step that counts them: a change of
 * use moves just the pages that were counted before it.  (Signed, for bits may be cleared before they are counted.)
 */
static inline uint64_t account_pages(uint64_t account)
{
    return (uint64_t)((int64_t)account >> 8);
}

/* What the region's pages are charged for. */
static inline hostmem_use region_use(const struct region *region)
{
    return (hostmem_use)(atomic_load_explicit(&region->account, memory_order_relaxed) & 0xFF);
}

/* Change that, of an entered region of ours; what is committed already moves along. */
void hm_region_set_use(struct region_table *table, struct region_hold *hold, hostmem_use use);

static inline enum charge_kind charge_kind_of(hostmem_use use)
{
    return use == HOSTMEM_USE_GC_HEAP ? CHARGE_HEAP : CHARGE_COMMIT;
}

/* Committed pages of an entered region. */
static inline uint64_t region_committed(const struct region_hold *hold)
{
    const uint64_t pages = not_negative(
                       account_pages(atomic_load_explicit(&hold->region->account, memory_order_relaxed))),
                   most = geometry_pages(hold->geometry);
    return pages < most ? pages : most; /* those that are just being turned may count twice */
}

/* Are all of the pages noted as committed, or none of them? */
bool hm_region_agrees(struct region_hold *hold, uint64_t first, uint64_t count, bool committed);

#endif

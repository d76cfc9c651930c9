/*
 * region.h - the records: what is owned, how much of it is committed, who is at work in it
 *
 * One record a region (or reported view), found by address through the region map, without a lock.
 *
 *      geometry  | first granule 31 | pages 33 |      one load is the whole answer; 0 while the record is free
 *      state     | commits ended 18 | changes ended 17 | commits at work 14 | changes at work 14 | LIVE |
 *
 * Nobody ever waits here.  Whoever works on a region enters it; who takes LIVE away has released it; and the
 * last one to leave a region that is not LIVE refunds its pages and recycles the record.
 *
 * Windows and the page bits are changed one after the other, so threads that commit and decommit the same pages at
 * once could leave the bits in another order than Windows took the calls.  Hence the counts: on leaving, each
 * one sees whether an opposite call overlapped its own (it was at work when I came, has ended since, or is at work
 * still), and if so puts its range right from VirtualQuery, once more if anybody ended meanwhile.  Of any two that
 * overlapped, the later to end sees the other, so what is written last is true.  A thread that died inside costs the
 * others some queries, never a wait.  (A count of ended calls that wraps within one call goes unseen: 131,072
 * calls on one region while one thread is stopped, and then exactly.)
 */
#ifndef HOSTMEM_MEMORY_REGION_H
#define HOSTMEM_MEMORY_REGION_H

#include "maps/commit_map.h"
#include "maps/region_map.h"
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
    uint32_t allocation_type;
    uint8_t kind; /* hostmem_region_kind */
    uint8_t level;
};

struct region_table {
    struct region_map map;
    struct pool records;
    struct bit_store bits;
    struct stats *stats;
};

enum region_use {
    REGION_COMMIT, /* turns bits on, or only looks */
    REGION_CHANGE, /* turns bits off, or releases */
    REGION_REPAIR  /* copies Windows' picture into the bits */
};

/* Somebody at work in a region: keeps the record (not the memory) from being recycled. */
struct region_hold {
    struct region *region;
    uint32_t number;
    enum region_use use;
    uint64_t entered; /* state as it was right after entering */
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

static inline bool geometry_has(uint64_t geometry, uint64_t address)
{
    uint64_t base = geometry_base(geometry);
    return address >= base && (address - base) >> PAGE_SHIFT < geometry_pages(geometry);
}

/* The memory of `table` must be zero. */
void region_table_init(struct region_table *table, struct stats *stats);
void region_table_destroy(struct region_table *table);

/* The record number and geometry at an address; 0: nobody's.  No lock, nothing written. */
uint32_t region_find(const struct region_table *table, uint64_t address, uint64_t *geometry);

/* As region_find, and the kind too: HOSTMEM_REGION_..., or 0. */
unsigned region_kind_at(const struct region_table *table, uint64_t address);

/* A record that nobody can find yet; 0: no memory. */
uint32_t region_take(struct region_table *table);
void region_give(struct region_table *table, uint32_t number);

/* How a region came to be. */
struct region_origin {
    uint64_t base; /* multiple of 64 KiB */
    uint64_t pages;
    bool committed; /* all of it */
    hostmem_region_kind kind;
    uint32_t type, protect;
    unsigned level;
};

/*
 * Fill the record and let it be found; the gauges are charged.  Entries found in the range are stale: their memory was
 * freed behind our back, so they are dropped and counted.  False: no memory for the entry; the record is still the
 * caller's.
 */
bool region_publish(struct region_table *table, uint32_t number, const struct region_origin *origin);

/* Begin work in the region at `address`; false: nobody's, or being released. */
bool region_enter(struct region_table *table, uint64_t address, enum region_use use,
                  struct region_hold *hold);

/* As region_enter with REGION_COMMIT, by number, for a walk; false: the record is free. */
bool region_enter_number(struct region_table *table, uint32_t number, struct region_hold *hold);

/*
 * End the work.  True: an opposite call overlapped it, so the caller is still in (as REGION_REPAIR) and must put
 * its range right and leave again.
 */
bool region_leave(struct region_table *table, struct region_hold *hold);

/* End the work without looking at who overlapped it: for holds that changed nothing. */
void region_leave_unchanged(struct region_table *table, struct region_hold *hold);

/*
 * Take an entered region out of the table; false: another thread was first.  Afterwards the caller either leaves
 * (the last to leave recycles the record) or calls region_restore.
 */
bool region_unpublish(struct region_table *table, struct region_hold *hold);
void region_restore(struct region_table *table, struct region_hold *hold);

/* Turn bits of an entered region; the committed gauge follows.  prepare: so that set cannot fail. */
bool region_prepare_commit(struct region_table *table, struct region_hold *hold, uint64_t first,
                           uint64_t count);
void region_set_committed(struct region_table *table, struct region_hold *hold, uint64_t first,
                          uint64_t count);
void region_set_decommitted(struct region_table *table, struct region_hold *hold, uint64_t first,
                            uint64_t count);

/* Committed pages of an entered region. */
uint64_t region_committed(struct region_hold *hold);

#endif

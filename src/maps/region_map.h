/*
 * region_map.h - whose address is this?
 *
 * A map from 64 KiB granules of the address space to region numbers (u32, 0 is "nobody's").  Lookups,
 * publishing and erasing take no lock.  Knows no Win32: addresses are numbers.
 *
 *      47-bit address    | root 11 | middle 10 | leaf 10 | 16 within the granule |
 *
 *      root slot  = { child, span }   64 GiB      span: one region covers all of it
 *      mid slot   = { child, span }   64 MiB      span: likewise
 *      leaf cell  = region number     64 KiB
 *
 * A region writes its number into the fewest cells that cover it: spans where it fills a whole node, leaf cells at its
 * edges.  Nodes are installed by compare-and-swap and stay until the map goes.  A 32-bit address space has one root slot.
 */
#ifndef HOSTMEM_MAPS_REGION_MAP_H
#define HOSTMEM_MAPS_REGION_MAP_H

#include "maps/pool.h"

enum { GRANULE_SHIFT = 16 };

enum { REGION_MAP_NODE_BITS = 10 };

#define REGION_MAP_GRANULES ((uint64_t)1 << (sizeof(void *) == 8 ? 31 : 16))

struct region_map_slot {
    _Atomic(void *) child;
    _Atomic uint32_t span;
};

struct region_map {
    struct region_map_slot root[sizeof(void *) == 8 ? 1 << 11 : 1];
    struct pool middles; /* items: struct region_map_slot[1024] */
    struct pool leaves;  /* items: _Atomic uint32_t[1024] */
};

/* The memory of `map` must be zero; bytes committed for nodes are added to *metadata. */
void hm_region_map_init(struct region_map *map, _Atomic uint64_t *metadata);
void hm_region_map_destroy(struct region_map *map);

/* Get the nodes that publishing [granule, granule + count) needs.  False: no memory, or beyond the address
 * space. */
bool hm_region_map_prepare(struct region_map *map, uint64_t granule, uint64_t count);

/* Write `number` over the range, which was prepared and ought to be empty.  Cannot fail. */
void hm_region_map_publish(struct region_map *map, uint64_t granule, uint64_t count, uint32_t number);

/* Remove `number` from the range; cells that meanwhile hold another number stay. */
void hm_region_map_erase(struct region_map *map, uint64_t granule, uint64_t count, uint32_t number);

/* The first number in the range, 0 when it is empty. */
uint32_t hm_region_map_first(const struct region_map *map, uint64_t granule, uint64_t count);

/* Remove `number`, the first in the range, from every cell up to where another number is first: whatever the
 * region that wrote it, and at whatever level.  Not 0. */
void hm_region_map_purge(struct region_map *map, uint64_t granule, uint64_t count, uint32_t number);

/* The first granule of the range at which not `number` is found; the range's end: there is none. */
uint64_t hm_region_map_missing(const struct region_map *map, uint64_t granule, uint64_t count,
                               uint32_t number);

/* Visit every cell that is not empty: what it covers, its number, and whether a span above hides it from lookups.  False
 * from the visitor ends the walk. */
typedef bool region_map_visitor(void *context, uint64_t granule, uint64_t count, uint32_t number,
                                bool hidden);
bool hm_region_map_walk(const struct region_map *map, region_map_visitor *visit, void *context);

/* The number at an address, 0 for nobody's. */
static inline uint32_t region_map_find(const struct region_map *map, uint64_t address)
{
    uint64_t granule = address >> GRANULE_SHIFT;
    if (granule >= REGION_MAP_GRANULES)
        return 0;
    const uint32_t mask = (1u << REGION_MAP_NODE_BITS) - 1;
    const struct region_map_slot *slot = &map->root[granule >> (2 * REGION_MAP_NODE_BITS)];
    for (unsigned shift = REGION_MAP_NODE_BITS;; shift = 0) {
        uint32_t span = atomic_load_explicit(&slot->span, memory_order_acquire);
        if (span != 0)
            return span;
        void *child = atomic_load_explicit(&slot->child, memory_order_acquire);
        if (child == NULL)
            return 0;
        if (shift == 0)
            return atomic_load_explicit((_Atomic uint32_t *)child + (granule & mask), memory_order_acquire);
        slot = (const struct region_map_slot *)child + (granule >> shift & mask);
    }
}

#endif

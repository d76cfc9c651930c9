/*
 * region_map.c - publishing and erasing ranges of the radix table
 *
 * All writers go cell by cell through cell_at, which picks the largest cell that the rest of the range fills.
 * The choice depends on the range alone, so publish and erase of one region meet the same cells.
 */
#include "maps/region_map.h"

/* A cell that holds another number, or is missing, stays. */
static void erase_cell(_Atomic uint32_t *cell, uint32_t number)
{
    uint32_t expected = number;
    if (cell != NULL)
        atomic_compare_exchange_strong_explicit(cell, &expected, 0, memory_order_acq_rel,
                                                memory_order_relaxed);
}

#if UINTPTR_MAX > UINT32_MAX

enum { NODE = 1 << REGION_MAP_NODE_BITS };                      /* cells of a node */
#    define ROOT_SPAN ((uint64_t)1 << 2 * REGION_MAP_NODE_BITS) /* granules of a root slot */

void region_map_init(struct region_map *map, _Atomic uint64_t *metadata)
{
    pool_init(&map->middles, NODE * sizeof(struct region_map_slot), 4, metadata);
    pool_init(&map->leaves, NODE * sizeof(uint32_t), 16, metadata);
}

void region_map_destroy(struct region_map *map)
{
    pool_destroy(&map->leaves);
    pool_destroy(&map->middles);
}

/* The node below `slot`, made when it is missing and `make` is given; NULL: missing or no memory. */
static void *child_of(struct region_map_slot *slot, struct pool *make)
{
    void *child = atomic_load_explicit(&slot->child, memory_order_acquire);
    if (child != NULL || make == NULL)
        return child;
    uint32_t number = pool_take(make);
    if (number == 0)
        return NULL;
    void *fresh = pool_item(make, number);
    if (atomic_compare_exchange_strong_explicit(&slot->child, &child, fresh, memory_order_acq_rel,
                                                memory_order_acquire))
        return fresh;
    pool_give(make, number); /* still zero: nobody has seen it */
    return child;
}

/*
 * The largest cell that begins at `granule` and lies within `count` granules; *step receives how many
 * granules it covers.  NULL: its node is missing (and, with `make`, there was no memory); *step then skips
 * what is missing.
 */
static _Atomic uint32_t *cell_at(struct region_map *map, uint64_t granule, uint64_t count, bool make,
                                 uint64_t *step)
{
    struct region_map_slot *slot = &map->root[granule >> 2 * REGION_MAP_NODE_BITS];
    *step = ROOT_SPAN;
    if (granule % ROOT_SPAN == 0 && count >= ROOT_SPAN)
        return &slot->span;
    struct region_map_slot *middle = child_of(slot, make ? &map->middles : NULL);
    *step = ROOT_SPAN - granule % ROOT_SPAN;
    if (middle == NULL)
        return NULL;
    slot = &middle[granule >> REGION_MAP_NODE_BITS & (NODE - 1)];
    *step = NODE;
    if (granule % NODE == 0 && count >= NODE)
        return &slot->span;
    _Atomic uint32_t *leaf = child_of(slot, make ? &map->leaves : NULL);
    *step = NODE - granule % NODE;
    if (leaf == NULL)
        return NULL;
    *step = 1;
    return &leaf[granule & (NODE - 1)];
}

/* As region_map_first; *at receives the granule. */
static uint32_t first_at(const struct region_map *map, uint64_t granule, uint64_t count, uint64_t *at)
{
    uint64_t end = granule + count;
    while (granule < end && granule < REGION_MAP_GRANULES) {
        uint32_t number = region_map_find(map, granule << GRANULE_SHIFT);
        *at = granule;
        if (number != 0)
            return number;
        const struct region_map_slot *slot = &map->root[granule >> 2 * REGION_MAP_NODE_BITS];
        const struct region_map_slot *middle = atomic_load_explicit(&slot->child, memory_order_acquire);
        if (middle == NULL) {
            granule = (granule / ROOT_SPAN + 1) * ROOT_SPAN;
            continue;
        }
        slot = &middle[granule >> REGION_MAP_NODE_BITS & (NODE - 1)];
        if (atomic_load_explicit(&slot->child, memory_order_acquire) == NULL)
            granule = (granule / NODE + 1) * NODE;
        else
            granule++;
    }
    return 0;
}

/* Remove `number` from the cells of every level that cover the granule. */
static void erase_at(struct region_map *map, uint64_t granule, uint32_t number)
{
    uint64_t step;
    erase_cell(cell_at(map, granule, 1, false, &step), number);
    erase_cell(cell_at(map, granule - granule % NODE, NODE, false, &step), number);
    erase_cell(cell_at(map, granule - granule % ROOT_SPAN, ROOT_SPAN, false, &step), number);
}

#else

void region_map_init(struct region_map *map, _Atomic uint64_t *metadata)
{
    (void)map;
    (void)metadata;
}

void region_map_destroy(struct region_map *map)
{
    (void)map;
}

static _Atomic uint32_t *cell_at(struct region_map *map, uint64_t granule, uint64_t count, bool make,
                                 uint64_t *step)
{
    (void)count;
    (void)make;
    *step = 1;
    return &map->cell[granule];
}

static uint32_t first_at(const struct region_map *map, uint64_t granule, uint64_t count, uint64_t *at)
{
    for (; count != 0 && granule < REGION_MAP_GRANULES; granule++, count--) {
        uint32_t number = region_map_find(map, granule << GRANULE_SHIFT);
        *at = granule;
        if (number != 0)
            return number;
    }
    return 0;
}

static void erase_at(struct region_map *map, uint64_t granule, uint32_t number)
{
    erase_cell(&map->cell[granule], number);
}

#endif

bool region_map_prepare(struct region_map *map, uint64_t granule, uint64_t count)
{
    if (granule > REGION_MAP_GRANULES || count > REGION_MAP_GRANULES - granule)
        return false;
    while (count != 0) {
        uint64_t step;
        if (cell_at(map, granule, count, true, &step) == NULL)
            return false;
        granule += step;
        count -= step;
    }
    return true;
}

void region_map_publish(struct region_map *map, uint64_t granule, uint64_t count, uint32_t number)
{
    while (count != 0) {
        uint64_t step;
        atomic_store_explicit(cell_at(map, granule, count, false, &step), number, memory_order_release);
        granule += step;
        count -= step;
    }
}

void region_map_erase(struct region_map *map, uint64_t granule, uint64_t count, uint32_t number)
{
    while (count != 0) {
        uint64_t step;
        erase_cell(cell_at(map, granule, count, false, &step), number);
        granule += step;
        count -= step;
    }
}

uint32_t region_map_first(const struct region_map *map, uint64_t granule, uint64_t count)
{
    uint64_t at = granule;
    return first_at(map, granule, count, &at);
}

void region_map_purge(struct region_map *map, uint64_t granule, uint64_t count, uint32_t number)
{
    uint64_t at = granule;
    while (first_at(map, granule, count, &at) == number)
        erase_at(map, at, number);
}

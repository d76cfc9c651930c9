/*
 * region_map.c - publishing and erasing ranges of the radix table
 *
 * All writers go through run_at, which picks the largest cells that the rest of the range fills, a node's worth at a
 * time.  The choice depends on the range alone, so publish and erase of one region meet the same cells.
 */
#include "maps/region_map.h"

#include "maps/least.h"

/* Cells of one size, one beside the other, and how many granules they cover in all. */
struct run {
    _Atomic uint32_t *cell;
    size_t stride;
    uint64_t cells, step;
};

static void publish_cell(_Atomic uint32_t *cell, uint32_t number)
{
    atomic_store_explicit(cell, number, memory_order_release);
}

/* A cell that holds another number stays. */
static void erase_cell(_Atomic uint32_t *cell, uint32_t number)
{
    uint32_t expected = number;
    atomic_compare_exchange_strong_explicit(cell, &expected, 0, memory_order_acq_rel, memory_order_relaxed);
}

enum { NODE = 1 << REGION_MAP_NODE_BITS };                  /* cells of a node */
#define ROOT_SPAN ((uint64_t)1 << 2 * REGION_MAP_NODE_BITS) /* granules of a root slot */

void hm_region_map_init(struct region_map *map, _Atomic uint64_t *metadata)
{
    hm_pool_init(&map->middles, NODE * sizeof(struct region_map_slot), 4, metadata);
    hm_pool_init(&map->leaves, NODE * sizeof(uint32_t), 16, metadata);
}

void hm_region_map_destroy(struct region_map *map)
{
    hm_pool_destroy(&map->leaves);
    hm_pool_destroy(&map->middles);
}

/*
 * The largest cells that begin at `granule` and lie within `count` granules, as many as are in one node.  `cell` NULL:
 * the node is missing (and, with `make`, there was no memory); `step` then skips what is missing.
 */
static struct run run_at(struct region_map *map, uint64_t granule, uint64_t count, bool make)
{
    struct region_map_slot *slot = &map->root[granule >> 2 * REGION_MAP_NODE_BITS];
    if (granule % ROOT_SPAN == 0 && count >= ROOT_SPAN)
        return (struct run){&slot->span, sizeof *slot, count / ROOT_SPAN, count / ROOT_SPAN * ROOT_SPAN};
    uint64_t left = ROOT_SPAN - granule % ROOT_SPAN; /* granules of this node */
    struct region_map_slot *middle = pool_node(&slot->child, make ? &map->middles : NULL);
    if (middle == NULL)
        return (struct run){.step = left};
    slot = &middle[granule >> REGION_MAP_NODE_BITS & (NODE - 1)];
    if (granule % NODE == 0 && count >= NODE) {
        uint64_t cells = least(count, left) / NODE;
        return (struct run){&slot->span, sizeof *slot, cells, cells * NODE};
    }
    left = NODE - granule % NODE;
    _Atomic uint32_t *leaf = pool_node(&slot->child, make ? &map->leaves : NULL);
    if (leaf == NULL)
        return (struct run){.step = left};
    uint64_t cells = least(count, left);
    return (struct run){&leaf[granule & (NODE - 1)], sizeof *leaf, cells, cells};
}

static uint32_t number_in(const _Atomic uint32_t *cell)
{
    return atomic_load_explicit(cell, memory_order_acquire);
}

/* What a lookup comes to: its number, where that stands (NULL: a node is missing), and for how many granules from there on
 * the same is so, of those that are asked for. */
struct look {
    uint32_t number;
    _Atomic uint32_t *cell;
    uint64_t count;
};

static struct look look_at(const struct region_map *map, uint64_t granule, uint64_t count)
{
    struct region_map_slot *slot = (struct region_map_slot *)&map->root[granule / ROOT_SPAN];
    for (uint64_t span = ROOT_SPAN;; span = NODE) {
        const uint64_t rest = least(span - granule % span, count);
        uint32_t number = number_in(&slot->span);
        void *child = atomic_load_explicit(&slot->child, memory_order_acquire);
        if (number != 0)
            return (struct look){number, &slot->span, rest};
        if (child == NULL)
            return (struct look){.count = rest};
        if (span == ROOT_SPAN) {
            slot = (struct region_map_slot *)child + granule / NODE % NODE;
            continue;
        }
        _Atomic uint32_t *cell = (_Atomic uint32_t *)child + granule % NODE;
        struct look look = {number_in(cell), cell, 1};
        while (look.number == 0 && look.count < rest && number_in(cell + look.count) == 0)
            look.count++;
        return look;
    }
}

/* *hidden: whether what is below the cell is out of sight. */
static bool visit_cell(const _Atomic uint32_t *cell, uint64_t granule, uint64_t count,
                       region_map_visitor *visit, void *context, bool *hidden)
{
    uint32_t number = number_in(cell);
    bool go_on = number == 0 || visit(context, granule, count, number, *hidden);
    *hidden = *hidden || number != 0;
    return go_on;
}

bool hm_region_map_walk(const struct region_map *map, region_map_visitor *visit, void *context)
{
    for (uint64_t granule = 0; granule < REGION_MAP_GRANULES; granule += ROOT_SPAN) {
        const struct region_map_slot *root = &map->root[granule / ROOT_SPAN];
        bool below_root = false;
        if (!visit_cell(&root->span, granule, ROOT_SPAN, visit, context, &below_root))
            return false;
        const struct region_map_slot *middle = atomic_load_explicit(&root->child, memory_order_acquire);
        for (uint64_t m = 0; middle != NULL && m < NODE; m++) {
            bool below_middle = below_root;
            if (!visit_cell(&middle[m].span, granule + m * NODE, NODE, visit, context, &below_middle))
                return false;
            const _Atomic uint32_t *leaf = atomic_load_explicit(&middle[m].child, memory_order_acquire);
            for (uint64_t i = 0; leaf != NULL && i < NODE; i++) {
                bool hidden = below_middle;
                if (!visit_cell(&leaf[i], granule + m * NODE + i, 1, visit, context, &hidden))
                    return false;
            }
        }
    }
    return true;
}

bool hm_region_map_prepare(struct region_map *map, uint64_t granule, uint64_t count)
{
    if (granule > REGION_MAP_GRANULES || count > REGION_MAP_GRANULES - granule)
        return false;
    while (count != 0) {
        struct run run = run_at(map, granule, count, true);
        if (run.cell == NULL)
            return false;
        granule += run.step;
        count -= run.step;
    }
    return true;
}

static inline void write_cells(struct region_map *map, uint64_t granule, uint64_t count, uint32_t number,
                               void (*write)(_Atomic uint32_t *cell, uint32_t number))
{
    while (count != 0) {
        const struct run run = run_at(map, granule, count, false);
        const uint64_t step = least(run.step, count);
        for (uint64_t i = 0; i < run.cells; i++)
            write((_Atomic uint32_t *)((char *)run.cell + i * run.stride), number);
        granule += step;
        count -= step;
    }
}

void hm_region_map_publish(struct region_map *map, uint64_t granule, uint64_t count, uint32_t number)
{
    write_cells(map, granule, count, number, publish_cell);
}

void hm_region_map_erase(struct region_map *map, uint64_t granule, uint64_t count, uint32_t number)
{
    write_cells(map, granule, count, number, erase_cell);
}

uint32_t hm_region_map_first(const struct region_map *map, uint64_t granule, uint64_t count)
{
    const uint64_t end = least(granule + count, REGION_MAP_GRANULES);
    struct look look;
    for (; granule < end; granule += look.count)
        if ((look = look_at(map, granule, end - granule)).number != 0)
            return look.number;
    return 0;
}

void hm_region_map_purge(struct region_map *map, uint64_t granule, uint64_t count, uint32_t number)
{
    const uint64_t end = granule + count;
    while (granule < end) {
        struct look look = look_at(map, granule, end - granule);
        if (look.number == number)
            erase_cell(look.cell, number); /* and look below it */
        else if (look.number != 0)
            return;
        else
            granule += look.count;
    }
}

uint64_t hm_region_map_missing(const struct region_map *map, uint64_t granule, uint64_t count,
                               uint32_t number)
{
    const uint64_t end = granule + count;
    struct look look;
    for (; granule < end; granule += look.count)
        if ((look = look_at(map, granule, end - granule)).number != number)
            return granule;
    return end;
}

/*
 * region_map.c - publishing and erasing ranges of the radix table
 *
 * All writers go through run_at, which picks the largest cells that the rest of the range fills, a node's worth at a
 * time.  The choice depends on the range alone, so publish and erase of one region meet the same cells.
 */
#include "maps/region_map.h"

/* Cells of one size, one beside the other, and how many granules they cover in all. */
struct run {
    _Atomic uint32_t *cell;
    size_t stride;
    uint64_t cells, step;
};

static _Atomic uint32_t *next_cell(const struct run *run, _Atomic uint32_t *cell)
{
    return (_Atomic uint32_t *)((char *)cell + run->stride);
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

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

static void *make_child(struct region_map_slot *slot, struct pool *make)
{
    void *child = NULL;
    uint32_t number = hm_pool_take(make);
    if (number == 0)
        return NULL;
    void *fresh = pool_item(make, number);
    if (atomic_compare_exchange_strong_explicit(&slot->child, &child, fresh, memory_order_acq_rel,
                                                memory_order_acquire))
        return fresh;
    hm_pool_give(make, number); /* still zero: nobody has seen it */
    return child;
}

/* The node below `slot`, made when it is missing and `make` is given; NULL: missing or no memory. */
static inline void *child_of(struct region_map_slot *slot, struct pool *make)
{
    void *child = atomic_load_explicit(&slot->child, memory_order_acquire);
    return child != NULL || make == NULL ? child : make_child(slot, make);
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
    struct region_map_slot *middle = child_of(slot, make ? &map->middles : NULL);
    if (middle == NULL)
        return (struct run){.step = left};
    slot = &middle[granule >> REGION_MAP_NODE_BITS & (NODE - 1)];
    if (granule % NODE == 0 && count >= NODE) {
        uint64_t cells = smaller(count, left) / NODE;
        return (struct run){&slot->span, sizeof *slot, cells, cells * NODE};
    }
    left = NODE - granule % NODE;
    _Atomic uint32_t *leaf = child_of(slot, make ? &map->leaves : NULL);
    if (leaf == NULL)
        return (struct run){.step = left};
    uint64_t cells = smaller(count, left);
    return (struct run){&leaf[granule & (NODE - 1)], sizeof *leaf, cells, cells};
}

/* As first_at, from the leaf cells of one middle slot; granules [from, end) of it. */
static uint32_t first_in_leaf(const _Atomic uint32_t *leaf, uint64_t from, uint64_t end, uint64_t *at)
{
    for (; from < end; from++) {
        uint32_t number = atomic_load_explicit(&leaf[from & (NODE - 1)], memory_order_acquire);
        *at = from;
        if (number != 0)
            return number;
    }
    return 0;
}

/* As first_at, from the slots of one root slot. */
static uint32_t first_in_middle(const struct region_map_slot *middle, uint64_t from, uint64_t end,
                                uint64_t *at)
{
    for (uint64_t next; from < end; from = next) {
        const struct region_map_slot *slot = &middle[from >> REGION_MAP_NODE_BITS & (NODE - 1)];
        uint32_t number = atomic_load_explicit(&slot->span, memory_order_acquire);
        const _Atomic uint32_t *leaf = atomic_load_explicit(&slot->child, memory_order_acquire);
        next = (from / NODE + 1) * NODE;
        *at = from;
        if (number == 0 && leaf != NULL)
            number = first_in_leaf(leaf, from, smaller(next, end), at);
        if (number != 0)
            return number;
    }
    return 0;
}

/* As hm_region_map_first; *at receives the granule. */
static uint32_t first_at(const struct region_map *map, uint64_t from, uint64_t count, uint64_t *at)
{
    uint64_t end = smaller(from + count, REGION_MAP_GRANULES);
    for (uint64_t next; from < end; from = next) {
        const struct region_map_slot *slot = &map->root[from >> 2 * REGION_MAP_NODE_BITS];
        uint32_t number = atomic_load_explicit(&slot->span, memory_order_acquire);
        const struct region_map_slot *middle = atomic_load_explicit(&slot->child, memory_order_acquire);
        next = (from / ROOT_SPAN + 1) * ROOT_SPAN;
        *at = from;
        if (number == 0 && middle != NULL)
            number = first_in_middle(middle, from, smaller(next, end), at);
        if (number != 0)
            return number;
    }
    return 0;
}

static uint32_t number_in(const _Atomic uint32_t *cell)
{
    return atomic_load_explicit(cell, memory_order_acquire);
}

/* Visit the span of a slot, if it is not empty; *hidden is whether what is below it is out of sight. */
static bool visit_span(const struct region_map_slot *slot, uint64_t granule, uint64_t count,
                       region_map_visitor *visit, void *context, bool *hidden)
{
    uint32_t number = number_in(&slot->span);
    bool go_on = number == 0 || visit(context, granule, count, number, *hidden);
    *hidden = *hidden || number != 0;
    return go_on;
}

bool hm_region_map_walk(const struct region_map *map, region_map_visitor *visit, void *context)
{
    for (uint64_t r = 0; r < (uint64_t)1 << REGION_MAP_ROOT_BITS; r++) {
        bool below_root = false;
        if (!visit_span(&map->root[r], r * ROOT_SPAN, ROOT_SPAN, visit, context, &below_root))
            return false;
        const struct region_map_slot *middle =
            atomic_load_explicit(&map->root[r].child, memory_order_acquire);
        for (uint64_t m = 0; middle != NULL && m < NODE; m++) {
            uint64_t granule = r * ROOT_SPAN + m * NODE;
            bool hidden = below_root;
            if (!visit_span(&middle[m], granule, NODE, visit, context, &hidden))
                return false;
            const _Atomic uint32_t *leaf = atomic_load_explicit(&middle[m].child, memory_order_acquire);
            for (uint64_t i = 0; leaf != NULL && i < NODE; i++) {
                uint32_t number = number_in(&leaf[i]);
                if (number != 0 && !visit(context, granule + i, 1, number, hidden))
                    return false;
            }
        }
    }
    return true;
}

/* Remove `number` from the cells of every level that cover the granule. */
static void erase_at(struct region_map *map, uint64_t granule, uint32_t number)
{
    erase_cell(run_at(map, granule, 1, false).cell, number);
    erase_cell(run_at(map, granule - granule % NODE, NODE, false).cell, number);
    erase_cell(run_at(map, granule - granule % ROOT_SPAN, ROOT_SPAN, false).cell, number);
}

#else

void hm_region_map_init(struct region_map *map, _Atomic uint64_t *metadata)
{
    (void)map;
    (void)metadata;
}

void hm_region_map_destroy(struct region_map *map)
{
    (void)map;
}

static struct run run_at(struct region_map *map, uint64_t granule, uint64_t count, bool make)
{
    (void)make;
    return (struct run){&map->cell[granule], sizeof map->cell[0], count, count};
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

bool hm_region_map_walk(const struct region_map *map, region_map_visitor *visit, void *context)
{
    for (uint64_t granule = 0; granule < REGION_MAP_GRANULES; granule++) {
        uint32_t number = region_map_find(map, granule << GRANULE_SHIFT);
        if (number != 0 && !visit(context, granule, 1, number, false))
            return false;
    }
    return true;
}

static void erase_at(struct region_map *map, uint64_t granule, uint32_t number)
{
    erase_cell(&map->cell[granule], number);
}

#endif

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

void hm_region_map_publish(struct region_map *map, uint64_t granule, uint64_t count, uint32_t number)
{
    while (count != 0) {
        struct run run = run_at(map, granule, count, false);
        for (_Atomic uint32_t *cell = run.cell; run.cells != 0; run.cells--, cell = next_cell(&run, cell))
            atomic_store_explicit(cell, number, memory_order_release);
        granule += run.step;
        count -= run.step;
    }
}

void hm_region_map_erase(struct region_map *map, uint64_t granule, uint64_t count, uint32_t number)
{
    while (count != 0) {
        struct run run = run_at(map, granule, count, false);
        uint64_t step = smaller(run.step, count);
        for (_Atomic uint32_t *cell = run.cell; run.cells != 0; run.cells--, cell = next_cell(&run, cell))
            erase_cell(cell, number);
        granule += step;
        count -= step;
    }
}

uint32_t hm_region_map_first(const struct region_map *map, uint64_t granule, uint64_t count)
{
    uint64_t at = granule;
    return first_at(map, granule, count, &at);
}

void hm_region_map_purge(struct region_map *map, uint64_t granule, uint64_t count, uint32_t number)
{
    uint64_t end = granule + count;
    while (first_at(map, granule, end - granule, &granule) == number)
        erase_at(map, granule, number);
}

uint64_t hm_region_map_missing(const struct region_map *map, uint64_t granule, uint64_t count,
                               uint32_t number)
{
    uint64_t end = granule + count;
    while (granule < end) {
        struct run run = run_at((struct region_map *)map, granule, end - granule, false);
        /* A cell says the same of all that it covers, and so does one above it. */
        uint64_t step = run.cell == NULL ? run.step : run.step / run.cells;
        for (uint64_t cells = run.cell == NULL ? 1 : run.cells; cells != 0; cells--, granule += step)
            if (region_map_find(map, granule << GRANULE_SHIFT) != number)
                return granule;
    }
    return end;
}

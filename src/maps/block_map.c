/*
 * block_map.c - marks of block starts, in three levels
 */
#include "maps/block_map.h"

enum { LEAF_PLACES = (1 << BLOCK_MAP_LEAF_SHIFT) / BLOCK_MAP_ALIGN };

static const uintptr_t leaf_span = (uintptr_t)1 << BLOCK_MAP_LEAF_SHIFT;

void hm_block_map_init(struct block_map *map, _Atomic uint64_t *metadata)
{
    hm_pool_init(&map->middles, BLOCK_MAP_MIDDLE * sizeof(void *), 2, metadata);
    hm_pool_init(&map->leaves, LEAF_PLACES, 2, metadata);
}

void hm_block_map_destroy(struct block_map *map)
{
    hm_pool_destroy(&map->leaves);
    hm_pool_destroy(&map->middles);
}

/* The leaf for `address`; NULL: beyond the address space, missing, or no memory. */
static inline _Atomic uint8_t *leaf_of(const struct block_map *map, uintptr_t address, bool make)
{
    struct block_map *m = (struct block_map *)map;
    uintptr_t leaf = address >> BLOCK_MAP_LEAF_SHIFT;
    uintptr_t root = leaf / BLOCK_MAP_MIDDLE;
    if (root >= BLOCK_MAP_ROOT)
        return NULL;
    _Atomic(void *) *middle = pool_node(&m->root[root], make ? &m->middles : NULL);
    return middle == NULL ? NULL : pool_node(&middle[leaf % BLOCK_MAP_MIDDLE], make ? &m->leaves : NULL);
}

/* In its leaf. */
static size_t place_of(uintptr_t address)
{
    return (address & (leaf_span - 1)) / BLOCK_MAP_ALIGN;
}

bool hm_block_map_add(struct block_map *map, uintptr_t address)
{
    _Atomic uint8_t *leaf = leaf_of(map, address, true);
    if (leaf == NULL)
        return false;
    atomic_store_explicit(&leaf[place_of(address)], 1, memory_order_release);
    return true;
}

/* The mark for `address` where a leaf exists; NULL: no block can begin there. */
static inline _Atomic uint8_t *find_mark(const struct block_map *map, uintptr_t address)
{
    if (address % BLOCK_MAP_ALIGN != 0)
        return NULL;
    _Atomic uint8_t *leaf = leaf_of(map, address, false);
    return leaf == NULL ? NULL : &leaf[place_of(address)];
}

bool hm_block_map_remove(struct block_map *map, uintptr_t address)
{
    _Atomic uint8_t *mark = find_mark(map, address);
    return mark != NULL && atomic_exchange_explicit(mark, 0, memory_order_acq_rel) != 0;
}

bool hm_block_map_has(const struct block_map *map, uintptr_t address)
{
    _Atomic uint8_t *mark = find_mark(map, address);
    return mark != NULL && atomic_load_explicit(mark, memory_order_acquire) != 0;
}

/* The first block of a leaf at or after a place; LEAF_PLACES: there is none. */
static size_t next_place(const _Atomic uint8_t *leaf, size_t place)
{
    while (place < LEAF_PLACES && atomic_load_explicit(&leaf[place], memory_order_acquire) == 0)
        place++;
    return place;
}

uintptr_t hm_block_map_next(const struct block_map *map, uintptr_t from)
{
    if (from > UINTPTR_MAX - (BLOCK_MAP_ALIGN - 1))
        return 0;
    from = (from + BLOCK_MAP_ALIGN - 1) & ~(uintptr_t)(BLOCK_MAP_ALIGN - 1);
    while ((from >> BLOCK_MAP_LEAF_SHIFT) / BLOCK_MAP_MIDDLE < BLOCK_MAP_ROOT) {
        uintptr_t root = (from >> BLOCK_MAP_LEAF_SHIFT) / BLOCK_MAP_MIDDLE;
        uintptr_t base = from & ~(leaf_span - 1);
        _Atomic uint8_t *leaf = leaf_of(map, from, false);
        size_t place = leaf != NULL ? next_place(leaf, place_of(from)) : LEAF_PLACES;
        if (place < LEAF_PLACES)
            return base + place * BLOCK_MAP_ALIGN;
        bool no_middle = atomic_load_explicit(&map->root[root], memory_order_acquire) == NULL;
        from = no_middle ? (root + 1) * BLOCK_MAP_MIDDLE << BLOCK_MAP_LEAF_SHIFT : base + leaf_span;
        if (from == 0) /* past the top of a 32-bit address space */
            return 0;
    }
    return 0;
}

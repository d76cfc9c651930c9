/*
 * block_map.c - marks of block starts, in three levels
 */
#include "maps/block_map.h"

void hm_block_map_init(struct block_map *map, _Atomic uint64_t *metadata)
{
    hm_pool_init(&map->middles, BLOCK_MAP_MIDDLE * sizeof(void *), 2, metadata);
    hm_pool_init(&map->leaves, BLOCK_MAP_LEAF_SPAN / BLOCK_MAP_ALIGN, 2, metadata);
}

void hm_block_map_destroy(struct block_map *map)
{
    hm_pool_destroy(&map->leaves);
    hm_pool_destroy(&map->middles);
}

uintptr_t hm_block_map_next(const struct block_map *map, uintptr_t from)
{
    const uintptr_t middle_span = (uintptr_t)BLOCK_MAP_MIDDLE * BLOCK_MAP_LEAF_SPAN;
    if (from > UINTPTR_MAX - (BLOCK_MAP_ALIGN - 1))
        return 0;
    from = (from + BLOCK_MAP_ALIGN - 1) & ~(uintptr_t)(BLOCK_MAP_ALIGN - 1);
    while (from / middle_span < BLOCK_MAP_ROOT) {
        const _Atomic uint8_t *mark = block_map_mark(map, from, false);
        const _Atomic(void *) *middle = &map->root[from / middle_span];
        bool leaves = mark != NULL || atomic_load_explicit(middle, memory_order_acquire) != NULL;
        const uintptr_t end = (from | ((leaves ? BLOCK_MAP_LEAF_SPAN : middle_span) - 1)) + 1;
        for (; mark != NULL && from != end; from += BLOCK_MAP_ALIGN, mark++)
            if (atomic_load_explicit(mark, memory_order_acquire) != 0)
                return from;
        if (end == 0) /* past the top of a 32-bit address space */
            return 0;
        from = end;
    }
    return 0;
}

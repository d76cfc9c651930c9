/*
 * block_map.h - at which addresses does a heap block begin?
 *
 * A radix table of the address space with a byte for every address that a block can begin at (16 bytes apart on x86-64, 8
 * on x86): a pointer is judged without touching what it points to, and of two threads that free the same block one is
 * refused.  A bit would do, but who sets one bit of a word that others change needs a locked instruction more, a tenth of
 * what Alloc costs.
 *
 *      47-bit address    | root 13 | middle 14 | leaf: 1 MiB of addresses, 64 KiB   |
 *      32-bit address    | root 13 | middle 0  | leaf: 512 KiB of addresses, 64 KiB |
 */
#ifndef HOSTMEM_MAPS_BLOCK_MAP_H
#define HOSTMEM_MAPS_BLOCK_MAP_H

#include "maps/pool.h"

enum { BLOCK_MAP_ALIGN = 2 * sizeof(void *), BLOCK_MAP_ROOT = 1 << 13 };

#if UINTPTR_MAX > UINT32_MAX
enum { BLOCK_MAP_LEAF_SPAN = 1 << 20, BLOCK_MAP_MIDDLE = 1 << 14 };
#else
enum { BLOCK_MAP_LEAF_SPAN = 1 << 19, BLOCK_MAP_MIDDLE = 1 };
#endif

struct block_map {
    _Atomic(void *) root[BLOCK_MAP_ROOT];
    struct pool middles;
    struct pool leaves;
};

/* The memory of `map` must be zero. */
void hm_block_map_init(struct block_map *map, _Atomic uint64_t *metadata);
void hm_block_map_destroy(struct block_map *map);

/* The lowest block at or above `from`; 0 when there is none. */
uintptr_t hm_block_map_next(const struct block_map *map, uintptr_t from);

/* Where the mark for `address` is; NULL: no block can begin there, or its leaf is missing (with `make`: no memory). */
static inline _Atomic uint8_t *block_map_mark(const struct block_map *map, uintptr_t address, bool make)
{
    struct block_map *m = (struct block_map *)map;
    const uintptr_t leaf = address / BLOCK_MAP_LEAF_SPAN, root = leaf / BLOCK_MAP_MIDDLE;
    if (address % BLOCK_MAP_ALIGN != 0 || root >= BLOCK_MAP_ROOT)
        return NULL;
    _Atomic(void *) *middle = pool_node(&m->root[root], make ? &m->middles : NULL);
    if (middle == NULL)
        return NULL;
    _Atomic uint8_t *marks = pool_node(&middle[leaf % BLOCK_MAP_MIDDLE], make ? &m->leaves : NULL);
    return marks == NULL ? NULL : &marks[address % BLOCK_MAP_LEAF_SPAN / BLOCK_MAP_ALIGN];
}

/* Note that a block begins at `address`.  False: no memory, no such address, or none that is aligned. */
static inline bool block_map_add(struct block_map *map, uintptr_t address)
{
    _Atomic uint8_t *mark = block_map_mark(map, address, true);
    if (mark == NULL)
        return false;
    atomic_store_explicit(mark, 1, memory_order_release);
    return true;
}

/* True for exactly one caller per add: a block began there, and now does not.  Any address. */
static inline bool block_map_remove(struct block_map *map, uintptr_t address)
{
    _Atomic uint8_t *mark = block_map_mark(map, address, false);
    return mark != NULL && atomic_exchange_explicit(mark, 0, memory_order_acq_rel) != 0;
}

/* Does a block begin there?  Any address. */
static inline bool block_map_has(const struct block_map *map, uintptr_t address)
{
    const _Atomic uint8_t *mark = block_map_mark(map, address, false);
    return mark != NULL && atomic_load_explicit(mark, memory_order_acquire) != 0;
}

#endif

/*
 * block_map.c - bits of block starts, three levels (x86-64) or two (x86)
 */
#include "maps/block_map.h"

enum {
    WORD_BITS = 64,
    LEAF_BITS = (1 << BLOCK_MAP_LEAF_SHIFT) / BLOCK_MAP_ALIGN,
    LEAF_WORDS = LEAF_BITS / WORD_BITS
};

static const uintptr_t leaf_span = (uintptr_t)1 << BLOCK_MAP_LEAF_SHIFT;

void block_map_init(struct block_map *map, _Atomic uint64_t *metadata)
{
    pool_init(&map->middles, BLOCK_MAP_MIDDLE * sizeof(void *), 2, metadata);
    pool_init(&map->leaves, LEAF_BITS / 8, 2, metadata);
}

void block_map_destroy(struct block_map *map)
{
    pool_destroy(&map->leaves);
    pool_destroy(&map->middles);
}

static void *make_node(_Atomic(void *) *slot, struct pool *make)
{
    void *node = NULL;
    uint32_t number = pool_take(make);
    if (number == 0)
        return NULL;
    void *fresh = pool_item(make, number);
    if (atomic_compare_exchange_strong_explicit(slot, &node, fresh, memory_order_acq_rel,
                                                memory_order_acquire))
        return fresh;
    pool_give(make, number);
    return node;
}

/* The node in `slot`, made when missing and `make` is given. */
static inline void *node_of(_Atomic(void *) *slot, struct pool *make)
{
    void *node = atomic_load_explicit(slot, memory_order_acquire);
    return node != NULL || make == NULL ? node : make_node(slot, make);
}

/* The leaf for `address`; NULL: beyond the address space, missing, or no memory. */
static _Atomic uint64_t *leaf_of(const struct block_map *map, uintptr_t address, bool make)
{
    struct block_map *m = (struct block_map *)map;
    uintptr_t leaf = address >> BLOCK_MAP_LEAF_SHIFT;
    uintptr_t root = leaf / BLOCK_MAP_MIDDLE;
    if (root >= BLOCK_MAP_ROOT)
        return NULL;
    _Atomic(void *) *slot = &m->root[root];
#if UINTPTR_MAX > UINT32_MAX
    _Atomic(void *) *middle = node_of(slot, make ? &m->middles : NULL);
    if (middle == NULL)
        return NULL;
    slot = &middle[leaf % BLOCK_MAP_MIDDLE];
#endif
    return node_of(slot, make ? &m->leaves : NULL);
}

static size_t bit_of(uintptr_t address)
{
    return (address & (leaf_span - 1)) / BLOCK_MAP_ALIGN;
}

bool block_map_add(struct block_map *map, uintptr_t address)
{
    _Atomic uint64_t *leaf = leaf_of(map, address, true);
    if (leaf == NULL)
        return false;
    size_t bit = bit_of(address);
    atomic_fetch_or_explicit(&leaf[bit / WORD_BITS], (uint64_t)1 << bit % WORD_BITS, memory_order_acq_rel);
    return true;
}

/* The word and bit for `address` where a leaf exists; NULL: no block can begin there. */
static _Atomic uint64_t *find_word(const struct block_map *map, uintptr_t address, uint64_t *mask)
{
    if (address % BLOCK_MAP_ALIGN != 0)
        return NULL;
    _Atomic uint64_t *leaf = leaf_of(map, address, false);
    size_t bit = bit_of(address);
    *mask = (uint64_t)1 << bit % WORD_BITS;
    return leaf == NULL ? NULL : &leaf[bit / WORD_BITS];
}

bool block_map_remove(struct block_map *map, uintptr_t address)
{
    uint64_t mask;
    _Atomic uint64_t *word = find_word(map, address, &mask);
    return word != NULL && (atomic_fetch_and_explicit(word, ~mask, memory_order_acq_rel) & mask) != 0;
}

bool block_map_has(const struct block_map *map, uintptr_t address)
{
    uint64_t mask;
    _Atomic uint64_t *word = find_word(map, address, &mask);
    return word != NULL && (atomic_load_explicit(word, memory_order_acquire) & mask) != 0;
}

uintptr_t block_map_next(const struct block_map *map, uintptr_t from)
{
    if (from > UINTPTR_MAX - (BLOCK_MAP_ALIGN - 1))
        return 0;
    from = (from + BLOCK_MAP_ALIGN - 1) & ~(uintptr_t)(BLOCK_MAP_ALIGN - 1);
    while ((from >> BLOCK_MAP_LEAF_SHIFT) / BLOCK_MAP_MIDDLE < BLOCK_MAP_ROOT) {
        uintptr_t root = (from >> BLOCK_MAP_LEAF_SHIFT) / BLOCK_MAP_MIDDLE;
        _Atomic uint64_t *leaf = leaf_of(map, from, false);
        uintptr_t next_leaf = (from | (leaf_span - 1)) + 1;
        if (leaf == NULL) {
            bool no_middle = atomic_load_explicit(&map->root[root], memory_order_acquire) == NULL;
            from = no_middle ? (root + 1) * BLOCK_MAP_MIDDLE << BLOCK_MAP_LEAF_SHIFT : next_leaf;
        } else {
            size_t bit = bit_of(from);
            uint64_t word = atomic_load_explicit(&leaf[bit / WORD_BITS], memory_order_acquire);
            word = word >> bit % WORD_BITS << bit % WORD_BITS;
            uintptr_t base = from & ~(leaf_span - 1);
            if (word != 0)
                return base +
                       ((bit & ~(size_t)(WORD_BITS - 1)) + (size_t)__builtin_ctzll(word)) * BLOCK_MAP_ALIGN;
            bit = (bit / WORD_BITS + 1) * WORD_BITS;
            from = bit < LEAF_BITS ? base + bit * BLOCK_MAP_ALIGN : next_leaf;
        }
        if (from == 0) /* past the top of a 32-bit address space */
            return 0;
    }
    return 0;
}

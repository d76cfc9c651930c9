/*
 * pool.h - items of one size, found by number, never moved and never unmapped
 *
 * Numbers are dense and start at 1; 0 is "none".  The memory of an item that was given back stays one of this pool until
 * hm_pool_destroy: a reader with an old number reads something stale, never something unmapped.  Everything except init
 * and destroy is lock-free.
 *
 * The first four bytes of a free item are the pool's (_Atomic uint32_t, the free list's link), and 0 when it is taken; the
 * rest is left as the giver left it.  Items that were never taken before are zero.
 */
#ifndef HOSTMEM_MAPS_POOL_H
#define HOSTMEM_MAPS_POOL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "maps/compiler.h"

/* Each chunk holds twice as many items as the one before: in all first_count x (2^26 - 1), more than any pool comes to. */
enum { POOL_CHUNKS = 26 };

struct pool {
    uint32_t item_size;
    uint32_t first_shift;       /* chunk 0 has 1 << first_shift items */
    _Atomic uint64_t free_list; /* tag << 32 | number; the tag defeats ABA */
    _Atomic uint32_t used;      /* numbers handed out so far: 1 .. used */
    _Atomic uint64_t *metadata; /* bytes committed are added here */
    struct pool_chunk {
        _Atomic(char *) base;
        _Atomic size_t ready; /* bytes of it committed */
    } chunk[POOL_CHUNKS];
};

/* `first_count`: items of the first chunk, a power of two. */
void hm_pool_init(struct pool *pool, uint32_t item_size, uint32_t first_count, _Atomic uint64_t *metadata);
void hm_pool_destroy(struct pool *pool);

/* The number of an item that is now the caller's; 0 when there is no memory. */
uint32_t hm_pool_take(struct pool *pool);
void hm_pool_give(struct pool *pool, uint32_t number);

/*
 * How many items are free, of those that were taken before.  False: the free list leads nowhere, or in a circle;
 * while others take and give it may seem so.
 */
bool hm_pool_count_free(const struct pool *pool, uint32_t *count);

/* The number of the item at this address; 0: no item ever taken is there. */
uint32_t hm_pool_number(const struct pool *pool, const void *item);

/* Numbers above this have never been taken. */
static inline uint32_t pool_used(const struct pool *pool)
{
    return atomic_load_explicit(&pool->used, memory_order_acquire);
}

/* The chunk of item `i` (from 0), and how many of its items come before it. */
static inline unsigned pool_chunk_of(const struct pool *pool, uint32_t i, uint32_t *before)
{
    unsigned k = highest_bit((i >> pool->first_shift) + 1);
    *before = i - (((1u << k) - 1) << pool->first_shift);
    return k;
}

/* Put an item into an empty slot, unless another thread is first: its item is in the slot then.  NULL: no memory. */
void *hm_pool_install(struct pool *pool, _Atomic(void *) *slot);

/* What the slot leads to; if that is nothing and `make` is given, an item of it is installed.  NULL: nothing, or no memory. */
static inline void *pool_node(_Atomic(void *) *slot, struct pool *make)
{
    void *node = atomic_load_explicit(slot, memory_order_acquire);
    return node != NULL || make == NULL ? node : hm_pool_install(make, slot);
}

/* Where item `number` (1 .. used) is. */
static inline void *pool_item(const struct pool *pool, uint32_t number)
{
    uint32_t before;
    unsigned k = pool_chunk_of(pool, number - 1, &before);
    char *base = atomic_load_explicit(&pool->chunk[k].base, memory_order_acquire);
    return base + (size_t)before * pool->item_size;
}

#endif

/*
 * pool.c - chunks that double, a bump counter, a tagged free list
 *
 * Chunks are reserved whole and committed 64 KiB at a time as the bump counter gets there.  Several threads
 * may commit the same step: that is harmless, and one of them accounts for it.
 */
#include "maps/pool.h"

#include "maps/pages.h"

static const size_t commit_step = 64 * 1024;

static size_t chunk_bytes(const struct pool *pool, unsigned k)
{
    size_t bytes = ((size_t)1 << (pool->first_shift + k)) * pool->item_size;
    return (bytes + commit_step - 1) & ~(commit_step - 1);
}

void hm_pool_init(struct pool *pool, uint32_t item_size, uint32_t first_count, _Atomic uint64_t *metadata)
{
    pool->item_size = item_size;
    pool->first_shift = lowest_bit(first_count);
    pool->metadata = metadata;
    atomic_init(&pool->free_list, 0);
    atomic_init(&pool->used, 0);
    for (unsigned k = 0; k < POOL_CHUNKS; k++) {
        atomic_init(&pool->chunk[k].base, NULL);
        atomic_init(&pool->chunk[k].ready, 0);
    }
}

void hm_pool_destroy(struct pool *pool)
{
    for (unsigned k = 0; k < POOL_CHUNKS; k++) {
        char *base = atomic_load_explicit(&pool->chunk[k].base, memory_order_acquire);
        if (base == NULL)
            continue;
        hm_pages_release(base, chunk_bytes(pool, k));
        size_t ready = atomic_load_explicit(&pool->chunk[k].ready, memory_order_relaxed);
        atomic_fetch_sub_explicit(pool->metadata, ready, memory_order_relaxed);
        atomic_store_explicit(&pool->chunk[k].base, NULL, memory_order_relaxed);
    }
}

/* Make the memory of item `i` (from 0) usable. */
static bool ensure_item(struct pool *pool, uint32_t i)
{
    uint32_t before;
    unsigned k = pool_chunk_of(pool, i, &before);
    if (k >= POOL_CHUNKS)
        return false;
    struct pool_chunk *chunk = &pool->chunk[k];
    size_t bytes = chunk_bytes(pool, k);
    char *base = atomic_load_explicit(&chunk->base, memory_order_acquire);
    if (base == NULL) {
        char *fresh = hm_pages_reserve(bytes);
        if (fresh == NULL)
            return false;
        if (atomic_compare_exchange_strong_explicit(&chunk->base, &base, fresh, memory_order_acq_rel,
                                                    memory_order_acquire))
            base = fresh;
        else
            hm_pages_release(fresh, bytes);
    }
    size_t end = ((size_t)before + 1) * pool->item_size;
    size_t ready = atomic_load_explicit(&chunk->ready, memory_order_acquire);
    if (end <= ready)
        return true;
    size_t target = (end + commit_step - 1) & ~(commit_step - 1);
    if (!hm_pages_commit(base + ready, target - ready))
        return false;
    while (ready < target)
        if (atomic_compare_exchange_weak_explicit(&chunk->ready, &ready, target, memory_order_acq_rel,
                                                  memory_order_acquire)) {
            atomic_fetch_add_explicit(pool->metadata, target - ready, memory_order_relaxed);
            break;
        }
    return true;
}

uint32_t hm_pool_take(struct pool *pool)
{
    uint64_t head = atomic_load_explicit(&pool->free_list, memory_order_acquire);
    while ((uint32_t)head != 0) {
        _Atomic uint32_t *link = pool_item(pool, (uint32_t)head);
        uint64_t next = atomic_load_explicit(link, memory_order_relaxed);
        uint64_t wanted = ((head >> 32) + 1) << 32 | next;
        if (atomic_compare_exchange_weak_explicit(&pool->free_list, &head, wanted, memory_order_acq_rel,
                                                  memory_order_acquire)) {
            atomic_store_explicit(link, 0, memory_order_relaxed);
            return (uint32_t)head;
        }
    }
    uint32_t used = atomic_load_explicit(&pool->used, memory_order_relaxed);
    do {
        if (used == UINT32_MAX || !ensure_item(pool, used))
            return 0;
    } while (!atomic_compare_exchange_weak_explicit(&pool->used, &used, used + 1, memory_order_acq_rel,
                                                    memory_order_relaxed));
    return used + 1;
}

void hm_pool_give(struct pool *pool, uint32_t number)
{
    _Atomic uint32_t *link = pool_item(pool, number);
    uint64_t head = atomic_load_explicit(&pool->free_list, memory_order_relaxed);
    uint64_t wanted;
    do {
        atomic_store_explicit(link, (uint32_t)head, memory_order_relaxed);
        wanted = ((head >> 32) + 1) << 32 | number;
    } while (!atomic_compare_exchange_weak_explicit(&pool->free_list, &head, wanted, memory_order_acq_rel,
                                                    memory_order_relaxed));
}

void *hm_pool_install(struct pool *pool, _Atomic(void *) *slot)
{
    void *node = NULL;
    uint32_t number = hm_pool_take(pool);
    if (number == 0)
        return NULL;
    void *fresh = pool_item(pool, number);
    if (atomic_compare_exchange_strong_explicit(slot, &node, fresh, memory_order_acq_rel,
                                                memory_order_acquire))
        return fresh;
    hm_pool_give(pool, number); /* as it was: nobody has seen it */
    return node;
}

bool hm_pool_count_free(const struct pool *pool, uint32_t *count)
{
    uint32_t used = pool_used(pool);
    uint32_t number = (uint32_t)atomic_load_explicit(&pool->free_list, memory_order_acquire);
    for (*count = 0; number != 0; ++*count) {
        if (number > used || *count == used)
            return false;
        number = atomic_load_explicit((_Atomic uint32_t *)pool_item(pool, number), memory_order_acquire);
    }
    return true;
}

uint32_t hm_pool_number(const struct pool *pool, const void *item)
{
    for (unsigned k = 0; k < POOL_CHUNKS; k++) {
        const char *base = atomic_load_explicit(&pool->chunk[k].base, memory_order_acquire);
        size_t offset = (size_t)((uintptr_t)item - (uintptr_t)base);
        if (base == NULL || offset >= chunk_bytes(pool, k))
            continue;
        uint32_t before = (uint32_t)(offset / pool->item_size);
        uint32_t number = (((1u << k) - 1) << pool->first_shift) + before + 1;
        return offset % pool->item_size == 0 && number <= pool_used(pool) ? number : 0;
    }
    return 0;
}

/*
 * commit_map.c - words of page bits, found through at most one directory
 */
#include "maps/commit_map.h"

enum {
    WORD_PAGES = 64,
    STRIPE_PAGES = 16384, /* 64 MiB */
    STRIPE_WORDS = STRIPE_PAGES / WORD_PAGES,
    STRIPE_CLASS = 3,
    BLOCK_WORDS = BLOCK_PAGES / WORD_PAGES
};

/* What a pool item of a class looks like; the link is the pool's while the item is free. */
struct array {
    _Atomic uint32_t link;
    uint32_t number;
    _Atomic uint64_t payload[]; /* bits, then the versions of their blocks */
};

static size_t class_bytes(unsigned c)
{
    return (size_t)32 << 2 * c;
}

static unsigned class_for(size_t bytes)
{
    unsigned c = 0;
    while (class_bytes(c) < bytes)
        c++;
    return c;
}

/* Blocks that begin or end within the bits of a class, however they lie.  One is the map's own affair; beyond a stripe
 * there are only directories. */
static unsigned class_blocks(unsigned c)
{
    size_t words = class_bytes(c) / sizeof(uint64_t);
    return words <= BLOCK_WORDS || words > STRIPE_WORDS ? 0 : (unsigned)(words / BLOCK_WORDS) + 1;
}

static size_t item_bytes(unsigned c)
{
    size_t versions = class_blocks(c) * sizeof(uint32_t);
    return sizeof(struct array) + class_bytes(c) + ((versions + 7) & ~(size_t)7);
}

void hm_bit_store_init(struct bit_store *store, _Atomic uint64_t *metadata)
{
    for (unsigned c = 0; c < BIT_STORE_CLASSES; c++) {
        uint32_t first = c < 4 ? 512u >> 2 * c : 1;
        hm_pool_init(&store->classes[c], (uint32_t)item_bytes(c), first, metadata);
    }
}

void hm_bit_store_destroy(struct bit_store *store)
{
    for (unsigned c = 0; c < BIT_STORE_CLASSES; c++)
        hm_pool_destroy(&store->classes[c]);
}

static void *take_array(struct bit_store *store, size_t bytes)
{
    struct pool *pool = &store->classes[class_for(bytes)];
    uint32_t number = hm_pool_take(pool);
    if (number == 0)
        return NULL;
    struct array *array = pool_item(pool, number);
    array->number = number;
    return array->payload;
}

static _Atomic uint32_t *versions_of(void *payload, unsigned class)
{
    return (_Atomic uint32_t *)((char *)payload + class_bytes(class));
}

/* But for the versions the payload must be zero again. */
static void give_array(struct bit_store *store, void *payload, size_t bytes)
{
    struct array *array = (struct array *)((char *)payload - offsetof(struct array, payload));
    unsigned class = class_for(bytes);
    for (unsigned b = 0; b < class_blocks(class); b++)
        atomic_store_explicit(&versions_of(payload, class)[b], 0, memory_order_relaxed);
    hm_pool_give(&store->classes[class], array->number);
}

static uint64_t stripe_count(uint64_t pages)
{
    return (pages + STRIPE_PAGES - 1) / STRIPE_PAGES;
}

static size_t array_bytes(uint64_t pages)
{
    return (size_t)((pages + WORD_PAGES - 1) / WORD_PAGES * sizeof(uint64_t));
}

bool hm_commit_map_init(struct commit_map *map, struct bit_store *store, uint64_t pages)
{
    atomic_init(&map->version, 0);
    if (pages <= WORD_PAGES) {
        atomic_init(&map->word, 0);
        return true;
    }
    if (pages <= STRIPE_PAGES) {
        map->array = take_array(store, array_bytes(pages));
        return map->array != NULL;
    }
    map->stripes = take_array(store, (size_t)stripe_count(pages) * sizeof(void *));
    return map->stripes != NULL;
}

bool hm_commit_map_prepare(struct commit_map *map, struct bit_store *store, uint64_t pages, uint64_t first,
                           uint64_t count)
{
    if (pages <= STRIPE_PAGES || count == 0)
        return true;
    for (uint64_t s = first / STRIPE_PAGES; s <= (first + count - 1) / STRIPE_PAGES; s++) {
        void *stripe = atomic_load_explicit(&map->stripes[s], memory_order_acquire);
        if (stripe != NULL)
            continue;
        void *fresh = take_array(store, STRIPE_WORDS * sizeof(uint64_t));
        if (fresh == NULL)
            return false;
        if (!atomic_compare_exchange_strong_explicit(&map->stripes[s], &stripe, fresh, memory_order_acq_rel,
                                                     memory_order_acquire))
            give_array(store, fresh, STRIPE_WORDS * sizeof(uint64_t));
    }
    return true;
}

/* The word that holds `page`; NULL: its stripe was never touched. */
static _Atomic uint64_t *word_of(struct commit_map *map, uint64_t pages, uint64_t page)
{
    if (pages <= WORD_PAGES)
        return &map->word;
    if (pages <= STRIPE_PAGES)
        return &map->array[page / WORD_PAGES];
    _Atomic uint64_t *stripe = atomic_load_explicit(&map->stripes[page / STRIPE_PAGES], memory_order_acquire);
    return stripe == NULL ? NULL : &stripe[page % STRIPE_PAGES / WORD_PAGES];
}

enum operation { SET, CLEAR, COUNT, EMPTY };

/* On `count` bits of one word, from `bit` on. */
static inline uint64_t apply_to_word(_Atomic uint64_t *word, unsigned bit, uint64_t count,
                                     enum operation operation)
{
    uint64_t mask = (UINT64_MAX >> (WORD_PAGES - count)) << bit;
    uint64_t hit;
    if (operation == SET)
        hit = mask & ~atomic_fetch_or_explicit(word, mask, memory_order_acq_rel);
    else if (operation == CLEAR)
        hit = mask & atomic_fetch_and_explicit(word, ~mask, memory_order_acq_rel);
    else
        hit = mask & atomic_load_explicit(word, memory_order_acquire);
    if (operation == EMPTY && hit != 0) /* nobody else is there */
        atomic_store_explicit(word, 0, memory_order_relaxed);
    if (hit == mask || hit == 0) /* mostly so: a call less */
        return hit == 0 ? 0 : count;
    return (uint64_t)__builtin_popcountll(hit);
}

static uint64_t apply_to_words(struct commit_map *map, uint64_t pages, uint64_t first, uint64_t count,
                               enum operation operation)
{
    uint64_t turned = 0;
    uint64_t end = first + count;
    while (first < end) {
        _Atomic uint64_t *word = word_of(map, pages, first);
        if (word == NULL) {
            first = (first / STRIPE_PAGES + 1) * STRIPE_PAGES;
            continue;
        }
        unsigned bit = (unsigned)(first % WORD_PAGES);
        uint64_t n = WORD_PAGES - bit < end - first ? WORD_PAGES - bit : end - first;
        turned += apply_to_word(word, bit, n, operation);
        first += n;
    }
    return turned;
}

static inline uint64_t apply(struct commit_map *map, uint64_t pages, uint64_t first, uint64_t count,
                             enum operation operation)
{
    const unsigned bit = (unsigned)(first % WORD_PAGES);
    if (count == 0 || count > WORD_PAGES - bit)
        return apply_to_words(map, pages, first, count, operation);
    _Atomic uint64_t *word = word_of(map, pages, first); /* mostly it is but one */
    return word == NULL ? 0 : apply_to_word(word, bit, count, operation);
}

uint64_t hm_commit_map_set(struct commit_map *map, uint64_t pages, uint64_t first, uint64_t count)
{
    return apply(map, pages, first, count, SET);
}

uint64_t hm_commit_map_clear(struct commit_map *map, uint64_t pages, uint64_t first, uint64_t count)
{
    return apply(map, pages, first, count, CLEAR);
}

uint64_t hm_commit_map_count(struct commit_map *map, uint64_t pages, uint64_t first, uint64_t count)
{
    return apply(map, pages, first, count, COUNT);
}

/* The version of the block that `page` is in, and how far that goes; NULL: its stripe was never touched. */
static inline _Atomic uint32_t *version_of(struct commit_map *map, uint64_t pages, uint64_t skew,
                                           uint64_t page, uint64_t *end)
{
    if (pages <= BLOCK_PAGES) {
        *end = pages;
        return &map->version;
    }
    uint64_t stripe = page / STRIPE_PAGES * STRIPE_PAGES;
    uint64_t block = (page - stripe + skew) / BLOCK_PAGES;
    *end = stripe + (block < STRIPE_PAGES / BLOCK_PAGES ? (block + 1) * BLOCK_PAGES - skew : STRIPE_PAGES);
    if (pages <= STRIPE_PAGES)
        return &versions_of(map->array, class_for(array_bytes(pages)))[block];
    _Atomic uint64_t *array = atomic_load_explicit(&map->stripes[page / STRIPE_PAGES], memory_order_acquire);
    if (array == NULL)
        *end = stripe + STRIPE_PAGES;
    return array == NULL ? NULL : &versions_of(array, STRIPE_CLASS)[block];
}

uint32_t hm_commit_map_versions(struct commit_map *map, uint64_t pages, uint64_t skew, uint64_t first,
                                uint64_t count, uint32_t amount)
{
    uint32_t sum = 0;
    for (uint64_t end, at = first; at < first + count; at = end) {
        _Atomic uint32_t *version = version_of(map, pages, skew, at, &end);
        if (version == NULL)
            continue;
        sum += amount == 0 ? atomic_load_explicit(version, memory_order_acquire)
                           : atomic_fetch_add_explicit(version, amount, memory_order_acq_rel);
    }
    return sum;
}

uint64_t hm_commit_map_clear_all(struct commit_map *map, struct bit_store *store, uint64_t pages)
{
    uint64_t set = apply(map, pages, 0, pages, EMPTY);
    if (pages <= WORD_PAGES)
        return set;
    if (pages <= STRIPE_PAGES) {
        give_array(store, map->array, array_bytes(pages));
        return set;
    }
    for (uint64_t s = 0; s < stripe_count(pages); s++) {
        void *stripe = atomic_load_explicit(&map->stripes[s], memory_order_relaxed);
        if (stripe == NULL)
            continue;
        atomic_store_explicit(&map->stripes[s], NULL, memory_order_relaxed);
        give_array(store, stripe, STRIPE_WORDS * sizeof(uint64_t));
    }
    give_array(store, map->stripes, (size_t)stripe_count(pages) * sizeof(void *));
    return set;
}

/* Is it the payload of an item that was taken?  An item knows its own number. */
static bool check_array(const struct bit_store *store, const void *payload, size_t bytes,
                        uint32_t arrays[BIT_STORE_CLASSES])
{
    unsigned class = class_for(bytes);
    const struct pool *pool = &store->classes[class];
    const struct array *array =
        (const struct array *)((const char *)payload - offsetof(struct array, payload));
    uint32_t number = hm_pool_number(pool, array);
    if (number == 0 || array->number != number)
        return false;
    arrays[class]++;
    return true;
}

bool hm_commit_map_check(const struct commit_map *map, const struct bit_store *store, uint64_t pages,
                         uint32_t arrays[BIT_STORE_CLASSES])
{
    const size_t stripe_bytes = STRIPE_WORDS * sizeof(uint64_t);
    uint64_t end = (pages + WORD_PAGES - 1) / WORD_PAGES * WORD_PAGES;
    if (pages > STRIPE_PAGES) {
        end = stripe_count(pages) * STRIPE_PAGES;
        if (!check_array(store, map->stripes, (size_t)stripe_count(pages) * sizeof(void *), arrays))
            return false;
        for (uint64_t s = 0; s < stripe_count(pages); s++) {
            const void *stripe = atomic_load_explicit(&map->stripes[s], memory_order_acquire);
            if (stripe != NULL && !check_array(store, stripe, stripe_bytes, arrays))
                return false;
        }
    } else if (pages > WORD_PAGES && !check_array(store, map->array, array_bytes(pages), arrays)) {
        return false;
    }
    /* `pages` is told apart only by what kind of map it makes. */
    return hm_commit_map_count((struct commit_map *)map, pages, pages, end - pages) == 0;
}
